package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/logdb-go/logdb/objstore"
)

// readEverything is what any reader can see of a table: entries in both
// directions, one key alone, and the listing. It stops at the first error.
func readEverything(c *Cache, src objstore.Reader, tab Table) (es []entry, rows []string, err error) {
	r, err := c.Open(ctx, src, testLog, tab)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	it := r.All(ctx, EntryOptions{})
	for it.Next() {
		es = append(es, take(it))
	}
	if err := it.Close(); err != nil {
		return nil, nil, err
	}
	it = r.Entries(ctx, []byte("b"), 0, 1<<40, true, EntryOptions{HasFromMs: true, FromMs: 1_700_000_000_100})
	for ok := it.Last(); ok; ok = it.Prev() {
		es = append(es, take(it))
	}
	if err := it.Close(); err != nil {
		return nil, nil, err
	}
	li := r.Listings(ctx, nil)
	for li.Next() {
		rows = append(rows, fmt.Sprintf("%q %q", li.Key(), li.Row()))
	}
	return es, rows, li.Close()
}

// TestEveryFlippedByteIsNoticed: a table with one wrong byte gives an error or
// the right data, never other data.
func TestEveryFlippedByteIsNoticed(t *testing.T) {
	for _, compression := range []Compression{Zstd, None} {
		o := optionsFor(compression, 400)
		good := randomEntries(rand.New(rand.NewPCG(8, 8)), []string{"", "a", "b"}, 40, 0)
		b, tab := build(t, o, good)
		src := newBucket(t, tab.Name(), b)
		wantEs, wantRows, err := readEverything(NewCache(0, 0), src, tab)
		must(t, err)
		at := 0
		src.flip = func(got []byte, off int64) {
			if i := int64(at) - off; i >= 0 && i < int64(len(got)) {
				got[i] ^= 1 << (at % 8)
			}
		}
		quiet := 0
		for at = range b {
			es, rows, err := readEverything(NewCache(0, 0), src, tab)
			switch {
			case err == nil && slices.Equal(es, wantEs) && slices.Equal(rows, wantRows):
				quiet++
			case err == nil:
				t.Fatalf("byte %d of %d (tail at %d): other data and no error", at, len(b), tab.Tail)
			case !errors.Is(err, objstore.ErrCorrupt) && !errors.Is(err, objstore.ErrUnsupported):
				t.Fatalf("byte %d of %d: got %v", at, len(b), err)
			}
		}
		if quiet != 0 {
			t.Errorf("%d of %d bytes can be wrong and nobody notices", quiet, len(b))
		}
	}
}

// TestCorruptBlockNamesObjectAndOffset: what an operator needs to know. The
// failure is not kept: the next read may find good bytes.
func TestCorruptBlockNamesObjectAndOffset(t *testing.T) {
	es := randomEntries(rand.New(rand.NewPCG(8, 9)), []string{"a"}, 100, 0)
	b, tab := build(t, optionsFor(None, 400), es)
	src := newBucket(t, tab.Name(), b)
	c := NewCache(1<<20, 1<<20)
	defer c.Close()
	src.flip = func(got []byte, off int64) {
		if off < tab.Tail {
			got[int64(len(got))-10] ^= 1
		}
	}
	_, _, err := readEverything(c, src, tab)
	var corrupt *objstore.CorruptError
	if !errors.As(err, &corrupt) || corrupt.Object != tab.Name() || corrupt.Offset <= 0 || corrupt.Offset >= tab.Tail {
		t.Errorf("got %v", err)
	}
	src.flip = nil
	if got, _, err := readEverything(c, src, tab); err != nil || len(got) < len(es) {
		t.Errorf("once the bytes are good: got %d entries, %v", len(got), err)
	}
}

// resealFooter makes the footer's checksum right again.
func resealFooter(b []byte) {
	f := b[len(b)-footerBytes:]
	crc := crc32.Update(crc32.Checksum(f[:footerOffCRC], castagnoli), castagnoli, f[footerOffVersion:])
	binary.LittleEndian.PutUint32(f[footerOffCRC:], maskCRC(crc))
}

