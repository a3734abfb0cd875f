package segment

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/sstable"

	"github.com/logdb-go/logdb/objstore"
)

// Names of our properties in a table; they never change.
const (
	tableProperty = "logdb.table"
	spanProperty  = "logdb.span"
)

// tableVersion is the version of the table format: key, entry and property
// codec together. In version 1, which is read, every suffix has eight bytes.
const tableVersion = 2

// tableIdentity is the property that says whose table this is.
//
//	version u8 | flags u8 | log id 16 | compacted u8 | epoch u64 | n u64 | segment u64 | nonce 16 | base ms i64
type tableIdentity struct {
	log     objstore.ID
	id      TableID
	segment uint64
	nonce   objstore.ID
	baseMs  int64
}

const identityBytes = 1 + 1 + 16 + 1 + 8 + 8 + 8 + 16 + 8

func (p *tableIdentity) append(dst []byte) []byte {
	compacted := byte(0)
	if p.id.Compacted {
		compacted = 1
	}
	dst = append(dst, tableVersion, 0)
	dst = append(dst, p.log[:]...)
	dst = append(dst, compacted)
	dst = binary.BigEndian.AppendUint64(dst, p.id.Epoch)
	dst = binary.BigEndian.AppendUint64(dst, p.id.N)
	dst = binary.BigEndian.AppendUint64(dst, p.segment)
	dst = append(dst, p.nonce[:]...)
	return binary.BigEndian.AppendUint64(dst, uint64(p.baseMs))
}

func decodeIdentity(b []byte) (p tableIdentity, err error) {
	if len(b) == 0 {
		return p, fmt.Errorf("property %s: got none, want one", tableProperty)
	}
	if b[0] < 1 || b[0] > tableVersion {
		return p, fmt.Errorf("table version: got %d, want 1 to %d: %w", b[0], tableVersion, objstore.ErrUnsupported)
	}
	if len(b) != identityBytes {
		return p, fmt.Errorf("property %s: got %d bytes, want %d", tableProperty, len(b), identityBytes)
	}
	if b[1] != 0 {
		return p, fmt.Errorf("table flags: got %#02x, want 0: %w", b[1], objstore.ErrUnsupported)
	}
	if b[18] > 1 {
		return p, fmt.Errorf("property %s: compacted: got %d, want 0 or 1", tableProperty, b[18])
	}
	copy(p.log[:], b[2:])
	p.id = TableID{Compacted: b[18] == 1, Epoch: binary.BigEndian.Uint64(b[19:]), N: binary.BigEndian.Uint64(b[27:])}
	p.segment = binary.BigEndian.Uint64(b[35:])
	copy(p.nonce[:], b[43:])
	p.baseMs = int64(binary.BigEndian.Uint64(b[59:]))
	return p, nil
}

// matches reports how the table differs from what the manifest says about it.
func (p *tableIdentity) matches(log objstore.ID, t *Table) error {
	switch {
	case p.log != log:
		return fmt.Errorf("log id: got %s, want %s", p.log, log)
	case p.id != t.ID:
		return fmt.Errorf("table id: got %s, want %s", p.id, t.ID)
	case p.segment != t.Segment:
		return fmt.Errorf("segment: got %d, want %d", p.segment, t.Segment)
	case p.nonce != t.Nonce:
		return fmt.Errorf("nonce: got %s, want %s", p.nonce, t.Nonce)
	}
	return nil
}

// span bounds sequences and times (above the table's base) of the entries of
// a block, all four inclusive.
type span struct {
	seqLo, seqHi, msLo, msHi uint64
	some                     bool
}

func (s *span) add(seq, ms uint64) {
	if !s.some {
		*s = span{seqLo: seq, seqHi: seq, msLo: ms, msHi: ms, some: true}
		return
	}
	s.seqLo, s.seqHi = min(s.seqLo, seq), max(s.seqHi, seq)
	s.msLo, s.msHi = min(s.msLo, ms), max(s.msHi, ms)
}

