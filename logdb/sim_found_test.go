package logdb

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
	"github.com/logdb-go/logdb/segment"
	"github.com/logdb-go/logdb/wal"
)

// What the simulation found, one schedule each, so that it stays found.

// refused is a bucket that refuses to have its manifest written.
func refused(b objstore.Bucket) objstore.Bucket {
	return objstoretest.NewFaulty(b, objstoretest.Plan{Hook: func(op objstoretest.Op) objstoretest.Fault {
		if op.Kind == objstoretest.Put && op.Name == segment.ManifestName {
			return objstoretest.Fault{Kind: objstoretest.Refuse}
		}
		return objstoretest.Fault{Kind: objstoretest.None}
	}})
}

// A log whose very first open is killed between the note in its directory and
// the manifest is created by the next open, from this directory or another;
// and then this directory opens it too.
func TestKilledBeforeTheLogExisted(t *testing.T) {
	for _, other := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b, fs := objstore.NewMem(), disk()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if _, err := Open(ctx, refused(b), Options{WALDir: "wal", fs: fs}); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("open without a manifest: %v", err)
			}
			if other {
				d := openLog(t, b, Options{WALDir: "wal", fs: disk()})
				mustAppend(t, d, Remote, "a", "1")
				closeLog(t, d)
			}
			d := openLog(t, b, Options{WALDir: "wal", fs: fs})
			mustAppend(t, d, Remote, "a", "2")
			closeLog(t, d)
		})
	}
}

// Two writers open an empty prefix at once. The one that saw no manifest, and
// then in its LIST the other's, goes on and becomes the second writer.
func TestTwoCreators(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := objstore.NewMem()
		slow := objstoretest.NewFaulty(b, objstoretest.Plan{Hook: func(op objstoretest.Op) objstoretest.Fault {
			if op.Kind == objstoretest.List {
				return objstoretest.Fault{Kind: objstoretest.Slow, Gate: "list"}
			}
			return objstoretest.Fault{Kind: objstoretest.None}
		}})
		second := make(chan error)
		go func() {
			d, err := Open(context.Background(), slow, Options{})
			if err == nil {
				err = d.Close()
			}
			second <- err
		}()
		<-slow.Arrived("list")
		closeLog(t, openLog(t, b, Options{}))
		slow.Open("list")
		if err := <-second; err != nil {
			t.Fatal(err)
		}
	})
}

// The writer after a crash goes on behind a gap. A seal that it writes there
// before any record must not take the remote watermark past the applied one.
func TestSealBehindAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, fs := objstore.NewMem(), disk()
		d := openLog(t, b, Options{WALDir: "wal", fs: fs})
		mustAppend(t, d, Remote, "a", "1")
		crash(d)
		d = openLog(t, b, Options{WALDir: "wal", fs: fs})
		mustSeal(t, d)
		if remote, applied := d.DurableSequence(Remote), d.DurableSequence(Applied); remote > applied {
			t.Errorf("remote watermark %d, applied %d", remote, applied)
		}
	})
}

// A writer that was taken over, and does not know it yet, finds its tables
// merged and collected by the next one. That is no corruption.
func TestReadsOfAFencedWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, b := context.Background(), objstore.NewMem()
		old := openLog(t, b, Options{Memory: Memory{Cache: 1 << 20}})
		for range 3 { // tables of one segment, to be merged
			mustAppend(t, old, Remote, "a", "1")
			if err := old.control((*committer).rotate); <-err != nil {
				t.Fatal("rotate")
			}
			settled()
		}
		d := openLog(t, b, Options{})
		mustSeal(t, d)
		if err := d.Compact(ctx); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) // the grace passes
		if _, err := old.Count(ctx, []byte("a"), Range{}); !errors.Is(err, ErrFenced) {
			t.Errorf("count by the old writer: %v, want ErrFenced", err)
		}
		if err := old.Err(); !errors.Is(err, ErrFenced) {
			t.Errorf("old writer's error: %v, want ErrFenced", err)
		}
		for _, err := range old.Scan(ctx, []byte("a"), Range{}, ScanOptions{}).All() {
			if !errors.Is(err, ErrFenced) {
				t.Errorf("scan by the old writer: %v, want ErrFenced", err)
			}
		}
	})
}

