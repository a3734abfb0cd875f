//go:build unix

package logdb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/logdb-go/logdb/objstore"
)

// onlooker is a reader that follows every key that the children append to, and
// keeps what it is shown. What a reader has shown once must be in the log for
// good, whatever becomes of the writer that put it there.
type onlooker struct {
	t      *testing.T
	bucket objstore.Reader
	reader *LogDbReader
	from   uint64
	cancel context.CancelFunc
	joined sync.WaitGroup
	mu     sync.Mutex
	seen   [processKeys][]Entry
	stale  [processKeys]bool
	begun  int // followers that began again
}

func childKey(i int) string { return fmt.Sprintf("key %d", i) }

// look follows a log from its frontier on; from its start if all is set.
func look(t *testing.T, b objstore.Reader, all bool) *onlooker {
	t.Helper()
	r, err := OpenReader(t.Context(), b, ReaderOptions{RefreshInterval: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	w := &onlooker{t: t, bucket: b, reader: r}
	if !all {
		w.from = r.Frontier()
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	for i := range processKeys {
		w.joined.Go(func() { w.follow(ctx, i) })
	}
	t.Cleanup(w.close)
	return w
}

// follow keeps what one key's follower shows. One that could not read begins
// again where it was. A reader that this machine has kept waiting for longer
// than the collector's grace may say that it is stale.
func (w *onlooker) follow(ctx context.Context, i int) {
	for from := w.from; ; {
		it := w.reader.Follow(ctx, []byte(childKey(i)), from, ScanOptions{})
		for it.Next() {
			w.mu.Lock()
			w.seen[i] = append(w.seen[i], owned(it.Entry()))
			w.mu.Unlock()
		}
		from = it.NextSequence()
		err := errors.Join(it.Err(), it.Close())
		if ctx.Err() != nil || w.ended(i, err) {
			return
		}
	}
}

// ended judges the end of a follower that nobody has ended.
func (w *onlooker) ended(i int, err error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begun++
	w.stale[i] = errors.Is(err, ErrStale)
	if err == nil || errors.Is(err, ErrClosed) || errors.Is(err, objstore.ErrCorrupt) {
		w.t.Errorf("follow %s ended with %v", childKey(i), err)
		return true
	}
	return w.stale[i]
}

func (w *onlooker) close() {
	w.cancel()
	w.joined.Wait()
	if err := w.reader.Close(); err != nil {
		w.t.Errorf("close reader: %v", err)
	}
}

// reaches waits until the reader shows everything below a sequence.
func (w *onlooker) reaches(sequence uint64) {
	w.t.Helper()
	w.poll(fmt.Sprintf("the reader to reach %d", sequence), func() bool { return w.reader.Frontier() >= sequence })
}

// poll waits for a condition.
func (w *onlooker) poll(what string, cond func() bool) {
	w.t.Helper()
	ticker, deadline := time.NewTicker(5*time.Millisecond), time.After(patience)
	defer ticker.Stop()
	for !cond() {
		select {
		case <-ticker.C:
		case <-deadline:
			w.t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// caughtUp waits until every follower has shown all that the log was found to
// hold of its key, and ends them. Nobody writes meanwhile; but an object whose
// writer was killed while he sent it may land after the log was read. What a
// follower shows beyond all must be in the log when that is read again.
func (w *onlooker) caughtUp(all []Entry) {
	w.t.Helper()
	want := w.perKey(all)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := w.reader.ask(ctx, true); err != nil {
		w.t.Errorf("refresh: %v", err)
	}
	for i := range processKeys {
		w.poll(childKey(i)+" to catch up", func() bool { return !w.behind(i, len(want[childKey(i)])) })
	}
	w.close()
	later := want
	for i := range processKeys {
		if len(w.seen[i]) > len(want[childKey(i)]) {
			later = w.perKey(mustHistory(w.t, openReader(w.t, w.bucket, ReaderOptions{RefreshInterval: -1})))
			break
		}
	}
	for i := range processKeys {
		// Of a stale follower, what it did show was right.
		expected := later[childKey(i)]
		sameEntries(w.t, "follower of "+childKey(i), w.seen[i], expected[:min(len(expected), len(w.seen[i]))])
	}
}

// perKey are the entries that a follower of each key is to show.
func (w *onlooker) perKey(all []Entry) map[string][]Entry {
	of := map[string][]Entry{}
	for _, e := range all {
		if e.Sequence >= w.from {
			of[string(e.Key)] = append(of[string(e.Key)], e)
		}
	}
	return of
}

func (w *onlooker) behind(i, want int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.seen[i]) < want && !w.stale[i]
}
