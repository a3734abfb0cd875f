package view

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// recorded notes reads of tables.
type recorded struct {
	objstore.Reader
	mu    sync.Mutex
	reads map[string]int
	bytes int64
}

func (r *recorded) GetRange(ctx context.Context, name string, off, n int64) ([]byte, error) {
	r.mu.Lock()
	r.reads[fmt.Sprintf("%s [%d, %d)", name, off, off+n)]++
	r.bytes += n
	r.mu.Unlock()
	return r.Reader.GetRange(ctx, name, off, n)
}

// record begins anew, with cold caches that read ahead with a budget, or not.
func (f *fixture) record(budget *objstore.Budget) *recorded {
	r := &recorded{Reader: f.bucket, reads: map[string]int{}}
	f.view.Store.Source = r
	f.coldCache()
	f.view.Store.Cache.ReadAhead(budget)
	return r
}

// longKey writes tables of a key with so many records of 3 kB each, beside a
// key of little.
func longKey(t *testing.T, tables, records int) *fixture {
	f := newFixture(t)
	rng := rand.New(rand.NewPCG(1, 2))
	for range tables {
		for range records {
			f.timeMs++
			f.append("long", noise(rng, 3000))
		}
		f.append("short", "v")
		f.flush()
	}
	return f
}

// A scan over many tables reads no byte twice and asks for nothing that it would
// not ask for one by one, but for fewer and larger windows, and returns the same.
func TestReadingAheadOverTables(t *testing.T) {
	for _, c := range []struct{ tables, records int }{{30, 1}, {30, 20}, {6, 300}, {1, 2000}} {
		f := longKey(t, c.tables, c.records)
		for _, reverse := range []bool{false, true} {
			o := ScanOptions{Hi: f.next, Reverse: reverse}
			alone := f.record(nil)
			f.drain("long", o)
			budget := objstore.NewBudget(256 << 20)
			ahead := f.record(budget)
			it := f.view.Scan(ctx, []byte("long"), o)
			wantSame(t, fmt.Sprintf("%d tables, reverse %v", c.tables, reverse), entries(t, it), f.expect("long", o))
			f.check(it.Close())
			if len(ahead.reads) > len(alone.reads) || ahead.bytes > alone.bytes {
				t.Errorf("%d tables of %d records: %d reads of %d bytes, want at most the %d of %d without", c.tables, c.records, len(ahead.reads), ahead.bytes, len(alone.reads), alone.bytes)
			}
			for read, n := range ahead.reads {
				if n != 1 {
					t.Errorf("%s was read %d times", read, n)
				}
			}
			if budget.Ahead() != 0 {
				t.Errorf("%d bytes of the budget were never given back", budget.Ahead())
			}
		}
	}
}

// In virtual time, over the S3 model: a key that lies in many tables is read in
// a small part of the time that its reads take one after the other.
func TestTablesAreReadSideBySide(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // the race detector fails over timers that expire in two threads of a bubble
	for _, c := range []struct {
		tables, records int
		times           time.Duration
	}{{60, 20, 4}, {12, 300, 5}} {
		synctest.Test(t, func(t *testing.T) {
			f := longKey(t, c.tables, c.records)
			slow := objstoretest.NewLatency(f.bucket, objstoretest.S3Standard(1))
			for _, reverse := range []bool{false, true} {
				var took [2]time.Duration
				for i, budget := range []*objstore.Budget{nil, objstore.NewBudget(256 << 20)} {
					f.record(budget).Reader = slow
					begun := time.Now()
					f.drain("long", ScanOptions{Hi: f.next, Reverse: reverse})
					took[i] = time.Since(begun)
				}
				if took[1]*c.times > took[0] {
					t.Errorf("%d tables, reverse %v: %v, one read after the other %v: want %d times less", c.tables, reverse, took[1], took[0], c.times)
				} else {
					t.Logf("%d tables, reverse %v: %v, one read after the other %v", c.tables, reverse, took[1], took[0])
				}
			}
		})
	}
}

// wantSame compares what two scans returned.
func wantSame(t *testing.T, what string, got, want []Entry) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: got %d entries, want %d", what, len(got), len(want))
	}
	for i := range got {
		if got[i].Sequence != want[i].Sequence || got[i].TimeMs != want[i].TimeMs || string(got[i].Value) != string(want[i].Value) {
			t.Fatalf("%s: entry %d: got sequence %d, want %d", what, i, got[i].Sequence, want[i].Sequence)
		}
	}
}

