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
	reader *LogDbReader
	from   uint64
	cancel context.CancelFunc
	joined sync.WaitGroup
	mu     sync.Mutex
	seen   [processKeys][]Entry
	stale  [processKeys]bool
}

func childKey(i int) string { return fmt.Sprintf("key %d", i) }

// look follows a log from its frontier on; from its start if all is set.
func look(t *testing.T, b objstore.Reader, all bool) *onlooker {
	t.Helper()
	r, err := OpenReader(t.Context(), b, ReaderOptions{RefreshInterval: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	w := &onlooker{t: t, reader: r}
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

// follow keeps what one key's follower shows. A reader that this machine has
// kept waiting for longer than the collector's grace may say that it is stale.
func (w *onlooker) follow(ctx context.Context, i int) {
	it := w.reader.Follow(ctx, []byte(childKey(i)), w.from, ScanOptions{})
	defer it.Close()
	for it.Next() {
		w.mu.Lock()
		w.seen[i] = append(w.seen[i], owned(it.Entry()))
		w.mu.Unlock()
	}
	err := it.Err()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stale[i] = errors.Is(err, ErrStale)
	if err != nil && !w.stale[i] && ctx.Err() == nil && !errors.Is(err, ErrClosed) {
		w.t.Errorf("follow %s: %v", childKey(i), err)
	}
}

func (w *onlooker) close() {
	w.cancel()
	w.joined.Wait()
	if err := w.reader.Close(); err != nil {
		w.t.Errorf("close reader: %v", err)
	}
}

// caughtUp waits until every follower has shown all that the log holds of its
// key, and ends them. Nobody writes meanwhile.
func (w *onlooker) caughtUp(all []Entry) {
	w.t.Helper()
	want := map[string][]Entry{}
	for _, e := range all {
		if e.Sequence >= w.from {
			want[string(e.Key)] = append(want[string(e.Key)], e)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := w.reader.ask(ctx, true); err != nil {
		w.t.Errorf("refresh: %v", err)
	}
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for i := range processKeys {
		for w.behind(i, len(want[childKey(i)])) {
			select {
			case <-poll.C:
			case <-ctx.Done():
				w.t.Errorf("%s: the follower has not caught up in %v", childKey(i), patience)
				return
			}
		}
	}
	w.close()
	for i := range processKeys {
		expected := want[childKey(i)]
		if w.stale[i] { // what it did show was right
			expected = expected[:min(len(expected), len(w.seen[i]))]
		}
		sameEntries(w.t, "follower of "+childKey(i), w.seen[i], expected)
	}
}

func (w *onlooker) behind(i, want int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.seen[i]) < want && !w.stale[i]
}
