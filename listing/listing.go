package listing

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
)

// Listing sums up the entries of one key in one place: a table, a memtable, or
// several of them merged. Every listing counts at least one entry.
type Listing struct {
	// Records counts data records, Control the others (trims, deletions, system entries).
	Records, Control uint64
	// ValueBytes sums the values of all of them, as they were appended.
	ValueBytes uint64
	// First and Last are the sequences of the first and the last entry, both inclusive.
	First, Last uint64
	// FirstMs and LastMs bound their times, both inclusive, in ms since 1970.
	FirstMs, LastMs int64
}

// The first byte of a row. In rows of version 1, which are read, the numbers come in another order.
const (
	rowVersion1 = 0x01
	rowVersion  = 0x02
	rowTLVs     = 0x80
)

var errRow = errors.New("malformed row")

// Append appends the row of l. What rows of few records have in common comes in one run, for compressors.
func Append(dst []byte, l Listing) []byte {
	dst = append(dst, rowVersion)
	dst = binary.AppendUvarint(dst, l.Records)
	dst = binary.AppendUvarint(dst, l.Control)
	dst = binary.AppendUvarint(dst, l.ValueBytes)
	dst = binary.AppendUvarint(dst, l.Last-l.First)
	dst = binary.AppendUvarint(dst, uint64(l.LastMs)-uint64(l.FirstMs))
	dst = binary.AppendUvarint(dst, l.First)
	return binary.AppendVarint(dst, l.FirstMs)
}

// Decode reads a row. It matches objstore.ErrCorrupt for bytes that Append
// cannot have written, and objstore.ErrUnsupported for those of a later version.
func Decode(b []byte) (Listing, error) {
	l, err := decode(b)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, objstore.ErrUnsupported):
		return Listing{}, fmt.Errorf("listing: %w", err)
	default:
		return Listing{}, &objstore.CorruptError{Object: "listing row", Err: err}
	}
}

func decode(b []byte) (Listing, error) {
	if len(b) == 0 {
		return Listing{}, fmt.Errorf("got 0 bytes: %w", errRow)
	}
	head := b[0]
	c := cursor{b: b[1:]}
	l := Listing{Records: c.uvarint(), Control: c.uvarint(), ValueBytes: c.uvarint()}
	var span, spanMs uint64
	switch head &^ rowTLVs {
	case rowVersion1:
		l.First, span = c.uvarint(), c.uvarint()
		l.FirstMs, spanMs = c.varint(), c.uvarint()
	case rowVersion:
		span, spanMs = c.uvarint(), c.uvarint()
		l.First, l.FirstMs = c.uvarint(), c.varint()
	default:
		return Listing{}, fmt.Errorf("first byte: got %#02x, want version %d or %d: %w", head, rowVersion1, rowVersion, objstore.ErrUnsupported)
	}
	l.Last, l.LastMs = l.First+span, int64(uint64(l.FirstMs)+spanMs)
	if c.bad {
		return Listing{}, fmt.Errorf("%d bytes end inside a number: %w", len(b), errRow)
	}
	if head&rowTLVs != 0 {
		_, rest, err := segment.CutTLVs(c.b)
		if err != nil {
			return Listing{}, err
		}
		c.b = rest
	}
	if len(c.b) != 0 {
		return Listing{}, fmt.Errorf("%d bytes left over: %w", len(c.b), errRow)
	}
	return l, l.check(span, spanMs)
}

func (l *Listing) check(span, spanMs uint64) error {
	if l.Last < l.First || l.Last == math.MaxUint64 {
		return fmt.Errorf("sequences: got %d and %d more, want below 2^64 - 1: %w", l.First, span, errRow)
	}
	if l.LastMs < l.FirstMs {
		return fmt.Errorf("times: got %d and %d more, want below 2^63: %w", l.FirstMs, spanMs, errRow)
	}
	n := l.Records + l.Control
	if n < l.Records || n == 0 || n-1 > span {
		return fmt.Errorf("got %d records and %d control entries, want 1 to %d together: %w", l.Records, l.Control, span+1, errRow)
	}
	return nil
}

// cursor reads numbers from the front of b until one is malformed.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) uvarint() uint64 {
	v, n := binary.Uvarint(c.b)
	c.advance(n)
	return v
}

func (c *cursor) varint() int64 {
	v, n := binary.Varint(c.b)
	c.advance(n)
	return v
}

func (c *cursor) advance(n int) {
	if n <= 0 {
		c.b, c.bad = nil, true
		return
	}
	c.b = c.b[n:]
}

// Merge adds what another place holds of the same key. The two share no entry;
// which is the earlier does not matter.
func (l *Listing) Merge(o Listing) {
	l.Records += o.Records
	l.Control += o.Control
	l.ValueBytes += o.ValueBytes
	l.First, l.Last = min(l.First, o.First), max(l.Last, o.Last)
	l.FirstMs, l.LastMs = min(l.FirstMs, o.FirstMs), max(l.LastMs, o.LastMs)
}
