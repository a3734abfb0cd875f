package logdb

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// watermark is an exclusive position that only rises, until it fails for good.
// Anybody may wait for it; whoever owns the fact behind it advances it.
type watermark struct {
	value atomic.Uint64
	mu    struct {
		sync.Mutex
		waiters []waiter // ascending by position; almost always appended to
		subs    map[chan uint64]struct{}
		err     error // sticky; no advance after it
	}
}

// waiter is told on done, once, that the watermark reached at or failed. done
// has room for one error, so telling never blocks.
type waiter struct {
	at   uint64
	done chan error
}

func (w *watermark) get() uint64 { return w.value.Load() }

// advance raises the watermark to v and wakes whom that satisfies. A lower or
// equal v wakes nobody.
func (w *watermark) advance(v uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.err != nil || v <= w.value.Load() {
		return
	}
	w.value.Store(v)
	n := 0
	for ; n < len(w.mu.waiters) && w.mu.waiters[n].at <= v; n++ {
		w.mu.waiters[n].done <- nil
	}
	w.mu.waiters = slices.Delete(w.mu.waiters, 0, n)
	for ch := range w.mu.subs {
		replace(ch, v)
	}
}

// replace leaves v as the only value in ch. Safe because the caller is the
// only sender and ch has room for one.
func replace(ch chan uint64, v uint64) {
	select {
	case <-ch:
	default:
	}
	ch <- v
}

// fail ends the watermark: those who wait get err, as do those who come later
// for a position that was not reached.
func (w *watermark) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.err != nil {
		return
	}
	w.mu.err = err
	for _, x := range w.mu.waiters {
		x.done <- err
	}
	w.mu.waiters = nil
	for ch := range w.mu.subs {
		close(ch)
	}
	w.mu.subs = nil
}

// notify sends to done when the watermark reaches at (nil) or fails.
func (w *watermark) notify(at uint64, done chan error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case at <= w.value.Load():
		done <- nil
	case w.mu.err != nil:
		done <- w.mu.err
	default:
		i := len(w.mu.waiters)
		for i > 0 && w.mu.waiters[i-1].at > at {
			i--
		}
		w.mu.waiters = slices.Insert(w.mu.waiters, i, waiter{at, done})
	}
}

// wait blocks until the watermark reaches at, fails, or ctx ends.
func (w *watermark) wait(ctx context.Context, at uint64) error {
	if at <= w.value.Load() {
		return nil
	}
	done := make(chan error, 1)
	w.notify(at, done)
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		w.forget(done)
		return ctx.Err()
	}
}

// forget removes a waiter that waits no more.
func (w *watermark) forget(done chan error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.waiters = slices.DeleteFunc(w.mu.waiters, func(x waiter) bool { return x.done == done })
}

// subscribe returns a channel that holds the newest value after each advance.
// It is closed when ctx ends or the watermark fails.
func (w *watermark) subscribe(ctx context.Context) <-chan uint64 {
	ch := make(chan uint64, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.err != nil || ctx.Err() != nil {
		close(ch)
		return ch
	}
	if w.mu.subs == nil {
		w.mu.subs = make(map[chan uint64]struct{})
	}
	w.mu.subs[ch] = struct{}{}
	context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if _, live := w.mu.subs[ch]; live {
			delete(w.mu.subs, ch)
			close(ch)
		}
	})
	return ch
}
