package logdb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
	"github.com/logdb-go/logdb/wal"
)

const (
	// manifestEvery is when a reader reads the manifest although no WAL object
	// said that it moved.
	manifestEvery = 30 * time.Second
	// refreshBound is how long one refresh may take. Past it the numbers it was
	// about to read may have been collected and a late fence may lie there, so
	// what was read is thrown away. The collector's grace is longer than both.
	refreshBound = 25 * time.Second
)

// refresher is the goroutine that keeps a reader's snapshot current. It asks
// for the next WAL object by name until one is absent, and for the manifest
// only when that moved: one request while nothing is new.
type refresher struct {
	reader *LogDbReader
	asked  chan ask

	// Owned by the goroutine (by OpenReader before it starts).
	manifest *segment.Manifest
	etag     string
	asOf     time.Time // start of the manifest's last GET
	seen     uint64    // highest manifest version in a WAL object's header
	at       wal.Position
	found    int // WAL objects that the last refresh met: the next expects as many
	tail     tail
	woken    []wal.Frame // batches that followers are to be told of
	wokenAll bool
}

// ask is a refresh on demand.
type ask struct {
	manifest bool
	done     chan error
}

func (r *refresher) run() {
	interval := r.reader.opts.RefreshInterval
	var tick <-chan time.Time
	if interval > 0 {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		tick = ticker.C
	}
	for {
		a := ask{}
		select {
		case <-r.reader.stop.Done():
			return
		case <-tick:
		case a = <-r.asked:
		}
		err := r.refresh(r.reader.stop, a.manifest)
		if a.done != nil {
			a.done <- err
		}
		if err != nil && r.reader.stop.Err() == nil {
			r.reader.opts.Logger.Warn("logdb: refresh failed, will repeat", "err", err)
		}
	}
}

func (r *refresher) retry() *retry {
	retry := r.reader.retry("refresh")
	retry.deniedIsFinal = true
	if r.manifest == nil { // opening
		retry.tries = openTries
	}
	return retry
}

// retry starts the repetition of one operation, told to the reader's listener.
func (r *LogDbReader) retry(what string) *retry {
	o := &r.opts
	retry := newRetry(what, func(r *retry, object string, err error, wait time.Duration) {
		r.log(o.Logger, object, err, wait)
		o.Events.emit(o.Events.Retried, Event{Name: r.what, Object: object, Duration: wait, Err: err})
	})
	retry.pulse = r.pulse
	o.hooks.calm(retry)
	return retry
}

// refresh brings the snapshot up to what the bucket holds. With manifest it
// reads that first, whatever the WAL says.
func (r *refresher) refresh(ctx context.Context, manifest bool) error {
	begun := time.Now()
	err := r.look(ctx, manifest)
	r.reader.note(begun, err)
	return err
}

func (r *refresher) look(ctx context.Context, manifest bool) error {
	ctx, cancel := context.WithTimeout(ctx, refreshBound)
	defer cancel()
	h := &r.reader.opts.hooks
	if manifest || time.Since(r.asOf) > manifestEvery && !h.without(manifestFollowed) {
		if err := r.readManifest(ctx); err != nil {
			return err
		}
	}
	err := r.follow(ctx)
	if err == nil && r.seen > r.manifest.Version && !h.without(manifestFollowed) {
		err = r.readManifest(ctx)
	}
	r.publish()
	return err
}

// errGap: a WAL object starts above the frontier. What lies between is in
// tables that a newer manifest names, or not yet anywhere.
var errGap = errors.New("logdb: gap in the WAL")