func TestFooterRejects(t *testing.T) {
	good, tab := build(t, testOptions(), []entry{{"k", 1, testOptions().BaseMs, 0, "v"}})
	at := func(i int) func([]byte) []byte {
		return func(b []byte) []byte { b[len(b)-footerBytes+i] ^= 0x15; return b }
	}
	handle := func(off, n uint64) func([]byte) []byte {
		return func(b []byte) []byte {
			f := b[len(b)-footerBytes+1:]
			k := binary.PutUvarint(f, off)
			binary.PutUvarint(f[k:], n)
			return b
		}
	}
	for _, c := range []struct {
		name   string
		edit   func([]byte) []byte
		reseal bool
		want   error
	}{
		{"magic", at(footerOffMagic), true, objstore.ErrCorrupt},
		{"version", at(footerOffVersion), true, objstore.ErrUnsupported},
		{"checksum type", at(0), true, objstore.ErrUnsupported},
		{"checksum", at(footerOffCRC), false, objstore.ErrCorrupt},
		{"block before the tail", handle(0, 10), true, objstore.ErrCorrupt},
		{"block behind the object", handle(uint64(tab.Size), 10), true, objstore.ErrCorrupt},
		{"block whose end overflows", handle(uint64(tab.Tail), 1<<64-1), true, objstore.ErrCorrupt},
		{"block far away", handle(1<<64-1, 1<<63), true, objstore.ErrCorrupt},
		{"metaindex is the index", handle(uint64(tab.Tail), 20), true, objstore.ErrCorrupt},
		{"all zero", func(b []byte) []byte { clear(b); return b }, false, objstore.ErrCorrupt},
	} {
		b := c.edit(bytes.Clone(good))
		if c.reseal {
			resealFooter(b)
		}
		if _, _, err := readEverything(NewCache(0, 0), newBucket(t, tab.Name(), b), tab); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	short := tab
	short.Tail = short.Size - footerBytes + 1
	if _, _, err := readEverything(NewCache(0, 0), newBucket(t, tab.Name(), good), short); !errors.Is(err, objstore.ErrCorrupt) {
		t.Errorf("tail shorter than a footer: got %v", err)
	}
	early := tab
	early.Tail--
	if _, _, err := readEverything(NewCache(0, 0), newBucket(t, tab.Name(), good), early); !errors.Is(err, objstore.ErrCorrupt) {
		t.Errorf("tail that begins early: got %v", err)
	}
}

func TestPropertiesReject(t *testing.T) {
	self := tableIdentity{log: testLog, id: TableID{Compacted: true, Epoch: 1, N: 2}, segment: 3, nonce: testNonce, baseMs: -4}
	good := self.append(nil)
	if got, err := decodeIdentity(good); err != nil || got != self {
		t.Errorf("got %+v, %v, want %+v", got, err, self)
	}
	for i, c := range []struct {
		edit func([]byte) []byte
		want error
	}{
		{func(b []byte) []byte { return nil }, nil},
		{func(b []byte) []byte { b[0]++; return b }, objstore.ErrUnsupported},
		{func(b []byte) []byte { b[0]++; return b[:3] }, objstore.ErrUnsupported},
		{func(b []byte) []byte { b[1] = 1; return b }, objstore.ErrUnsupported},
		{func(b []byte) []byte { return b[:len(b)-1] }, nil},
		{func(b []byte) []byte { return append(b, 0) }, nil},
		{func(b []byte) []byte { b[18] = 2; return b }, nil},
	} {
		if _, err := decodeIdentity(c.edit(bytes.Clone(good))); err == nil || errors.Is(err, objstore.ErrUnsupported) != (c.want != nil) {
			t.Errorf("case %d: got %v, want %v", i, err, c.want)
		}
	}
	var s span
	s.add(7, 9)
	s.add(5, 11)
	props := append([]byte{0, 1, 'x', 3, byte(len(s.append(nil)))}, s.append(nil)...)
	if got, err := blockSpan(props, 3); err != nil || got != s {
		t.Errorf("span: got %+v, %v, want %+v", got, err, s)
	}
	if got, err := blockSpan(props, 2); err != nil || got.some {
		t.Errorf("span that is missing: got %+v, %v", got, err)
	}
	for _, bad := range [][]byte{{3}, {3, 9, 1}, {3, 3, 1, 1, 1}, {3, 5, 1, 1, 1, 1, 1}, {1, 0x80}} {
		if _, err := blockSpan(bad, 3); err == nil {
			t.Errorf("block properties %x: got no error", bad)
		}
	}
	for _, bad := range [][]byte{{}, {0, 0, 0, 0}, append(make([]byte, 64), 6, 2, 0, 0, 0), append(make([]byte, 64), 0, 1, 0, 0, 0), append(make([]byte, 65), 6, 1, 0, 0, 0)} {
		if err := checkFilter(bad); err == nil {
			t.Errorf("filter of %d bytes: got no error", len(bad))
		}
	}
}

// TestRowsOfALaterVersion: kinds that may be skipped are, in both directions,
// and one that may not be makes the whole table unreadable.
func TestRowsOfALaterVersion(t *testing.T) {
	for _, c := range []struct {
		kinds []Kind
		want  error
	}{{[]Kind{0x08, 0x18, 0x21, 0x30, 0x7f}, nil}, {[]Kind{0x30, 0x80}, objstore.ErrUnsupported}, {[]Kind{0xff}, objstore.ErrUnsupported}} {
		o := optionsFor(None, 200)
		w := NewWriter(o)
		raw := func(kind Kind) {
			w.keyBuf, w.spans.pending.entry, w.filter.add = appendSuffix(appendPrefix(w.keyBuf[:0], kind, []byte("b")), 1), false, false
			must(t, w.add([]byte("from the future")))
		}
		for _, kind := range c.kinds {
			if kind < KindListing {
				raw(kind)
			}
		}
		must(t, w.AddListing([]byte("b"), []byte("row")))
		for _, kind := range c.kinds {
			if kind > KindListing && kind < KindEntry {
				raw(kind)
			}
		}
		must(t, w.Add([]byte("b"), 5, o.BaseMs+100, 0, []byte("v")))
		for _, kind := range c.kinds {
			if kind > KindEntry {
				raw(kind)
			}
		}
		b, tab, err := w.Finish()
		must(t, err)
		es, rows, err := readEverything(NewCache(0, 0), newBucket(t, tab.Name(), b), tab)
		if !errors.Is(err, c.want) || err == nil && (len(es) != 2 || len(rows) != 1) {
			t.Errorf("kinds %x: got %v %v, %v, want %v", c.kinds, es, rows, err, c.want)
		}
	}
}
