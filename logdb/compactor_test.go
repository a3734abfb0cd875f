package logdb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
	"github.com/logdb-go/logdb/segment"
)

func openCompactor(t testing.TB, b objstore.Bucket, o CompactorOptions) *Compactor {
	t.Helper()
	c, err := OpenCompactor(context.Background(), b, o)
	if err != nil {
		t.Fatalf("open compactor: %v", err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close compactor: %v", err)
		}
	})
	return c
}

// external are the options of a writer that merges nothing.
func external() Options { return Options{ExternalCompactor: true} }

// manyTables appends to keys a and b and flushes, n times, and seals.
func manyTables(t testing.TB, d *LogDb, n int) {
	t.Helper()
	for i := range n {
		mustAppend(t, d, Applied, "a", fmt.Sprintf("%d", i), "b", strings.Repeat("v", 100))
		mustRotate(t, d)
	}
	mustSeal(t, d)
	time.Sleep(time.Second) // the seal is in the manifest
	settled()
}

// newestManifest is what the bucket holds.
func newestManifest(t testing.TB, b objstore.Reader) *segment.Manifest {
	t.Helper()
	got, err := b.Get(context.Background(), segment.ManifestName)
	if err != nil {
		t.Fatal(err)
	}
	m, err := segment.DecodeManifest(got.Data)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// tablesOf inspects how many tables a scan of a key reads.
func tablesOf(t testing.TB, l LogRead, key string) int {
	t.Helper()
	in, err := l.Inspect(context.Background(), []byte(key), Range{})
	if err != nil {
		t.Fatal(err)
	}
	return len(in.Tables)
}

// The writer leaves merging to another process. Its reads see nothing of it,
// however old its view gets, but that they read fewer tables.
func TestCompactorBesideItsWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := counted()
		d := openLog(t, b, external())
		manyTables(t, d, 6)
		time.Sleep(time.Hour)
		if n := tablesOf(t, d, "a"); n != 6 {
			t.Fatalf("%d tables before the compactor came, want 6: the writer merged", n)
		}
		want := mustHistory(t, d)
		c := openCompactor(t, b, CompactorOptions{})
		ctx, cancel := context.WithCancel(context.Background())
		ran := make(chan error, 1)
		go func() { ran <- c.Run(ctx) }()
		time.Sleep(time.Hour) // merged, and the inputs are deleted
		settled()
		if n := b.Count(objstoretest.Delete, "seg/"); n != 6 {
			t.Errorf("%d tables deleted, want the 6 inputs", n)
		}
		it := d.Scan(context.Background(), []byte("a"), Range{}, ScanOptions{})
		for it.Next() {
		}
		if err := errors.Join(it.Err(), it.Close()); err != nil {
			t.Errorf("a scan of a view that is an hour old: %v", err)
		}
		sameEntries(t, "writer", mustHistory(t, d), want)
		settled() // reads of an old view have it renewed, and do not wait for that
		if n := tablesOf(t, d, "a"); n != 1 {
			t.Errorf("%d tables, want 1", n)
		}
		mustAppend(t, d, Remote, "a", "more")
		mustRotate(t, d)
		sameEntries(t, "reader", mustHistory(t, openReader(t, b, ReaderOptions{})), mustHistory(t, d))
		cancel()
		if err := <-ran; !errors.Is(err, context.Canceled) {
			t.Errorf("Run ends with %v", err)
		}
	})
}

// A compactor that opens while a writer does takes merging from it. The writer
// once took the compactor's epoch for its own, and the two gave their tables
// the same names. Found by the simulation.
func TestCompactorOpensWhileAWriterDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := objstore.NewMem()
		d := openLog(t, b, external())
		manyTables(t, d, 3)
		closeLog(t, d)
		var c *Compactor
		o := Options{hooks: hooks{step: func(name string) {
			if name == "open: claimed" && c == nil {
				c = openCompactor(t, b, CompactorOptions{})
			}
		}}}
		d = openLog(t, b, o)
		settled()
		if err := c.Compact(context.Background()); err != nil {
			t.Errorf("the compactor: %v", err)
		}
		if err := d.Err(); err != nil {
			t.Errorf("the writer: %v", err)
		}
		if got := newestManifest(t, b).Segments[0]; !got.Consolidated || got.Tables[0].ID.Epoch != c.epoch {
			t.Errorf("merged under epoch %d, want the compactor's, %d", got.Tables[0].ID.Epoch, c.epoch)
		}
		if got, want := d.maintainer.merger.epoch, c.epoch-1; got != want {
			t.Errorf("the writer has compactor epoch %d, want %d", got, want)
		}
	})
}

// Whoever comes last merges: a compactor fences another one, and a writer that
// merges itself fences both.
func TestYoungerCompactorFencesTheOlder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, ctx := counted(), context.Background()
		d := openLog(t, b, external())
		manyTables(t, d, 3)
		older := openCompactor(t, b, CompactorOptions{})
		younger := openCompactor(t, b, CompactorOptions{})
		if err := older.Compact(ctx); !errors.Is(err, ErrFenced) {
			t.Errorf("the older compactor: %v, want ErrFenced", err)
		}
		if err := older.Run(ctx); !errors.Is(err, ErrFenced) {
			t.Errorf("the older compactor runs: %v, want ErrFenced", err)
		}
		if err := younger.Compact(ctx); err != nil {
			t.Errorf("the younger compactor: %v", err)
		}
		if n := tablesOf(t, openReader(t, b, ReaderOptions{}), "a"); n != 1 {
			t.Errorf("%d tables, want 1", n)
		}
		closeLog(t, d)
		d = openLog(t, b, external())
		if err := younger.Compact(ctx); err != nil {
			t.Errorf("after a writer that merges nothing came: %v", err)
		}
		closeLog(t, d)
		openLog(t, b, Options{})
		if err := younger.Compact(ctx); !errors.Is(err, ErrFenced) || strings.Contains(err.Error(), "writer") {
			t.Errorf("after a writer that merges came: %v, want ErrFenced", err)
		}
	})
}