// Iterators that are in use when their log or reader is closed read memory
// that is still theirs, and what they cannot read any more is ErrClosed.
func TestIteratorsOutliveTheirLog(t *testing.T) {
	ctx, b := context.Background(), objstore.NewMem()
	d := openLog(t, b, Options{})
	for range 4 {
		mustAppend(t, d, Remote, "a", "1", "a", "2")
		mustSeal(t, d)
	}
	closeLog(t, d)
	d = openLog(t, b, Options{})
	r := openReader(t, b, ReaderOptions{})
	for _, l := range []interface {
		LogRead
		Close() error
	}{d, r} {
		it := l.Scan(ctx, []byte("a"), Range{}, ScanOptions{})
		keys := l.ListKeys(ctx, KeyOptions{})
		if !it.Next() {
			t.Fatal(it.Err())
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		for it.Next() {
			it.Entry()
		}
		for keys.Next() {
			keys.Key()
		}
		for _, err := range []error{it.Err(), keys.Err()} {
			if err != nil && !errors.Is(err, ErrClosed) {
				t.Errorf("after close: %v, want ErrClosed", err)
			}
		}
		if _, err := l.Count(ctx, []byte("a"), Range{}); !errors.Is(err, ErrClosed) {
			t.Errorf("count after close: %v, want ErrClosed", err)
		}
		_, _ = it.Close(), keys.Close()
	}
}

// A segment is sealed after its last record has been flushed, and the flush is
// named after the seal was written: the seal lies at flushed itself, only in
// the local WAL, which must not be trimmed there. Without the seal the next
// writer finds two open segments and can never flush again.
func TestSealAtFlushedStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		named := func(op objstoretest.Op) bool { return op.Kind == objstoretest.Put && op.Name == segment.ManifestName }
		object := func(op objstoretest.Op) bool {
			return op.Kind == objstoretest.Put && strings.HasPrefix(op.Name, "wal/") && op.Name != wal.ObjectName(1, 0)
		}
		edits := 0
		b := objstoretest.NewFaulty(objstore.NewMem(), objstoretest.Plan{Hook: func(op objstoretest.Op) objstoretest.Fault {
			switch {
			case named(op):
				if edits++; edits == 2 {
					return objstoretest.Fault{Kind: objstoretest.Slow, Gate: "flush"}
				}
			case object(op):
				return objstoretest.Fault{Kind: objstoretest.Refuse}
			}
			return objstoretest.Fault{Kind: objstoretest.None}
		}})
		fs := disk()
		d := openLog(t, b, Options{WALDir: "wal", fs: fs, Ack: Applied})
		mustAppend(t, d, Remote, "a", "1")
		if err := <-d.control((*committer).rotate); err != nil {
			t.Fatal(err)
		}
		<-b.Arrived("flush")
		mustSeal(t, d)
		mustAppend(t, d, Local, "a", "2")
		b.Open("flush")
		settled()
		if got := d.state.manifest().Flushed; got != 1 {
			t.Fatalf("flushed %d, want 1", got)
		}
		left := fs.CrashClone(vfs.CrashCloneCfg{})
		crash(d)
		d = openLog(t, copyBucket(t, b), Options{WALDir: "wal", fs: left})
		mustAppend(t, d, Remote, "a", "3")
		closeLog(t, d)
		if m := d.state.manifest(); len(m.Segments) != 2 || !m.Segments[0].Sealed || m.Segments[0].End != 1 {
			t.Errorf("segments %+v, want the first sealed at 1", m.Segments)
		}
	})
}

// A reader adopts manifests while others read through it; the race detector
// tells what both touch.
func TestReaderAdoptsWhileItIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := objstore.NewMem()
		d := openLog(t, b, Options{})
		mustAppend(t, d, Remote, "a", "1")
		mustSeal(t, d)
		r := openReader(t, b, ReaderOptions{RefreshInterval: time.Second})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 10 {
				if _, err := r.Count(context.Background(), []byte("a"), Range{}); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second)
			}
		}()
		for range 10 {
			mustAppend(t, d, Remote, "a", "2")
			mustSeal(t, d)
			time.Sleep(time.Second)
		}
		<-done
	})
}
