package objstore

import (
	"context"

	"golang.org/x/sync/semaphore"
)

// Budget bounds the bytes of bodies that a process has on their way to and from its stores at one time. Limits of
// components do not add up to one: what each holds for a moment on a fast store it holds at once on a slow one, and all
// of them together. Logs and readers of one process that shall keep to one bound are given the same Budget.
//
// It may be used from any number of goroutines. Whoever waits is served in turn.
type Budget struct {
	size int64
	sem  *semaphore.Weighted
}

// NewBudget returns a budget of so many bytes, at least one.
func NewBudget(bytes int64) *Budget {
	bytes = max(bytes, 1)
	return &Budget{size: bytes, sem: semaphore.NewWeighted(bytes)}
}

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
