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

// What a poll and a warm scan allocate is paid by every follower, as long as
// it follows.
func TestReadAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	ctx, b := context.Background(), objstore.NewMem()
	d := openLog(t, b, Options{Ack: Remote})
	const key, records = "key", 100
	for i := range 20 * records {
		mustAppend(t, d, Applied, fmt.Sprintf("%s %d", key, i%20), fmt.Sprintf("%256d", i))
	}
	mustSeal(t, d)
	r := openReader(t, b, ReaderOptions{RefreshInterval: -1})
	scan := func(from uint64, want int) func() {
		return func() {
			it := r.Scan(ctx, []byte(key+" 7"), From(from), ScanOptions{Records: AtMost(records)})
			n := 0
			for it.Next() {
				n++
			}
			if err := it.Close(); err != nil || n != want {
				t.Fatalf("%d records, want %d: %v", n, want, err)
			}
		}
	}
	for _, c := range []struct {
		what string
		do   func()
		max  float64
	}{
		{"a poll that is caught up", scan(r.Frontier(), 0), 8},
		{"a warm scan of 100 records", scan(0, records), 12},
	} {
		c.do()
		if got := testing.AllocsPerRun(1000, c.do); got > c.max {
			t.Errorf("%s: %.1f allocations, want at most %.0f", c.what, got, c.max)
		} else {
			t.Logf("%s: %.1f allocations", c.what, got)
		}
	}
}