// A compactor comes to a writer that merges itself, and goes again. The writer
// leaves the merging to it, and takes it back when it stays undone.
func TestWriterTakesMergingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, ctx := counted(), context.Background()
		d := openLog(t, b, Options{})
		manyTables(t, d, 3)
		time.Sleep(time.Second)
		if n := tablesOf(t, d, "a"); n != 1 {
			t.Fatalf("%d tables, want 1: the writer merges", n)
		}
		c := openCompactor(t, b, CompactorOptions{})
		manyTables(t, d, 3)
		time.Sleep(mergesLate / 2)
		if n := tablesOf(t, d, "a"); n != 4 {
			t.Errorf("%d tables, want 4: the writer merges beside the compactor", n)
		}
		if err := c.Compact(ctx); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * mergesLate)
		if err := c.Compact(ctx); err != nil {
			t.Errorf("the writer took the merging back, and nothing was due: %v", err)
		}
		manyTables(t, d, 3)
		time.Sleep(3 * mergesLate)
		settled()
		if n := tablesOf(t, d, "a"); n != 3 {
			t.Errorf("%d tables, want 3: the compactor has gone, and nobody merges", n)
		}
		if err := c.Compact(ctx); !errors.Is(err, ErrFenced) {
			t.Errorf("the compactor: %v, want ErrFenced", err)
		}
		openCompactor(t, b, CompactorOptions{})
		manyTables(t, d, 3)
		if err := d.Compact(ctx); err != nil || tablesOf(t, d, "a") != 4 {
			t.Errorf("asked to merge: %v, %d tables, want 4", err, tablesOf(t, d, "a"))
		}
	})
}

// An idle writer beside an idle compactor asks nothing, and the compactor once
// in an interval.
func TestIdleCompactorAsksOncePerInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := counted()
		d := openLog(t, b, external())
		manyTables(t, d, 3)
		c := openCompactor(t, b, CompactorOptions{Interval: time.Minute})
		ctx, cancel := context.WithCancel(context.Background())
		ran := make(chan error, 1)
		go func() { ran <- c.Run(ctx) }()
		time.Sleep(time.Hour + time.Second)
		settled()
		b.Reset()
		time.Sleep(time.Hour)
		if n, all := b.Count(objstoretest.GetIfChanged, segment.ManifestName), len(b.Ops()); n != 60 || all != n {
			t.Errorf("an idle hour took %d requests, %d of them for the manifest, want 60\n%s", all, n, b)
		}
		cancel()
		<-ran
	})
}

// A compactor's edits say nothing of the writer: a polite open must not take a
// dead writer for a living one.
func TestCompactorDoesNotPassForTheWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := counted()
		d := openLog(t, b, Options{WALDir: "wal", fs: disk(), ExternalCompactor: true})
		manyTables(t, d, 3)
		crash(d)
		time.Sleep(time.Hour)
		if err := openCompactor(t, b, CompactorOptions{}).Compact(context.Background()); err != nil {
			t.Fatal(err)
		}
		if m := newestManifest(t, b); !m.Segments[0].Consolidated {
			t.Fatal("nothing was merged")
		}
		o := Options{WALDir: "wal", fs: disk(), Polite: true}
		openLog(t, b, o)
	})
}

// What retention drops is what the manifest holds in the end, and not what the
// writer knew before another process merged it.
func TestDroppedSegmentWasMergedElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := counted()
		o := external()
		o.Segments.Interval, o.Retention.Age = time.Minute, time.Hour
		d := openLog(t, b, o)
		manyTables(t, d, 3)
		if err := openCompactor(t, b, CompactorOptions{}).Compact(context.Background()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		settled()
		for info, err := range b.List(context.Background(), "seg/", "") {
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(info.Name, "/c") {
				t.Errorf("%s is left of a segment that was dropped", info.Name)
			}
		}
	})
}

func TestCompactorKeepsItsPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := counted()
		d := openLog(t, b, external())
		for range 4 {
			mustAppend(t, d, Applied, "a", string(padding), "b", string(padding))
			mustRotate(t, d)
		}
		mustSeal(t, d)
		settled()
		bytes := 0
		for _, table := range newestManifest(t, b).Segments[0].Tables {
			bytes += int(table.Size)
		}
		c := openCompactor(t, b, CompactorOptions{BytesPerSecond: 1000})
		begun := time.Now()
		if err := c.Compact(context.Background()); err != nil {
			t.Fatal(err)
		}
		took, want := time.Since(begun), time.Duration(bytes/1000)*time.Second
		if took < want*3/4 || took > want*3/2 {
			t.Errorf("a merge of %d bytes at 1000 a second took %v, want about %v", bytes, took, want)
		}
	})
}

func TestCompactorOptionsAreChecked(t *testing.T) {
	for _, o := range []CompactorOptions{{Interval: time.Millisecond}, {BytesPerSecond: -1}, {CollectGrace: time.Second}} {
		if _, err := OpenCompactor(context.Background(), objstore.NewMem(), o); err == nil || errors.Is(err, ErrNoLog) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := OpenCompactor(context.Background(), objstore.NewMem(), CompactorOptions{}); !errors.Is(err, ErrNoLog) {
		t.Errorf("an empty bucket: %v, want ErrNoLog", err)
	}
}