// append writes nothing for a block without entries.
func (s *span) append(dst []byte) []byte {
	if !s.some {
		return dst
	}
	dst = binary.AppendUvarint(dst, s.seqLo)
	dst = binary.AppendUvarint(dst, s.seqHi-s.seqLo)
	dst = binary.AppendUvarint(dst, s.msLo)
	return binary.AppendUvarint(dst, s.msHi-s.msLo)
}

var errSpan = errors.New("malformed block span")

func decodeSpan(b []byte) (s span, err error) {
	if len(b) == 0 {
		return s, nil
	}
	var v [4]uint64
	for i := range v {
		n := 0
		if v[i], n = binary.Uvarint(b); n <= 0 {
			return s, errSpan
		}
		b = b[n:]
	}
	s = span{seqLo: v[0], seqHi: v[0] + v[1], msLo: v[2], msHi: v[2] + v[3], some: true}
	if len(b) != 0 || s.seqHi < s.seqLo || s.msHi < s.msLo {
		return s, errSpan
	}
	return s, nil
}

// spanCollector writes the span of each block of entries into the index. The
// writer sets pending before it adds an entry: nothing is parsed twice.
type spanCollector struct {
	pending struct {
		seq, ms uint64
		entry   bool
	}
	block, table span
}

var _ sstable.BlockPropertyCollector = (*spanCollector)(nil)

func (c *spanCollector) Name() string { return spanProperty }

func (c *spanCollector) AddPointKey(sstable.InternalKey, []byte) error {
	if c.pending.entry {
		c.block.add(c.pending.seq, c.pending.ms)
	}
	return nil
}

func (c *spanCollector) FinishDataBlock(buf []byte) ([]byte, error) {
	if c.block.some {
		c.table.add(c.block.seqLo, c.block.msLo)
		c.table.add(c.block.seqHi, c.block.msHi)
	}
	buf = c.block.append(buf)
	c.block = span{}
	return buf, nil
}

func (c *spanCollector) FinishIndexBlock(buf []byte) ([]byte, error) { return c.table.append(buf), nil }
func (c *spanCollector) FinishTable(buf []byte) ([]byte, error)      { return c.table.append(buf), nil }
func (c *spanCollector) AddPrevDataBlockToIndexBlock()               {}
func (c *spanCollector) AddRangeKeys(sstable.Span) error             { return nil }
func (c *spanCollector) SupportsSuffixReplacement() bool             { return false }

func (c *spanCollector) AddCollectedWithSuffixReplacement(_, _, _ []byte) error {
	return errors.ErrUnsupported
}

// identityCollector puts the identity among the table's properties: Pebble's
// raw writer has no other way in.
type identityCollector struct{ tableIdentity }

var _ sstable.BlockPropertyCollector = (*identityCollector)(nil)

func (c *identityCollector) Name() string                                  { return tableProperty }
func (c *identityCollector) AddPointKey(sstable.InternalKey, []byte) error { return nil }
func (c *identityCollector) AddRangeKeys(sstable.Span) error               { return nil }
func (c *identityCollector) FinishDataBlock(b []byte) ([]byte, error)      { return b, nil }
func (c *identityCollector) FinishIndexBlock(b []byte) ([]byte, error)     { return b, nil }
func (c *identityCollector) FinishTable(b []byte) ([]byte, error)          { return c.append(b), nil }
func (c *identityCollector) AddPrevDataBlockToIndexBlock()                 {}
func (c *identityCollector) SupportsSuffixReplacement() bool               { return false }

func (c *identityCollector) AddCollectedWithSuffixReplacement(_, _, _ []byte) error {
	return errors.ErrUnsupported
}

// blockSpan finds the span among the properties of a block in the index:
// number u8 | uvarint length | property, numbers ascending, empty ones left out.
func blockSpan(props []byte, id byte) (span, error) {
	for len(props) > 0 {
		length, n := binary.Uvarint(props[1:])
		if n <= 0 || length > uint64(len(props)-1-n) {
			return span{}, errSpan
		}
		if end := 1 + n + int(length); props[0] == id {
			return decodeSpan(props[1+n : end])
		} else {
			props = props[end:]
		}
	}
	return span{}, nil
}
