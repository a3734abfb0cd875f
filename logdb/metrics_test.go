package logdb

import (
	"context"
	"testing"
	"time"

	"github.com/logdb-go/logdb/objstore"
)

// What costs money can be counted: an append that waits for the bucket is one
// PUT, a look for new records one GET, following a caught-up key none.
func TestMetricsCountRequests(t *testing.T) {
	ctx, b := context.Background(), objstore.NewMem()
	d := openLog(t, b, Options{ShipInterval: time.Hour, FlushInterval: time.Hour})
	before := d.Metrics()
	mustAppend(t, d, Remote, "k", "v")
	after := d.Metrics()
	if n := after.Requests["put"] - before.Requests["put"]; n != 1 || after.RequestBytes["put"] <= before.RequestBytes["put"] {
		t.Errorf("an append took %d PUTs, %v bytes in all; want 1", n, after.RequestBytes)
	}
	if after.Applied != 1 || after.Remote != 1 || after.Flushed != 0 {
		t.Errorf("watermarks %+v, want one record applied and remote, none in tables", after)
	}

	r := openReader(t, b, ReaderOptions{RefreshInterval: -1})
	before = r.Metrics()
	for range 3 {
		if err := r.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		if n, err := r.Count(ctx, []byte("k"), Range{}); n != 1 || err != nil {
			t.Fatalf("count %d, %v", n, err)
		}
	}
	after = r.Metrics()
	if n := after.Requests["get"] - before.Requests["get"]; n != 3 || after.RequestErrors["get/not_found"]-before.RequestErrors["get/not_found"] != 3 {
		t.Errorf("three refreshes took %d GETs, errors %v", n, after.RequestErrors)
	}
	if after.Remote != 1 || after.Cache.DataBudget == 0 {
		t.Errorf("reader's metrics %+v", after)
	}
}
