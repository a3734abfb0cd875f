package segment

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// wanter is a scan of one table, with an end that is known or not.
type wanter struct {
	wanted func(seen int64) int64
	onward int
}

func (w *wanter) Wanted(seen int64) int64 {
	if w.wanted == nil {
		return math.MaxInt64
	}
	return w.wanted(seen)
}

func (w *wanter) Onward() { w.onward++ }

// longTable is a table whose key "b" has 4,000 blocks of one entry each, about
// 4 KiB, between two other keys; with a cache that reads ahead with that budget.
func longTable(t testing.TB, src func(*bucket) objstore.Reader, budget *objstore.Budget) (*Reader, *bucket) {
	t.Helper()
	data, tab := longBytes(t)
	b := newBucket(t, tab.Name(), data)
	c := NewCache(1<<20, 8<<20)
	c.ReadAhead(budget)
	r, err := c.Open(context.Background(), src(b), testLog, tab)
	must(t, err)
	b.requests()
	t.Cleanup(func() {
		must(t, r.Close())
		must(t, c.Close())
		if budget != nil && budget.Ahead() != 0 {
			t.Errorf("%d bytes of the budget were never given back", budget.Ahead())
		}
	})
	return r, b
}

// longBytes is built once: all tests read the same.
func longBytes(t testing.TB) ([]byte, Table) {
	built.Do(func() {
		o := optionsFor(None, 1)
		var es []entry
		for _, k := range []string{"a", "b", "c"} {
			for i := range map[string]int{"a": 100, "b": 4000, "c": 100}[k] {
				es = append(es, entry{k, uint64(i), o.BaseMs + int64(i), 0, strings.Repeat(k, 4<<10)})
			}
		}
		built.data, built.table = build(t, o, es)
	})
	return built.data, built.table
}

var built struct {
	sync.Once
	data  []byte
	table Table
}

func bare(b *bucket) objstore.Reader { return b }

// longScan is a scan of all of "b", or of those from a time on.
func longScan(ctx context.Context, r *Reader, w *wanter, from int64) *EntryIter {
	a := r.cache.Ahead(w)
	return r.Entries(ctx, []byte("b"), 0, 0, false, EntryOptions{Ahead: &a, FromMs: from, HasFromMs: from > 0})
}

// Reading ahead asks for the windows that a scan would ask for one by one, in
// either direction, and for nothing that a bound in time rules out.
func TestReadingAheadAsksForTheSameWindows(t *testing.T) {
	base := testOptions().BaseMs
	for _, from := range []int64{0, base + 2000} {
		for name, direction := range map[string]func(testing.TB, *EntryIter) []entry{"forward": forward, "backward": backward} {
			one, b := longTable(t, bare, nil)
			want := direction(t, longScan(ctx, one, &wanter{}, from))
			windows := b.requests()
			ahead, b := longTable(t, bare, objstore.NewBudget(256<<20))
			w := &wanter{}
			wantEntries(t, name, direction(t, longScan(ctx, ahead, w, from)), want)
			got := b.requests()
			slices.Sort(windows)
			slices.Sort(got)
			if len(windows) < 6 || !slices.Equal(got, windows) {
				t.Errorf("%s from %d: got %d reads %v, want those of a scan that reads nothing ahead: %d %v", name, from, len(got), got, len(windows), windows)
			}
			if w.onward == 0 && (from == 0 || name == "forward") {
				t.Errorf("%s from %d: nobody was told that the rest of the table is under way", name, from)
			}
		}
	}
}

// Scans that end in their first window, or in the second, cost what they did,
// and what is at hand is not read.
func TestShortScansReadNothingAhead(t *testing.T) {
	r, b := longTable(t, bare, objstore.NewBudget(256<<20))
	read := func(n int) []string {
		t.Helper()
		it := longScan(ctx, r, &wanter{}, 0)
		for range n {
			if !it.Next() {
				t.Fatal(it.Err())
			}
		}
		must(t, it.Close())
		return b.requests()
	}
	for _, c := range []struct{ entries, gets int }{{1, 1}, {15, 1}, {15, 0}} {
		if got := read(c.entries); len(got) != c.gets {
			t.Errorf("%d entries: got %v, want %d reads", c.entries, got, c.gets)
		}
	}
	fresh, b := longTable(t, bare, objstore.NewBudget(256<<20))
	it := longScan(ctx, fresh, &wanter{wanted: func(int64) int64 { return 0 }}, 0)
	for range 40 { // into the second window
		it.Next()
	}
	must(t, it.Close())
	if got := b.requests(); len(got) != 2 {
		t.Errorf("a scan that knows that it ends in its second window: got %v, want 2 reads", got)
	}
}

// gated is a bucket whose reads wait to be let through, one by one.
type gated struct {
	objstore.Reader
	mu    sync.Mutex
	under map[int64]chan struct{} // by offset
}

