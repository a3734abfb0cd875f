package logdb

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// small is a log whose memtables take four of these values.
var small = Options{Ack: Applied, Memory: Memory{Memtable: 1 << 20}, Limits: Limits{ValueBytes: 256 << 10, BatchBytes: 256 << 10}}

func fourth(i int) string { return strings.Repeat(fmt.Sprint(i%10), 240<<10) }

// The upload of the oldest table hangs. Those behind it are built and land
// meanwhile, and nothing is in the manifest before it.
func TestTablesLandInAnyOrder(t *testing.T) {
	for _, end := range []string{"goes on", "is killed"} {
		t.Run(end, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testTablesLandInAnyOrder(t, end == "is killed") })
		})
	}
}

func testTablesLandInAnyOrder(t *testing.T, killed bool) {
	store := objstore.NewMem()
	var tables atomic.Int64
	b := objstoretest.NewFaulty(store, objstoretest.Plan{Hook: func(op objstoretest.Op) objstoretest.Fault {
		if op.Kind != objstoretest.Put || !strings.HasPrefix(op.Name, "seg/") || tables.Add(1) > 1 {
			return objstoretest.Fault{}
		}
		return objstoretest.Fault{Kind: objstoretest.Slow, Gate: "first"}
	}})
	d := openLog(t, b, small)
	records := 0
	for len(d.state.generations()) <= flushWindow {
		mustAppend(t, d, Applied, "a", fourth(records))
		records++
		settled() // the oldest comes to the gate before the next is there
	}
	landed := 0
	for _, err := range store.List(t.Context(), "seg/", "") {
		if err != nil {
			t.Fatal(err)
		}
		landed++
	}
	if want := flushWindow - 1; landed != want {
		t.Errorf("%d tables have landed behind the one that hangs, want %d", landed, want)
	}
	if m := d.state.manifest(); m.Flushed != 0 {
		t.Errorf("the manifest is flushed to %d before the oldest table has landed", m.Flushed)
	}
	want := records
	if killed {
		want = int(d.DurableSequence(Remote)) // what the log names; an unnamed table is nobody's
		crash(d)
		d = openLog(t, copyBucket(t, store), small)
	} else {
		b.Open("first")
	}
	mustSeal(t, d)
	settled()
	if got := d.state.manifest().Flushed; got < uint64(want) {
		t.Errorf("flushed to %d, want %d", got, want)
	}
	for i, e := range scanAll(t, d, "a", Range{}, ScanOptions{})[:want] {
		if string(e.Value) != fourth(i) {
			t.Errorf("record %d is %.3q, want %.3q", i, e.Value, fourth(i))
		}
	}
	closeLog(t, d)
}

// Whoever waits for Remote is not put behind a PUT that carries much: a quarter
// of a mebibyte goes beside it. Less waits for it, since a PUT is paid for.
func TestMuchGoesBesideAPutLittleWaits(t *testing.T) {
	for _, c := range []struct{ bytes, puts int }{{parallelObject / 2, 1}, {parallelObject, 2}} {
		synctest.Test(t, func(t *testing.T) {
			var puts atomic.Int64
			b := objstoretest.NewFaulty(objstore.NewMem(), objstoretest.Plan{Hook: func(op objstoretest.Op) objstoretest.Fault {
				if op.Kind == objstoretest.Put && strings.HasPrefix(op.Name, "wal/") {
					puts.Add(1)
					return objstoretest.Fault{Kind: objstoretest.Slow, Delay: 100 * time.Millisecond}
				}
				return objstoretest.Fault{}
			}})
			d := openLog(t, b, Options{Ack: Remote})
			before := puts.Load()
			done := make(chan struct{}, 2)
			appendOne := func(n int) {
				mustAppend(t, d, Remote, "a", strings.Repeat("v", n))
				done <- struct{}{}
			}
			go appendOne(1)
			settled()
			go appendOne(c.bytes)
			settled()
			if got := int(puts.Load() - before); got != c.puts {
				t.Errorf("%d bytes behind a PUT: %d are under way, want %d", c.bytes, got, c.puts)
			}
			<-done
			<-done
			closeLog(t, d)
		})
	}
}
