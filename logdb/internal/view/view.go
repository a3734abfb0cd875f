package view

import (
	"fmt"
	"math"
	"sort"
	"sync"

	"github.com/logdb-go/logdb/logdb/internal/memtable"
	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
)

// Store is where the tables of a log are read from.
type Store struct {
	Log    objstore.ID
	Source objstore.Reader
	Cache  *segment.Cache
}

// Part is one source of entries: either a table or a memtable. Only its
// sequences in [Lo, Hi) belong to the view.
type Part struct {
	Table  *segment.Table
	Mem    *memtable.Table
	Lo, Hi uint64
}

// SegmentInfo is what a view says about a segment. End means something only
// once Sealed; Records and Bytes (of keys and values) leave memtables out, which
// still grow.
type SegmentInfo struct {
	ID, Start, End   uint64
	Sealed           bool
	OpenedMs, LastMs int64
	Records, Bytes   uint64
	Metadata         []byte
}

// View is an immutable snapshot. Whoever makes one fills the exported fields
// before anybody reads through it and leaves them alone afterwards.
type View struct {
	Store *Store
	// Parts in concatenation order: for every key, their entries in this order ascend.
	Parts []Part
	// Segments ascend.
	Segments []SegmentInfo
	// Recent is nil where Parts are all there is.
	Recent *Recent
	// TrimmedBelow is exclusive: retention has removed all records below it.
	TrimmedBelow uint64

	spanOnce sync.Once
	spans    []span
}

// span bounds the sequences of all parts up to and from an index, so that a
// scan of a narrow range need not look at every part of a large view.
type span struct {
	maxHi uint64 // of this part and those before it
	minLo uint64 // of this part and those behind it
}

func (v *View) index() []span {
	v.spanOnce.Do(func() {
		spans := make([]span, len(v.Parts))
		top := uint64(0)
		for i := range v.Parts {
			_, hi := v.Parts[i].bounds()
			top = max(top, hi)
			spans[i].maxHi = top
		}
		low := uint64(math.MaxUint64)
		for i := len(spans) - 1; i >= 0; i-- {
			lo, _ := v.Parts[i].bounds()
			low = min(low, lo)
			spans[i].minLo = low
		}
		v.spans = spans
	})
	return v.spans
}

// within returns the range [i, j) of parts outside of which no part has
// sequences in [lo, hi).
func (v *View) within(lo, hi uint64) (i, j int) {
	spans := v.index()
	i = sort.Search(len(spans), func(i int) bool { return spans[i].maxHi > lo })
	j = sort.Search(len(spans), func(i int) bool { return spans[i].minLo >= hi })
	return i, max(i, j)
}

// bounds returns the range outside of which the part never has a sequence.
func (p *Part) bounds() (lo, hi uint64) {
	if p.Table != nil {
		return max(p.Lo, p.Table.Start), min(p.Hi, p.Table.End)
	}
	return max(p.Lo, p.Mem.Start()), p.Hi
}

// clip narrows [lo, hi) to the part and reports whether anything is left.
func (p *Part) clip(lo, hi uint64) (uint64, uint64, bool) {
	l, h := p.bounds()
	lo, hi = max(lo, l), min(hi, h)
	return lo, hi, lo < hi
}

// inside reports whether all of the part's table counts in [lo, hi).
func (p *Part) inside(lo, hi uint64) bool {
	lo, hi = max(lo, p.Lo), min(hi, p.Hi)
	return lo <= p.Table.Start && p.Table.End <= hi
}

func (p *Part) segment() uint64 {
	if p.Table != nil {
		return p.Table.Segment
	}
	return p.Mem.Segment()
}

// tableError says which table a read failed at, and keeps the cause.
func tableError(t *segment.Table, err error) error {
	if err == nil {
		return nil
	}
	return &TableError{Table: t.Name(), Err: err}
}

// TableError says which table a read failed at.
type TableError struct {
	Table string // object name
	Err   error
}

func (e *TableError) Error() string { return fmt.Sprintf("view: read table %s: %v", e.Table, e.Err) }

// Unwrap returns what the read met.
func (e *TableError) Unwrap() error { return e.Err }
