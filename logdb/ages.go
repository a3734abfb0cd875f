package logdb

import (
	"time"

	"github.com/logdb-go/logdb/segment"
)

// clockAhead is how far this machine's clock may be ahead of the store's before
// ages are counted by the store's.
const clockAhead = time.Hour

// ages tells how old sealed segments are, for retention. A clock that jumps must
// neither drop what is young nor keep what is old for ever, so it is looked at
// once, when the log is opened; from then on the monotonic clock counts.
//
// It belongs to the maintainer's goroutine.
type ages struct {
	today, began time.Time
	// seen is since when this process knows a segment to be sealed. It is at
	// least that old, whatever its records' times say: they may have come from a
	// clock that was a year ahead.
	seen map[uint64]time.Time
}

func newAges(today time.Time) *ages {
	return &ages{today: today, began: time.Now(), seen: map[uint64]time.Time{}}
}

// note takes in which segments there are now.
func (a *ages) note(m *segment.Manifest) {
	seen := make(map[uint64]time.Time, len(m.Segments))
	for i := range m.Segments {
		s := &m.Segments[i]
		if !s.Sealed {
			continue
		}
		seen[s.ID] = time.Now()
		if since, ok := a.seen[s.ID]; ok {
			seen[s.ID] = since
		}
	}
	a.seen = seen
}

// of returns the age of a sealed segment's last record.
func (a *ages) of(s *segment.Segment) time.Duration {
	age := a.today.Add(time.Since(a.began)).Sub(time.UnixMilli(s.LastMs))
	if since, ok := a.seen[s.ID]; ok {
		age = max(age, time.Since(since))
	}
	return age
}

// today is the time at which ages begin to be counted. A clock that is ahead of
// the store's would let retention drop records too early, for good.
func (o *opening) today() time.Time {
	now := o.opts.Clock()
	if o.date.IsZero() || now.Sub(o.date) <= clockAhead {
		return now
	}
	o.opts.Logger.Warn("logdb: this machine's clock is ahead of the store's; retention goes by the store's", "clock", now, "store", o.date)
	return o.date
}
