package segment

import (
	"bytes"
	"cmp"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/logdb-go/logdb/objstore"
)

var testSequences = []uint64{0, 1, 8, 9, 0x0900, 255, 256, 65_535, 65_536, 1<<24 - 1, 1 << 32, 1 << 56, math.MaxUint64 - 1, math.MaxUint64}

// TestKeysSortLikeTheirParts: table keys sort as (kind, key, suffix) does,
// whatever the keys are made of.
func TestKeysSortLikeTheirParts(t *testing.T) {
	type parts struct {
		kind Kind
		key  string
		seq  uint64
	}
	var all []parts
	for _, k := range hostileKeys() {
		all = append(all, parts{KindListing, k, 0})
		for _, s := range testSequences {
			all = append(all, parts{KindEntry, k, s})
		}
	}
	encode := func(p parts) []byte {
		if p.kind == KindListing {
			return AppendListingKey(nil, []byte(p.key))
		}
		return AppendEntryKey(nil, []byte(p.key), p.seq)
	}
	rng := rand.New(rand.NewPCG(7, 7))
	for range 200_000 {
		a, b := all[rng.IntN(len(all))], all[rng.IntN(len(all))]
		want := cmp.Or(cmp.Compare(a.kind, b.kind), strings.Compare(a.key, b.key), cmp.Compare(a.seq, b.seq))
		if got := compareKeys(encode(a), encode(b)); got != want {
			t.Fatalf("compare %.60v with %.60v: got %d, want %d", a, b, got, want)
		}
	}
	for _, p := range all {
		kind, key, seq, err := ParseKey(encode(p))
		must(t, err)
		if got := (parts{kind, string(key), seq}); got != p {
			t.Fatalf("parse: got %.80v, want %.80v", got, p)
		}
	}
}

// TestComparerKeepsPebblesRules asks Pebble itself, over everything that it
// may show our comparer: prefixes, and the suffixes behind them.
func TestComparerKeepsPebblesRules(t *testing.T) {
	var prefixes, suffixes [][]byte
	// Pebble's check takes the square of it all.
	for _, k := range []string{"", "\x00", "\x00\x00", "\x09", "a", "a\x00", "a\x00\x00\x00\x00\x00\x00\x00\x00\x09", "a\x09", "aa", "\xff", "\xff\xff"} {
		prefixes = append(prefixes, appendPrefix(nil, KindEntry, []byte(k)))
	}
	prefixes = append(prefixes, appendPrefix(nil, KindListing, []byte("a")))
	for _, s := range testSequences[2:7] {
		suffixes = append(suffixes, appendSuffix(nil, s))
	}
	slices.SortFunc(prefixes, bytes.Compare)
	must(t, pebble.CheckComparer(keyComparer, prefixes, suffixes))
}

// TestSeparatorLiesBetween: an index entry that is too low hides a block, one
// that is too high points into the next.
func TestSeparatorLiesBetween(t *testing.T) {
	var keys [][]byte
	for _, k := range hostileKeys() {
		keys = append(keys, AppendListingKey(nil, []byte(k)), AppendEntryKey(nil, []byte(k), 3), AppendEntryKey(nil, []byte(k), 9))
	}
	slices.SortFunc(keys, compareKeys)
	for i, a := range keys {
		for _, b := range keys[i+1:] {
			s := separateKeys([]byte("dst"), a, b)[3:]
			if compareKeys(a, s) > 0 || compareKeys(s, b) >= 0 || len(s) > len(a) {
				t.Fatalf("separator of %.60q and %.60q: %.60q", a, b, s)
			}
		}
	}
	long := AppendEntryKey(nil, bytes.Repeat([]byte("a"), MaxKeyBytes), 1)
	if s := separateKeys(nil, long, AppendEntryKey(nil, []byte("b"), 1)); len(s) > 4 {
		t.Errorf("separator of a 64 KiB key and %q: %d bytes, want a short one", "b", len(s))
	}
}

func TestParseKeyRejects(t *testing.T) {
	good := AppendEntryKey(nil, []byte("key"), 77)
	for _, c := range []struct {
		name string
		edit func(k []byte) []byte
		want error
	}{
		{"empty", func(k []byte) []byte { return nil }, objstore.ErrCorrupt},
		{"too short", func(k []byte) []byte { return k[:minTableKey-1] }, objstore.ErrCorrupt},
		{"no room for kind and terminator", func(k []byte) []byte { return []byte{0, 1, 3} }, objstore.ErrCorrupt},
		{"suffix longer than the key", func(k []byte) []byte { k[len(k)-1] = 8; return k }, objstore.ErrCorrupt},
		{"suffix longer than a sequence", func(k []byte) []byte { return append(k[:len(k)-1], "123456789\x0a"...) }, objstore.ErrCorrupt},
		{"suffix with a leading zero", func(k []byte) []byte { return append(k[:len(k)-2], 0, 77, 3) }, objstore.ErrCorrupt},
		{"bare prefix", func(k []byte) []byte { return append(k[:len(k)-2], "0123456789\x00"...) }, objstore.ErrCorrupt},
		{"no terminator", func(k []byte) []byte { k[len(k)-3] = 1; return k }, objstore.ErrCorrupt},
		{"kind from the future", func(k []byte) []byte { k[0] = 0x80; return k }, objstore.ErrUnsupported},
		{"last kind", func(k []byte) []byte { k[0] = 0xff; return k }, objstore.ErrUnsupported},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, _, _, err := ParseKey(c.edit(bytes.Clone(good))); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	skippable := bytes.Clone(good)
	skippable[0] = 0x7f
	if kind, key, _, err := ParseKey(skippable); kind != 0x7f || string(key) != "key" || err != nil {
		t.Errorf("kind that may be skipped: got %#x %q, %v", kind, key, err)
	}
}

func TestEntryRejects(t *testing.T) {
	for _, c := range []struct {
		name string
		b    []byte
		want error
	}{
		{"empty", nil, errEntry},
		{"flags alone", []byte{0}, errEntry},
		{"reserved flag", []byte{0x20, 0}, objstore.ErrUnsupported},
		{"last reserved flag", []byte{0x80, 0}, objstore.ErrUnsupported},
		{"kind from the future", []byte{0x04, 0}, objstore.ErrUnsupported},
		{"endless time", append([]byte{0}, bytes.Repeat([]byte{0xff}, 11)...), errEntry},
		{"time cut off", []byte{0, 0x80}, errEntry},
	} {
		if _, _, _, err := parseEntry(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	for _, c := range []struct {
		name string
		b    []byte
		want error
	}{
		{"no length", nil, errEntry},
		{"longer than the entry", []byte{2, 1}, errEntry},
		{"unknown even type", AppendTLVs(nil, []TLV{{Type: 2}}), objstore.ErrUnsupported},
		{"even type behind an odd one", AppendTLVs(nil, []TLV{{Type: 1, Value: []byte("x")}, {Type: 1 << 40}}), objstore.ErrUnsupported},
		{"value longer than the section", []byte{3, 1, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0}, errEntry},
		{"type without length", []byte{1, 1}, errEntry},
	} {
		if _, _, err := CutTLVs(c.b); !errors.Is(err, c.want) {
			t.Errorf("attributes, %s: got %v, want %v", c.name, err, c.want)
		}
	}
	b := AppendTLVs(nil, []TLV{{Type: 1, Value: []byte("skipped")}, {Type: 300_001}})
	section, rest, err := CutTLVs(append(b, "value"...))
	if err != nil || string(rest) != "value" || !bytes.Equal(section, b) {
		t.Errorf("odd types: got %q and %q, %v", section, rest, err)
	}
}
