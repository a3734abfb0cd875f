package logdb

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
	"github.com/logdb-go/logdb/segment"
	"github.com/logdb-go/logdb/wal"
)

// A trickle of small appends, each a WAL object of its own, is flushed by their
// number: nobody who opens, or reads, has more than a few hundred to ask for.
func TestATrickleKeepsTheTailShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := objstore.NewMem()
		d := openLog(t, b, Options{FlushInterval: 1000 * time.Hour})
		for i := range 700 {
			mustAppend(t, d, Remote, "a", fmt.Sprint(i))
		}
		settled()
		m := d.state.manifest()
		if tail := d.shipper.next - m.ReplayNumber; tail > flushAtObjects+shipWindow {
			t.Errorf("recovery reads %d objects, want at most %d", tail, flushAtObjects+shipWindow)
		}
		closeLog(t, d)
	})
}

// If it cannot be flushed, appends are held back when the tail is long, and go
// on by themselves when it is short again.
func TestALongTailHoldsAppendsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stuck atomic.Bool
		b := objstoretest.NewFaulty(objstore.NewMem(), objstoretest.Plan{Hook: func(op objstoretest.Op) objstoretest.Fault {
			if stuck.Load() && op.Kind == objstoretest.Put && op.Name == segment.ManifestName {
				return objstoretest.Fault{Kind: objstoretest.Refuse}
			}
			return objstoretest.Fault{}
		}})
		d := openLog(t, b, Options{FlushInterval: 1000 * time.Hour})
		stuck.Store(true)
		var appended int
		for err := error(nil); err == nil && appended < 2*holdAtObjects; appended++ {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			_, err = d.Append(ctx, []Record{rec("a", "v")}, AppendOptions{Ack: Remote})
			cancel()
		}
		// Every memtable that waits for its flush has taken a flush's worth of objects.
		if most := (keptMemtables + 1) * (flushAtObjects + shipWindow); appended > most || d.shipper.unflushed.Load() > int64(most) {
			t.Errorf("%d appends went through, %d objects are in the tail", appended, d.shipper.unflushed.Load())
		}
		stuck.Store(false)
		mustAppend(t, d, Remote, "a", "goes on")
		closeLog(t, d)
	})
}

// A reader that has not looked for long is told everything by one refresh,
// however many WAL objects there are by then.
func TestOneRefreshCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := objstore.NewMem()
		d := openLog(t, b, Options{})
		mustAppend(t, d, Remote, "a", "first")
		r := openReader(t, b, ReaderOptions{RefreshInterval: -1})
		for i := range flushAtObjects - 10 { // all of them in WAL objects
			mustAppend(t, d, Remote, "a", fmt.Sprint(i))
		}
		if err := r.Refresh(context.Background()); err != nil {
			t.Fatal(err)
		}
		if got, want := r.Frontier(), d.DurableSequence(Remote); got != want {
			t.Errorf("the reader has come to %d, want %d", got, want)
		}
	})
}

// caching answers with the manifest that it had when it was told to.
type caching struct {
	objstore.Reader
	old atomic.Pointer[objstore.Object]
}

func (c *caching) GetIfChanged(ctx context.Context, name, etag string) (objstore.Object, error) {
	if o := c.old.Load(); o != nil && name == segment.ManifestName {
		return *o, nil
	}
	return c.Reader.GetIfChanged(ctx, name, etag)
}

// Something between a reader and the store answers with an older manifest than
// the reader has. That is an error, and takes nothing from what is shown.
func TestAnOlderManifestIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, c := context.Background(), &caching{Reader: objstore.NewMem()}
		b := c.Reader.(*objstore.Mem)
		d := openLog(t, b, Options{})
		mustAppend(t, d, Remote, "a", "1")
		old, err := b.Get(ctx, segment.ManifestName)
		if err != nil {
			t.Fatal(err)
		}
		mustSeal(t, d)
		mustAppend(t, d, Remote, "a", "2")
		settled() // the manifest has moved
		r := openReader(t, c, ReaderOptions{RefreshInterval: -1})
		before := r.snapshot.Load().version
		c.old.Store(&old)
		time.Sleep(time.Minute) // the manifest is due
		if err := r.Refresh(ctx); err == nil {
			t.Error("an older manifest was taken")
		}
		if after := r.snapshot.Load().version; after < before || len(mustHistory(t, r)) != 2 {
			t.Errorf("the reader went from version %d to %d", before, after)
		}
		c.old.Store(nil)
		if err := r.Refresh(ctx); err != nil {
			t.Error(err)
		}
	})
}

// What is in the bucket is in an order that no clock, and no listing, decides:
// of two objects under one number there is one.
func TestTheFirstUnderANumberStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, b := context.Background(), objstore.NewMem()
		d := openLog(t, b, Options{})
		late := wal.AppendData(nil, wal.ObjectHeader{
			Kind: wal.Data, Log: d.logID, At: wal.Position{Epoch: 1}, Nonce: objstore.NewID(), Start: 0, End: 1,
		}, []wal.Frame{forged(0, "another's")})
		if _, err := b.Put(ctx, wal.ObjectName(1, 0), late, objstore.IfAbsent()); err != nil {
			t.Fatal(err)
		}
		_, err := d.Append(ctx, []Record{rec("k", "ours")}, AppendOptions{Ack: Remote})
		if !errors.As(err, new(*CorruptError)) {
			t.Errorf("append under a number that somebody else has: %v", err)
		}
		got, err := b.Get(ctx, wal.ObjectName(1, 0))
		if err != nil || string(got.Data) != string(late) {
			t.Errorf("the object was replaced: %v", err)
		}
	})
}

// A writer that knows that it was overtaken has records that are not in the
// log, and shows none.
func TestAFencedWriterShowsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, b := context.Background(), objstore.NewMem()
		old := openLog(t, b, Options{})
		mustAppend(t, old, Remote, "a", "in the log")
		openLog(t, b, Options{})
		mustAppend(t, old, Applied, "a", "nowhere else")
		if _, err := old.Append(ctx, []Record{rec("a", "refused")}, AppendOptions{Ack: Remote}); !errors.Is(err, ErrFenced) {
			t.Errorf("append: %v, want ErrFenced", err)
		}
		for e, err := range old.Scan(ctx, []byte("a"), Range{}, ScanOptions{}).All() {
			if !errors.Is(err, ErrFenced) {
				t.Errorf("a scan shows %q, %v, want ErrFenced", e.Value, err)
			}
		}
	})
}