func (g *gated) GetRange(ctx context.Context, name string, off, n int64) ([]byte, error) {
	pass := make(chan struct{})
	g.mu.Lock()
	g.under[off] = pass
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.under, off)
	}()
	select {
	case <-pass:
		return g.Reader.GetRange(ctx, name, off, n)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// flying is how many reads are under way once nothing moves any more.
func (g *gated) flying() int {
	synctest.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.under)
}

// pass lets the first read of the table through.
func (g *gated) pass() {
	g.mu.Lock()
	defer g.mu.Unlock()
	first := slices.Min(slices.Collect(maps.Keys(g.under)))
	close(g.under[first])
	delete(g.under, first)
}

// gatedScan opens a table whose windows are 64 KiB throughout.
func gatedScan(t *testing.T, budget *objstore.Budget) (*Reader, *gated) {
	g := &gated{under: map[int64]chan struct{}{}}
	open := make(chan struct{})
	r, _ := longTable(t, func(b *bucket) objstore.Reader {
		g.Reader = b
		go func() { // the tail
			for g.flying() == 0 {
			}
			g.pass()
			close(open)
		}()
		return g
	}, budget)
	<-open
	r.BoundReadAhead(MinWindow)
	return r, g
}

// With each window that is used up twice as many reads are under way, to the
// bound of a scan, and no more than the budget has room for.
func TestReadsUnderWayDouble(t *testing.T) {
	for _, c := range []struct {
		budget int64
		want   []int
	}{
		{256 << 20, []int{1, 2, 3, 5, 9, 17, 32, 32}},
		{2 * 4 * (MinWindow + 100), []int{1, 2, 3, 4, 4, 4}}, // four windows of almost 64 KiB: one of them is what the scan waits for
		{MinWindow, []int{1, 1, 1, 1}},
	} {
		synctest.Test(t, func(t *testing.T) {
			r, g := gatedScan(t, objstore.NewBudget(c.budget))
			ended := make(chan struct{})
			it := longScan(ctx, r, &wanter{}, 0)
			n := 0
			go func() {
				defer close(ended)
				for it.Next() {
					n++
				}
			}()
			var got []int
			for range c.want {
				got = append(got, g.flying())
				g.pass()
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("budget %d: %v reads under way as windows came in, want %v", c.budget, got, c.want)
			}
			for g.flying() > 0 {
				g.pass()
			}
			<-ended
			if must(t, it.Close()); n != 4000 {
				t.Errorf("budget %d: got %d entries", c.budget, n)
			}
		})
	}
}

// A steady pass has one read under way beside the one that it waits for, from its
// first on, without a budget of the cache's, and reads what it would have read.
func TestSteadyPassIsOneReadAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, g := gatedScan(t, nil)
		ended := make(chan struct{})
		it, n := r.All(ctx, EntryOptions{Steady: true}), 0
		go func() {
			defer close(ended)
			for it.Next() {
				n++
			}
		}()
		for i := range 50 {
			if under := g.flying(); under != 2 {
				t.Errorf("%d reads under way after %d windows, want 2", under, i)
			}
			g.pass()
		}
		for g.flying() > 0 {
			g.pass()
		}
		<-ended
		if must(t, it.Close()); n != 4200 {
			t.Errorf("got %d entries, want 4200", n)
		}
	})
	r, b := longTable(t, bare, nil)
	for _, bound := range []int64{MaxWindow, 200 << 10} {
		r.BoundReadAhead(bound)
		want := forward(t, r.All(ctx, EntryOptions{}))
		windows := b.requests()
		wantEntries(t, "a steady pass", forward(t, r.All(ctx, EntryOptions{Steady: true})), want)
		got := b.requests()
		slices.Sort(windows)
		slices.Sort(got)
		if !slices.Equal(got, windows) {
			t.Errorf("windows of %d bytes: got %v, want those of a pass that reads nothing ahead: %v", bound, got, windows)
		}
	}
}

// A scan that is closed, or whose context ends, calls its reads back and leaves
// no goroutine: the bubble would not end.
func TestReadsAheadEndWithTheScan(t *testing.T) {
	for _, end := range []string{"close", "cancel"} {
		synctest.Test(t, func(t *testing.T) {
			r, g := gatedScan(t, objstore.NewBudget(256<<20))
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			it := longScan(ctx, r, &wanter{}, 0)
			ended := make(chan int)
			go func() {
				n := 0
				for (end == "cancel" || n < 70) && it.Next() {
					n++
				}
				if end == "close" {
					must(t, it.Close())
				}
				ended <- n
			}()
			for range 5 { // entries 0 to 69 are in the first five windows
				g.flying()
				g.pass()
			}
			if n := g.flying(); end == "cancel" && n != 17 {
				t.Errorf("%d reads under way, want 17", n)
			}
			if end == "cancel" {
				cancel()
			}
			n := <-ended
			if err := it.Close(); end == "cancel" && !errors.Is(err, context.Canceled) || end == "close" && err != nil {
				t.Errorf("%s: got %v", end, err)
			}
			if under := g.flying(); under != 0 || n < 70 {
				t.Errorf("%s: %d reads under way after %d entries", end, under, n)
			}
		})
	}
}

