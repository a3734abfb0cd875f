package logdb

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
)

// Flushes, merges and expiry edit the manifest from goroutines of their own and
// publish it when their turn is over. What is readable must not depend on who
// of them comes first.

// another edits the manifest as a merge does that touches nothing.
func another(t *testing.T, d *LogDb) *segment.Manifest {
	m, err := d.keeper.edit(d.stop, func(*segment.Manifest) error { return nil })
	if err != nil {
		t.Error(err)
	}
	return m
}

// A flush has moved the manifest; before it says so, a merge publishes the
// manifest after that one, which holds the flush too.
func TestMergePublishesAFlushBeforeItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d *LogDb
		reached := false
		o := Options{}
		o.hooks.step = func(name string) {
			if name != "flush: named" || reached {
				return
			}
			reached = true
			d.state.setManifest(another(t, d))
			if n := len(scanAll(t, d, "k", Range{}, ScanOptions{})); n != 1 {
				t.Errorf("a scan shows %d entries, want 1", n)
			}
		}
		d = openLog(t, objstore.NewMem(), o)
		mustAppend(t, d, Remote, "k", "v")
		mustRotate(t, d)
		if es := scanAll(t, d, "k", Range{}, ScanOptions{}); len(es) != 1 || !reached {
			t.Errorf("%d entries in the end, want 1", len(es))
		}
	})
}

// Expiry has moved the manifest; before it says so, a flush moves it on and
// publishes.
func TestFlushPublishesAnExpiryBeforeItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d *LogDb
		reached := false
		o := Options{Segments: SegmentOptions{Interval: time.Minute}, Retention: Retention{Age: time.Hour}}
		o.hooks.step = func(name string) {
			if name != "expire" || reached {
				return
			}
			reached = true
			mustAppend(t, d, Remote, "k", "new")
			mustRotate(t, d)
		}
		d = openLog(t, objstore.NewMem(), o)
		mustAppend(t, d, Remote, "k", "old")
		mustSeal(t, d)
		time.Sleep(time.Hour + 30*time.Second) // expired, and the new segment not yet sealed
		settled()
		es := scanAll(t, d, "k", Range{}, ScanOptions{})
		if len(es) != 1 || string(es[0].Value) != "new" || !reached {
			t.Errorf("a scan shows %d entries, want the new one", len(es))
		}
	})
}

// mustRotate ends the memtable and waits until it is in the manifest.
func mustRotate(t testing.TB, d *LogDb) {
	t.Helper()
	err := <-d.control((*committer).rotate)
	if err == nil {
		err = d.flushed.wait(context.Background(), d.applied.get())
	}
	if err != nil {
		t.Fatal(err)
	}
	settled()
}
