package logdb

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// Some stores answer 404 for a moment to a read of what was just put, while a
// conditional put is refused already. An Open that meets such an object at the
// log's end waits for it to show, and does not ask as fast as it can.
func TestOpenWaitsForAnObjectThatIsNotShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := objstore.NewMem()
		d := openLog(t, mem, Options{})
		a := mustAppend(t, d, Remote, "k", "v")
		crash(d)
		began := time.Now()
		var reads atomic.Int64
		b := objstoretest.NewFaulty(mem, objstoretest.Plan{Hook: func(op objstoretest.Op) objstoretest.Fault {
			if op.Kind == objstoretest.Get && strings.HasPrefix(op.Name, "wal/") && time.Since(began) < 10*time.Second {
				if reads.Add(1) > 1000 {
					return objstoretest.Fault{Kind: objstoretest.None} // lets the test fail, where it would hang
				}
				return objstoretest.Fault{Kind: objstoretest.NotFound}
			}
			return objstoretest.Fault{Kind: objstoretest.None}
		}})
		d = openLog(t, b, Options{})
		if n := reads.Load(); n > 30 {
			t.Errorf("%d reads in %v, want a few", n, time.Since(began))
		}
		if e, err := d.Get(context.Background(), []byte("k"), a.First); err != nil || string(e.Value) != "v" {
			t.Errorf("what was acknowledged: %q, %v", e.Value, err)
		}
	})
}

// A store that does so all the time is found out when a writer opens: a manifest
// read too old would hide a newer writer.
func TestStoreThatShowsLateIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := objstore.NewMem()
		b := objstoretest.NewFaulty(mem, objstoretest.Plan{Unseen: 5 * time.Second})
		if d, err := Open(context.Background(), b, Options{}); !errors.Is(err, ErrUnsafeBucket) {
			if err == nil {
				crash(d)
			}
			t.Fatalf("open: %v, want %v", err, ErrUnsafeBucket)
		}
	})
}
