package logdb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/logdb-go/logdb/objstore"
)

func TestWatermarkOnlyRises(t *testing.T) {
	var w watermark
	ctx, cancel := context.WithCancel(context.Background())
	sub := w.subscribe(ctx)
	w.advance(3)
	w.advance(2)
	w.advance(3)
	if got := w.get(); got != 3 {
		t.Errorf("at %d, want 3", got)
	}
	if got := <-sub; got != 3 {
		t.Errorf("subscriber got %d, want 3", got)
	}
	select {
	case v := <-sub:
		t.Errorf("subscriber was woken with %d by no advance", v)
	default:
	}
	// Values that nobody took are replaced: a slow subscriber gets the newest.
	w.advance(4)
	w.advance(9)
	if got := <-sub; got != 9 {
		t.Errorf("subscriber got %d, want 9", got)
	}
	cancel()
	if _, open := <-sub; open {
		t.Error("the channel outlives its context")
	}
	w.advance(10) // nobody is there any more
}

func TestWatermarkFails(t *testing.T) {
	var w watermark
	w.advance(5)
	ctx := context.Background()
	sub := w.subscribe(ctx)
	waiting := make(chan error, 1)
	w.notify(6, waiting)
	broken := errors.New("broken")
	w.fail(broken)
	w.fail(errors.New("later"))
	w.advance(7)
	if err := <-waiting; err != broken {
		t.Errorf("who waited got %v", err)
	}
	if err := w.wait(ctx, 6); err != broken {
		t.Errorf("who comes later gets %v", err)
	}
	if err := w.wait(ctx, 5); err != nil {
		t.Errorf("what was reached before is %v", err)
	}
	if _, open := <-sub; open {
		t.Error("the subscription outlives the watermark")
	}
	if _, open := <-w.subscribe(ctx); open {
		t.Error("a new subscription is open")
	}
	if w.get() != 5 {
		t.Errorf("at %d after it failed at 5", w.get())
	}
}

// Waiters come in any order and from anywhere; each is told once, and not
// before its position is reached.
func TestWatermarkWaiters(t *testing.T) {
	var w watermark
	var g sync.WaitGroup
	for _, at := range []uint64{7, 1, 5, 5, 9, 3} {
		g.Go(func() {
			if err := w.wait(context.Background(), at); err != nil || w.get() < at {
				t.Errorf("waited for %d, woken at %d: %v", at, w.get(), err)
			}
		})
	}
	for v := range uint64(10) {
		w.advance(v)
	}
	g.Wait()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.wait(ctx, 100); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
}

func TestSubscribeDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openLog(t, objstore.NewMem(), Options{WALDir: "wal", fs: disk()})
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		remote, local := d.SubscribeDurable(ctx, Remote), d.SubscribeDurable(ctx, Local)
		if got := fmt.Sprint(d.DurableSequence(Applied), d.DurableSequence(Local), d.DurableSequence(Remote)); got != "0 0 0" {
			t.Errorf("a new log is at %s", got)
		}
		mustAppend(t, d, Remote, "a", "1", "b", "2")
		if got := <-remote; got != 2 {
			t.Errorf("remote is at %d", got)
		}
		<-local // the shipment says so too
		mustAppend(t, d, Local, "a", "3")
		if got := <-local; got != 3 {
			t.Errorf("local is at %d", got)
		}
		select {
		case v := <-remote:
			t.Errorf("remote was told of %d before it was there", v)
		default:
		}
		mustFlush(t, d)
		mustFlush(t, d) // nothing new: nobody is woken
		if got := <-remote; got != 3 {
			t.Errorf("remote is at %d", got)
		}
		settled()
		select {
		case v := <-remote:
			t.Errorf("remote was told of %d, no advance", v)
		default:
		}
		closeLog(t, d)
		if _, open := <-remote; open {
			t.Error("the subscription outlives its log")
		}
	})
}
