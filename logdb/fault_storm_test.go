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

// A store that is busy, broken, silent, or does not accept the keys any more,
// for ten minutes: Local appends go on as if nothing was, one that waits for
// Remote gets its answer when the store is back, without a restart, and the
// store is not asked more than it can bear meanwhile. A reader says what is
// wrong and shows what it has.
func TestStormsUnderTheLog(t *testing.T) {
	const lasts = 10 * time.Minute
	for kind, told := range map[objstoretest.FaultKind]error{
		objstoretest.SlowDown: context.DeadlineExceeded,
		objstoretest.Fail:     context.DeadlineExceeded,
		objstoretest.Stall:    context.DeadlineExceeded,
		objstoretest.Denied:   objstore.ErrAccessDenied,
	} {
		t.Run(kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				storm := objstoretest.Storm{Fault: objstoretest.Fault{Kind: kind}, After: time.Minute, For: lasts}
				b := objstoretest.NewFaulty(objstore.NewMem(), objstoretest.Plan{Storms: []objstoretest.Storm{storm}})
				d := openLog(t, b, Options{WALDir: "wal", fs: disk()})
				mustAppend(t, d, Remote, "a", "before")
				r := openReader(t, b, ReaderOptions{RefreshInterval: -1})
				time.Sleep(time.Minute + time.Second)

				begun, remote := time.Now(), make(chan error, 1)
				go func() {
					_, err := d.Append(context.Background(), []Record{rec("a", "waits")}, AppendOptions{Ack: Remote})
					remote <- err
				}()
				settled()
				for range 100 {
					mustAppend(t, d, Local, "b", "goes on")
				}
				if took := time.Since(begun); took > 0 {
					t.Errorf("local appends took %v", took)
				}
				if err := r.Refresh(context.Background()); !errors.Is(err, told) {
					t.Errorf("refresh in the storm: %v, want %v", err, told)
				}
				if n := len(scanAll(t, r, "a", Range{}, ScanOptions{})); n != 1 {
					t.Errorf("the reader shows %d entries, want the one that it had", n)
				}
				if err := <-remote; err != nil || time.Since(begun) > lasts+time.Minute {
					t.Errorf("the append that waited: %v after %v", err, time.Since(begun))
				}
				// What is repeated is so every five seconds in the end, and little is under way.
				if n := b.Injected()[kind]; n < 5 || n > 600 {
					t.Errorf("%d requests in the storm", n)
				}
				if err := r.Refresh(context.Background()); err != nil {
					t.Errorf("refresh after the storm: %v", err)
				}
				if n := len(scanAll(t, r, "a", Range{}, ScanOptions{})); n != 2 {
					t.Errorf("the reader shows %d entries after the storm, want 2", n)
				}
				time.Sleep(time.Hour)
				closeLog(t, d)
				if n := len(checkBucket(t, b)); n != 102 {
					t.Errorf("%d entries, want 102", n)
				}
			})
		})
	}
}

// A store that does not show at once what was put under a name is refused by a
// writer that opens. If it begins with that later, nobody takes an object for
// absent that is acknowledged, and nothing is lost or doubled.
func TestPutsThatAreNotSeenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plan := objstoretest.Plan{Unseen: 5 * time.Second}
		if _, err := Open(context.Background(), objstoretest.NewFaulty(objstore.NewMem(), plan), Options{}); err == nil {
			t.Error("a writer has opened a store that does not show what it put")
		}
		plan.Hook = func(op objstoretest.Op) objstoretest.Fault {
			if !strings.HasPrefix(op.Name, "wal/") && !strings.HasPrefix(op.Name, "seg/") {
				return objstoretest.Fault{Kind: objstoretest.None}
			}
			return objstoretest.Fault{}
		}
		b := objstoretest.NewFaulty(objstore.NewMem(), plan)
		d := openLog(t, b, Options{})
		r := openReader(t, b, ReaderOptions{RefreshInterval: time.Second})
		for i := range 30 {
			mustAppend(t, d, Remote, "a", string(rune('a'+i)))
			if i%10 == 9 {
				mustSeal(t, d)
				crash(d) // what it put last is not seen by who comes next
				d = openLog(t, b, Options{})
			}
		}
		time.Sleep(time.Minute)
		if n := len(scanAll(t, r, "a", Range{}, ScanOptions{})); n != 30 {
			t.Errorf("the reader shows %d entries, want 30", n)
		}
		if n := b.Injected()[objstoretest.NotFound]; n == 0 {
			t.Error("no object was hidden")
		}
		closeLog(t, d)
		time.Sleep(time.Hour)
		if n := len(checkBucket(t, b)); n != 30 {
			t.Errorf("%d entries, want 30", n)
		}
	})
}
