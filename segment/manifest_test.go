package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/logdb-go/logdb/objstore"
)

func testTable(segment, n, start, end uint64) Table {
	return Table{ID: TableID{Epoch: 2, N: n}, Segment: segment, Nonce: objstore.ID{byte(n), 0xee}, Size: 4096, Tail: 3000, Records: end - start, KeyBytes: 40,
		ValueBytes: 2000, Keys: 2, Start: start, End: end, FirstMs: 1_700_000_000_000, LastMs: 1_700_000_000_500, Lo: []byte("apple"), Hi: []byte("pear")}
}

// testManifest has every field set and every kind of segment in it.
func testManifest() *Manifest {
	merged := testTable(4, 9, 100, 180)
	merged.ID = TableID{Compacted: true, Epoch: 5, N: 1}
	open := testTable(7, 12, 210, 300)
	open.Lo, open.Hi, open.HiOpen = nil, nil, true
	return &Manifest{
		Log: testLog, Version: 17, Nonce: testNonce, Epoch: 3, Dir: objstore.ID{0xd1}, DirSince: 2, Host: "node-1", PID: 4711, WrittenMs: 1_700_000_001_000,
		Closed: true, CompactorEpoch: 5, Flushed: 300, Limit: 1 << 32, LastMs: 1_700_000_000_900, NextSegment: 8, TrimmedBelow: 100,
		ReplayEpoch: 3, ReplayNumber: 6, OldestEpoch: 2, OldestNumber: 40,
		Segments: []Segment{
			{ID: 4, Start: 100, End: 200, Sealed: true, OpenedMs: 1, LastMs: 2, SealedMs: 3, Records: 80, Bytes: 2040, Metadata: []byte("meta"), Consolidated: true, Tables: []Table{merged}},
			{ID: 5, Start: 200, End: 200, Sealed: true, OpenedMs: -4, SealedMs: 5},
			{ID: 7, Start: 210, OpenedMs: 6, LastMs: 7, Records: 90, Bytes: 2040, Tables: []Table{testTable(7, 10, 210, 290), open}},
		},
	}
}

func TestManifestRoundTrip(t *testing.T) {
	big := testManifest()
	for i := range uint64(1000) {
		big.Segments[2].Tables = append(big.Segments[2].Tables, testTable(7, 100+i, 210, 300))
	}
	for _, want := range []*Manifest{testManifest(), big, {Log: testLog, Nonce: testNonce}} {
		b := EncodeManifest(want)
		got, err := DecodeManifest(b)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, %v, want %+v", got, err, want)
		}
		h, err := DecodeManifestHeader(b[:ManifestHeaderBytes])
		if err != nil || h != (ManifestHeader{want.Version, want.Nonce, int64(len(b))}) {
			t.Errorf("header: got %+v, %v", h, err)
		}
	}
	if n := len(EncodeManifest(big)); n > 100_000 {
		t.Errorf("1,000 tables take %d bytes, want less than 100,000", n)
	}
}

// TestManifestNoticesEveryByte: the manifest is the one object whose loss is
// the loss of the log.
func TestManifestNoticesEveryByte(t *testing.T) {
	good := EncodeManifest(testManifest())
	for i := range good {
		for _, bit := range []byte{1, 0x80} {
			b := bytes.Clone(good)
			b[i] ^= bit
			if _, err := DecodeManifest(b); !errors.Is(err, objstore.ErrCorrupt) && !errors.Is(err, objstore.ErrUnsupported) {
				t.Fatalf("byte %d: got %v", i, err)
			}
		}
		if _, err := DecodeManifest(good[:i]); !errors.Is(err, objstore.ErrCorrupt) {
			t.Fatalf("cut to %d bytes: got %v", i, err)
		}
	}
	if _, err := DecodeManifest(append(bytes.Clone(good), 0)); !errors.Is(err, objstore.ErrCorrupt) {
		t.Errorf("one byte more: got %v", err)
	}
}

