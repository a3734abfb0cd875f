package logdb

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// While memtables wait for their flush a merge reads slowly, and does not stop.
func TestMergeYieldsToFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := objstoretest.NewFaulty(objstore.NewMem(), objstoretest.Plan{})
		d := openLog(t, b, Options{})
		read := func() time.Duration {
			begun := time.Now()
			if err := d.yieldToFlush(d.stop, busyRate); err != nil {
				t.Fatal(err)
			}
			return time.Since(begun)
		}
		if got := read(); got != 0 {
			t.Errorf("nothing waits, and a read waits %v", got)
		}
		b.Down(true)
		for range 3 {
			mustAppend(t, d, Applied, "k", strings.Repeat("v", 100))
			if err := <-d.control((*committer).rotate); err != nil {
				t.Fatal(err)
			}
		}
		if got := read(); got != time.Second {
			t.Errorf("a read of %d bytes waits %v while 3 memtables are unflushed, want 1s", busyRate, got)
		}
		b.Down(false)
		time.Sleep(time.Minute)
		if got := read(); got != 0 {
			t.Errorf("all is flushed, and a read waits %v", got)
		}
	})
}