// Scans of all kinds, stopped anywhere, return what the model does, with the
// budget of one window and with plenty.
func TestReadingAheadKeepsToTheModel(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	f := longKey(t, 5, 150)
	for range 3 {
		f.append("long", strings.Repeat("m", 100))
	}
	f.keepInMemory()
	for n := range 60 {
		o := ScanOptions{Lo: rng.Uint64N(f.next), Hi: f.next, Reverse: n%2 == 0}
		if n%3 == 0 {
			o.Hi = o.Lo + rng.Uint64N(f.next-o.Lo+1)
		}
		if rng.IntN(3) == 0 {
			o.Records, o.HasRecords = rng.Uint64N(800), true
		}
		if rng.IntN(3) == 0 {
			o.Bytes, o.HasBytes = rng.Uint64N(2<<20), true
		}
		if rng.IntN(4) == 0 {
			o.FromMs, o.HasFromMs = f.timeMs-rng.Int64N(800), true
		}
		budget := objstore.NewBudget([]int64{256 << 20, 1 << 20, 100 << 10}[rng.IntN(3)])
		if rng.IntN(3) > 0 {
			f.record(budget)
		} else {
			f.view.Store.Cache.ReadAhead(budget) // part of it is at hand
		}
		want := f.expect("long", o)
		it := f.view.Scan(ctx, []byte("long"), o)
		var got []Entry
		for stop := rng.IntN(1500); len(got) < stop && it.Next(); {
			got = append(got, Entry{Sequence: it.Sequence(), TimeMs: it.TimeMs(), Value: append([]byte(nil), it.Value()...)})
		}
		f.check(it.Err())
		if len(got) > len(want) || len(got) < len(want) && (it.over) {
			t.Fatalf("seed %d, scan %d, %+v: got %d entries, want %d", seed, n, o, len(got), len(want))
		}
		wantSame(t, fmt.Sprintf("seed %d, scan %d, %+v", seed, n, o), got, want[:len(got)])
		f.check(it.Close())
		if budget.Ahead() != 0 {
			t.Fatalf("seed %d, scan %d: %d bytes of the budget were never given back", seed, n, budget.Ahead())
		}
	}
}

// A limit bounds what is read ahead: behind the page there is at most as much
// again as an estimate may be wrong by.
func TestLimitsBoundReadingAhead(t *testing.T) {
	f := longKey(t, 40, 40) // 120 kB of the key in a table
	for _, o := range []ScanOptions{
		{Hi: f.next, Records: 200, HasRecords: true},
		{Hi: f.next, Bytes: 600_000, HasBytes: true},
		{Hi: f.next, Records: 200, HasRecords: true, Reverse: true},
		{Hi: 205},
	} {
		alone := f.record(nil)
		f.drain("long", o)
		ahead := f.record(objstore.NewBudget(256 << 20))
		f.drain("long", o)
		if len(ahead.reads) > len(alone.reads)+1 || ahead.bytes > alone.bytes+128<<10 {
			t.Errorf("%+v: %d reads of %d bytes, want about the %d of %d without", o, len(ahead.reads), ahead.bytes, len(alone.reads), alone.bytes)
		}
	}
}

// A table that cannot be opened fails the scan when it gets there.
func TestTableThatIsGoneFailsWhereItBegins(t *testing.T) {
	f := longKey(t, 6, 100)
	f.check(f.bucket.Delete(ctx, f.view.Parts[4].Table.Name()))
	var counts [2]int
	for i, budget := range []*objstore.Budget{nil, objstore.NewBudget(256 << 20)} {
		f.record(budget)
		it := f.view.Scan(ctx, []byte("long"), ScanOptions{Hi: f.next})
		for it.Next() {
			counts[i]++
		}
		if err := it.Err(); err == nil || !strings.Contains(err.Error(), f.view.Parts[4].Table.Name()) {
			t.Errorf("got %v", err)
		}
		f.check(it.Close())
		if budget != nil && budget.Ahead() != 0 {
			t.Errorf("%d bytes of the budget were never given back", budget.Ahead())
		}
	}
	if counts != [2]int{400, 400} {
		t.Errorf("got %d entries without and with reading ahead, want 400", counts)
	}
}
