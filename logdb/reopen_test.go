package logdb

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/logdb-go/logdb/objstore"
)

// What recovery took from the bucket is shipped already. Counted as frames
// that are yet to be, it made Flush, SealSegment and Close of the next writer
// wait for shipments that nobody would ever make.
func TestFlushAfterRecoveryWaitsForItsOwnFramesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := objstore.NewMem()
		d := openLog(t, b, Options{})
		for range 3 {
			mustAppend(t, d, Remote, "a", "recovered")
		}
		crash(d)

		d = openLog(t, b, Options{})
		mustAppend(t, d, Applied, "a", "its own")
		begun := time.Now()
		mustFlush(t, d)
		mustSeal(t, d)
		closeLog(t, d)
		if took := time.Since(begun); took > time.Second {
			t.Errorf("flush, seal and close took %v with nobody in the way", took)
		}
	})
}
