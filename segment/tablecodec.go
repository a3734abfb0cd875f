package segment

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/logdb-go/logdb/objstore"
)

// Field numbers, see FORMAT.md.
const (
	tablesTable protowire.Number = 1

	tableCompacted  protowire.Number = 1
	tableEpoch      protowire.Number = 2
	tableN          protowire.Number = 3
	tableSegment    protowire.Number = 4
	tableNonce      protowire.Number = 5
	tableSize       protowire.Number = 6
	tableTail       protowire.Number = 7
	tableRecords    protowire.Number = 8
	tableKeyBytes   protowire.Number = 9
	tableValueBytes protowire.Number = 10
	tableKeys       protowire.Number = 11
	tableStart      protowire.Number = 12
	tableEnd        protowire.Number = 13
	tableFirstMs    protowire.Number = 14
	tableLastMs     protowire.Number = 15
	tableLo         protowire.Number = 16
	tableHi         protowire.Number = 17
	tableHiOpen     protowire.Number = 18
)

// AppendTables appends the payload of a `tables` WAL object. It has no
// checksum of its own: the WAL object's covers it.
func AppendTables(dst []byte, ts []Table) []byte {
	var scratch []byte
	for i := range ts {
		scratch = appendTable(scratch[:0], &ts[i], true)
		dst = protowire.AppendTag(dst, tablesTable, protowire.BytesType)
		dst = protowire.AppendBytes(dst, scratch)
	}
	return dst
}

// DecodeTables reads what AppendTables wrote. Nothing aliases b.
func DecodeTables(b []byte) ([]Table, error) {
	var ts []Table
	err := eachField("tables", b, func(f field) bool {
		if f.num != tablesTable || !f.want(protowire.BytesType) {
			return f.num == tablesTable
		}
		t, err := decodeTable(f.data)
		if err == nil {
			err = t.check()
		}
		if err != nil {
			*f.bad = err
			return true
		}
		ts = append(ts, t)
		return true
	})
	if err != nil {
		return nil, decodeError("tables", 0, err)
	}
	return ts, nil
}

// decodeError makes a failed check a *CorruptError, and lets a version from
// the future be itself.
func decodeError(object string, off int64, err error) error {
	if errors.Is(err, objstore.ErrUnsupported) {
		return fmt.Errorf("segment: %s: %w", object, err)
	}
	return &objstore.CorruptError{Object: object, Offset: off, Err: err}
}

// appendTable leaves the segment out where the message around it says it.
func appendTable(b []byte, t *Table, withSegment bool) []byte {
	b = appendBool(b, tableCompacted, t.ID.Compacted)
	b = appendUint(b, tableEpoch, t.ID.Epoch)
	b = appendUint(b, tableN, t.ID.N)
	if withSegment {
		b = appendUint(b, tableSegment, t.Segment)
	}
	b = appendID(b, tableNonce, t.Nonce)
	b = appendUint(b, tableSize, uint64(t.Size))
	b = appendUint(b, tableTail, uint64(t.Tail))
	b = appendUint(b, tableRecords, t.Records)
	b = appendUint(b, tableKeyBytes, t.KeyBytes)
	b = appendUint(b, tableValueBytes, t.ValueBytes)
	b = appendUint(b, tableKeys, t.Keys)
	b = appendUint(b, tableStart, t.Start)
	b = appendUint(b, tableEnd, t.End)
	b = appendSint(b, tableFirstMs, t.FirstMs)
	b = appendSint(b, tableLastMs, t.LastMs)
	b = appendBytes(b, tableLo, t.Lo)
	b = appendBytes(b, tableHi, t.Hi)
	return appendBool(b, tableHiOpen, t.HiOpen)
}

func decodeTable(b []byte) (t Table, err error) {
	err = eachField("table", b, func(f field) bool {
		switch f.num {
		case tableCompacted:
			t.ID.Compacted = f.bool()
		case tableEpoch:
			t.ID.Epoch = f.uint()
		case tableN:
			t.ID.N = f.uint()
		case tableSegment:
			t.Segment = f.uint()
		case tableNonce:
			t.Nonce = f.id()
		case tableSize:
			t.Size = f.size()
		case tableTail:
			t.Tail = f.size()
		default:
			return t.decodeExtent(f)
		}
		return true
	})
	return t, err
}

func (t *Table) decodeExtent(f field) bool {
	switch f.num {
	case tableRecords:
		t.Records = f.uint()
	case tableKeyBytes:
		t.KeyBytes = f.uint()
	case tableValueBytes:
		t.ValueBytes = f.uint()
	case tableKeys:
		t.Keys = f.uint()
	case tableStart:
		t.Start = f.uint()
	case tableEnd:
		t.End = f.uint()
	case tableFirstMs:
		t.FirstMs = f.sint()
	case tableLastMs:
		t.LastMs = f.sint()
	case tableLo:
		t.Lo = f.bytes()
	case tableHi:
		t.Hi = f.bytes()
	case tableHiOpen:
		t.HiOpen = f.bool()
	default:
		return false
	}
	return true
}

// check is what holds for every table, wherever it is named.
func (t *Table) check() error {
	fail := func(what string, got, want any) error {
		return fmt.Errorf("table %s: %s: got %v, want %v: %w", t.Name(), what, got, want, errInvalid)
	}
	switch {
	case t.Nonce.IsZero():
		return fail("nonce", "none", "one")
	case t.Tail < 0 || t.Size <= t.Tail:
		return fail("tail", t.Tail, fmt.Sprintf("in [0, size %d)", t.Size))
	case t.Start >= t.End:
		return fail("start", t.Start, fmt.Sprintf("below end %d", t.End))
	case t.Records == 0 || t.Records > t.End-t.Start:
		return fail("records", t.Records, fmt.Sprintf("in [1, %d]", t.End-t.Start))
	case t.Keys == 0 || t.Keys > t.Records:
		return fail("keys", t.Keys, fmt.Sprintf("in [1, records %d]", t.Records))
	case t.FirstMs > t.LastMs:
		return fail("first ms", t.FirstMs, fmt.Sprintf("at most last ms %d", t.LastMs))
	case t.HiOpen && len(t.Hi) > 0:
		return fail("upper bound", "both open and set", "one of them")
	case !t.HiOpen && string(t.Lo) > string(t.Hi):
		return fail("lower bound", fmt.Sprintf("%q", t.Lo), fmt.Sprintf("at most %q", t.Hi))
	}
	return nil
}

var errInvalid = errors.New("invalid")