// follow applies WAL objects until one is absent.
func (r *refresher) follow(ctx context.Context) error {
	enough, opening := 4*walkAhead, r.reader.snapshot.Load() == nil
	if opening {
		enough = fewObjects
	}
	expect := r.found
	for again := false; ; again = true {
		var objects []wal.Object
		from := r.at
		next, err := walk(ctx, r.reader.bucket, from, expect, r.retry(), func(obj wal.Object) error {
			objects = append(objects, obj)
			if len(objects) >= enough {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			return err
		}
		if time.Since(r.asOf) > manifestEvery+refreshBound && !r.reader.opts.hooks.without(refreshBounded) { // too long ago to trust names
			if err := r.readManifest(ctx); err != nil {
				return err
			}
			continue
		}
		r.found, expect = len(objects), max(expect-len(objects), 0)
		gap := r.applyAll(objects)
		switch {
		case errors.Is(gap, errGap) && !again:
			if err := r.readManifest(ctx); err != nil {
				return err
			}
			continue
		case errors.Is(gap, errGap):
			return nil // the next refresh tries again
		case gap != nil:
			return gap
		case err == nil:
			r.at = next
			if opening {
				r.found = 0 // how many there were says nothing of how many come
			}
			return nil
		}
		if enough == fewObjects {
			enough, expect = 4*walkAhead, r.ahead(ctx)+1 // and the absent one, which takes no round of its own so
		}
		r.publish() // far behind: show what there is
	}
}

// fewObjects is how many WAL objects a reader meets when it opens before it
// asks how many more there are.
const fewObjects = 4

// ahead lists the WAL objects of the present epoch from the position on. It is
// a guess. Where listing fails the walk finds its way without.
func (r *refresher) ahead(ctx context.Context) (n int) {
	if r.at.Number == 0 {
		return 0
	}
	last := wal.ObjectName(r.at.Epoch, r.at.Number-1)
	prefix := last[:strings.LastIndexByte(last, '-')+1]
	for _, err := range r.reader.bucket.List(ctx, prefix, last) {
		if err != nil {
			return 0
		}
		if n++; n >= holdAtObjects {
			break
		}
	}
	return n
}

// errEnough ends a walk that has read a good piece.
var errEnough = errors.New("enough")

func (r *refresher) applyAll(objects []wal.Object) error {
	for _, obj := range objects {
		if err := r.apply(obj); err != nil {
			return err
		}
	}
	return nil
}

// apply takes one WAL object and moves the position over it.
func (r *refresher) apply(obj wal.Object) error {
	name := wal.ObjectName(obj.At.Epoch, obj.At.Number)
	if obj.Log != r.manifest.Log {
		return fmt.Errorf("%w: %s is of log %v, ours is %v", ErrForeign, name, obj.Log, r.manifest.Log)
	}
	if obj.Start > r.tail.end && !r.reader.opts.hooks.without(gapRefused) {
		return fmt.Errorf("%w: %s starts at %d, the frontier is %d", errGap, name, obj.Start, r.tail.end)
	}
	r.seen = max(r.seen, obj.ManifestVersion)
	switch obj.Kind {
	case wal.Fence:
		r.at = obj.Next
		return nil
	case wal.Tables:
		tables, err := segment.DecodeTables(obj.Body)
		if err != nil {
			return &CorruptError{Object: name, Err: err}
		}
		r.tail.tables(tables, obj.End)
		r.wokenAll = true
	default:
		frames, err := r.tail.frames(obj)
		if err != nil {
			return err
		}
		r.woken = append(r.woken, frames...)
	}
	r.at = wal.Position{Epoch: obj.At.Epoch, Number: obj.At.Number + 1}
	return nil
}

// readManifest reads the manifest if it changed. An older version than the one
// we hold, out of some cache, is refused.
func (r *refresher) readManifest(ctx context.Context) error {
	begun := time.Now()
	got, err := r.retry().get(ctx, r.reader.bucket, segment.ManifestName, r.etag)
	switch {
	case errors.Is(err, objstore.ErrNotModified):
		r.asOf = begun
		return nil
	case errors.Is(err, objstore.ErrNotFound) && r.manifest == nil:
		return ErrNoLog
	case errors.Is(err, objstore.ErrNotFound):
		return fmt.Errorf("%w: the manifest is gone", ErrForeign)
	case err != nil:
		return err
	}
	m, err := segment.DecodeManifest(got.Data)
	if err != nil {
		return err
	}
	if r.manifest != nil && m.Log != r.manifest.Log {
		return fmt.Errorf("%w: manifest of log %v, ours was %v", ErrForeign, m.Log, r.manifest.Log)
	}
	if r.manifest != nil && m.Version < r.manifest.Version {
		return fmt.Errorf("logdb: manifest went back to version %d, had %d", m.Version, r.manifest.Version)
	}
	r.asOf, r.etag = begun, got.ETag
	r.adopt(m)
	return nil
}

// adopt takes a newer manifest. If its flushed has reached or passed the
// frontier, the tail is dropped and the WAL is read on from where recovery
// starts; otherwise only what is in tables now leaves the tail.
func (r *refresher) adopt(m *segment.Manifest) {
	first := r.manifest == nil
	r.manifest = m
	r.seen = max(r.seen, m.Version)
	if first { // nobody reads through the store yet
		r.reader.store.Log = m.Log
	}
	if first || m.Flushed >= r.tail.end && !r.reader.opts.hooks.without(tailDropped) {
		r.wokenAll = r.wokenAll || m.Flushed > r.tail.end
		r.at = wal.Position{Epoch: m.ReplayEpoch, Number: m.ReplayNumber}
		r.tail.reset(m.Flushed)
		return
	}
	r.tail.drop(m.Flushed)
}

// publish makes the snapshot of what is known now and wakes followers.
func (r *refresher) publish() {
	if r.manifest == nil {
		return
	}
	r.reader.snapshot.Store(&snapshot{
		view:     r.tail.view(r.reader.store, r.manifest),
		frontier: r.tail.end, flushed: r.manifest.Flushed, version: r.manifest.Version, asOf: r.asOf,
	})
	r.reader.frontier.advance(r.tail.end)
	if r.wokenAll {
		r.reader.followers.wakeAll(r.tail.end)
	} else {
		r.reader.followers.wake(r.woken, r.tail.end)
	}
	r.woken, r.wokenAll = nil, false
}
