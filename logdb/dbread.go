package logdb

import (
	"context"
	"errors"

	"github.com/logdb-go/logdb/logdb/internal/view"
)

// Scan reads the retained entries of key in r, in sequence order. The iterator
// reports errors; ctx bounds its whole life.
func (d *LogDb) Scan(ctx context.Context, key []byte, r Range, o ScanOptions) *Iterator {
	return d.source().scan(ctx, key, r, o)
}

// Follow reads the entries of key from a sequence on and then waits for more,
// without gap or repeat. Next returns false when ctx ends or the log is closed.
// A follower that waits costs no request and is woken by the commit that holds
// its key.
func (d *LogDb) Follow(ctx context.Context, key []byte, from uint64, o ScanOptions) *Iterator {
	return d.source().follow(ctx, key, from, o)
}

// Get returns one entry with bytes of its own. ErrNotFound if the key has no
// record with that sequence, *TrimmedError if retention removed it.
func (d *LogDb) Get(ctx context.Context, key []byte, sequence uint64) (Entry, error) {
	return d.source().get(ctx, key, sequence)
}

// Count returns exactly how many entries of key lie in r.
func (d *LogDb) Count(ctx context.Context, key []byte, r Range) (uint64, error) {
	return d.source().count(ctx, key, r)
}

// ListKeys streams keys in byte order, each once. Memory is one row per table,
// whatever the number of keys.
func (d *LogDb) ListKeys(ctx context.Context, o KeyOptions) *KeyIterator {
	return d.source().keys(ctx, o)
}

// ListSegments returns the retained segments whose sequences overlap r, oldest
// first.
func (d *LogDb) ListSegments(ctx context.Context, r Range) ([]Segment, error) {
	return d.source().segments(ctx, r)
}

// Inspect says how the entries of key in r lie over tables, and what a scan of
// them would cost now.
func (d *LogDb) Inspect(ctx context.Context, key []byte, r Range) (Inspection, error) {
	return d.source().inspect(ctx, key, r)
}

// Frontier is exclusive: every retained record below it is readable here, at
// the visibility that Options say.
func (d *LogDb) Frontier() uint64 {
	if d.opts.Visibility == Remote {
		return d.remote.get()
	}
	return d.applied.get()
}

func (d *LogDb) source() *source {
	return &source{current: d.current, renew: d.renew, live: liveSegments, followers: d.followers, advanced: d.advanced, lags: d.lags}
}

// current takes the frontier first: the view that is loaded then holds
// everything below it. After a takeover the view may hold records that are not
// in the log, so nothing is read any more.
func (d *LogDb) current(l Durability) (*view.View, uint64, error) {
	if err := d.Err(); errors.Is(err, ErrFenced) || errors.Is(err, ErrClosed) {
		return nil, 0, err
	}
	if l == Default {
		l = d.opts.Visibility
	}
	if d.shared.Load() && d.keeper.age() > manifestEvery {
		wake(d.maintainer.stale)
	}
	hi := d.applied.get()
	if l == Remote || d.opts.hooks.without(readsApplied) {
		hi = d.remote.get()
	}
	return d.view.Load(), hi, nil
}

// renew is asked for when a table of v is gone. If our own edits did not take
// it out of the log, a compactor in another process may have, or the next
// writer: only the bucket's manifest tells that from damage.
func (d *LogDb) renew(ctx context.Context, v *view.View) error {
	if d.view.Load() != v {
		return nil
	}
	m, err := d.keeper.refresh(ctx)
	if errors.Is(err, ErrFenced) {
		d.fail(err)
	}
	if err != nil {
		return err
	}
	if m.Version > d.state.manifest().Version {
		d.state.setManifest(m)
		return nil
	}
	if d.view.Load() != v {
		return nil
	}
	return errUnchanged
}

// advanced announces the remote watermark to followers that read no further;
// others are woken by the commit itself.
func (d *LogDb) advanced(ctx context.Context, l Durability) <-chan uint64 {
	if !d.lags(l) {
		return nil
	}
	return d.remote.subscribe(ctx)
}

func (d *LogDb) lags(l Durability) bool {
	if l == Default {
		l = d.opts.Visibility
	}
	return l == Remote
}

// liveSegments adds the memtables, which the view's segments leave out.
func liveSegments(v *view.View, infos []view.SegmentInfo) {
	for _, p := range v.Parts {
		if p.Mem == nil || p.Mem.Records() == 0 {
			continue
		}
		for i := range infos {
			if s := &infos[i]; s.ID == p.Mem.Segment() {
				s.Records += p.Mem.Records()
				s.Bytes += uint64(p.Mem.Bytes())
				s.LastMs = max(s.LastMs, p.Mem.LastMs())
			}
		}
	}
}
