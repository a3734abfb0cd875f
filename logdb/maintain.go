package logdb

import (
	"context"
	"errors"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
)

// maintainer is the goroutine that drops expired segments and merges tables.
// It looks when a flush changed something, and when a segment's age is due:
// an idle log costs it nothing.
//
// A Compactor in another process may take the merging over. Then the maintainer
// looks after the writer's view, which the other process makes old, and takes
// the merging back when that one has left it undone for long.
type maintainer struct {
	db     *LogDb
	merger *merger
	kick   chan struct{}
	asked  chan chan error
	stale  chan struct{} // somebody reads, and the view is old
	away   absence
	ages   *ages
}

func newMaintainer(d *LogDb, u *upkeep, epoch uint64, today time.Time) *maintainer {
	t := &maintainer{
		db: d, kick: make(chan struct{}, 1), asked: make(chan chan error), stale: make(chan struct{}, 1), ages: newAges(today),
		merger: newMerger(u, d.collector, epoch, d.yieldToFlush),
	}
	t.merger.newest, t.merger.publish, t.merger.keepSealed = d.state.manifest, d.state.setManifest, d.opts.Segments.NoConsolidation
	// Retention does not wait until everything is merged, and what it takes away
	// need not be.
	t.merger.before = func(ctx context.Context) error {
		_, err := t.expire(ctx)
		return err
	}
	if d.opts.ExternalCompactor {
		t.displace()
	}
	return t
}

func (t *maintainer) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	wake(t.kick) // what the last writer left is due
	var asker chan error
	for {
		select {
		case <-t.db.stop.Done():
			return
		case asker = <-t.asked:
		case <-t.kick:
		case <-timer.C:
		case <-t.stale:
			if err := t.refresh(t.db.stop); isFinal(err) {
				t.db.fail(err)
				return
			}
			continue
		}
		wait, err := t.expire(t.db.stop)
		if err == nil {
			wait, err = t.tidy(t.db.stop, wait, asker != nil)
		}
		if asker != nil {
			asker <- err
			asker = nil
		}
		switch {
		case err == nil:
			timer.Reset(wait)
		case isFinal(err):
			t.db.fail(err)
			return
		default: // the store is away; what was merged is lost, nothing else
			t.db.opts.Logger.Info("logdb: merge failed, will repeat", "err", err)
			timer.Reset(retryLongest)
		}
	}
}

// tidy merges what is due, unless another process does. It returns when to
// look again, wait at the latest.
func (t *maintainer) tidy(ctx context.Context, wait time.Duration, asked bool) (time.Duration, error) {
	if t.away.is {
		back, look, err := t.returned(ctx, asked)
		if !back || err != nil {
			return min(wait, look), err
		}
	}
	err := t.merger.all(ctx)
	if errors.Is(err, errDisplaced) {
		t.db.opts.Logger.Info("logdb: a compactor in another process merges from now on", "err", err)
		t.displace()
		return min(wait, t.away.patience), nil
	}
	return wait, err
}

// isFinal tells an error that no repetition mends.
func isFinal(err error) bool {
	for _, final := range []error{objstore.ErrCorrupt, objstore.ErrUnsupported, ErrFenced, ErrForeign, ErrClosed, context.Canceled} {
		if errors.Is(err, final) {
			return true
		}
	}
	return false
}

// expire drops the segments that retention no longer keeps and returns when
// the next will be due by age.
func (t *maintainer) expire(ctx context.Context) (time.Duration, error) {
	d := t.db
	m := d.state.manifest()
	t.ages.note(m)
	n := expired(m, d.opts.Retention, t.ages)
	if n == 0 {
		return untilExpiry(m, d.opts.Retention, t.ages), nil
	}
	d.opts.hooks.at("expire: due")
	below := m.Segments[n-1].End
	var dropped []segment.Segment // as they are in the end: another process may have merged them
	m, err := d.keeper.edit(ctx, func(m *segment.Manifest) error {
		drop, err := dropEdit(m, below)
		if err == nil {
			dropped = drop
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	d.opts.hooks.at("expire")
	d.state.setManifest(m)
	for _, s := range dropped {
		d.collector.removedTables(s.Tables)
		d.opts.Events.emit(d.opts.Events.Dropped, Event{Name: "segment", Segment: s.ID, Range: Between(s.Start, s.End), Bytes: int64(s.Bytes)})
	}
	return untilExpiry(m, d.opts.Retention, t.ages), nil
}

// dropEdit removes the sealed segments that end at or below a sequence, and
// returns them.
func dropEdit(m *segment.Manifest, below uint64) ([]segment.Segment, error) {
	if m.TrimmedBelow >= below {
		return nil, errDone
	}
	n := 0
	for n < len(m.Segments) && m.Segments[n].Sealed && m.Segments[n].End <= below && m.Segments[n].End <= m.Flushed {
		n++
	}
	dropped := m.Segments[:n:n]
	m.Segments = m.Segments[n:]
	m.TrimmedBelow = below
	return dropped, nil
}

// expired returns how many of the oldest segments some rule lets go.
func expired(m *segment.Manifest, r Retention, a *ages) int {
	var records, bytes uint64
	for i := range m.Segments {
		records += m.Segments[i].Records
		bytes += m.Segments[i].Bytes
	}
	n := 0
	for n < len(m.Segments) {
		s := &m.Segments[n]
		over := r.Records > 0 && records > r.Records || r.Bytes > 0 && bytes > r.Bytes
		if !s.Sealed || s.End > m.Flushed || !over && s.End > r.Before && !tooOld(s, r, a) {
			break
		}
		records -= s.Records
		bytes -= s.Bytes
		n++
	}
	return n
}

func tooOld(s *segment.Segment, r Retention, a *ages) bool {
	return r.Age > 0 && a.of(s) >= r.Age
}

// untilExpiry returns when the oldest sealed segment will be too old.
func untilExpiry(m *segment.Manifest, r Retention, a *ages) time.Duration {
	if r.Age == 0 || len(m.Segments) == 0 || !m.Segments[0].Sealed {
		return never
	}
	return max(r.Age-a.of(&m.Segments[0]), time.Second)
}

// Compact merges everything that is due now and returns when it is done. The
// log does the same by itself in the background. It takes the merging back from
// a Compactor in another process, which then ends with ErrFenced; only with
// Options.ExternalCompactor it merges nothing.
func (d *LogDb) Compact(ctx context.Context) error {
	if err := d.Err(); err != nil {
		return err
	}
	asker := make(chan error, 1)
	select {
	case d.maintainer.asked <- asker:
	case <-ctx.Done():
		return ctx.Err()
	case <-d.stop.Done():
		return d.Err()
	}
	select {
	case err := <-asker:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-d.stop.Done():
		return d.Err()
	}
}
