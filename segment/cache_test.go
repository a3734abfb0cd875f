package segment

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/logdb-go/logdb/objstore"
)

// manyTables builds n tables of different numbers, all with the same entries.
func manyTables(t *testing.T, n int) (*bucket, []Table, []entry) {
	t.Helper()
	es := randomEntries(rand.New(rand.NewPCG(5, 5)), []string{"a", "b", "c"}, 200, 0)
	src, tabs := newBucket(t), make([]Table, n)
	for i := range tabs {
		o := testOptions()
		o.ID.N, o.Nonce = uint64(i), objstore.NewID()
		b, tab := build(t, o, es)
		_, err := src.mem.Put(ctx, tab.Name(), b, objstore.IfAbsent())
		must(t, err)
		tabs[i] = tab
	}
	return src, tabs, es
}

// TestConcurrentOpensShareOneRead: a view of many readers would otherwise ask
// for the same tail many times.
func TestConcurrentOpensShareOneRead(t *testing.T) {
	src, tabs, es := manyTables(t, 1)
	synctest.Test(t, func(t *testing.T) {
		c := NewCache(1<<20, 1<<20)
		release := make(chan struct{})
		src.fail = func(int64, int64) error { <-release; return nil }
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				r, err := c.Open(ctx, src, testLog, tabs[0])
				must(t, err)
				wantEntries(t, "all", forward(t, r.All(ctx, EntryOptions{})), es)
				must(t, r.Close())
			})
		}
		synctest.Wait()
		if got := src.requests(); len(got) != 1 {
			t.Errorf("while the first is under way: got %d requests, want 1", len(got))
		}
		close(release)
		wg.Wait()
		if s := c.Stats(); s.Loads != 1 || s.Joins != 15 || s.Pinned != 0 || s.Tables != 1 {
			t.Errorf("got %+v", s)
		}
		must(t, c.Close())
	})
}

// TestCancelledLeaderDoesNotFailOthers: the one who reads may give up; the
// ones who wait have contexts of their own.
func TestCancelledLeaderDoesNotFailOthers(t *testing.T) {
	src, tabs, _ := manyTables(t, 1)
	synctest.Test(t, func(t *testing.T) {
		c := NewCache(1<<20, 1<<20)
		leader, cancel := context.WithCancel(ctx)
		src.fail = func(int64, int64) error { <-leader.Done(); return leader.Err() }
		errs := make(chan error, 3)
		go func() {
			_, err := c.Open(leader, src, testLog, tabs[0])
			errs <- err
		}()
		synctest.Wait()
		impatient, stop := context.WithCancel(ctx)
		go func() {
			_, err := c.Open(impatient, src, testLog, tabs[0])
			errs <- err
		}()
		done := make(chan *Reader)
		go func() {
			r, err := c.Open(ctx, src, testLog, tabs[0])
			must(t, err)
			done <- r
		}()
		synctest.Wait()
		stop()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("who stopped waiting: got %v", err)
		}
		src.mu.Lock()
		src.fail = nil
		src.mu.Unlock()
		cancel()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("leader: got %v", err)
		}
		must(t, (<-done).Close())
		must(t, c.Close())
	})
}

// TestMetaBudget: tables leave in the order of their last use, never while
// they are read, and keep their blocks when they come back.
func TestMetaBudget(t *testing.T) {
	src, tabs, es := manyTables(t, 4)
	probe := NewCache(0, 1<<20)
	r, err := probe.Open(ctx, src, testLog, tabs[0])
	must(t, err)
	one := probe.Stats().MetaBytes
	must(t, r.Close())
	must(t, probe.Close())
	if one < tableOverhead || one > tableOverhead+2*(tabs[0].Size-tabs[0].Tail)+1024 {
		t.Errorf("a tail of %d bytes is counted as %d", tabs[0].Size-tabs[0].Tail, one)
	}

	c := NewCache(1<<20, 2*one+one/2)
	defer func() { must(t, c.Close()) }()
	cached := func() (s string) {
		for i, tab := range tabs {
			if c.Cached(tab) {
				s += fmt.Sprint(i)
			}
		}
		return s
	}
	open := func(i int) *Reader {
		r, err := c.Open(ctx, src, testLog, tabs[i])
		must(t, err)
		return r
	}
	use := func(i int) {
		r := open(i)
		wantEntries(t, "b", forward(t, r.Entries(ctx, []byte("b"), 0, 0, false, EntryOptions{})), entriesOf(es, "b"))
		must(t, r.Close())
		must(t, r.Close())
	}
	for _, step := range []struct {
		use  int
		want string
	}{{0, "0"}, {1, "01"}, {0, "01"}, {2, "02"}, {3, "23"}} {
		if use(step.use); cached() != step.want {
			t.Errorf("after using %d: cached %s, want %s", step.use, cached(), step.want)
		}
	}
	src.requests()
	use(0)
	if got := src.requests(); len(got) != 1 || got[0] != fmt.Sprintf("[%d, %d)", tabs[0].Tail, tabs[0].Size) {
		t.Errorf("a table that came back: got %v, want its tail alone", got)
	}
	pinned := []*Reader{open(1), open(2), open(3), open(1)}
	if s := c.Stats(); cached() != "123" || s.Pinned != 3 || s.MetaBytes <= s.MetaBudget {
		t.Errorf("all in use: cached %s, %+v", cached(), s)
	}
	for _, r := range pinned {
		must(t, r.Close())
	}
	if s := c.Stats(); len(cached()) != 2 || s.MetaBytes > s.MetaBudget || s.Pinned != 0 {
		t.Errorf("none in use: cached %s, %+v", cached(), s)
	}
}

