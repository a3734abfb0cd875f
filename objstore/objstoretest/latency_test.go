package objstoretest_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// quantiles runs n requests one after the other and returns the median and the 99th percentile of their times.
func quantiles(n int, request func(i int)) (p50, p99 time.Duration) {
	var took []time.Duration
	for i := range n {
		start := time.Now()
		request(i)
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return took[n/2], took[n*99/100]
}

func wantAbout(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if math.Abs(got.Seconds()/want.Seconds()-1) > 0.1 {
		t.Errorf("%s: got %v, want about %v", what, got, want)
	}
}

// TestS3StandardQuantiles: the model has the quantiles that it is named by, in time that takes none.
func TestS3StandardQuantiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := objstoretest.NewLatency(objstore.NewMem(), objstoretest.S3Standard(1))
		p50, p99 := quantiles(4000, func(i int) {
			if _, err := b.Put(t.Context(), fmt.Sprint("o", i), nil, objstore.Always()); err != nil {
				t.Fatal(err)
			}
		})
		wantAbout(t, "put p50", p50, 28*time.Millisecond)
		wantAbout(t, "put p99", p99, 67*time.Millisecond)
		p50, p99 = quantiles(4000, func(i int) {
			if _, err := b.Get(t.Context(), fmt.Sprint("o", i)); err != nil {
				t.Fatal(err)
			}
		})
		wantAbout(t, "get p50", p50, 24*time.Millisecond)
		wantAbout(t, "get p99", p99, 77*time.Millisecond)
	})
}

func TestLatencyOfBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := objstoretest.NewLatency(objstore.NewMem(), objstoretest.LatencyModel{BytesPerSecond: 1 << 20})
		start := time.Now()
		if _, err := b.Put(t.Context(), "o", make([]byte, 2<<20), objstore.Always()); err != nil || time.Since(start) != 2*time.Second {
			t.Fatalf("put: %v after %v, want 2 s", err, time.Since(start))
		}
		start = time.Now()
		if _, err := b.GetRange(t.Context(), "o", 0, 1<<20); err != nil || time.Since(start) != time.Second {
			t.Fatalf("get range: %v after %v, want 1 s", err, time.Since(start))
		}
	})
}

// TestLatencyLosesAnswers: a context that ends in the second half of a write leaves it applied.
func TestLatencyLosesAnswers(t *testing.T) {
	model := objstoretest.LatencyModel{Put: objstoretest.Quantiles{P50: time.Second, P99: time.Second}}
	for after, applied := range map[time.Duration]bool{400 * time.Millisecond: false, 600 * time.Millisecond: true} {
		synctest.Test(t, func(t *testing.T) {
			mem := objstore.NewMem()
			b := objstoretest.NewLatency(mem, model)
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			if _, err := b.Put(ctx, "o", nil, objstore.IfAbsent()); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("put: got %v", err)
			}
			if _, err := mem.Get(t.Context(), "o"); (err == nil) != applied {
				t.Fatalf("ended after %v: got %v, want applied %v", after, err, applied)
			}
		})
	}
}

func TestRequests(t *testing.T) {
	ctx := t.Context()
	r := objstoretest.NewRequests(objstore.NewMem())
	etag, _ := r.Put(ctx, "wal/1", []byte("12345"), objstore.IfAbsent())
	_, _ = r.Put(ctx, "wal/1", []byte("123"), objstore.IfAbsent())
	_, _ = r.Put(ctx, "wal/1", []byte("123456"), objstore.IfMatch(etag))
	_, _ = r.Get(ctx, "wal/2")
	_, _ = r.GetRange(ctx, "wal/1", 2, 3)
	_, _ = r.GetIfChanged(ctx, "wal/1", "2")
	for range r.List(ctx, "wal/", "") {
	}
	_ = r.Delete(ctx, "wal/1")
	want := strings.TrimLeft(`
put wal/1 if-absent 5 ok
put wal/1 if-absent 3 precondition
put wal/1 if-match 1 6 ok
get wal/2 0 not-found
get_range wal/1 [2,5) 3 ok
get_if_changed wal/1 0 not-modified
list wal/ 1 ok
delete wal/1 0 ok
`, "\n")
	if got := r.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	ops := r.Ops()
	if ops[2].Attempt != 3 || r.Count(objstoretest.Put, "wal/") != 3 || r.Count(objstoretest.Get, "seg/") != 0 {
		t.Errorf("got attempt %d and %d puts", ops[2].Attempt, r.Count(objstoretest.Put, "wal/"))
	}
	r.Reset()
	if len(r.Ops()) != 0 {
		t.Error("reset keeps requests")
	}
}

func TestDollars(t *testing.T) {
	counts := objstore.Counts{Requests: map[string]uint64{"put": 1000, "list": 1000, "get": 1000, "get_range": 1000, "delete": 1000}}
	if got := objstoretest.Dollars(counts); math.Abs(got-0.0108) > 1e-9 {
		t.Errorf("got %v, want 0.0108", got)
	}
}
