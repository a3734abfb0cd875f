package logdb

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// Segments are sealed faster than the store lets them be merged, so that a merge
// is always due. Retention has its turn between two of them all the same.
func TestRetentionDoesNotWaitForMerges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var merges atomic.Int64
		b := objstoretest.NewFaulty(objstore.NewMem(), objstoretest.Plan{Hook: func(op objstoretest.Op) objstoretest.Fault {
			if op.Kind != objstoretest.Put || !strings.Contains(op.Name, "/c") {
				return objstoretest.Fault{}
			}
			if merges.Add(1) == 1 {
				return objstoretest.Fault{Kind: objstoretest.Slow, Gate: "first"}
			}
			return objstoretest.Fault{Kind: objstoretest.Slow, Gate: "others"}
		}})
		d := openLog(t, b, Options{Retention: Retention{Records: 12}})
		for range 4 { // of six records each; the first one's merge hangs
			manyTables(t, d, 3)
		}
		if m := d.state.manifest(); merges.Load() != 1 || m.TrimmedBelow != 0 {
			t.Fatalf("%d merges are under way, and trimmed below %d, want 1 and 0", merges.Load(), m.TrimmedBelow)
		}
		b.Open("first")
		settled()
		if m := d.state.manifest(); merges.Load() != 2 || m.TrimmedBelow != 12 {
			t.Errorf("at merge %d the log is trimmed below %d, want 12 at merge 2", merges.Load(), m.TrimmedBelow)
		}
		b.Open("others")
		closeLog(t, d)
	})
}
