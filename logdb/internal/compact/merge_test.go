package compact

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/logdb-go/logdb/listing"
	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
)

func sortedKeys(m map[string][]entry) []string { return slices.Sorted(maps.Keys(m)) }

// After a merge every key has the entries it had, in the same order, with
// flags and attributes; the rows say what the entries say; and a second merge
// changes nothing.
func TestMergeKeepsEverything(t *testing.T) {
	for _, maxBytes := range []int64{1, 5_000, 40_000, 64 << 20} {
		seed := rand.Uint64()
		rng := rand.New(rand.NewPCG(seed, 0))
		f := newFixture(t)
		keys := hostileKeys()
		for range 1 + rng.IntN(12) {
			some := keys[rng.IntN(len(keys)):]
			f.table(rng, some, 1+rng.IntN(200), 200)
		}
		want, wantRows := f.read(f.tables)
		for pass := range 2 {
			f.tables = f.merge(maxBytes)
			got, rows := f.read(f.tables)
			if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(rows, wantRows) {
				t.Fatalf("seed %d, bound %d, pass %d: the tables hold something else", seed, maxBytes, pass)
			}
			for key, es := range want {
				if rows[key] != rowOf(es) {
					t.Fatalf("seed %d: row of %.20q: got %v, want %v", seed, key, rows[key], rowOf(es))
				}
			}
		}
		checkSortedRun(t, f, f.tables, maxBytes)
	}
}

// checkSortedRun holds the outputs against the bound: none exceeds it by more
// than compression is trusted with, though keys that compress a thousandfold lie
// beside noise here, and none shares a key with another unless that key alone is
// too much.
func checkSortedRun(t *testing.T, f *fixture, tables []segment.Table, maxBytes int64) {
	t.Helper()
	perKey := map[string]int64{}
	for _, table := range tables {
		byKey, _ := f.read([]segment.Table{table})
		if len(byKey) > 1 && table.Size > maxRatio*maxBytes+2_000 {
			t.Errorf("table of %d bytes with %d keys, want %d at most", table.Size, len(byKey), maxRatio*maxBytes)
		}
		for key := range byKey {
			perKey[key]++
		}
	}
	all, _ := f.read(tables)
	for key, n := range perKey {
		raw := int64(0)
		for _, e := range all[key] {
			raw += int64(len(e.key)+len(e.payload)) + 2*rowBytes
		}
		if n > 1 && raw < maxBytes/2 {
			t.Errorf("key %.20q of %d bytes is spread over %d tables of %d bytes", key, raw, n, maxBytes)
		}
	}
}

// Outputs fill the bound: a consolidation must not trade one table too large
// for a hundred too small.
func TestOutputsComeCloseToTheBound(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	f := newFixture(t)
	for range 8 {
		f.table(rng, plainKeys(2000), 5000, 200)
	}
	const bound = 300_000
	outputs := f.merge(bound)
	for _, table := range outputs[:len(outputs)-1] {
		if table.Size < bound*8/10 || table.Size > bound*11/10 {
			t.Errorf("got an output of %d bytes, want %d at most and little less", table.Size, bound)
		}
	}
}

// Two reads of every input beside its tail: listing rows, and entries.
func TestInputsAreReadOnce(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	f := newFixture(t)
	size := uint64(0)
	for range 6 {
		f.table(rng, plainKeys(100), 2000, 200)
		size += uint64(f.tables[len(f.tables)-1].Size)
	}
	f.coldCache()
	before := f.bucket.Counts()
	f.merge(100_000)
	after := f.bucket.Counts()
	if got, want := after.Requests["get_range"]-before.Requests["get_range"], uint64(3*len(f.tables)); got != want {
		t.Errorf("got %d reads, want %d", got, want)
	}
	// A window of listing rows may reach into the first blocks of entries.
	got := after.Bytes["get_range"] - before.Bytes["get_range"]
	if spare := uint64(len(f.tables)) * 8 << 10; got > size+spare {
		t.Errorf("read %d bytes, want at most %d of %d in the inputs", got, size+spare, size)
	}
}

// Many inputs share one budget: what all of them read ahead at once does not
// grow with their number.
func TestReadAheadIsSharedByTheInputs(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	f := newFixture(t)
	for range 128 {
		f.table(rng, plainKeys(50), 700, 1000)
	}
	f.coldCache()
	sized := &largestRead{Reader: f.store.Source, tails: map[string]int64{}}
	for i := range f.tables {
		sized.tails[f.tables[i].Name()] = f.tables[i].Tail
	}
	f.store.Source = sized
	f.check(Merge(ctx, f.store, f.tables, f.options, 64<<20, func([]byte, segment.Table) error { return nil }))
	if limit := int64(readAheadBytes) / (3 * 128); sized.most > limit || sized.most < limit/2 {
		t.Errorf("a window of %d bytes, want nearly %d", sized.most, limit)
	}
}

