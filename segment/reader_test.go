package segment

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/logdb-go/logdb/objstore"
)

var ctx = context.Background()

func optionsFor(c Compression, block int) WriterOptions {
	o := testOptions()
	o.Compression, o.BlockBytes = c, block
	return o
}

// TestReaderShowsWhatWasWritten compares every way to read a table with a
// sorted slice: hostile keys, every compression, blocks from one entry up.
func TestReaderShowsWhatWasWritten(t *testing.T) {
	for i, o := range []WriterOptions{optionsFor(Zstd, 0), optionsFor(Zstd, 4096), optionsFor(None, 1), optionsFor(Zstd, 600)} {
		t.Run(fmt.Sprintf("compression=%d/block=%d", o.Compression, o.BlockBytes), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(i), 1))
			keys := hostileKeys()
			es := randomEntries(rng, keys, 3000, 10)
			r, _, tab := openTest(t, o, es)
			wantEntries(t, "all", forward(t, r.All(ctx, EntryOptions{})), es)
			wantEntries(t, "all, backward", backward(t, r.All(ctx, EntryOptions{})), es)
			for _, key := range append(keys, "absent", "a\x01") {
				checkKey(t, rng, r, tab, es, key)
			}
			checkListings(t, r, es, keys)
		})
	}
}

func checkKey(t *testing.T, rng *rand.Rand, r *Reader, tab Table, es []entry, key string) {
	t.Helper()
	mine := slices.DeleteFunc(slices.Clone(es), func(e entry) bool { return e.key != key })
	if len(mine) > 0 {
		if ok, err := r.MayContain([]byte(key)); !ok || err != nil || !tab.MayContain([]byte(key)) {
			t.Fatalf("%.60q: filter %v, bounds %v, %v; want both true", key, ok, tab.MayContain([]byte(key)), err)
		}
	}
	for n := range 12 {
		start, end, bounded := uint64(0), uint64(math.MaxUint64), n%3 > 0
		from, o := int64(math.MinInt64), EntryOptions{Hint: int64(n) << 10}
		if n > 0 {
			e := es[rng.IntN(len(es))]
			start, end = e.seq, e.seq+rng.Uint64N(1<<20)
		}
		if n > 5 {
			from = es[rng.IntN(len(es))].ms
			o.FromMs, o.HasFromMs = from, true
		}
		var want []entry
		for _, e := range mine {
			if e.seq >= start && (!bounded || e.seq < end) && e.ms >= from {
				want = append(want, e)
			}
		}
		what := fmt.Sprintf("%.60q [%d, %d) bounded %v from %d", key, start, end, bounded, from)
		wantEntries(t, what, forward(t, r.Entries(ctx, []byte(key), start, end, bounded, o)), want)
		wantEntries(t, what+", backward", backward(t, r.Entries(ctx, []byte(key), start, end, bounded, o)), want)
	}
}

