package view

import (
	"math"
	"sync/atomic"
)

// Recent is where a view has its newest entries beside its parts: what was
// flushed lately and still lies in memory, and then what is in no table yet. A
// scan takes from it all it has, and goes to tables only for what is older.
// Listing and counting keep to the parts, whose tables answer without data.
type Recent struct {
	// Parts in concatenation order. They hold every entry of the view with a sequence at or above From.
	Parts []Part
	From  uint64
	// Demand is told how far back forward scans began that came to the newest. It may be nil.
	Demand *Demand
}

// Demand is how far back the scans of late wanted to see, of those that asked
// for the newest. The zero Demand is not ready: see NewDemand.
type Demand struct{ now, before atomic.Uint64 }

// NewDemand returns one that nobody has asked anything of.
func NewDemand() *Demand {
	d := &Demand{}
	d.now.Store(math.MaxUint64)
	d.before.Store(math.MaxUint64)
	return d
}

func (d *Demand) note(from uint64) {
	for d != nil {
		old := d.now.Load()
		if from >= old || d.now.CompareAndSwap(old, from) {
			return
		}
	}
}

// Turn forgets what was wanted before the last Turn. It belongs to one
// goroutine at a time.
func (d *Demand) Turn() { d.before.Store(d.now.Swap(math.MaxUint64)) }

// From is the lowest sequence that was wanted since the last Turn but one, the
// highest there is if none was.
func (d *Demand) From() uint64 { return min(d.before.Load(), d.now.Load()) }

// stretch is parts that a scan has not opened yet. They count in [lo, hi) only.
type stretch struct {
	parts  []Part
	lo, hi uint64
}

// peek returns the part that comes next, nil if there is none, and skip goes
// behind it.
func (s *stretch) peek(reverse bool) *Part {
	if len(s.parts) == 0 {
		return nil
	}
	p := &s.parts[0]
	if reverse {
		p = &s.parts[len(s.parts)-1]
	}
	if s.lo <= p.Lo && p.Hi <= s.hi {
		return p
	}
	cut := *p
	cut.Lo, cut.Hi = max(p.Lo, s.lo), min(p.Hi, s.hi)
	return &cut
}

func (s *stretch) skip(reverse bool) {
	if reverse {
		s.parts = s.parts[:len(s.parts)-1]
	} else {
		s.parts = s.parts[1:]
	}
}

// stretches are the parts that a scan of [lo, hi) goes through: the older
// ones, and those of Recent.
func (v *View) stretches(lo, hi uint64) (older, recent stretch) {
	from := v.recentFrom()
	if from < hi {
		recent = stretch{v.Recent.Parts, from, math.MaxUint64}
	}
	if lo < min(from, hi) {
		i, j := v.within(lo, min(from, hi))
		older = stretch{v.Parts[i:j], 0, from}
	}
	return older, recent
}

// wanted is told of a scan that has returned all of [lo, hi). If that went to
// the newest, others will look about as far back.
func (v *View) wanted(lo, hi uint64) {
	if v.Recent != nil && hi >= v.Recent.From {
		v.Recent.Demand.note(lo)
	}
}

// recentFrom is where a scan reads no table any more.
func (v *View) recentFrom() uint64 {
	if v.Recent == nil {
		return math.MaxUint64
	}
	return v.Recent.From
}
