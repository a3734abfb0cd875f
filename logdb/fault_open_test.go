package logdb

import (
	"context"
	"flag"
	"fmt"
	"iter"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/logdb-go/logdb/objstore"
)

var faultsLarge = flag.Bool("faults.large", false, "open a log of a million keys and 1 GiB, too, and print how long it takes")

// openCost counts what an open asks a bucket for. Each request takes a
// millisecond, so that those which an open waits for begin before it is over.
type openCost struct {
	objstore.Bucket
	mu       sync.Mutex
	requests []costed
}

type costed struct {
	what  string // kind, and the first part of the name
	begun time.Time
	bytes int
}

func (c *openCost) note(kind, name string, ask func() int) {
	begun := time.Now()
	time.Sleep(time.Millisecond)
	bytes := ask()
	folder, _, _ := strings.Cut(name, "/")
	if strings.HasPrefix(name, "probe-") {
		folder = "probe"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, costed{kind + " " + folder, begun, bytes})
}

func (c *openCost) Get(ctx context.Context, name string) (o objstore.Object, err error) {
	c.note("get", name, func() int { o, err = c.Bucket.Get(ctx, name); return len(o.Data) })
	return o, err
}

func (c *openCost) GetIfChanged(ctx context.Context, name, etag string) (o objstore.Object, err error) {
	c.note("get", name, func() int { o, err = c.Bucket.GetIfChanged(ctx, name, etag); return len(o.Data) })
	return o, err
}

func (c *openCost) GetRange(ctx context.Context, name string, off, n int64) (data []byte, err error) {
	c.note("get", name, func() int { data, err = c.Bucket.GetRange(ctx, name, off, n); return len(data) })
	return data, err
}

func (c *openCost) Put(ctx context.Context, name string, data []byte, cond objstore.Condition) (etag string, err error) {
	c.note("put", name, func() int { etag, err = c.Bucket.Put(ctx, name, data, cond); return 0 })
	return etag, err
}

func (c *openCost) List(ctx context.Context, prefix, after string) iter.Seq2[objstore.Info, error] {
	c.note("list", "", func() int { return 0 })
	return c.Bucket.List(ctx, prefix, after)
}

// until returns the requests that had begun by then, and the bytes they read.
func (c *openCost) until(end time.Time) (requests, bytes map[string]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	requests, bytes = map[string]int{}, map[string]int{}
	for _, r := range c.requests {
		if r.begun.Before(end) {
			requests[r.what]++
			bytes[r.what] += r.bytes
		}
	}
	return requests, bytes
}

// readFS counts the bytes that are read from a disk.
type readFS struct {
	vfs.FS
	bytes atomic.Int64
}

func (r *readFS) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := r.FS.Open(name, o...)
	return readCounted{f, r}, err
}

func (r *readFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := r.FS.OpenReadWrite(name, c, o...)
	return readCounted{f, r}, err
}

type readCounted struct {
	vfs.File
	fs *readFS
}

func (r readCounted) Read(p []byte) (int, error) {
	n, err := r.File.Read(p)
	r.fs.bytes.Add(int64(n))
	return n, err
}

func (r readCounted) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.File.ReadAt(p, off)
	r.fs.bytes.Add(int64(n))
	return n, err
}

