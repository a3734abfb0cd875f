package doctor_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logdb-go/logdb/logdb/doctor"
	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// The prices of a month: one writer that ships four times a second, and ten readers.
func TestAMonthIsPriced(t *testing.T) {
	o := quick
	o.Readers = 10
	c := examine(t, objstore.NewMem(), o).Cost
	const month = 30 * 24 * 3600.0
	puts := month*4 + 2*month/60 // 256 objects are 64 s
	gets := 10 * (month*4 + month + month/30)
	idle := 10 * (month + month/30)
	if c.Puts != puts || math.Abs(c.Gets-gets) > 1 || math.Abs(c.IdleGets-idle) > 1 {
		t.Errorf("got %+v, want %v puts, %v gets and %v idle", c, puts, gets, idle)
	}
	if want := puts*0.005/1000 + gets*0.0004/1000; math.Abs(c.Dollars-want) > 0.01 {
		t.Errorf("got $%v, want $%v", c.Dollars, want)
	}
	for _, part := range []string{"month/250ms ship", "2 * month/1m0s flush", "10 readers", "$0.005/1000", "$0.0004/1000"} {
		if !strings.Contains(c.Formula(), part) {
			t.Errorf("formula %q lacks %q", c.Formula(), part)
		}
	}
	o.ShipInterval, o.Readers, o.Prices = 125*time.Millisecond, 0, doctor.Prices{Put: 1}
	if c = examine(t, objstore.NewMem(), o).Cost; c.Puts != month*8+2*month/32 { // 256 objects are 32 s
		t.Errorf("every 125 ms: got %+v", c)
	}
	o.ShipInterval = 10 * time.Second
	if c = examine(t, objstore.NewMem(), o).Cost; c.Puts != month/10+2*month/60 || c.Gets != 0 || c.Dollars != c.Puts/1000 {
		t.Errorf("every 10 s, nobody reads: got %+v", c)
	}
}

// remote is a store with a clock and checksums of its own.
type remote struct {
	objstore.Bucket
	ahead   time.Duration
	refuses bool
}

func (r remote) Get(ctx context.Context, name string) (objstore.Object, error) {
	o, err := r.Bucket.Get(ctx, name)
	o.Date = o.Date.Add(r.ahead)
	return o, err
}

func (r remote) RefusesDamaged(ctx context.Context, name string) (bool, error) {
	if r.refuses {
		return true, nil
	}
	_, err := r.Put(ctx, name, []byte("damaged"), objstore.Always())
	return false, err
}

func TestWhatIsNoLossIsAWarning(t *testing.T) {
	mem := objstore.NewMem()
	r := examine(t, remote{mem, 5 * time.Minute, false}, quick)
	if r.Verdict() != doctor.Warning || !r.Safe() {
		t.Errorf("got %s", r.Sentence())
	}
	for _, name := range []string{"clock", "checksum"} {
		if f := finding(t, r, name); f.Verdict != doctor.Warning || !strings.Contains(r.Sentence(), name) {
			t.Errorf("got %+v and %q", f, r.Sentence())
		}
	}
	wantNothingLeft(t, mem)
	r = examine(t, remote{mem, 5 * time.Second, true}, quick)
	if r.Verdict() != doctor.OK || finding(t, r, "checksum").Saw != "refused" {
		t.Errorf("got %s: %+v", r.Sentence(), r.Findings)
	}
}

// In a bubble waiting takes no time.
func TestSlowIsSafe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := objstoretest.Quantiles{P50: 2 * time.Second, P99: 3 * time.Second}
		r := examine(t, objstoretest.NewLatency(objstore.NewMem(), objstoretest.LatencyModel{Put: far, Get: far}), quick)
		if r.Verdict() != doctor.Slow || !r.Safe() {
			t.Errorf("got %s: %+v", r.Sentence(), r.Findings)
		}
		for _, l := range r.Latencies {
			if l.P50 < time.Second || l.P50 > l.P90 || l.P90 > l.P99 || l.Count != quick.Samples {
				t.Errorf("got %+v", l)
			}
		}
	})
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []doctor.Options{{Rounds: -1}, {Samples: -1}, {Readers: -1}, {ShipInterval: 1}, {RefreshInterval: 1}, {RequestTimeout: -1}} {
		if _, err := doctor.Run(t.Context(), objstore.NewMem(), o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}
