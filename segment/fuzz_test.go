package segment

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"testing"
)

func FuzzParseKey(f *testing.F) {
	for _, k := range hostileKeys()[:20] {
		f.Add(AppendEntryKey(nil, []byte(k), 7))
		f.Add(AppendListingKey(nil, []byte(k)))
		f.Add(append(appendPrefix(nil, KindEntry, []byte(k)), 0, 0, 0, 0, 0, 0, 1, 7, maxSuffixBytes))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, key, suffix, err := ParseKey(b)
		if err != nil {
			return
		}
		again := appendSuffix(appendPrefix(nil, kind, key), suffix)
		if compareKeys(again, b) != 0 || !bytes.Equal(again, b) && b[len(b)-1] != maxSuffixBytes { // as in version 1
			t.Fatalf("got %x, want %x", again, b)
		}
	})
}

func FuzzParseEntry(f *testing.F) {
	f.Add([]byte{0, 0})
	f.Add(append(appendEntryHead(nil, FlagTLVs|FlagSystem, 1<<40), AppendTLVs(nil, []TLV{{1, []byte("x")}})...))
	f.Fuzz(func(t *testing.T, b []byte) {
		flags, delta, rest, err := parseEntry(b)
		if err != nil {
			return
		}
		again, _, rest2, err := parseEntry(append(appendEntryHead(nil, flags, delta), rest...))
		if again != flags || !bytes.Equal(rest, rest2) || err != nil {
			t.Fatalf("got %x %x, %v, want %x %x", again, rest2, err, flags, rest)
		}
		if section, value, err := CutTLVs(rest); err == nil && !bytes.Equal(append(bytes.Clone(section), value...), rest) {
			t.Fatalf("%x cut into %x and %x", rest, section, value)
		}
	})
}

func FuzzDecodeTables(f *testing.F) {
	f.Add(AppendTables(nil, []Table{testTable(7, 10, 210, 290), testTable(8, 11, 290, 300)}))
	f.Fuzz(func(t *testing.T, b []byte) {
		ts, err := DecodeTables(b)
		if err != nil {
			return
		}
		if again, err := DecodeTables(AppendTables(nil, ts)); err != nil || !reflect.DeepEqual(again, ts) {
			t.Fatalf("got %+v, %v, want %+v", again, err, ts)
		}
	})
}

// FuzzDecodeManifest mutates the message and seals it again: checksums would
// keep the fuzzer out.
func FuzzDecodeManifest(f *testing.F) {
	f.Add(appendManifest(nil, testManifest()), byte(0), uint64(0))
	f.Add(EncodeManifest(testManifest())[ManifestHeaderBytes:], byte(manifestSnappy), uint64(1))
	f.Fuzz(func(t *testing.T, raw []byte, flags byte, more uint64) {
		_, _ = DecodeManifest(raw)
		m, err := DecodeManifest(sealManifest(raw, flags&manifestSnappy, uint64(len(raw))+more))
		if err != nil {
			return
		}
		if again, err := DecodeManifest(EncodeManifest(m)); err != nil || !reflect.DeepEqual(again, m) {
			t.Fatalf("got %+v, %v, want %+v", again, err, m)
		}
	})
}

// FuzzOpen opens bytes as a table. With seal the footer's checksum holds, and
// handles anywhere reach the decoders; tail says where the tail is said to begin.
func FuzzOpen(f *testing.F) {
	es := randomEntries(rand.New(rand.NewPCG(8, 8)), []string{"", "a", "b"}, 20, 0)
	b, tab := build(f, optionsFor(Zstd, 400), es)
	f.Add(b, uint16(tab.Tail), true)
	f.Add(b[tab.Tail:], uint16(0), true)
	f.Fuzz(func(t *testing.T, b []byte, tail uint16, seal bool) {
		if len(b) < footerBytes || int(tail) >= len(b) {
			return
		}
		b = bytes.Clone(b)
		if seal {
			copy(b[len(b)-8:], footerMagic)
			binary.LittleEndian.PutUint32(b[len(b)-footerBytes+footerOffVersion:], footerVersion)
			resealFooter(b)
		}
		tab := tab
		tab.Size, tab.Tail = int64(len(b)), int64(tail)
		c := NewCache(0, 0)
		_, _, _ = readEverything(c, newBucket(t, tab.Name(), b), tab)
		_ = c.Close()
	})
}
