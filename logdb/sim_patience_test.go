package logdb

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// full returns a diskless log with all its memtables filled and the store
// away, so that the next append waits inside the committer.
func full(t *testing.T) (*LogDb, *objstoretest.Faulty) {
	b := objstoretest.NewFaulty(objstore.NewMem(), objstoretest.Plan{})
	d := openLog(t, b, Options{})
	b.Down(true)
	for range keptMemtables {
		mustAppend(t, d, Applied, "a", "1")
		if err := <-d.control((*committer).rotate); err != nil {
			t.Fatal(err)
		}
	}
	return d, b
}

// Whoever waits for room, a seal or a close while the store is away gets an
// answer when he said that he would stop waiting, and what he withdrew is not
// written later.
func TestNobodyWaitsLongerThanHeSaid(t *testing.T) {
	ops := map[string]func(context.Context, *LogDb) error{
		"append": func(ctx context.Context, d *LogDb) error {
			_, err := d.Append(ctx, []Record{rec("a", "withdrawn")}, AppendOptions{Ack: Applied})
			return err
		},
		"flush": func(ctx context.Context, d *LogDb) error { return d.Flush(ctx) },
		"seal": func(ctx context.Context, d *LogDb) error {
			_, _, err := d.SealSegment(ctx, nil)
			return err
		},
		"close": func(_ context.Context, d *LogDb) error { return d.Close() },
	}
	for name, op := range ops {
		synctest.Test(t, func(t *testing.T) {
			d, b := full(t)
			begun := time.Now()
			ctx, cancel := context.WithTimeout(context.Background(), closeWait)
			defer cancel()
			blocked := make(chan error)
			go func() { // one append that waits for room, and the committer with it
				_, err := d.Append(ctx, []Record{rec("a", "withdrawn")}, AppendOptions{Ack: Applied})
				blocked <- err
			}()
			settled()
			if err := op(ctx, d); err == nil {
				t.Errorf("%s: no error", name)
			}
			if took := time.Since(begun); took > closeWait {
				t.Errorf("%s took %v, the context ended after %v", name, took, closeWait)
			}
			if err := <-blocked; err == nil || errors.As(err, new(*PendingError)) {
				t.Errorf("%s: append that found no room: %v, want an error that says that nothing was written", name, err)
			}
			b.Down(false)
			if name == "close" {
				return
			}
			mustAppend(t, d, Remote, "a", "2")
			if got := scanAll(t, d, "a", Range{}, ScanOptions{}); len(got) != keptMemtables+1 {
				t.Errorf("%s: %d entries, want %d", name, len(got), keptMemtables+1)
			}
		})
	}
}

// A store that accepts the read of a table and never answers holds up neither
// the flush that looks whether its table is there, nor a merge.
func TestReadsOfTablesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := objstoretest.NewFaulty(objstore.NewMem(), objstoretest.Plan{Hook: func(op objstoretest.Op) objstoretest.Fault {
			switch {
			case op.Attempt > 1 || !strings.HasPrefix(op.Name, "seg/"):
			case op.Kind == objstoretest.Put:
				return objstoretest.Fault{Kind: objstoretest.ApplyThenError}
			case op.Kind == objstoretest.GetRange:
				return objstoretest.Fault{Kind: objstoretest.Stall}
			}
			return objstoretest.Fault{Kind: objstoretest.None}
		}})
		d := openLog(t, b, Options{})
		for range 3 {
			mustAppend(t, d, Remote, "a", "1")
			if err := <-d.control((*committer).rotate); err != nil {
				t.Fatal(err)
			}
		}
		mustSeal(t, d)
		time.Sleep(10 * time.Minute)
		m := d.state.manifest()
		if len(m.Segments) != 1 || !m.Segments[0].Consolidated || len(m.Segments[0].Tables) != 1 {
			t.Errorf("after ten minutes: %+v", m.Segments)
		}
	})
}
