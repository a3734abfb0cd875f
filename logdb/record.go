package logdb

import (
	"fmt"
	"time"
)

// Record is what is appended: a value in the stream named by Key. Both may be
// empty. Append copies both slices before it returns.
type Record struct{ Key, Value []byte }

// Entry is what is read. Key and Value of an entry from an iterator are valid
// until the iterator's next move; those of [LogRead.Get] belong to the caller.
type Entry struct {
	Key, Value []byte
	Sequence   uint64    // global, never reused, not dense
	Time       time.Time // append time in milliseconds, never decreasing over the log
}

// Appended says where a batch lies: the sequences [First, Next), all with the
// same Time. An empty batch writes nothing and answers First == Next, the
// sequence that the next record will at least have.
type Appended struct {
	First, Next uint64
	Time        time.Time
}

// Durability says how far a record has come. An append waits for a level; a
// read can ask for records that have reached one.
type Durability uint8

const (
	// Default is what Options say.
	Default Durability = iota
	// Applied records are readable in this process. A crash may lose them.
	Applied
	// Local records are fsynced in Options.WALDir. They survive a crash or
	// power loss of this machine; they are lost to the log, reported and
	// dumpable, if another WAL directory opens the log before they are shipped.
	// Without a WALDir, Local is Remote.
	Local
	// Remote records are in the bucket and survive this machine.
	Remote
)

// String returns "default", "applied", "local" or "remote".
func (d Durability) String() string {
	names := [...]string{"default", "applied", "local", "remote"}
	if int(d) < len(names) {
		return names[d]
	}
	return fmt.Sprintf("durability(%d)", uint8(d))
}

// ParseDurability reads what String writes.
func ParseDurability(s string) (Durability, error) {
	for d := Default; d <= Remote; d++ {
		if d.String() == s {
			return d, nil
		}
	}
	return Default, fmt.Errorf("logdb: durability %q, want applied, local or remote", s)
}

// Range is a half-open range [start, end) of sequences or of segment numbers.
// The zero Range is everything; a range whose start is at or above its end is
// empty.
type Range struct {
	start, end uint64
	bounded    bool
}

// From is the range [start, ...) without an end.
func From(start uint64) Range { return Range{start: start} }

// Until is the range [0, end).
func Until(end uint64) Range { return Range{end: end, bounded: true} }

// Between is the range [start, end).
func Between(start, end uint64) Range { return Range{start, end, true} }

// Start returns the inclusive start.
func (r Range) Start() uint64 { return r.start }

// End returns the exclusive end, and false if there is none.
func (r Range) End() (end uint64, bounded bool) { return r.end, r.bounded }

// clamp returns the range's bounds with an end no higher than limit.
func (r Range) clamp(limit uint64) (lo, hi uint64) {
	if r.bounded && r.end < limit {
		limit = r.end
	}
	return r.start, limit
}

// overlaps reports whether [start, end) and the range share a number.
func (r Range) overlaps(start, end uint64) bool {
	return start < end && r.start < end && (!r.bounded || (start < r.end && r.start < r.end))
}

// Bound is a number that may be absent. The zero Bound is no bound, and
// AtMost(0) reads nothing.
type Bound struct {
	n   uint64
	set bool
}

// AtMost is a bound of n.
func AtMost(n uint64) Bound { return Bound{n, true} }

// Get returns the number, and false if there is no bound.
func (b Bound) Get() (n uint64, set bool) { return b.n, b.set }
