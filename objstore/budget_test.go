package objstore

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// However many ask at once, no more is under way than the budget, nobody is
// left out, and a body larger than the budget goes alone.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, ctx := NewBudget(100), context.Background()
		var now, peak atomic.Int64
		var done sync.WaitGroup
		for i := range 200 {
			n := int64(i)
			done.Go(func() {
				release, err := b.Acquire(ctx, n)
				if err != nil {
					t.Errorf("%d bytes: %v", n, err)
					return
				}
				if used := now.Add(min(n, 100)); used > peak.Load() {
					peak.Store(used)
				}
				time.Sleep(time.Second)
				now.Add(-min(n, 100))
				release()
			})
		}
		done.Wait()
		if got := peak.Load(); got > 100 || got < 90 {
			t.Errorf("%d bytes were under way at once, want up to 100", got)
		}
	})
}

// Whoever stops waiting takes nothing.
func TestBudgetWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(10)
		release, err := b.Acquire(context.Background(), 8)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := b.Acquire(ctx, 3); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with no room: %v", err)
		}
		release()
		if _, err := b.Acquire(context.Background(), 10); err != nil {
			t.Errorf("all of it: %v", err)
		}
		if _, err := (*Budget)(nil).Acquire(ctx, 1<<40); err != nil {
			t.Errorf("no budget: %v", err)
		}
	})
}