func checkListings(t *testing.T, r *Reader, es []entry, keys []string) {
	t.Helper()
	count := map[string]int{}
	for _, e := range es {
		count[e.key]++
	}
	for _, from := range append([]string{"m"}, keys...) {
		var got, want []string
		it := r.Listings(ctx, []byte(from))
		for it.Next() {
			got = append(got, fmt.Sprintf("%q %s", it.Key(), it.Row()))
		}
		must(t, it.Close())
		for _, k := range keys {
			if k >= from && count[k] > 0 {
				want = append(want, fmt.Sprintf("%q %d", k, count[k]))
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("listings from %.60q: got %.300q, want %.300q", from, got, want)
		}
	}
	for _, k := range append([]string{"absent"}, keys...) {
		row, ok, err := r.Listing(ctx, []byte(k))
		if want := fmt.Sprint(count[k]); err != nil || ok != (count[k] > 0) || ok && string(row) != want {
			t.Fatalf("listing of %.60q: got %q, %v, %v, want %s", k, row, ok, err, want)
		}
	}
}

// TestIteratorWalks goes forth and back at random and compares each step with
// an index into a slice.
func TestIteratorWalks(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	es := randomEntries(rng, []string{"a", "b"}, 500, 0)
	r, _, _ := openTest(t, optionsFor(Zstd, 700), es)
	b := slices.DeleteFunc(slices.Clone(es), func(e entry) bool { return e.key != "b" })
	it := r.Entries(ctx, []byte("b"), 0, 0, false, EntryOptions{})
	defer it.Close()
	if it.Prev() {
		t.Fatal("prev before the first move: got an entry")
	}
	for i, n := -1, 0; n < 20_000; n++ {
		var ok bool
		switch rng.IntN(50) {
		case 0:
			i, ok = 0, it.First()
		case 1:
			i, ok = len(b)-1, it.Last()
		default:
			if rng.IntN(100) < 50+n%40-20 {
				i, ok = min(i+1, len(b)), it.Next()
			} else {
				i, ok = max(i-1, -1), it.Prev()
			}
		}
		if ok != (i >= 0 && i < len(b)) || ok && take(it) != b[i] {
			t.Fatalf("step %d at %d: got %v", n, i, ok)
		}
	}
}

// TestRequests counts what reads cost: they are money and latency.
func TestRequests(t *testing.T) {
	o := testOptions()
	var es []entry
	for _, k := range []string{"cold", "long", "one"} {
		for i := range map[string]int{"cold": 100, "long": 20_000, "one": 1}[k] {
			es = append(es, entry{k, uint64(i), o.BaseMs + int64(i), 0, fmt.Sprintf("%0250x", rand.Uint64())})
		}
	}
	data, tab := build(t, o, es)
	src := newBucket(t, tab.Name(), data)
	c := NewCache(64<<20, 1<<20)
	defer c.Close()
	tail := fmt.Sprintf("[%d, %d)", tab.Tail, tab.Size)
	want := func(what string, n int, first ...string) {
		t.Helper()
		got := src.requests()
		if len(got) != n || len(first) > 0 && got[0] != first[0] {
			t.Errorf("%s: got %d requests %v, want %d %v", what, len(got), got, n, first)
		}
	}
	open := func() *Reader {
		r, err := c.Open(ctx, src, testLog, tab)
		must(t, err)
		return r
	}
	if c.Cached(tab) {
		t.Error("cached before it was opened")
	}
	r := open()
	defer r.Close()
	if ok, _ := r.MayContain([]byte("absent")); ok || len(forward(t, r.Entries(ctx, []byte("absent"), 0, 0, false, EntryOptions{}))) > 0 {
		t.Error("absent key: got something")
	}
	want("open, and a key that the filter denies", 1, tail)
	if n := len(forward(t, r.Entries(ctx, []byte("cold"), 0, 0, false, EntryOptions{}))); n != 100 {
		t.Errorf("cold: got %d entries", n)
	}
	want("cold scan, tail cached", 1)
	again := open()
	if n := len(backward(t, again.Entries(ctx, []byte("cold"), 0, 0, false, EntryOptions{}))); n != 100 || !c.Cached(tab) {
		t.Errorf("warm: got %d entries", n)
	}
	must(t, again.Close())
	want("warm scan", 0)
	if blocks, size, err := r.Spread(ctx, []byte("long")); blocks < 100 || size < 1000 || err != nil {
		t.Errorf("spread: got %d blocks of %d bytes, %v", blocks, size, err)
	}
	want("spread", 0)
	if n := len(forward(t, r.Entries(ctx, []byte("one"), 0, 0, false, EntryOptions{}))); n != 1 {
		t.Errorf("one: got %d entries", n)
	}
	want("key of one entry", 1)
	it := r.Entries(ctx, []byte("long"), 0, 0, false, EntryOptions{})
	for range 200 {
		it.Next()
	}
	must(t, it.Close())
	want("a few entries of a long key", 1)
	if n := len(forward(t, r.All(ctx, EntryOptions{Hint: tab.Size}))); n != len(es) {
		t.Errorf("all: got %d entries, want %d", n, len(es))
	}
	want("pass over the table", 1)
	if c.Cached(Table{ID: tab.ID, Segment: tab.Segment}) {
		t.Error("a table of another nonce is said to be cached")
	}
}

// TestReadAheadDoubles: a long scan takes few reads, none beyond the key's own
// blocks, and the same number in either direction.
func TestReadAheadDoubles(t *testing.T) {
	o := optionsFor(None, 0)
	var es []entry
	for _, k := range []string{"a", "b", "c"} {
		for i := range 10_000 {
			es = append(es, entry{k, uint64(i), o.BaseMs, 0, strings.Repeat(k, 250)})
		}
	}
	for _, direction := range []func(testing.TB, *EntryIter) []entry{forward, backward} {
		r, src, _ := openTest(t, o, es)
		if n := len(direction(t, r.Entries(ctx, []byte("b"), 0, 0, false, EntryOptions{}))); n != 10_000 {
			t.Errorf("got %d entries", n)
		}
		got, total := src.requests(), int64(0)
		var lo, hi int64 = math.MaxInt64, 0
		for _, g := range got {
			var a, b int64
			_, err := fmt.Sscanf(g, "[%d, %d)", &a, &b)
			must(t, err)
			total, lo, hi = total+b-a, min(lo, a), max(hi, b)
		}
		// A window ends inside a block, which is then read again: one block for each read.
		if len(got) > 7 || total > hi-lo+int64(len(got))*DefaultBlockBytes || hi-lo > 10_000*280+2*DefaultBlockBytes {
			t.Errorf("2.6 MB: got %d reads of %d bytes inside %d: %v", len(got), total, hi-lo, got)
		}
	}
}

// TestOldBlocksAreNotRead: a scan from a time on skips what is older.
func TestOldBlocksAreNotRead(t *testing.T) {
	o := optionsFor(None, 0)
	var es []entry
	for i := range 10_000 {
		es = append(es, entry{"k", uint64(i), o.BaseMs + int64(i), 0, strings.Repeat("v", 250)})
	}
	r, src, _ := openTest(t, o, es)
	got := forward(t, r.Entries(ctx, []byte("k"), 0, 0, false, EntryOptions{FromMs: o.BaseMs + 9_900, HasFromMs: true}))
	wantEntries(t, "from 9,900", got, es[9_900:])
	if n := src.requests(); len(n) != 1 {
		t.Errorf("got %d requests %v, want 1", len(n), n)
	}
	late := EntryOptions{FromMs: o.BaseMs + 10_000, HasFromMs: true}
	wantEntries(t, "from beyond the end", forward(t, r.All(ctx, late)), nil)
	if n := src.requests(); len(n) != 0 {
		t.Errorf("table that is too old: got %v, want no request", n)
	}
}

// TestBucketErrorsStayThemselves: the caller renews its view on ErrNotFound,
// gives up on ErrAccessDenied and retries the rest, so none may be disguised.
func TestBucketErrorsStayThemselves(t *testing.T) {
	es := randomEntries(rand.New(rand.NewPCG(1, 1)), []string{"a", "b"}, 500, 0)
	data, tab := build(t, optionsFor(None, 0), es)
	for _, want := range []error{objstore.ErrNotFound, objstore.ErrAccessDenied, context.DeadlineExceeded, errors.New("connection reset")} {
		src := newBucket(t, tab.Name(), data)
		c := NewCache(1<<20, 1<<20)
		src.fail = func(int64, int64) error { return want }
		if _, err := c.Open(ctx, src, testLog, tab); !errors.Is(err, want) || errors.Is(err, objstore.ErrCorrupt) {
			t.Errorf("open: got %v, want %v", err, want)
		}
		src.fail = nil
		r, err := c.Open(ctx, src, testLog, tab)
		must(t, err)
		src.fail = func(int64, int64) error { return want }
		for name, err := range map[string]error{
			"entries": drainError(r.Entries(ctx, []byte("a"), 0, 0, false, EntryOptions{})),
			"all":     drainError(r.All(ctx, EntryOptions{})),
		} {
			if !errors.Is(err, want) || errors.Is(err, objstore.ErrCorrupt) {
				t.Errorf("%s: got %v, want %v", name, err, want)
			}
		}
		if _, _, err := r.Listing(ctx, []byte("a")); !errors.Is(err, want) {
			t.Errorf("listing: got %v, want %v", err, want)
		}
		src.fail = nil
		wantEntries(t, "after the outage", forward(t, r.All(ctx, EntryOptions{})), es)
		must(t, r.Close())
		must(t, c.Close())
	}
}

func drainError(it *EntryIter) error {
	for it.Next() {
	}
	return it.Close()
}
