package logdb

import (
	"context"
	"errors"
	"time"

	"github.com/logdb-go/logdb/segment"
)

// absence is the time in which another process merges a writer's tables.
type absence struct {
	is       bool
	patience time.Duration // what merges may be due for before they are taken back

	// The oldest merge that is due, under which compactor epoch, since when.
	first string
	epoch uint64
	since time.Time
}

const (
	// mergesLate is how long the oldest merge may be due, and not done by the
	// process that took the merging over, before the writer takes it back. It is
	// longer than the merge of a segment takes at any sensible pace.
	mergesLate = 15 * time.Minute
	never      = 1000 * time.Hour
)

// displace hands merging over to another process. From now on the manifest
// moves under the writer, whose reads ask for it when theirs is old.
func (t *maintainer) displace() {
	t.away = absence{is: true, patience: mergesLate}
	if t.db.opts.ExternalCompactor {
		t.away.patience = never
	}
	t.db.shared.Store(true)
}

// refresh brings the writer's view up to the bucket's manifest.
func (t *maintainer) refresh(ctx context.Context) error {
	if t.db.keeper.age() <= manifestEvery {
		return nil
	}
	m, err := t.db.keeper.refresh(ctx)
	if err == nil {
		t.db.state.setManifest(m)
	}
	return err
}

// returned takes the merging back if the process that has it left the oldest
// merge undone for too long, or if somebody asked for it. Else it returns when
// to look again.
func (t *maintainer) returned(ctx context.Context, asked bool) (back bool, look time.Duration, err error) {
	if t.db.opts.ExternalCompactor {
		return false, never, nil
	}
	first, a := t.oldest(), &t.away
	if first == "" && !asked {
		a.first = ""
		return false, never, nil
	}
	if first != a.first {
		a.first, a.epoch, a.since = first, t.db.state.manifest().CompactorEpoch, time.Now()
	}
	if left := a.patience - time.Since(a.since); left > 0 && !asked {
		return false, left, nil
	}
	m, err := t.db.keeper.refresh(ctx)
	if err != nil {
		return false, 0, err
	}
	t.db.state.setManifest(m)
	if !asked && (t.oldest() != a.first || m.CompactorEpoch != a.epoch) {
		a.first = "" // something was done: the patience begins again
		return false, time.Second, nil
	}
	return t.reclaim(ctx, m.CompactorEpoch)
}

// oldest names the first input of the first merge that is due, or the segment
// that is to be marked; "" if there is none.
func (t *maintainer) oldest() string {
	jobs := t.merger.due()
	switch {
	case len(jobs) == 0:
		return ""
	case len(jobs[0].Tables) == 0:
		return segment.Table{Segment: jobs[0].Segment}.Name()
	}
	return jobs[0].Tables[0].Name()
}

// reclaim takes the next compactor epoch, if nobody else has since.
func (t *maintainer) reclaim(ctx context.Context, seen uint64) (bool, time.Duration, error) {
	m, err := t.db.keeper.edit(ctx, func(m *segment.Manifest) error {
		if m.CompactorEpoch != seen {
			return errDisplaced
		}
		m.CompactorEpoch++
		return nil
	})
	if errors.Is(err, errDisplaced) {
		t.away.first = ""
		return false, time.Second, nil
	}
	if err != nil {
		return false, 0, err
	}
	t.db.state.setManifest(m)
	t.merger.epoch, t.merger.table = m.CompactorEpoch, 0
	t.away = absence{}
	t.db.shared.Store(false)
	t.db.opts.Logger.Info("logdb: merging again: the compactor in another process did not", "epoch", m.CompactorEpoch)
	return true, 0, nil
}

// busyRate is what a merge reads a second, in bytes, while memtables wait for
// their flush: a writer that is busy for hours merges slowly and not never, and
// its retention waits for no long merge.
const busyRate = 16 << 20

// yieldToFlush holds a merge back while memtables wait for their flush: ingest
// comes first.
func (d *LogDb) yieldToFlush(ctx context.Context, bytes int64) error {
	if len(d.state.generations()) < 3 {
		return nil
	}
	wait, cancel := context.WithTimeout(ctx, time.Duration(bytes)*time.Second/busyRate)
	defer cancel()
	for len(d.state.generations()) >= 3 {
		if err := d.flushed.wait(wait, d.flushed.get()+1); err != nil {
			break
		}
	}
	return context.Cause(ctx)
}
