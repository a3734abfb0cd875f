package logdb

import (
	"context"
	"sync/atomic"

	"github.com/logdb-go/logdb/segment"
	"github.com/logdb-go/logdb/wal"
)

// How far ahead of the log its limits are stored. After a crash the sequences
// go on at the limit, so this is also how wide the gap may be.
const (
	dirAhead      = 1 << 20 // in the WAL directory
	manifestAhead = 1 << 32 // in the manifest, for a takeover by another directory
	disklessAhead = 1 << 20 // in the manifest, where there is no directory
)

// limiter is the goroutine that keeps the durable limit ahead of the log: no
// sequence at or above it is ever shown, so that whoever recovers at it reuses
// none.
type limiter struct {
	db     *LogDb
	limit  atomic.Uint64 // the lower of the directory's and the manifest's
	kick   chan struct{}
	raised chan struct{} // to the committer
	next   atomic.Uint64 // the log's next sequence, about

	// Owned by the goroutine.
	dir, manifest uint64
}

func (l *limiter) ahead() uint64 {
	if l.db.dir == nil {
		return l.db.opts.hooks.limitAhead(disklessAhead)
	}
	return l.db.opts.hooks.limitAhead(manifestAhead)
}

// note tells how far the log is. It asks for more when half is used up.
func (l *limiter) note(next uint64) {
	if limit := l.limit.Load(); next+l.db.opts.hooks.limitAhead(disklessAhead)/2 > limit {
		l.next.Store(next)
		wake(l.kick)
	}
}

func (l *limiter) run() {
	for {
		select {
		case <-l.db.stop.Done():
			return
		case <-l.kick:
		}
		if err := l.raise(l.db.stop, l.next.Load()); err != nil {
			l.db.fail(err)
			return
		}
		wake(l.raised)
	}
}

// raise stores limits far enough above next, then lets the log go up to them.
func (l *limiter) raise(ctx context.Context, next uint64) error {
	if l.manifest < next+l.ahead()/2 {
		want := next + l.ahead()
		_, err := l.db.keeper.edit(ctx, func(m *segment.Manifest) error {
			if m.Limit >= want {
				return errDone
			}
			m.Limit = want
			return nil
		})
		if err != nil {
			return err
		}
		l.manifest = want
	}
	dirAhead := l.db.opts.hooks.limitAhead(dirAhead)
	if l.db.dir != nil && l.dir < next+dirAhead/2 {
		want := min(next+dirAhead, l.manifest)
		if err := l.db.dir.SetLimit(l.db.epoch, want); err != nil {
			return err
		}
		l.dir = want
	}
	limit := l.manifest
	if l.db.dir != nil {
		limit = min(limit, l.dir)
	}
	l.limit.Store(limit)
	return nil
}

// limitInForce is where the sequences go on after the writer that m names: at
// the directory's limit if it is known and the directory has held the log
// without a break since it stored it, else at the manifest's, which is never
// lower.
func limitInForce(m *segment.Manifest, dir *wal.Dir, h *hooks) uint64 {
	if h.without(limitInManifest) && !m.Closed {
		m = &segment.Manifest{Dir: m.Dir, DirSince: m.DirSince, Epoch: m.Epoch}
	}
	if dir == nil || m.Dir != dir.ID() {
		return m.Limit
	}
	s := dir.State()
	switch {
	case h.without(limitInDirectory) && !m.Closed:
		return 0
	case h.without(limitOfRun) && s.Limit > 0:
		return s.Limit
	}
	if s.LimitEpoch >= m.DirSince && s.LimitEpoch <= m.Epoch && s.Limit > 0 {
		return s.Limit
	}
	return m.Limit
}
