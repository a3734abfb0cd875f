package logdb

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/logdb-go/logdb/objstore"
)

// A bubble does not end while a goroutine of it lives, and its channels are of
// no use in another. So this log, opened twice, shows that Close joins
// everything that a flush, a seal and a merge have started, and that nothing
// which a LogDb holds is shared with another one.
func TestLogsLeaveNothingBehind(t *testing.T) {
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			b, fs := objstore.NewMem(), disk()
			for round := range 3 {
				d := openLog(t, b, Options{WALDir: "wal", fs: fs})
				mustAppend(t, d, Remote, "a", fmt.Sprint(round), "b", "")
				mustSeal(t, d)
				mustAppend(t, d, Applied, "a", "unshipped")
				closeLog(t, d)
			}
		})
	}
}
