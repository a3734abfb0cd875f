package logdb

import (
	"context"
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/logdb-go/logdb/objstore"
)

// A follower may wait for days for its key. The memtables that were there when
// it began are long in the bucket then, and must not stay in memory for it.
func TestAnIdleFollowerHoldsNoSnapshot(t *testing.T) {
	d := openLog(t, objstore.NewMem(), Options{})
	mustAppend(t, d, Applied, "busy", "1")
	seen := weak.Make(d.view.Load())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		it := d.Follow(ctx, []byte("idle"), 0, ScanOptions{})
		for it.Next() {
		}
		ended <- it.Err()
		it.Close()
	}()
	for d.followers.count.Load() == 0 {
		runtime.Gosched()
	}
	mustSeal(t, d)
	mustAppend(t, d, Remote, "busy", "2")
	for deadline := time.Now().Add(20 * time.Second); seen.Value() != nil; runtime.Gosched() {
		if runtime.GC(); time.Now().After(deadline) {
			t.Fatal("the view of before the seal is still referred to")
		}
	}
	cancel()
	if err := <-ended; err != context.Canceled {
		t.Fatalf("the follower ended with %v", err)
	}
}
