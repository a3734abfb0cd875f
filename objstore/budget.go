package objstore

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// Budget bounds the bytes of bodies that a process has on their way to and from its stores at one time. Limits of
// components do not add up to one: what each holds for a moment on a fast store it holds at once on a slow one, and all
// of them together. Logs and readers of one process that shall keep to one bound are given the same Budget.
//
// It may be used from any number of goroutines. Whoever waits is served in turn.
type Budget struct {
	size  int64
	sem   *semaphore.Weighted
	ahead atomic.Int64
}

// NewBudget returns a budget of so many bytes, at least one.
func NewBudget(bytes int64) *Budget {
	bytes = max(bytes, 1)
	return &Budget{size: bytes, sem: semaphore.NewWeighted(bytes)}
}

// Size is what NewBudget was given, in bytes.
func (b *Budget) Size() int64 { return b.size }

// Acquire waits until n bytes may be on their way, or until ctx ends, and then fails with its error. Release gives them
// back and is called once. A body that is larger than the budget takes all of it. A nil Budget has no bound.
func (b *Budget) Acquire(ctx context.Context, n int64) (release func(), err error) {
	if b == nil || n <= 0 {
		return func() {}, nil
	}
	n = min(n, b.size)
	if err := b.sem.Acquire(ctx, n); err != nil {
		return nil, err
	}
	return func() { b.sem.Release(n) }, nil
}

// TryAhead takes n bytes of what may be read before anybody has asked for it, and reports whether there was room: half of
// the budget's size, so that such transfers never fill the budget by themselves. EndAhead gives them back once what was
// read is wanted, or thrown away: until then it is memory, too. It is no transfer by itself, and never waits.
func (b *Budget) TryAhead(n int64) bool {
	if b.ahead.Add(n) <= b.size/2 {
		return true
	}
	b.ahead.Add(-n)
	return false
}

// EndAhead gives back what a TryAhead took.
func (b *Budget) EndAhead(n int64) { b.ahead.Add(-n) }

// Ahead is how many bytes TryAhead has taken and EndAhead has not given back.
func (b *Budget) Ahead() int64 { return b.ahead.Load() }
