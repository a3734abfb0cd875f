package logdb

import (
	"sync"
	"time"
)

// arrears know what is applied and not yet Remote, and since when. The
// committer adds to it and the shipper takes from it.
type arrears struct {
	lateAfter time.Duration
	mu        struct {
		sync.Mutex
		entries   []arrear      // by sequence
		grain     time.Duration // groups that begin closer together are one entry
		recovered time.Time     // when it last stopped being late
	}
}

// arrear is a group of appends, or several neighbours.
type arrear struct {
	next           uint64 // exclusive sequence
	at             time.Time
	records, bytes uint64
}

const (
	arrearsGrain   = 10 * time.Millisecond // at first
	arrearsEntries = 1024                  // past it the grain is doubled
)

func newArrears(o *Options) *arrears {
	a := &arrears{lateAfter: max(behindShips*o.ShipInterval, behindLeast)}
	a.mu.recovered, a.mu.grain = time.Now(), arrearsGrain
	return a
}

// applied adds what was applied up to next.
func (a *arrears) applied(next uint64, records, bytes uint64) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := len(a.mu.entries); n > 0 && now.Sub(a.mu.entries[n-1].at) < a.mu.grain {
		a.mu.entries[n-1].merge(arrear{next: next, records: records, bytes: bytes})
		return
	}
	if len(a.mu.entries) >= arrearsEntries {
		a.coarsen()
	}
	a.mu.entries = append(a.mu.entries, arrear{next, now, records, bytes})
}

// merge takes in the neighbour above.
func (e *arrear) merge(above arrear) {
	e.next = above.next
	e.records += above.records
	e.bytes += above.bytes
}

// coarsen keeps neighbours as one, and later ones too.
func (a *arrears) coarsen() {
	a.mu.grain *= 2
	kept := a.mu.entries[:0]
	for i := range a.mu.entries {
		if e := a.mu.entries[i]; i%2 == 0 {
			kept = append(kept, e)
		} else {
			kept[len(kept)-1].merge(e)
		}
	}
	a.mu.entries = kept
}

// shipped takes out what lies below a sequence.
func (a *arrears) shipped(below uint64) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for n < len(a.mu.entries) && a.mu.entries[n].next <= below {
		n++
	}
	if n == 0 {
		return
	}
	was := a.late(a.age(now))
	if a.mu.entries = append(a.mu.entries[:0], a.mu.entries[n:]...); len(a.mu.entries) == 0 {
		a.mu.grain = arrearsGrain
	}
	if was && !a.late(a.age(now)) {
		a.mu.recovered = now
	}
}

// age returns how old the oldest entry is. Called with the lock held.
func (a *arrears) age(now time.Time) time.Duration {
	if len(a.mu.entries) == 0 {
		return 0
	}
	return now.Sub(a.mu.entries[0].at)
}

func (a *arrears) late(age time.Duration) bool { return age >= a.lateAfter }

func (a *arrears) lag(now time.Time) Lag {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := Lag{Age: a.age(now)}
	for _, e := range a.mu.entries {
		l.Records += e.records
		l.Bytes += e.bytes
	}
	return l
}

func (a *arrears) recoveredAt() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.mu.recovered
}