// largestRead notes the largest window of data that is read at once.
type largestRead struct {
	objstore.Reader
	tails map[string]int64
	mu    sync.Mutex
	most  int64
}

func (l *largestRead) GetRange(ctx context.Context, name string, off, n int64) ([]byte, error) {
	if off < l.tails[name] {
		l.mu.Lock()
		l.most = max(l.most, n)
		l.mu.Unlock()
	}
	return l.Reader.GetRange(ctx, name, off, n)
}

// What a merge holds does not grow with what it merges, but with one output
// and one window for each input.
func TestMemoryIsBoundedByOneOutput(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	f := newFixture(t)
	total := int64(0)
	for range 2 {
		f.table(rng, plainKeys(2000), 40_000, 1000)
		total += f.tables[len(f.tables)-1].Size
	}
	f.coldCache()
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, most, n := heap(), int64(0), 0
	const bound = 2 << 20
	f.check(Merge(ctx, f.store, f.tables, f.options, bound, func(data []byte, _ segment.Table) error {
		most = max(most, heap()-before)
		n++
		runtime.KeepAlive(data)
		return nil
	}))
	const cache, window = 2 << 20, 8 << 20
	limit := int64(cache + len(f.tables)*window + 4*bound)
	t.Logf("%d MiB in %d outputs, %d MiB in memory", total>>20, n, most>>20)
	if most > limit || total < limit {
		t.Errorf("held %d bytes merging %d, want at most %d", most, total, limit)
	}
}

// A row that does not say what the entries say would lose or double them
// unseen, now or at the next merge.
func TestListingAndEntriesMustAgree(t *testing.T) {
	row := func(n uint64) []byte {
		return listing.Append(nil, listing.Listing{Records: n, First: 1, Last: n})
	}
	for name, write := range map[string]func(f *fixture, w *segment.Writer){
		"row of more":      func(f *fixture, w *segment.Writer) { f.check(w.AddListing([]byte("k"), row(3))) },
		"row of fewer":     func(f *fixture, w *segment.Writer) { f.check(w.AddListing([]byte("k"), row(1))) },
		"row of another":   func(f *fixture, w *segment.Writer) { f.check(w.AddListing([]byte("j"), row(2))) },
		"row of a later":   func(f *fixture, w *segment.Writer) { f.check(w.AddListing([]byte("l"), row(2))) },
		"no row":           func(f *fixture, w *segment.Writer) {},
		"row of no format": func(f *fixture, w *segment.Writer) { f.check(w.AddListing([]byte("k"), []byte{1, 2})) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.table(rand.New(rand.NewPCG(4, 4)), []string{"a", "k", "z"}, 20, 10)
			w := segment.NewWriter(f.options())
			write(f, w)
			f.check(w.Add([]byte("k"), 1_000_000, f.timeMs, 0, nil))
			f.check(w.Add([]byte("k"), 1_000_001, f.timeMs, 0, nil))
			f.finish(w)
			err := Merge(ctx, f.store, f.tables, f.options, 1<<20, func([]byte, segment.Table) error { return nil })
			if !errors.Is(err, objstore.ErrCorrupt) {
				t.Fatalf("got %v, want corruption", err)
			}
		})
	}
}

func TestMergeEndsAtTheFirstError(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	f := newFixture(t)
	for range 3 {
		f.table(rng, plainKeys(50), 500, 200)
	}
	full := errors.New("disk full")
	calls := 0
	err := Merge(ctx, f.store, f.tables, f.options, 20_000, func([]byte, segment.Table) error { calls++; return full })
	if !errors.Is(err, full) || calls != 1 {
		t.Errorf("emit fails: got %v after %d calls", err, calls)
	}
	ended, cancel := context.WithCancel(ctx)
	err = Merge(ended, f.store, f.tables, f.options, 20_000, func([]byte, segment.Table) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("context ends: got %v", err)
	}
	f.check(f.bucket.Delete(ctx, f.tables[1].Name()))
	f.coldCache()
	err = Merge(ctx, f.store, f.tables, f.options, 20_000, func([]byte, segment.Table) error { return nil })
	if !errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("input is gone: got %v", err)
	}
	if err := Merge(ctx, f.store, nil, f.options, 20_000, nil); err != nil {
		t.Errorf("no inputs: got %v", err)
	}
}

func BenchmarkMerge(b *testing.B) {
	rng := rand.New(rand.NewPCG(6, 6))
	f := newFixture(&testing.T{})
	raw := int64(0)
	for range 8 {
		f.table(rng, plainKeys(10_000), 50_000, 512)
		t := f.tables[len(f.tables)-1]
		raw += int64(t.KeyBytes + t.ValueBytes)
	}
	b.SetBytes(raw)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if err := Merge(ctx, f.store, f.tables, f.options, 64<<20, func([]byte, segment.Table) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
