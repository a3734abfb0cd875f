package logdb

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/logdb-go/logdb/objstore"
)

// BenchmarkOpenAfterCrash opens a log whose writer was stopped with 64 MiB in
// the local WAL and nothing of it in the bucket. One op is one Open.
func BenchmarkOpenAfterCrash(b *testing.B) {
	ctx := context.Background()
	o := Options{WALDir: b.TempDir(), ShipInterval: 30 * time.Second}
	o.Memory.Memtable = 256 << 20 // nothing is flushed before the crash
	bucket := objstore.NewMem()
	d, err := Open(ctx, bucket, o)
	if err != nil {
		b.Fatal(err)
	}
	values, key := textValues(1024, 256), make([]byte, 16)
	for i, bytes := 0, 0; bytes < 64<<20; i++ {
		records := make([]Record, 100)
		for j := range records {
			binary.BigEndian.PutUint64(key, uint64(i*100+j)%100_000)
			records[j] = Record{append([]byte(nil), key...), values[j]}
			bytes += len(key) + 256
		}
		if _, err := d.Append(ctx, records, AppendOptions{Ack: Applied}); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	var requests uint64
	for range b.N {
		b.StopTimer()
		stopDead(b, d)
		b.StartTimer()
		if d, err = Open(ctx, bucket, o); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		requests = total(d.bucket.Counts())
		b.StartTimer()
	}
	b.StopTimer()
	b.ReportMetric(float64(d.committer.ordinal), "batches")
	b.ReportMetric(float64(requests), "requests/op")
	stopDead(b, d)
}

// stopDead ends a writer's goroutines and gives back its directory, without
// shipping, flushing or saying goodbye: what a killed process leaves.
func stopDead(b testing.TB, d *LogDb) {
	d.stopAll(errors.New("killed"))
	if err := d.release(); err != nil {
		b.Fatal(err)
	}
}

func total(c objstore.Counts) (n uint64) {
	for _, x := range c.Requests {
		n += x
	}
	return n
}

// benchLog is a closed log of n keys with 100 records of 256 B each, in one
// consolidated table.
func benchLog(b *testing.B, keys int) (*objstore.Mem, [][]byte) {
	ctx := context.Background()
	bucket := objstore.NewMem()
	o := Options{Ack: Applied}
	o.Memory.Memtable, o.Segments.Bytes = 1<<30, 2<<30
	d, err := Open(ctx, bucket, o)
	if err != nil {
		b.Fatal(err)
	}
	values, names := textValues(1024, 256), make([][]byte, keys)
	for i := range names {
		names[i] = binary.BigEndian.AppendUint64([]byte("user-key"), uint64(i)*0x9e3779b97f4a7c15)
	}
	records := make([]Record, 100)
	for i := 0; i < keys; i++ {
		for j := range records {
			records[j] = Record{names[(i*100+j)%keys], values[(i+j)%len(values)]}
		}
		if _, err := d.Append(ctx, records, AppendOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	if err := d.Close(); err != nil {
		b.Fatal(err)
	}
	return bucket, names
}

// BenchmarkColdScan reads the 100 records of one key with nothing cached but
// the manifest. One op is one scan.
func BenchmarkColdScan(b *testing.B) {
	bucket, names := benchLog(b, 1000)
	benchScan(b, bucket, names, true)
}

// BenchmarkWarmScan is the same with everything cached.
func BenchmarkWarmScan(b *testing.B) {
	bucket, names := benchLog(b, 1000)
	benchScan(b, bucket, names, false)
}

// benchScan scans one key after the other, with a reader of its own for each
// when cold.
func benchScan(b *testing.B, bucket objstore.Bucket, names [][]byte, cold bool) {
	ctx := context.Background()
	open := func() *LogDbReader {
		r, err := OpenReader(ctx, bucket, ReaderOptions{RefreshInterval: -1})
		if err != nil {
			b.Fatal(err)
		}
		return r
	}
	r := open()
	var requests uint64
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if cold {
			b.StopTimer()
			r.Close()
			r = open()
			b.StartTimer()
		}
		before := total(r.bucket.Counts())
		n := 0
		for _, err := range r.Scan(ctx, names[i%len(names)], Range{}, ScanOptions{}).All() {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != 100 {
			b.Fatalf("key %d has %d records, want 100", i%len(names), n)
		}
		requests += total(r.bucket.Counts()) - before
	}
	b.StopTimer()
	b.ReportMetric(float64(requests)/float64(b.N), "requests/op")
	r.Close()
}

// BenchmarkCaughtUpPoll polls 100 k keys whose followers have read everything.
// One op is one poll.
func BenchmarkCaughtUpPoll(b *testing.B) {
	const keys = 100_000
	ctx := context.Background()
	bucket := objstore.NewMem()
	d, err := Open(ctx, bucket, Options{Ack: Applied})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	names := make([][]byte, keys)
	for i := range names {
		names[i] = binary.BigEndian.AppendUint64([]byte("user-key"), uint64(i)*0x9e3779b97f4a7c15)
	}
	for i := 0; i < keys; i += 100 {
		records := make([]Record, 100)
		for j := range records {
			records[j] = Record{names[i+j], []byte("value")}
		}
		if _, err := d.Append(ctx, records, AppendOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	if err := d.Flush(ctx); err != nil {
		b.Fatal(err)
	}
	r, err := OpenReader(ctx, bucket, ReaderOptions{RefreshInterval: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	cursor := r.Frontier()
	before := total(r.bucket.Counts())
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		it := r.Scan(ctx, names[i%keys], From(cursor), ScanOptions{Records: AtMost(100)})
		if it.Next() || it.Err() != nil || it.NextSequence() != cursor {
			b.Fatal("not caught up", it.Err())
		}
		it.Close()
	}
	b.StopTimer()
	b.ReportMetric(float64(total(r.bucket.Counts())-before)/float64(b.N), "requests/op")
}
