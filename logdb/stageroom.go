package logdb

import (
	"fmt"
	"time"
)

const (
	// stageAfter is how long the bucket must have been away, or appends have
	// waited for memory, before memtables are staged: a store that is merely
	// slow holds appends back instead.
	stageAfter = 5 * time.Second
	stageLook  = time.Second // how often a committer that waits looks again
	// stagePrice is how many generations must leave for one to be staged while
	// the bucket answers and a backlog drains. The backlog halves, and again,
	// and ends; were Local appends let through as fast as the disk takes them,
	// it would grow for ever on a slower bucket, and appends at Remote with it.
	stagePrice = 2
)

// room is asked by the committer before it begins a memtable, while all of
// them are full or the disk is short, and after it has waited that long. True
// lets it go on. Where memory is short and the bucket away, it starts staging.
// ErrDiskFull if the disk budget is used up, or the disk full, with the bucket
// away: if that is merely slow, appends wait.
func (s *stager) room(full bool, waited time.Duration) (bool, error) {
	d := s.db
	if d.dir == nil {
		return !full, nil
	}
	used, backlog := d.dir.StagedBytes()+d.committer.log.Size(), d.state.backlog()
	over := used+d.opts.Memory.Memtable > d.opts.LocalBytes || s.refused()
	if !full && (!over || backlog == 0) {
		return true, nil
	}
	after := d.opts.hooks.stageAfter()
	away := d.pulse.silent() >= after
	switch {
	case over && away:
		return false, fmt.Errorf("%w: %s holds %d bytes, limit %d", ErrDiskFull, d.opts.WALDir, used, d.opts.LocalBytes)
	case over || !away && waited < after && backlog == 0:
		return false, nil
	case !away && backlog > 0 && !s.affords():
		return false, nil
	}
	s.on.Store(true)
	wake(s.kick)
	wake(d.shipper.kick)
	return false, nil
}

// affords reports whether one more memtable may be staged although the bucket
// answers: for others that have left, or because none has for long.
func (s *stager) affords() bool {
	at := s.drawn.Load()
	return s.credit.Load() >= stagePrice || at == nil || time.Since(*at) >= stageAfter
}

// pay is called before a memtable is staged. False if it must wait: who waits
// for its room, the committer, asks again.
func (s *stager) pay() bool {
	d := s.db
	if d.state.backlog() == 0 || d.pulse.silent() >= d.opts.hooks.stageAfter() {
		s.credit.Store(0)
		return true
	}
	if !s.affords() {
		return false
	}
	if s.credit.Add(-stagePrice) < 0 {
		s.credit.Store(0)
	}
	s.draw()
	return true
}

func (s *stager) draw() {
	now := time.Now()
	s.drawn.Store(&now)
}

// short reports whether appends fail with ErrDiskFull, or soon would.
func (s *stager) short() bool {
	d := s.db
	if d.dir == nil || d.state.backlog() == 0 || d.pulse.silent() < d.opts.hooks.stageAfter() {
		return false
	}
	return d.dir.StagedBytes()+d.committer.log.Size()+d.opts.Memory.Memtable > d.opts.LocalBytes || s.refused()
}

// refused reports whether the disk would not take a file a moment ago.
func (s *stager) refused() bool {
	at := s.failed.Load()
	return at != nil && time.Since(*at) < stageAfter
}