// TestManifestRejectsInOrder: magic, then version, then reserved bits, and only
// then checksums, so that a later version is not taken for a damaged one.
func TestManifestRejectsInOrder(t *testing.T) {
	for _, c := range []struct {
		name string
		off  int
		want error
		text string
	}{
		{"magic", 0, objstore.ErrCorrupt, "magic"},
		{"version", offFormat, objstore.ErrUnsupported, "manifest format: got 0, want 1"},
		{"flags", offFlags, objstore.ErrUnsupported, "flags"},
		{"reserved", offReserved, objstore.ErrUnsupported, "reserved byte 10"},
		{"last reserved", offVersion - 1, objstore.ErrUnsupported, "reserved byte 15"},
		{"second reserved", offReserve2, objstore.ErrUnsupported, "reserved byte 56"},
		{"manifest version", offVersion + 7, objstore.ErrCorrupt, "header checksum"},
		{"header checksum", offCRC, objstore.ErrCorrupt, "header checksum"},
		{"body", ManifestHeaderBytes + 1, objstore.ErrCorrupt, "checksum"},
	} {
		b := EncodeManifest(testManifest())
		b[c.off] ^= 0xff
		if c.name == "version" {
			b[c.off] = 0
		}
		if _, err := DecodeManifest(b); !errors.Is(err, c.want) || !strings.Contains(fmt.Sprint(err), c.text) {
			t.Errorf("%s: got %v, want %v with %q", c.name, err, c.want, c.text)
		}
	}
}