// heavy is a log that was killed: so many keys in tables, and a tail of WAL
// objects and of records that are only on its disk.
func heavy(t *testing.T, b objstore.Bucket, o Options, keys int, trimmed func()) {
	d := openLog(t, b, o)
	value := strings.Repeat("v", 1000)
	const batch = 100
	for first := 0; first < keys; first += batch {
		records := make([]Record, batch)
		for i := range records {
			records[i] = rec(fmt.Sprintf("key %07d", first+i), fmt.Sprintf("%d %s", first+i, value))
		}
		if _, err := d.Append(context.Background(), records, AppendOptions{Ack: Applied}); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-d.control((*committer).rotate); err != nil {
		t.Fatal(err)
	}
	if err := d.flushed.wait(context.Background(), uint64(keys)); err != nil {
		t.Fatal(err)
	}
	trimmed()
	for i := range 20 {
		mustAppend(t, d, Remote, "a", fmt.Sprint(i))
	}
	mustAppend(t, d, Local, "a", "on this disk only")
	crash(d)
}

// How long an open after a hard kill takes depends on the tail of the WAL, not
// on how much data lies behind it: not a byte of a table is read.
func TestOpenReadsTheTailOnly(t *testing.T) {
	const memtable = 1 << 20
	type cost struct {
		requests, bytes map[string]int
		local           int64
		tables          int
		records         uint64 // in them
	}
	open := func(keys int) (c cost) {
		synctest.Test(t, func(t *testing.T) {
			b, fs := objstore.NewMem(), disk()
			o := Options{
				WALDir: "wal", fs: fs, Memory: Memory{Memtable: memtable}, Limits: Limits{ValueBytes: 1 << 17, BatchBytes: 1 << 18},
				Segments: SegmentOptions{NoConsolidation: true}, FlushInterval: 10 * time.Hour, hooks: hooks{steady: true},
			}
			heavy(t, b, o, keys, settled)
			asked, read := &openCost{Bucket: b}, &readFS{FS: fs}
			o.fs = read
			d, err := Open(context.Background(), asked, o)
			if err != nil {
				t.Fatal(err)
			}
			c.requests, c.bytes = asked.until(time.Now())
			c.local = read.bytes.Load()
			for _, s := range d.state.manifest().Segments {
				c.tables += len(s.Tables)
				c.records += s.Records
			}
			if n := len(scanAll(t, d, "a", Range{}, ScanOptions{})); n != 21 {
				t.Errorf("%d records of the tail, want 21", n)
			}
			crash(d)
		})
		return c
	}
	small, large := open(1000), open(20_000)
	t.Logf("%d records behind it: %v, bytes %v, %d local", small.records, small.requests, small.bytes, small.local)
	t.Logf("%d records behind it: %v, bytes %v, %d local", large.records, large.requests, large.bytes, large.local)
	if !maps.Equal(small.requests, large.requests) || small.requests["get seg"] != 0 || large.records < 10*small.records {
		t.Errorf("requests %v with %d records, %v with %d", small.requests, small.records, large.requests, large.records)
	}
	// The manifest names the tables, and is read twice.
	const row = 128
	if more := large.bytes["get manifest"] - small.bytes["get manifest"]; more > 2*row*large.tables {
		t.Errorf("the manifest of %d tables has %d bytes more than that of %d", large.tables, more/2, small.tables)
	}
	if a, b := small.bytes["get wal"], large.bytes["get wal"]; b > a+a/10 {
		t.Errorf("%d bytes of WAL objects were read, %d with much data behind them", a, b)
	}
	// The file of the last memtable that was flushed may be there yet: it could
	// not be given back before it was closed.
	if a, b := small.local, large.local; a > 2*memtable || b > 2*memtable {
		t.Errorf("%d bytes of the local WAL were read, %d with much data behind it", a, b)
	}
}

// The same with a million keys and 1 GiB on a real disk:
//
//	go test ./logdb -run TestOpenOfALargeLog -faults.large -v
func TestOpenOfALargeLog(t *testing.T) {
	if !*faultsLarge {
		t.Skip("-faults.large")
	}
	b, err := objstore.NewFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o := Options{WALDir: t.TempDir(), Segments: SegmentOptions{NoConsolidation: true}, FlushInterval: 10 * time.Hour}
	heavy(t, b, o, 1_000_000, func() {})
	asked := &openCost{Bucket: b}
	begun := time.Now()
	d, err := Open(context.Background(), asked, o)
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(begun)
	requests, bytes := asked.until(time.Now())
	t.Logf("opened in %v, with a millisecond per request: requests %v, bytes %v", took, requests, bytes)
	if requests["get seg"] != 0 {
		t.Errorf("%d reads of tables", requests["get seg"])
	}
	crash(d)
}
