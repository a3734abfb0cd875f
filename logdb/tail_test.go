package logdb

import (
	"testing"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
	"github.com/logdb-go/logdb/wal"
)

// The WAL names a table, and then a seal behind a gap, as after a restart. When
// the manifest has the table the tail must not show it, too: a reader once did,
// for the gap had been counted to the table. Found by the simulation, seed
// 213165.
func TestTableBeforeAGapLeavesTheTail(t *testing.T) {
	tl := tail{kept: newKept(segment.NewCache(1<<20, 1<<20), 1<<20, &hooks{})}
	tl.reset(24)
	tl.tables([]segment.Table{{Segment: 4, Start: 24, End: 56}}, 56)
	h := wal.ObjectHeader{Log: objstore.ID{1}, At: wal.Position{Epoch: 2, Number: 1}, Nonce: objstore.ID{2}, Start: 56, End: 1 << 20, MinMs: 1, MaxMs: 1}
	seal := wal.NewSeal(wal.Header{Kind: wal.Seal, First: 1 << 20, TimeMs: 1, Segment: 4, SegmentStart: 24}, nil)
	obj, err := wal.DecodeObject(wal.ObjectName(2, 1), wal.AppendData(nil, h, []wal.Frame{seal}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tl.frames(obj); err != nil {
		t.Fatal(err)
	}
	if tl.end != 1<<20 {
		t.Errorf("the tail ends at %d, want %d", tl.end, 1<<20)
	}
	tl.drop(56)
	if len(tl.runs) > 0 {
		t.Errorf("flushed to 56, and the tail has %+v", *tl.runs[0])
	}
}
