package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/logdb-go/logdb/objstore"
)

// batchOf builds a batch of the given "key=value" records.
func batchOf(first uint64, timeMs int64, records ...string) Frame {
	f := AppendBatch(nil, len(records), func(i int) (key, value []byte) {
		k, v, _ := strings.Cut(records[i], "=")
		return []byte(k), []byte(v)
	})
	f.Stamp(first, timeMs, 7, 5)
	return f
}

func recordsOf(f Frame) (records []string) {
	for c := f.Cursor(); ; {
		_, key, value, ok := c.Next()
		if !ok {
			return records
		}
		records = append(records, fmt.Sprintf("%s=%s", key, value))
	}
}

func TestBatchRoundTrip(t *testing.T) {
	long := strings.Repeat("v", 70_000)
	want := []string{"a=1", "=", "key=" + long, long + "=x", strings.Repeat("k", 127) + "=" + strings.Repeat("v", 128)}
	f := batchOf(100, -5, want...)

	got, rest, err := DecodeFrame(append(bytes.Clone(f), "tail"...))
	if err != nil {
		t.Fatal(err)
	}
	if string(rest) != "tail" || !bytes.Equal(got, f) || cap(got) != len(got) {
		t.Fatalf("decode gave %d bytes with capacity %d and rest %q", len(got), cap(got), rest)
	}
	if h, w := got.Header(), (Header{Kind: Batch, First: 100, TimeMs: -5, Segment: 7, SegmentStart: 5, Count: 5}); h != w {
		t.Fatalf("header %+v, want %+v", h, w)
	}
	if got.End() != 105 || got.Metadata() != nil {
		t.Fatalf("end %d, metadata %q", got.End(), got.Metadata())
	}
	if r := recordsOf(got); !equalStrings(r, want) {
		t.Fatal("records changed on the way")
	}
	for c := got.Cursor(); ; {
		off, key, value, ok := c.Next()
		if !ok {
			break
		}
		k, v := got.At(off)
		if !bytes.Equal(k, key) || !bytes.Equal(v, value) {
			t.Fatalf("At(%d) differs from the cursor", off)
		}
	}
}

func equalStrings(a, b []string) bool {
	return strings.Join(a, "\x00") == strings.Join(b, "\x00")
}

func TestBatchTakesOneAllocationOfItsExactSize(t *testing.T) {
	key, value := []byte("key"), make([]byte, 300)
	rec := func(int) ([]byte, []byte) { return key, value }
	var f Frame
	if n := testing.AllocsPerRun(100, func() { f = AppendBatch(nil, 50, rec) }); n != 1 {
		t.Errorf("got %v allocations, want 1", n)
	}
	if len(f) != cap(f) || len(f) != BatchSize(50, rec) {
		t.Errorf("got %d bytes with capacity %d, want %d", len(f), cap(f), BatchSize(50, rec))
	}
	buf := make([]byte, 10, 10+len(f))
	if n := testing.AllocsPerRun(100, func() { f = AppendBatch(buf, 50, rec) }); n != 0 {
		t.Errorf("got %v allocations behind a buffer with room, want 0", n)
	}
	if &f[0] != &buf[:11][10] {
		t.Error("frame does not lie behind what the buffer held")
	}
	if AppendBatch(nil, 0, rec) != nil {
		t.Error("a batch of no records was built")
	}
	huge := make([]byte, 1<<20)
	if AppendBatch(nil, 1025, func(int) ([]byte, []byte) { return nil, huge }) != nil {
		t.Error("a batch beyond MaxFrameBytes was built")
	}
}

func TestSealCarriesMetadata(t *testing.T) {
	for _, metadata := range []string{"", "m", strings.Repeat("meta", 1000)} {
		f := NewSeal(Header{First: 42, TimeMs: 9, Segment: 3, SegmentStart: 40}, []byte(metadata))
		got, _, err := DecodeFrame(f)
		if err != nil {
			t.Fatal(err)
		}
		if h, w := got.Header(), (Header{Kind: Seal, First: 42, TimeMs: 9, Segment: 3, SegmentStart: 40}); h != w {
			t.Fatalf("header %+v, want %+v", h, w)
		}
		if string(got.Metadata()) != metadata || got.End() != 42 {
			t.Fatalf("metadata %q and end %d, want %q and 42", got.Metadata(), got.End(), metadata)
		}
		if c := got.Cursor(); recordsOf(got) != nil || c.left != 0 {
			t.Fatal("a seal has records")
		}
	}
}