func entriesOf(es []entry, key string) (mine []entry) {
	for _, e := range es {
		if e.key == key {
			mine = append(mine, e)
		}
	}
	return mine
}

// TestOpenComparesIdentities: an object under a wrong name, or a table of
// another log, is found at once, also when it is cached already.
func TestOpenComparesIdentities(t *testing.T) {
	b, tab := build(t, testOptions(), []entry{{"k", 1, testOptions().BaseMs, 0, "v"}})
	other := tab
	other.ID.N++
	compacted := tab
	compacted.ID.Compacted = true
	moved := tab
	moved.Segment++
	stranger := tab
	stranger.Nonce[3]++
	src := newBucket(t, tab.Name(), b, other.Name(), b, compacted.Name(), b, moved.Name(), b)
	c := NewCache(1<<20, 1<<20)
	defer c.Close()
	for range 2 {
		for want, x := range map[string]struct {
			log objstore.ID
			tab Table
		}{
			"log id: got": {objstore.ID{9}, tab}, "table id: got": {testLog, other}, "table id: got w": {testLog, compacted},
			"segment: got 5": {testLog, moved}, "nonce: got": {testLog, stranger},
		} {
			_, err := c.Open(ctx, src, x.log, x.tab)
			var corrupt *objstore.CorruptError
			if !errors.As(err, &corrupt) || corrupt.Object != x.tab.Name() || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v", want, err)
			}
		}
		r, err := c.Open(ctx, src, testLog, tab)
		must(t, err)
		must(t, r.Close())
	}
	if s := c.Stats(); s.Tables != 1 {
		t.Errorf("got %+v, want one table", s)
	}
}

func TestClosedCache(t *testing.T) {
	src, tabs, _ := manyTables(t, 1)
	c := NewCache(1<<20, 1<<20)
	must(t, c.Close())
	must(t, c.Close())
	if _, err := c.Open(ctx, src, testLog, tabs[0]); err == nil {
		t.Error("open: got no error")
	}
	if c.Cached(tabs[0]) {
		t.Error("cached")
	}
}

// TestManyReaders is for the race detector.
func TestManyReaders(t *testing.T) {
	src, tabs, es := manyTables(t, 4)
	c := NewCache(1<<16, 20<<10)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 9))
			for range 50 {
				r, err := c.Open(ctx, src, testLog, tabs[rng.IntN(len(tabs))])
				must(t, err)
				key := string(rune('a' + rng.IntN(3)))
				wantEntries(t, key, forward(t, r.Entries(ctx, []byte(key), 0, 0, false, EntryOptions{})), entriesOf(es, key))
				wantEntries(t, "all", backward(t, r.All(ctx, EntryOptions{})), es)
				must(t, r.Close())
			}
		})
	}
	wg.Wait()
	if s := c.Stats(); s.Pinned != 0 {
		t.Errorf("got %+v", s)
	}
	must(t, c.Close())
}

// TestReadersOutliveTheCache: whoever closes a log does not know who still
// reads from it, and blocks are no garbage collector's memory.
func TestReadersOutliveTheCache(t *testing.T) {
	src, tabs, es := manyTables(t, 2)
	c := NewCache(1<<20, 1<<20)
	r, err := c.Open(ctx, src, testLog, tabs[0])
	must(t, err)
	must(t, c.Close())
	wantEntries(t, "all", forward(t, r.All(ctx, EntryOptions{})), es)
	wantEntries(t, "cached", forward(t, r.All(ctx, EntryOptions{})), es)
	for _, tab := range tabs {
		if _, err := c.Open(ctx, src, testLog, tab); !errors.Is(err, ErrCacheClosed) {
			t.Errorf("open of %s: got %v, want ErrCacheClosed", tab.Name(), err)
		}
	}
	must(t, r.Close())
	must(t, c.Close())
}
