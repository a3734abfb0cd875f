package logdb

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/logdb-go/logdb/objstore"
)

// An append copies its records into one frame; what else it allocates is paid
// by every record of every process that logs.
func TestAppendAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	d := openLog(t, objstore.NewMem(), Options{
		WALDir: t.TempDir(), Ack: Applied, ShipInterval: time.Hour, FlushInterval: time.Hour,
		Memory: Memory{Memtable: 1 << 30, Queue: 1 << 30},
	})
	ctx := context.Background()
	hundred := make([]Record, 100)
	for i := range hundred {
		hundred[i] = rec(fmt.Sprintf("key %d", i), fmt.Sprintf("%256d", i))
	}
	for _, c := range []struct {
		what    string
		records []Record
		max     float64
	}{
		{"a batch of 100", hundred, 8},
		{"a single record", hundred[:1], 4},
	} {
		appends := func() {
			if _, err := d.Append(ctx, c.records, AppendOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		for range 100 { // keys known, slices grown
			appends()
		}
		if got := testing.AllocsPerRun(1000, appends); got > c.max {
			t.Errorf("%s: %.1f allocations, want at most %.0f", c.what, got, c.max)
		} else {
			t.Logf("%s: %.1f allocations", c.what, got)
		}
	}
}
