package logdb

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// longValue is the value of a record of "long": 8 kB that do not compress.
func longValue(i int) string {
	rng, b := rand.New(rand.NewPCG(uint64(i), 1)), make([]byte, 0, 8<<10)
	for len(b) < cap(b) {
		b = binary.LittleEndian.AppendUint64(b, rng.Uint64())
	}
	return string(b)
}

// longLog returns a bucket with so many records of "long", 8 kB each, in
// segments of a hundred.
func longLog(t *testing.T, records int) *objstore.Mem {
	b := objstore.NewMem()
	d := openLog(t, b, Options{Segments: SegmentOptions{NoConsolidation: true}})
	for i := range records {
		mustAppend(t, d, Applied, "long", longValue(i))
		if i%100 == 99 {
			mustSeal(t, d)
		}
	}
	closeLog(t, d)
	return b
}

// wantLong checks that entries are those of the records from one on, in order.
func wantLong(t *testing.T, what string, got []Entry, records int, reverse bool) {
	t.Helper()
	if len(got) != records {
		t.Fatalf("%s: got %d entries, want %d", what, len(got), records)
	}
	for i, e := range got {
		if reverse {
			i = records - 1 - i
		}
		if string(e.Value) != longValue(i) {
			t.Fatalf("%s: entry of sequence %d is not record %d", what, e.Sequence, i)
		}
	}
}

// Whatever becomes of the reads that a long scan has under way, who goes on from
// NextSequence after each error gets every entry once and in order.
func TestLongScansOfAFaultyStore(t *testing.T) {
	plan := objstoretest.Replayable(t, objstoretest.Plan{
		MaxDelay: time.Second,
		Rates: map[objstoretest.FaultKind]float64{
			objstoretest.Refuse: 0.1, objstoretest.SlowDown: 0.05, objstoretest.Stall: 0.02, objstoretest.Slow: 0.3, objstoretest.SlowAnswer: 0.2, objstoretest.Truncate: 0.05, objstoretest.FlipBit: 0.02,
		},
		Hook: func(op objstoretest.Op) objstoretest.Fault {
			if op.Kind == objstoretest.GetRange {
				return objstoretest.Fault{}
			}
			return objstoretest.Fault{Kind: objstoretest.None}
		},
	})
	const records = 600
	synctest.Test(t, func(t *testing.T) {
		mem := longLog(t, records)
		for _, reverse := range []bool{false, true} {
			budget := objstore.NewBudget(256 << 20)
			r := openReader(t, objstoretest.NewFaulty(mem, plan), ReaderOptions{RefreshInterval: -1, Transfers: budget})
			var got []Entry
			failures, span := 0, Range{}
			for begun := time.Now(); ; failures++ {
				it := r.Scan(context.Background(), []byte("long"), span, ScanOptions{Reverse: reverse})
				for it.Next() {
					got = append(got, owned(it.Entry()))
				}
				if span = From(it.NextSequence()); reverse {
					span = Until(it.NextSequence())
				}
				err := it.Err()
				_ = it.Close()
				if budget.Ahead() != 0 {
					t.Fatalf("%d bytes of the budget were not given back", budget.Ahead())
				}
				if err == nil {
					break
				}
				if time.Since(begun) > time.Hour {
					t.Fatalf("after %d failures and an hour: %v", failures, err)
				}
			}
			wantLong(t, "all scans together", got, records, reverse)
		}
	})
}

// Windows that nobody answers are asked for again, as all reads are, and those
// that are under way together take the time of one.
func TestStalledReadsAheadAreRepeated(t *testing.T) {
	const records = 400
	synctest.Test(t, func(t *testing.T) {
		mem := longLog(t, records)
		b := objstoretest.NewFaulty(mem, objstoretest.Plan{Storms: []objstoretest.Storm{
			{Fault: objstoretest.Fault{Kind: objstoretest.Stall}, Kind: objstoretest.GetRange, Skip: 2, Requests: 2},
		}})
		r := openReader(t, b, ReaderOptions{RefreshInterval: -1})
		begun := time.Now()
		wantLong(t, "stalled", scanAll(t, r, "long", Range{}, ScanOptions{}), records, false)
		if took := time.Since(begun); took < attemptTime || took >= 2*attemptTime {
			t.Errorf("two stalled reads took %v, want the time of one attempt, %v", took, attemptTime)
		}
	})
}

// A scan that is closed, or whose context ends, in the middle of its reads takes
// no more time and leaves nothing under way: the bubble would not end, and the
// clock of another reader would show it.
func TestLongScanEndsInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := longLog(t, 400)
		for _, end := range []string{"close", "cancel"} {
			budget := objstore.NewBudget(256 << 20)
			r := openReader(t, objstoretest.NewLatency(mem, objstoretest.S3Standard(3)), ReaderOptions{RefreshInterval: -1, Transfers: budget})
			ctx, cancel := context.WithCancel(context.Background())
			it := r.Scan(ctx, []byte("long"), Range{}, ScanOptions{})
			for range 60 {
				if !it.Next() {
					t.Fatal(it.Err())
				}
			}
			if budget.Ahead() == 0 {
				t.Fatal("60 entries of 8 kB were read, and nothing ahead")
			}
			now := time.Now()
			if end == "cancel" {
				cancel()
				for it.Next() {
				}
				if !errors.Is(it.Err(), context.Canceled) {
					t.Errorf("got %v, want the context's error", it.Err())
				}
			}
			if err := it.Close(); err != nil && end == "close" {
				t.Error(err)
			}
			cancel()
			if took := time.Since(now); took != 0 || budget.Ahead() != 0 {
				t.Errorf("%s: the end took %v, and left %d bytes of the budget", end, took, budget.Ahead())
			}
		}
	})
}
