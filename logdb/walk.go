package logdb

import (
	"context"
	"errors"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/wal"
)

// walkAhead bounds how many WAL objects a walk reads at once.
const walkAhead = 16

// fetched is one WAL object that was asked for.
type fetched struct {
	obj wal.Object
	err error
}

// walk reads WAL objects from a position on and gives them to f in order,
// following fences, until a number is absent. It returns that position: what
// a GET answers 404 may still come, so it proves no end.
//
// It asks for as many as are expected, walkAhead at once, then for one, so that
// a right guess costs one request beyond what is there, then for twice as many
// each time.
func walk(ctx context.Context, b objstore.Reader, at wal.Position, expect int, retry *retry, f func(wal.Object) error) (wal.Position, error) {
	left, more := max(expect, 1), 1
	for {
		ahead := min(left, walkAhead)
		if left <= 0 {
			ahead, more = more, min(2*more, walkAhead)
		}
		left -= ahead
		next, fenced := at, false
		for got := range fetchAll(ctx, b, at, ahead, retry) {
			if errors.Is(got.err, objstore.ErrNotFound) {
				return next, nil
			}
			if got.err != nil {
				return next, got.err
			}
			if err := f(got.obj); err != nil {
				return next, err
			}
			next.Number++
			if got.obj.Kind == wal.Fence {
				next, fenced = got.obj.Next, true
				break
			}
		}
		if at = next; fenced {
			left, more = 0, 1 // what follows a fence may be another fence
		}
	}
}

// fetchAll reads n numbers from at on, at once, and yields them in order.
func fetchAll(ctx context.Context, b objstore.Reader, at wal.Position, n int, retry *retry) func(func(fetched) bool) {
	return func(yield func(fetched) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		results := make([]chan fetched, n)
		for i := range results {
			results[i] = make(chan fetched, 1)
			name := wal.ObjectName(at.Epoch, at.Number+uint64(i))
			go func() {
				obj, err := readObject(ctx, b, name, retry.again())
				results[i] <- fetched{obj, err}
			}()
		}
		for i, c := range results {
			if !yield(<-c) {
				cancel()
				for _, c := range results[i+1:] {
					<-c // joined: nobody reads on behind the caller's back
				}
				return
			}
		}
	}
}
