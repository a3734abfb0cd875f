package segment

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
)

// benchWords makes values that compress about as logs do.
func benchValues(n, size int) [][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	words := []string{"level=info", "msg=\"request served\"", "status=200", "path=/api/v1/items/", "duration=", "tenant=", "host=node-", "trace="}
	vs := make([][]byte, n)
	for i := range vs {
		var v []byte
		for len(v) < size {
			v = fmt.Appendf(v, "%s%x ", words[rng.IntN(len(words))], rng.Uint64N(1<<24))
		}
		vs[i] = v[:size]
	}
	return vs
}

func buildBench(w *Writer, keys [][]byte, perKey int, values [][]byte) {
	for i, k := range keys {
		_ = w.AddListing(k, values[i%len(values)][:16])
	}
	seq := uint64(0)
	for i, k := range keys {
		for j := range perKey {
			seq++
			_ = w.Add(k, uint64(j)*uint64(len(keys))+uint64(i), 1_700_000_000_000+int64(j), 0, values[(i*perKey+j)%len(values)])
		}
	}
}

func benchKeys(n int) [][]byte {
	keys := make([][]byte, n)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "tenant/service/stream-%06d", i)
	}
	return keys
}

func BenchmarkBuild(b *testing.B) {
	values := benchValues(1<<14, 256)
	for _, c := range []struct {
		name         string
		keys, perKey int
		compression  Compression
	}{
		{"keys=100k/zstd", 100_000, 3, Zstd}, {"keys=1k/zstd", 1000, 300, Zstd}, {"keys=100k/none", 100_000, 3, None},
	} {
		b.Run(c.name, func(b *testing.B) {
			keys := benchKeys(c.keys)
			b.SetBytes(int64(c.keys*c.perKey) * (256 + 28))
			b.ReportAllocs()
			var size, tail int64
			for range b.N {
				o := testOptions()
				o.Compression = c.compression
				w := NewWriter(o)
				buildBench(w, keys, c.perKey, values)
				_, t, err := w.Finish()
				must(b, err)
				size, tail = t.Size, t.Size-t.Tail
			}
			b.ReportMetric(float64(size)/1e6, "MB/object")
			b.ReportMetric(float64(tail)/1e3, "KB/tail")
		})
	}
}

func benchReader(b *testing.B, o WriterOptions, keys, perKey int) (*Cache, *bucket, Table) {
	w := NewWriter(o)
	buildBench(w, benchKeys(keys), perKey, benchValues(1<<12, 256))
	data, t, err := w.Finish()
	must(b, err)
	c := NewCache(256<<20, 64<<20)
	b.Cleanup(func() { must(b, c.Close()) })
	return c, newBucket(b, t.Name(), data), t
}

// BenchmarkScan reads the 100 entries of one key.
func BenchmarkScan(b *testing.B) {
	ctx := context.Background()
	for _, compression := range []Compression{Zstd, None} {
		o := testOptions()
		o.Compression = compression
		c, src, t := benchReader(b, o, 1000, 100)
		r, err := c.Open(ctx, src, testLog, t)
		must(b, err)
		keys := benchKeys(1000)
		scan := func(b *testing.B, c *Cache, i int) {
			it := r.Entries(ctx, keys[i%len(keys)], 0, 0, false, EntryOptions{})
			n := 0
			for it.Next() {
				n += len(it.Value())
			}
			if must(b, it.Close()); n != 25600 {
				b.Fatal(n)
			}
		}
		b.Run(fmt.Sprintf("warm/%d", compression), func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				scan(b, c, i)
			}
		})
		b.Run(fmt.Sprintf("absent/%d", compression), func(b *testing.B) {
			for range b.N {
				_, _ = r.MayContain([]byte("tenant/service/absent"))
			}
		})
		must(b, r.Close())
	}
}

// BenchmarkPass reads a whole table whose tail is cached and whose blocks are not.
func BenchmarkPass(b *testing.B) {
	ctx := context.Background()
	for _, compression := range []Compression{Zstd, None} {
		o := testOptions()
		o.Compression = compression
		_, src, t := benchReader(b, o, 1000, 100)
		c := NewCache(0, 64<<20)
		r, err := c.Open(ctx, src, testLog, t)
		must(b, err)
		b.Run(fmt.Sprint(compression), func(b *testing.B) {
			b.SetBytes(int64(t.KeyBytes + t.ValueBytes))
			b.ReportAllocs()
			for range b.N {
				it := r.All(ctx, EntryOptions{})
				for it.Next() {
				}
				must(b, it.Close())
			}
		})
		must(b, r.Close())
		must(b, c.Close())
	}
}

// BenchmarkCold opens a table and reads one key, with nothing cached.
func BenchmarkCold(b *testing.B) {
	ctx := context.Background()
	_, src, t := benchReader(b, testOptions(), 1000, 100)
	key := benchKeys(500)[499]
	for range b.N {
		c := NewCache(1<<20, 1<<20)
		r, err := c.Open(ctx, src, testLog, t)
		must(b, err)
		it := r.Entries(ctx, key, 0, 0, false, EntryOptions{})
		for it.Next() {
		}
		must(b, it.Close())
		must(b, r.Close())
		must(b, c.Close())
	}
	b.ReportMetric(float64(len(src.requests()))/float64(b.N), "requests/op")
}
