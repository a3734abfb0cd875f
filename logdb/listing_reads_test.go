package logdb

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
	"github.com/logdb-go/logdb/segment"
)

// manySegments is a log of sealed segments of one table each. Their keys have
// so much data that reading any of it is seen.
func manySegments(t testing.TB, b objstore.Bucket, segments, keys int) {
	t.Helper()
	d := openLog(t, b, Options{ExternalCompactor: true})
	for s := range segments {
		var pairs []string
		for k := range keys {
			pairs = append(pairs, fmt.Sprintf("key %04d", k), string(padding[s%100:s%100+3000]))
		}
		mustAppend(t, d, Applied, pairs...)
		if _, _, err := d.SealSegment(context.Background(), nil); err != nil {
			t.Fatal(err)
		}
	}
	closeLog(t, d)
}

// onlyListings fails where a read of a table goes beyond its tail and the
// blocks that hold listing rows. The last of those holds the first entries, too.
func onlyListings(t *testing.T, b *objstoretest.Requests, m *segment.Manifest, perTable int) {
	t.Helper()
	tails := map[string]segment.Table{}
	for i := range m.Segments {
		for _, table := range m.Segments[i].Tables {
			tails[table.Name()] = table
		}
	}
	reads := map[string]int{}
	for _, op := range b.Ops() {
		table, ok := tails[op.Name]
		if !ok || op.Kind != objstoretest.GetRange {
			t.Errorf("%v %s", op.Kind, op.Name)
			continue
		}
		reads[op.Name]++
		if op.Offset != table.Tail && op.Offset+op.Length > segment.DefaultBlockBytes+1000 {
			t.Errorf("%s: [%d,%d) of %d bytes of data is read", op.Name, op.Offset, op.Offset+op.Length, table.Tail)
		}
		if reads[op.Name] > perTable {
			t.Errorf("%s is read %d times, want at most %d", op.Name, reads[op.Name], perTable)
		}
	}
}

// A count over many segments that nobody has read takes the time of a few tables,
// not of all of them one after the other.
func TestCountAsksTablesSideBySide(t *testing.T) {
	const segments, get = 48, 20 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		b := objstore.NewMem()
		manySegments(t, b, segments, 40)
		always := objstoretest.Quantiles{P50: get, P99: get}
		r := openReader(t, objstoretest.NewLatency(b, objstoretest.LatencyModel{Put: always, Get: always}), ReaderOptions{RefreshInterval: -1})
		begun := time.Now()
		if n, err := r.Count(t.Context(), []byte("key 0007"), Range{}); err != nil || n != segments {
			t.Fatalf("%d records, %v, want %d", n, err, segments)
		}
		// Two reads of each table, sixteen tables at once.
		if took, want := time.Since(begun), segments/16*2*get; took != want {
			t.Errorf("it took %v, want %v", took, want)
		}
	})
}

// Listing keys, and counting the records of one, over a hundred segments reads
// tails and listings, no data, and nothing at all the next time.
func TestListingsAreReadAndNoData(t *testing.T) {
	const segments, keys = 100, 40
	b := counted()
	manySegments(t, b, segments, keys)
	m := newestManifest(t, b)
	for _, c := range []struct {
		name string
		do   func(r *LogDbReader) uint64
		want uint64
	}{
		{"count", func(r *LogDbReader) uint64 {
			n, err := r.Count(t.Context(), []byte("key 0007"), Range{})
			if err != nil {
				t.Fatal(err)
			}
			return n
		}, segments},
		{"list", func(r *LogDbReader) (n uint64) {
			for k, err := range r.ListKeys(t.Context(), KeyOptions{}).All() {
				if err != nil || k.Count != segments {
					t.Fatalf("key %q has %d records: %v", k.Key, k.Count, err)
				}
				n++
			}
			return n
		}, keys},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := openReader(t, b, ReaderOptions{RefreshInterval: -1})
			b.Reset()
			if n := c.do(r); n != c.want {
				t.Errorf("got %d, want %d", n, c.want)
			}
			onlyListings(t, b, m, 2)
			b.Reset()
			if n := c.do(r); n != c.want || len(b.Ops()) > 0 {
				t.Errorf("the next time got %d, want %d, with %d requests, want none", n, c.want, len(b.Ops()))
			}
		})
	}
}