// sealManifest puts a message of any content behind a header whose checksums hold.
func sealManifest(raw []byte, flags byte, rawSize uint64) []byte {
	b := EncodeManifest(testManifest())[:ManifestHeaderBytes]
	b[offFlags] = flags
	binary.BigEndian.PutUint64(b[offSize:], uint64(len(b)+len(raw)+crc32.Size))
	binary.BigEndian.PutUint64(b[offRawSize:], rawSize)
	binary.BigEndian.PutUint32(b[offCRC:], crc32.Checksum(b[:offCRC], castagnoli))
	b = append(b, raw...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// TestManifestFieldsOfALaterVersion: what an old build may not know it refuses,
// what it need not know it skips.
func TestManifestFieldsOfALaterVersion(t *testing.T) {
	want := testManifest()
	raw := appendManifest(nil, want)
	seal := func(raw []byte) []byte { return sealManifest(raw, 0, uint64(len(raw))) }
	odd := protowire.AppendVarint(protowire.AppendTag(bytes.Clone(raw), 901, protowire.VarintType), 5)
	odd = protowire.AppendFixed64(protowire.AppendTag(odd, 903, protowire.Fixed64Type), 5)
	if got, err := DecodeManifest(seal(odd)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("odd fields: got %+v, %v", got, err)
	}
	nested := func(num protowire.Number, inner []byte) []byte {
		return seal(protowire.AppendBytes(protowire.AppendTag(bytes.Clone(raw), num, protowire.BytesType), inner))
	}
	field := func(num protowire.Number) []byte { return appendUint(nil, num, 1) }
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"catalog":                 {nested(20, nil), objstore.ErrUnsupported},
		"even field in a segment": {nested(manSegment, field(100)), objstore.ErrUnsupported},
		"even field in a table":   {nested(manSegment, appendBytes(nil, segTable, field(100))), objstore.ErrUnsupported},
		"wrong wire type":         {seal(protowire.AppendBytes(protowire.AppendTag(bytes.Clone(raw), manEpoch, protowire.BytesType), nil)), objstore.ErrCorrupt},
		"segment as a number":     {seal(appendUint(bytes.Clone(raw), manSegment, 1)), objstore.ErrCorrupt},
		"table as a number":       {nested(manSegment, field(segTable)), objstore.ErrCorrupt},
		"short identity":          {seal(appendBytes(bytes.Clone(raw), manLog, []byte("short"))), objstore.ErrCorrupt},
		"pid too large":           {seal(appendUint(bytes.Clone(raw), manPID, 1<<40)), objstore.ErrCorrupt},
		"bool of 2":               {seal(appendUint(bytes.Clone(raw), manClosed, 2)), objstore.ErrCorrupt},
		"size beyond int64":       {nested(manSegment, appendBytes(nil, segTable, appendUint(nil, tableSize, 1<<63))), objstore.ErrCorrupt},
		"message cut off":         {seal(raw[:len(raw)-1]), objstore.ErrCorrupt},
		"raw size wrong":          {sealManifest(raw, 0, uint64(len(raw))+1), objstore.ErrCorrupt},
		"not packed":              {sealManifest(raw, manifestSnappy, uint64(len(raw))), objstore.ErrCorrupt},
		"bomb":                    {sealManifest(binary.AppendUvarint(nil, 1<<31), manifestSnappy, 1<<31), objstore.ErrCorrupt},
	} {
		if _, err := DecodeManifest(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// TestValidate breaks one invariant after the other.
func TestValidate(t *testing.T) {
	must(t, testManifest().Validate())
	for text, edit := range map[string]func(*Manifest){
		"log id":                       func(m *Manifest) { m.Log = objstore.ID{} },
		"nonce: got none":              func(m *Manifest) { m.Nonce = objstore.ID{} },
		"first epoch of the directory": func(m *Manifest) { m.DirSince = 4 },
		"trimmed-below: got 301":       func(m *Manifest) { m.TrimmedBelow = 301 },
		"start: got 100, want at or above trimmed-below 101": func(m *Manifest) { m.TrimmedBelow = 101 },
		"limit of a closed log":                              func(m *Manifest) { m.Limit = 299 },
		"replay epoch":                                       func(m *Manifest) { m.ReplayEpoch = 4 },
		"oldest WAL object: got (3, 7)":                      func(m *Manifest) { m.OldestEpoch, m.OldestNumber = 3, 7 },
		"pid":                                                func(m *Manifest) { m.PID = -1 },
		"segment 7: id: got 7, want below":                   func(m *Manifest) { m.NextSegment = 7 },
		"segment 4: id: got 4, want above 5":                 func(m *Manifest) { m.Segments[0].ID, m.Segments[1].ID = 5, 4; m.Segments[0].Tables = nil },
		"segment 5: start: got 199":                          func(m *Manifest) { m.Segments[1].Start = 199 },
		"open, and not the last":                             func(m *Manifest) { m.Segments[1].Sealed = false },
		"end: got 199":                                       func(m *Manifest) { m.Segments[1].End = 199 },
		"consolidated, and not sealed":                       func(m *Manifest) { m.Segments[2].Consolidated = true },
		"got segment 4, want 7":                              func(m *Manifest) { m.Segments[2].Tables[0].Segment = 4 },
		"epoch of table":                                     func(m *Manifest) { m.Segments[2].Tables[0].ID.Epoch = 4 },
		"epoch of table seg/0000000004/c":                    func(m *Manifest) { m.CompactorEpoch = 4 },
		"want inside [210, 0)":                               func(m *Manifest) { m.Segments[2].Tables[0].Start = 209 },
		"want inside [100, 200)":                             func(m *Manifest) { m.Segments[0].Tables[0].End = 201 },
		"at most flushed 299":                                func(m *Manifest) { m.Flushed = 299 },
		"table id w0000000002-0000000010":                    func(m *Manifest) { m.Segments[2].Tables[1].ID = m.Segments[2].Tables[0].ID },
		"upper bound: got both":                              func(m *Manifest) { m.Segments[2].Tables[1].Hi = []byte("x") },
		"lower bound":                                        func(m *Manifest) { m.Segments[2].Tables[0].Lo = []byte("q") },
		"records: got 81":                                    func(m *Manifest) { m.Segments[2].Tables[0].Records = 81 },
		"keys: got 0":                                        func(m *Manifest) { m.Segments[2].Tables[0].Keys = 0 },
		"first ms":                                           func(m *Manifest) { m.Segments[2].Tables[0].FirstMs = 1 << 60 },
		"tail: got 4096":                                     func(m *Manifest) { m.Segments[2].Tables[0].Tail = 4096 },
		"start: got 290, want below end":                     func(m *Manifest) { m.Segments[2].Tables[0].Start = 290 },
		"w0000000002-0000000010.sst: nonce":                  func(m *Manifest) { m.Segments[2].Tables[0].Nonce = objstore.ID{} },
	} {
		m := testManifest()
		edit(m)
		if err := m.Validate(); !errors.Is(err, errInvalid) || !strings.Contains(err.Error(), text) {
			t.Errorf("want an error with %q, got %v", text, err)
		}
		if _, err := DecodeManifest(EncodeManifest(m)); err == nil {
			t.Errorf("%q: decoded without an error", text)
		}
	}
}

// TestCloneIsApart: an edit that loses its race must leave no trace.
func TestCloneIsApart(t *testing.T) {
	m, want := testManifest(), testManifest()
	c := m.Clone()
	if !reflect.DeepEqual(c, want) {
		t.Fatalf("got %+v, want %+v", c, want)
	}
	c.Version++
	c.Segments[0].Metadata[0] = 'X'
	c.Segments[0].Tables[0].ID.N = 99
	c.Segments[2].Tables = append(c.Segments[2].Tables[:1], testTable(7, 77, 290, 300))
	c.Segments = append(c.Segments[:1], Segment{})
	if !reflect.DeepEqual(m, want) {
		t.Errorf("the original changed: %+v", m)
	}
}

func TestTableNames(t *testing.T) {
	for _, tab := range []Table{{}, {ID: TableID{Epoch: 3, N: 4}, Segment: 5}, {ID: TableID{Compacted: true, Epoch: 1 << 40, N: 1<<64 - 1}, Segment: 1<<64 - 1}} {
		segment, id, ok := ParseTableName(tab.Name())
		if !ok || segment != tab.Segment || id != tab.ID {
			t.Errorf("%s: got %d, %+v, %v", tab.Name(), segment, id, ok)
		}
	}
	for _, name := range []string{"", "seg/", "manifest", "seg/0000000005/w0000000003-0000000004", "seg/0000000005/x0000000003-0000000004.sst",
		"seg/5/w0000000003-0000000004.sst", "seg/0000000005/w3-0000000004.sst", "seg/0000000005/w0000000003-+000000004.sst",
		"seg/0000000005/w0000000003-0000000004.sst.sst", "seg/0000000005/-0000000004.sst", "wal/0000000005/w0000000003-0000000004.sst",
		"seg/00000000005/w0000000003-0000000004.sst", "seg/99999999999999999999/w0000000003-0000000004.sst"} {
		if _, _, ok := ParseTableName(name); ok {
			t.Errorf("%q: parsed", name)
		}
	}
}

// TestBoundsHoldTheirKeys: a table must never be skipped for a key it has.
func TestBoundsHoldTheirKeys(t *testing.T) {
	keys := hostileKeys()
	rng := rand.New(rand.NewPCG(2, 2))
	for range 5000 {
		i, j := rng.IntN(len(keys)), rng.IntN(len(keys))
		lo, hi := keys[min(i, j)], keys[max(i, j)]
		tab := Table{Lo: lowBound([]byte(lo))}
		tab.Hi, tab.HiOpen = highBound([]byte(hi))
		if len(tab.Lo) > maxBoundBytes || len(tab.Hi) > maxBoundBytes {
			t.Fatalf("bounds of %d and %d bytes", len(tab.Lo), len(tab.Hi))
		}
		for n, k := range keys {
			if inside := n >= min(i, j) && n <= max(i, j); inside && !tab.MayContain([]byte(k)) {
				t.Fatalf("[%.70q, %.70q] misses %.70q", lo, hi, k)
			}
		}
	}
	if hi, open := highBound([]byte(strings.Repeat("\xff", 65))); !open || hi != nil {
		t.Errorf("65 times 0xff: got %q, %v, want no bound", hi, open)
	}
	if hi, _ := highBound([]byte(strings.Repeat("a", 63) + "\xffz")); string(hi) != strings.Repeat("a", 62)+"b" {
		t.Errorf("bound: got %q", hi)
	}
}

func TestTablesMessage(t *testing.T) {
	want := []Table{testTable(7, 10, 210, 290), testTable(8, 11, 290, 300)}
	b := AppendTables([]byte("x"), want)[1:]
	if got, err := DecodeTables(b); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %v, want %+v", got, err, want)
	}
	if got, err := DecodeTables(nil); err != nil || got != nil {
		t.Errorf("none: got %+v, %v", got, err)
	}
	if _, err := DecodeTables(appendUint(b, 2, 1)); !errors.Is(err, objstore.ErrUnsupported) {
		t.Errorf("even field: got %v", err)
	}
	if got, err := DecodeTables(appendUint(b, 3, 1)); err != nil || len(got) != 2 {
		t.Errorf("odd field: got %+v, %v", got, err)
	}
	for i := 1; i < len(b); i++ {
		if got, err := DecodeTables(b[:i]); err == nil && len(got) != 1 {
			t.Errorf("cut to %d bytes: got %+v", i, got)
		} else if err != nil && !errors.Is(err, objstore.ErrCorrupt) {
			t.Errorf("cut to %d bytes: got %v", i, err)
		}
	}
}
