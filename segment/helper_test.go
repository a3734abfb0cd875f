package segment

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/logdb-go/logdb/objstore"
)

var (
	testLog   = objstore.ID{0xaa, 15: 0x01}
	testNonce = objstore.ID{0xbb, 15: 0x02}
)

// entry is one record as tests write and expect it.
type entry struct {
	key   string
	seq   uint64
	ms    int64
	flags Flags
	value string
}

func compareEntries(a, b entry) int {
	return cmp.Or(strings.Compare(a.key, b.key), cmp.Compare(a.seq, b.seq))
}

// hostileKeys are prefixes of each other, runs of the smallest and largest
// bytes, what the codec itself writes, and the longest there is.
func hostileKeys() []string {
	keys := []string{"", "a", "a\x00", "a\x00\x00", "a\x00\x00\x09", "a\x09", "aa", "ab", "b", "\x00", "\x00\x00", "\x09", "\x10", "\x20",
		"\x00\x00\x00\x00\x00\x00\x00\x00\x09", "\xff", "\xff\xff", "\xff\x00", strings.Repeat("\xff", 64), strings.Repeat("\xff", 65), strings.Repeat("\xff", 100),
		strings.Repeat("k", 63), strings.Repeat("k", 64), strings.Repeat("k", 65), strings.Repeat("\x00", 100),
		strings.Repeat("x", MaxKeyBytes), strings.Repeat("x", MaxKeyBytes-1) + "y"}
	for _, k := range slices.Clone(keys[:17]) {
		keys = append(keys, string(AppendEntryKey(nil, []byte(k), 7)), string(appendPrefix(nil, KindEntry, []byte(k))))
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// randomEntries are records of the keys, in order, with sequences from first on.
func randomEntries(rng *rand.Rand, keys []string, n int, first uint64) []entry {
	es := make([]entry, n)
	ms := int64(1_700_000_000_000)
	for i := range es {
		first += 1 + rng.Uint64N(3)*rng.Uint64N(1000)
		ms += rng.Int64N(20)
		es[i] = entry{key: keys[rng.IntN(len(keys))], seq: first, ms: ms, value: strings.Repeat(string(rune('a'+i%26)), rng.IntN(300))}
		if i%7 == 0 {
			es[i].flags = FlagLastOfBatch
		}
	}
	slices.SortFunc(es, compareEntries)
	return es
}

func testOptions() WriterOptions {
	return WriterOptions{Log: testLog, ID: TableID{Epoch: 3, N: 4}, Nonce: testNonce, Segment: 5, BaseMs: 1_700_000_000_000}
}

// build makes a table of the entries, with the number of a key's entries as its listing row.
func build(t testing.TB, o WriterOptions, es []entry) ([]byte, Table) {
	t.Helper()
	w := NewWriter(o)
	for i := 0; i < len(es); {
		j := i
		for j < len(es) && es[j].key == es[i].key {
			j++
		}
		must(t, w.AddListing([]byte(es[i].key), fmt.Append(nil, j-i)))
		i = j
	}
	for _, e := range es {
		must(t, w.Add([]byte(e.key), e.seq, e.ms, e.flags, []byte(e.value)))
	}
	b, tab, err := w.Finish()
	must(t, err)
	return b, tab
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bucket is a bucket in memory that notes every ranged read.
type bucket struct {
	objstore.Reader
	mem *objstore.Mem

	mu   sync.Mutex
	gets []string
	fail func(off, n int64) error
	flip func(b []byte, off int64)
}

func newBucket(t testing.TB, objects ...any) *bucket {
	t.Helper()
	mem := objstore.NewMem()
	b := &bucket{Reader: mem, mem: mem}
	for i := 0; i < len(objects); i += 2 {
		_, err := mem.Put(context.Background(), objects[i].(string), objects[i+1].([]byte), objstore.Always())
		must(t, err)
	}
	return b
}

func (b *bucket) GetRange(ctx context.Context, name string, off, n int64) ([]byte, error) {
	b.mu.Lock()
	b.gets = append(b.gets, fmt.Sprintf("[%d, %d)", off, off+n))
	fail, flip := b.fail, b.flip
	b.mu.Unlock()
	if fail != nil {
		if err := fail(off, n); err != nil {
			return nil, err
		}
	}
	data, err := b.Reader.GetRange(ctx, name, off, n)
	if err == nil && flip != nil {
		data = bytes.Clone(data)
		flip(data, off)
	}
	return data, err
}

// requests returns the reads since it was asked last.
func (b *bucket) requests() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	gets := b.gets
	b.gets = nil
	return gets
}

// openTest builds a table of es, puts it into a bucket and opens it through a
// fresh cache. The read of the tail is not noted.
func openTest(t testing.TB, o WriterOptions, es []entry) (*Reader, *bucket, Table) {
	t.Helper()
	b, tab := build(t, o, es)
	src := newBucket(t, tab.Name(), b)
	c := NewCache(8<<20, 8<<20)
	r, err := c.Open(context.Background(), src, o.Log, tab)
	must(t, err)
	src.requests()
	t.Cleanup(func() {
		must(t, r.Close())
		must(t, c.Close())
	})
	return r, src, tab
}

// take is the entry that it stands on.
func take(it *EntryIter) entry {
	return entry{string(it.Key()), it.Sequence(), it.TimeMs(), it.Flags(), string(it.Value())}
}

// forward and backward drain an iterator and close it.
func forward(t testing.TB, it *EntryIter) (es []entry) {
	t.Helper()
	for it.Next() {
		es = append(es, take(it))
	}
	must(t, it.Close())
	return es
}

func backward(t testing.TB, it *EntryIter) (es []entry) {
	t.Helper()
	for ok := it.Last(); ok; ok = it.Prev() {
		es = append(es, take(it))
	}
	must(t, it.Close())
	slices.Reverse(es)
	return es
}

func wantEntries(t testing.TB, what string, got, want []entry) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("%s: got %d entries, want %d; first difference at %d: got %.200v, want %.200v", what, len(got), len(want), i,
				fmt.Sprint(got[min(i, len(got)):min(i+1, len(got))]), fmt.Sprint(want[min(i, len(want)):min(i+1, len(want))]))
		}
	}
}
