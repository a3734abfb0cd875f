package logdb

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/logdb-go/logdb/objstore"
)

// cpuSeconds is what this process has used, load generator included.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// textValues are log-like lines of the given size, about 2.5 times
// compressible, cut out of one long text.
func textValues(n, size int) [][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	words := make([]string, 2000)
	for i := range words {
		words[i] = fmt.Sprintf("%x", rng.Uint64())[:3+rng.IntN(9)]
	}
	values := make([][]byte, n)
	for i := range values {
		v := fmt.Appendf(nil, `{"level":"info","id":%d,"msg":"`, rng.Uint64())
		for len(v) < size {
			v = append(append(v, words[rng.IntN(len(words))]...), ' ')
		}
		values[i] = v[:size]
	}
	return values
}

// benchBucket counts what is put.
type benchBucket struct {
	objstore.Bucket
	puts, bytes atomic.Int64
}

func (b *benchBucket) Put(ctx context.Context, name string, data []byte, c objstore.Condition) (string, error) {
	b.puts.Add(1)
	b.bytes.Add(int64(len(data)))
	return b.Bucket.Put(ctx, name, data, c)
}

// BenchmarkIngest appends batches of 100 records of 256 B over 100 k keys at
// Applied, while tables are flushed to a memory bucket. One op is one batch.
func BenchmarkIngest(b *testing.B) {
	for _, mode := range []string{"diskless", "wal"} {
		b.Run(mode, func(b *testing.B) { benchIngest(b, mode == "wal", 100_000) })
	}
}

func benchIngest(b *testing.B, local bool, keys int) {
	const batch, size = 100, 256
	ctx := context.Background()
	bucket := &benchBucket{Bucket: objstore.NewMem()}
	o := Options{Ack: Applied}
	o.Segments.NoConsolidation = true
	if local {
		o.WALDir = b.TempDir()
	}
	d, err := Open(ctx, bucket, o)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	values := textValues(4096, size)
	rng := rand.New(rand.NewPCG(3, 4))
	records := make([]Record, batch)
	names := make([][]byte, keys)
	for i := range names {
		names[i] = binary.BigEndian.AppendUint64([]byte("user-key"), rng.Uint64())
	}
	var bytes int64
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuSeconds()
	for i := range b.N {
		for j := range records {
			records[j] = Record{names[rng.IntN(keys)], values[(i*batch+j)%len(values)]}
			bytes += int64(len(records[j].Key) + size)
		}
		if _, err := d.Append(ctx, records, AppendOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	seconds := b.Elapsed().Seconds()
	backlog := d.applied.get() - d.flushed.get()
	cpu = cpuSeconds() - cpu
	b.ReportMetric(float64(b.N*batch)/seconds, "records/s")
	b.ReportMetric(cpu/(float64(bytes)/1e9), "cpu-s/GB")
	b.ReportMetric(float64(bucket.bytes.Load())/float64(bytes), "put-B/B")
	b.ReportMetric(float64(bucket.puts.Load())/float64(b.N), "requests/op")
	b.ReportMetric(float64(backlog), "backlog-records")
}

// BenchmarkAppendLocal has 64 goroutines append single records at Local on a
// real disk. One op is one record.
func BenchmarkAppendLocal(b *testing.B) {
	ctx := context.Background()
	bucket := &benchBucket{Bucket: objstore.NewMem()}
	d, err := Open(ctx, bucket, Options{WALDir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	values := textValues(1024, 256)
	b.ReportAllocs()
	b.ResetTimer()
	var next atomic.Int64
	var g sync.WaitGroup
	for range 64 {
		g.Go(func() {
			key := make([]byte, 16)
			records := []Record{{Key: key}}
			for {
				i := next.Add(1)
				if i > int64(b.N) {
					return
				}
				binary.BigEndian.PutUint64(key, uint64(i)*0x9e3779b97f4a7c15%100_000)
				records[0].Value = values[i%int64(len(values))]
				if _, err := d.Append(ctx, records, AppendOptions{Ack: Local}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	g.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(float64(bucket.puts.Load())/float64(b.N), "requests/op")
}