// A read ahead that fails says so when the scan is there, and not before.
func TestFailedReadAheadShowsWhenItIsWanted(t *testing.T) {
	gone := errors.New("gone")
	for _, bad := range []int64{600 << 10, 2 << 20, 10 << 20} {
		var counts [2]int
		for i, budget := range []*objstore.Budget{nil, objstore.NewBudget(256 << 20)} {
			r, b := longTable(t, bare, budget)
			b.fail = func(off, n int64) error {
				if off <= bad && bad < off+n {
					return gone
				}
				return nil
			}
			it := longScan(ctx, r, &wanter{}, 0)
			for it.Next() {
				counts[i]++
			}
			if err := it.Close(); !errors.Is(err, gone) || !strings.Contains(err.Error(), "table seg/") {
				t.Errorf("byte %d cannot be read: got %v", bad, err)
			}
		}
		if counts[0] == 0 || counts[0] != counts[1] {
			t.Errorf("byte %d cannot be read: got %d entries before it, want %d", bad, counts[1], counts[0])
		}
	}
}

// A scan whose end is estimated sends for nothing far behind it.
func TestReadsAheadStayBeforeTheEnd(t *testing.T) {
	r, b := longTable(t, bare, objstore.NewBudget(256<<20))
	const end = 3 << 20
	it := longScan(ctx, r, &wanter{wanted: func(seen int64) int64 { return end - seen }}, 0)
	n := int64(0)
	for n < end && it.Next() {
		n += int64(len(it.Value()))
	}
	must(t, it.Close())
	most := int64(0)
	for _, g := range b.requests() {
		var lo, hi int64
		_, err := fmt.Sscanf(g, "[%d, %d)", &lo, &hi)
		must(t, err)
		most = max(most, hi)
	}
	start := int64(100 * (4<<10 + 40)) // of "b"
	if most > start+end+end/10+2*MinWindow {
		t.Errorf("read to offset %d, want about %d at most", most, start+end)
	}
}

// At a sixteenth of the size and the speed of S3, and in virtual time: a scan of
// one long key reaches what sixteen reads at once do.
func TestLongScanIsAsFastAsParallelReads(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // the race detector fails over timers that expire in two threads of a bubble
	o := optionsFor(None, 32<<10)
	var es []entry
	for i := range 2000 {
		es = append(es, entry{"k", uint64(i), o.BaseMs, 0, strings.Repeat("v", 32<<10)})
	}
	data, tab := build(t, o, es)
	for name, direction := range map[string]func(testing.TB, *EntryIter) []entry{"forward": forward, "backward": backward} {
		synctest.Test(t, func(t *testing.T) {
			mem := objstore.NewMem()
			_, err := mem.Put(ctx, tab.Name(), data, objstore.Always())
			must(t, err)
			model := objstoretest.S3Standard(1)
			model.BytesPerSecond /= 16
			slow := &bucket{Reader: objstoretest.NewLatency(mem, model)}
			c := NewCache(1<<20, 8<<20)
			c.ReadAhead(objstore.NewBudget(256 << 20))
			r, err := c.Open(ctx, slow, o.Log, tab)
			must(t, err)
			slow.requests()
			r.BoundReadAhead(MaxWindow / 16)
			a := c.Ahead(&wanter{})
			begun := time.Now()
			if n := len(direction(t, r.Entries(ctx, []byte("k"), 0, 0, false, EntryOptions{Ahead: &a}))); n != 2000 {
				t.Fatalf("got %d entries", n)
			}
			took, reads := time.Since(begun), slow.requests()
			begun = time.Now()
			replay(t, slow, tab.Name(), reads, 16)
			parallel := time.Since(begun)
			if share := parallel.Seconds() / took.Seconds(); share < 0.8 || len(reads) < 100 {
				t.Errorf("%s: %d reads took %v, sixteen at once %v: got a share of %.2f, want at least 0.8", name, len(reads), took, parallel, share)
			} else {
				t.Logf("%s: %d reads took %v, sixteen at once %v: %.2f", name, len(reads), took, parallel, share)
			}
			must(t, r.Close())
			must(t, c.Close())
		})
	}
}

// replay asks for the same ranges again, so many at once.
func replay(t *testing.T, src objstore.Reader, name string, reads []string, atOnce int) {
	var g sync.WaitGroup
	next := make(chan string)
	for range atOnce {
		g.Go(func() {
			for read := range next {
				var lo, hi int64
				if _, err := fmt.Sscanf(read, "[%d, %d)", &lo, &hi); err != nil {
					t.Error(err)
				}
				if _, err := src.GetRange(ctx, name, lo, hi-lo); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for _, read := range reads {
		next <- read
	}
	close(next)
	g.Wait()
}
