package listing

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
)

func someListings() []Listing {
	return []Listing{
		{Records: 1, First: 0, Last: 0},
		{Control: 1, First: 7, Last: 7, FirstMs: -5, LastMs: -5},
		{Records: 3, Control: 2, ValueBytes: 4096, First: 100, Last: 1000, FirstMs: 1_700_000_000_000, LastMs: 1_700_000_000_900},
		{Records: 1 << 40, ValueBytes: math.MaxUint64, First: 5, Last: math.MaxUint64 - 1, FirstMs: math.MinInt64, LastMs: math.MaxInt64},
	}
}

func TestRowRoundTrip(t *testing.T) {
	for _, want := range someListings() {
		b := Append([]byte("x"), want)[1:]
		if got, err := Decode(b); err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
		for i := range b {
			if _, err := Decode(b[:i]); !errors.Is(err, objstore.ErrCorrupt) {
				t.Errorf("cut to %d of %d bytes: got %v", i, len(b), err)
			}
		}
		if _, err := Decode(append(bytes.Clone(b), 0)); !errors.Is(err, objstore.ErrCorrupt) {
			t.Errorf("one byte more: got %v", err)
		}
	}
}

func TestDecodeRejects(t *testing.T) {
	good := Append(nil, someListings()[2])
	first := func(b byte) []byte { return append([]byte{b}, good[1:]...) }
	withTLVs := func(tlvs ...segment.TLV) []byte { return segment.AppendTLVs(first(rowVersion|rowTLVs), tlvs) }
	for _, c := range []struct {
		name string
		b    []byte
		want error
	}{
		{"version 0", first(0), objstore.ErrUnsupported},
		{"version 3", first(3), objstore.ErrUnsupported},
		{"reserved bit", first(rowVersion | 0x04), objstore.ErrUnsupported},
		{"last reserved bit", first(rowVersion | 0x40), objstore.ErrUnsupported},
		{"attributes announced and missing", first(rowVersion | rowTLVs), objstore.ErrCorrupt},
		{"unknown even attribute", withTLVs(segment.TLV{Type: 4}), objstore.ErrUnsupported},
		{"attributes, and more", append(withTLVs(segment.TLV{Type: 3}), 0), objstore.ErrCorrupt},
		{"nothing counted", Append(nil, Listing{First: 1, Last: 1}), objstore.ErrCorrupt},
		{"more records than sequences", Append(nil, Listing{Records: 2, Control: 1, First: 1, Last: 2}), objstore.ErrCorrupt},
		{"counts overflow", Append(nil, Listing{Records: math.MaxUint64, Control: 2, First: 1, Last: 2}), objstore.ErrCorrupt},
		{"last before first", Append(nil, Listing{Records: 1, First: 9, Last: 8}), objstore.ErrCorrupt},
		{"last sequence of all", Append(nil, Listing{Records: 1, First: 9, Last: math.MaxUint64}), objstore.ErrCorrupt},
		{"last time before first", Append(nil, Listing{Records: 1, First: 1, Last: 2, FirstMs: 5, LastMs: 4}), objstore.ErrCorrupt},
		{"endless number", append([]byte{rowVersion}, bytes.Repeat([]byte{0xff}, 20)...), objstore.ErrCorrupt},
	} {
		if got, err := Decode(c.b); !errors.Is(err, c.want) || got != (Listing{}) {
			t.Errorf("%s: got %+v, %v, want %v", c.name, got, err, c.want)
		}
	}
	if got, err := Decode(withTLVs(segment.TLV{Type: 3, Value: []byte("later")})); err != nil || got != someListings()[2] {
		t.Errorf("unknown odd attribute: got %+v, %v", got, err)
	}
}

// TestMergeIsTheSumInAnyOrder: tables and memtables are merged as they come.
func TestMergeIsTheSumInAnyOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 1000 {
		var parts []Listing
		var want Listing
		at := rng.Uint64N(100)
		for i := range 1 + rng.IntN(5) {
			n := 1 + rng.Uint64N(9)
			l := Listing{Records: n, Control: rng.Uint64N(2), ValueBytes: rng.Uint64N(500), First: at, Last: at + n + 3, FirstMs: int64(at), LastMs: int64(at + n)}
			if parts = append(parts, l); i == 0 {
				want = l
			} else {
				want.Records, want.Control, want.ValueBytes = want.Records+l.Records, want.Control+l.Control, want.ValueBytes+l.ValueBytes
				want.Last, want.LastMs = l.Last, l.LastMs
			}
			at = l.Last + 1 + rng.Uint64N(50)
		}
		rng.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		got := parts[0]
		for _, p := range parts[1:] {
			got.Merge(p)
		}
		if got != want {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, l := range someListings() {
		f.Add(Append(nil, l))
	}
	f.Add([]byte{rowVersion1, 1, 0, 0, 1, 0, 0, 0})
	f.Add(segment.AppendTLVs([]byte{rowVersion | rowTLVs, 1, 0, 0, 0, 0, 1, 0}, []segment.TLV{{Type: 3}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := Decode(b)
		if err != nil {
			return
		}
		if again, err := Decode(Append(nil, l)); err != nil || again != l {
			t.Fatalf("got %+v, %v, want %+v", again, err, l)
		}
	})
}