// A list of many keys is streamed: what it holds does not grow with their
// number.
func TestListOfKeysIsNotHeld(t *testing.T) {
	const keys, batch = 100_000, 1000
	b := objstore.NewMem()
	d := openLog(t, b, Options{})
	long := slices.Repeat([]byte("k"), 100)
	for i := 0; i < keys; i += batch {
		records := make([]Record, batch)
		for j := range records {
			records[j] = Record{Key: fmt.Appendf(slices.Clone(long), "%08d", i+j)}
		}
		if _, err := d.Append(t.Context(), records, AppendOptions{Ack: Applied}); err != nil {
			t.Fatal(err)
		}
	}
	mustSeal(t, d)
	closeLog(t, d)
	r := openReader(t, b, ReaderOptions{RefreshInterval: -1, Cache: 1 << 20})
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, most, n := heap(), int64(0), 0
	it := r.ListKeys(t.Context(), KeyOptions{})
	defer it.Close()
	for it.Next() {
		if n++; n%(keys/8) == 0 {
			most = max(most, heap()-before)
		}
	}
	if err := it.Err(); err != nil || n != keys {
		t.Fatalf("%d keys, want %d: %v", n, keys, err)
	}
	if limit := int64(keys * 108 / 2); most > limit { // half of what the keys alone would take
		t.Errorf("a list of %d keys holds %d bytes, want at most %d", keys, most, limit)
	}
}

// BenchmarkListKeys lists the keys of a log that lie in four segments, with
// their listings in memory. One op is one list.
func BenchmarkListKeys(b *testing.B) {
	for _, keys := range []int{10_000, 250_000} {
		b.Run(fmt.Sprint(4*keys), func(b *testing.B) {
			mem := objstore.NewMem()
			d := openLog(b, mem, Options{})
			for s := range 4 {
				for i := 0; i < keys; i += 1000 {
					records := make([]Record, 1000)
					for j := range records {
						records[j] = Record{Key: fmt.Appendf(nil, "tenant/%02d/key/%08d", s, i+j)}
					}
					if _, err := d.Append(b.Context(), records, AppendOptions{Ack: Applied}); err != nil {
						b.Fatal(err)
					}
				}
				if _, _, err := d.SealSegment(b.Context(), nil); err != nil {
					b.Fatal(err)
				}
			}
			closeLog(b, d)
			r := openReader(b, mem, ReaderOptions{RefreshInterval: -1})
			list := func() (n int) {
				it := r.ListKeys(b.Context(), KeyOptions{})
				defer it.Close()
				for it.Next() {
					n++
				}
				if err := it.Err(); err != nil || n != 4*keys {
					b.Fatalf("%d keys: %v", n, err)
				}
				return n
			}
			list()
			before := total(r.bucket.Counts())
			b.ReportAllocs()
			b.ResetTimer()
			n := 0
			for range b.N {
				n += list()
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "keys/s")
			b.ReportMetric(float64(total(r.bucket.Counts())-before)/float64(b.N), "requests/op")
		})
	}
}

// BenchmarkCount counts the records of one key over 100 segments, warm.
func BenchmarkCount(b *testing.B) {
	mem := objstore.NewMem()
	manySegments(b, mem, 100, 40)
	r := openReader(b, mem, ReaderOptions{RefreshInterval: -1})
	count := func() {
		if n, err := r.Count(b.Context(), []byte("key 0007"), Range{}); err != nil || n != 100 {
			b.Fatalf("%d: %v", n, err)
		}
	}
	count()
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		count()
	}
}