// withTLVs builds a seal with raw TLV bytes.
func withTLVs(tlvs ...byte) Frame {
	size := frameHeaderSize + len(tlvs)
	return append(appendFrameHeader(nil, size, Header{Kind: Seal, First: 1}, len(tlvs)), tlvs...)
}

func TestDecodeFrameSkipsOddAndRefusesEvenTLVs(t *testing.T) {
	f, _, err := DecodeFrame(withTLVs(3, 2, 'x', 'y', 1, 1, 'm'))
	if err != nil || string(f.Metadata()) != "m" {
		t.Fatalf("got metadata %q and error %v, want m behind a skipped TLV", f.Metadata(), err)
	}
	if _, _, err := DecodeFrame(withTLVs(2, 0)); !errors.Is(err, objstore.ErrUnsupported) {
		t.Fatalf("even type: got %v, want ErrUnsupported", err)
	}
}

func TestDecodeFrameRejects(t *testing.T) {
	good := batchOf(10, 1, "k=v", "kk=vv")
	edit := func(at int, b ...byte) func() []byte {
		return func() []byte {
			f := bytes.Clone(good)
			copy(f[at:], b)
			return f
		}
	}
	le32 := func(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }
	cases := []struct {
		name        string
		bytes       func() []byte
		unsupported bool
	}{
		{"nothing", func() []byte { return nil }, false},
		{"half a header", func() []byte { return good[:frameHeaderSize-1] }, false},
		{"length beyond the bytes", edit(frameLength, le32(uint32(len(good)+1))...), false},
		{"length below the header", edit(frameLength, le32(frameHeaderSize-1)...), false},
		{"length beyond the bound", edit(frameLength, le32(MaxFrameBytes+1)...), false},
		{"length one short", edit(frameLength, le32(uint32(len(good)-1))...), false},
		{"kind 0", edit(frameKind, 0), true},
		{"kind 4", edit(frameKind, 4), true},
		{"seal with records", edit(frameKind, byte(Seal)), false},
		{"flags", edit(frameFlags, 1), true},
		{"reserved", edit(frameReserved+1, 1), true},
		{"one record too many", edit(frameCount, le32(3)...), false},
		{"one record too few", edit(frameCount, le32(1)...), false},
		{"batch of none", edit(frameCount, le32(0)...), false},
		{"sequence overflow", edit(frameFirst, bytes.Repeat([]byte{0xff}, 8)...), false},
		{"tlv beyond the frame", edit(frameTLV, le32(math.MaxUint32)...), false},
		{"key beyond the frame", edit(frameHeaderSize, 0x7f), false},
		{"endless length", edit(frameHeaderSize, bytes.Repeat([]byte{0xff}, 9)...), false},
		{"length in two spellings", edit(frameHeaderSize, 0x81, 0x00), false},
		{"tlv cut short", func() []byte { return withTLVs(1, 5, 'x') }, false},
		{"tlv without length", func() []byte { return withTLVs(1) }, false},
	}
	for _, c := range cases {
		_, _, err := DecodeFrame(c.bytes())
		if err == nil {
			t.Errorf("%s: decoded", c.name)
		} else if got := errors.Is(err, objstore.ErrUnsupported); got != c.unsupported {
			t.Errorf("%s: unsupported is %v, want %v: %v", c.name, got, c.unsupported, err)
		}
	}
}

func FuzzDecodeFrame(f *testing.F) {
	f.Add([]byte(batchOf(10, 1, "k=v", "kk=vv")))
	f.Add([]byte(NewSeal(Header{First: 3}, []byte("meta"))))
	f.Add([]byte(withTLVs(3, 2, 'x', 'y', 1, 1, 'm')))
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, rest, err := DecodeFrame(b)
		if err != nil {
			return
		}
		if len(frame)+len(rest) != len(b) {
			t.Fatalf("%d bytes became %d and %d", len(b), len(frame), len(rest))
		}
		h := frame.Header()
		if h.Kind != Batch || frame.tlvBytes() > 0 {
			frame.Metadata()
			return
		}
		var records []Record
		for c := frame.Cursor(); ; {
			off, key, value, ok := c.Next()
			if !ok {
				break
			}
			if k, v := frame.At(off); !bytes.Equal(k, key) || !bytes.Equal(v, value) {
				t.Fatalf("At(%d) differs from the cursor", off)
			}
			records = append(records, Record{key, value})
		}
		again := AppendBatch(nil, len(records), func(i int) ([]byte, []byte) { return records[i].Key, records[i].Value })
		again.Stamp(h.First, h.TimeMs, h.Segment, h.SegmentStart)
		if !bytes.Equal(again, frame) {
			t.Fatal("what was decoded does not encode to the same bytes")
		}
	})
}
