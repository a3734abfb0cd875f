package objstoretest

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/logdb-go/logdb/objstore"
)

// Requests passes requests to a bucket and keeps the list of them, in the order in which they ended.
type Requests struct {
	bucket   objstore.Bucket
	attempts attempts
	mu       sync.Mutex
	ops      []Op
}

// NewRequests returns a bucket that records what is asked of b.
func NewRequests(b objstore.Bucket) *Requests { return &Requests{bucket: b} }

// Ops returns the requests that have ended since the last Reset.
func (r *Requests) Ops() []Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ops)
}

// Reset forgets them. Attempts are counted on.
func (r *Requests) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = nil
}

// Count returns how many requests of one kind there were whose names begin with prefix.
func (r *Requests) Count(kind Kind, prefix string) int {
	n := 0
	for _, op := range r.Ops() {
		if op.Kind == kind && strings.HasPrefix(op.Name, prefix) {
			n++
		}
	}
	return n
}

// String is one line for each request, as Op.String has it.
func (r *Requests) String() string {
	var s strings.Builder
	for _, op := range r.Ops() {
		s.WriteString(op.String())
		s.WriteByte('\n')
	}
	return s.String()
}

func (r *Requests) record(op Op, size int64, err error) {
	op.Attempt = r.attempts.next(op.Kind, op.Name)
	op.Size, op.Err = size, err
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, op)
}

// Get implements objstore.Reader.
func (r *Requests) Get(ctx context.Context, name string) (objstore.Object, error) {
	o, err := r.bucket.Get(ctx, name)
	r.record(Op{Kind: Get, Name: name}, int64(len(o.Data)), err)
	return o, err
}

// GetIfChanged implements objstore.Reader.
func (r *Requests) GetIfChanged(ctx context.Context, name, etag string) (objstore.Object, error) {
	o, err := r.bucket.GetIfChanged(ctx, name, etag)
	r.record(Op{Kind: GetIfChanged, Name: name}, int64(len(o.Data)), err)
	return o, err
}

// GetRange implements objstore.Reader.
func (r *Requests) GetRange(ctx context.Context, name string, off, n int64) ([]byte, error) {
	data, err := r.bucket.GetRange(ctx, name, off, n)
	r.record(Op{Kind: GetRange, Name: name, Offset: off, Length: n}, int64(len(data)), err)
	return data, err
}

// List implements objstore.Reader. It is recorded when the iteration ends, however it ends.
func (r *Requests) List(ctx context.Context, prefix, after string) iter.Seq2[objstore.Info, error] {
	listing := r.bucket.List(ctx, prefix, after)
	return func(yield func(objstore.Info, error) bool) {
		var names int64
		var failed error
		defer func() { r.record(Op{Kind: List, Name: prefix}, names, failed) }()
		for info, err := range listing {
			if failed = err; err == nil {
				names++
			}
			if !yield(info, err) {
				return
			}
		}
	}
}

// Put implements objstore.Bucket.
func (r *Requests) Put(ctx context.Context, name string, data []byte, c objstore.Condition) (string, error) {
	etag, err := r.bucket.Put(ctx, name, data, c)
	r.record(Op{Kind: Put, Name: name, Condition: c}, int64(len(data)), err)
	return etag, err
}

// Delete implements objstore.Bucket.
func (r *Requests) Delete(ctx context.Context, name string) error {
	err := r.bucket.Delete(ctx, name)
	r.record(Op{Kind: Delete, Name: name}, 0, err)
	return err
}

// outcome is err in one word.
func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, objstore.ErrNotFound):
		return "not-found"
	case errors.Is(err, objstore.ErrPrecondition):
		return "precondition"
	case errors.Is(err, objstore.ErrNotModified):
		return "not-modified"
	case errors.Is(err, objstore.ErrAccessDenied):
		return "access-denied"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "canceled"
	default:
		return "error"
	}
}
