package objstore

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
)

// Counts is what a meter has seen since it was made. The maps belong to the caller.
type Counts struct {
	// Requests by kind: "get", "get_range", "list", "put", "delete". GetIfChanged is a "get". A listing counts one
	// for every 1000 names begun, as S3 bills it.
	Requests map[string]uint64
	// Bytes by kind: bodies of objects, received for "get" and "get_range", sent for "put" whatever came of it.
	Bytes map[string]uint64
	// Errors by kind and outcome, "put/precondition" for one: "not_found", "precondition", "not_modified",
	// "access_denied", "canceled" (the context ended) and "other". Kinds without errors are absent.
	Errors map[string]uint64
}

type requestKind int

const (
	kindGet requestKind = iota
	kindGetRange
	kindList
	kindPut
	kindDelete
	kinds
)

var kindNames = [kinds]string{"get", "get_range", "list", "put", "delete"}

const (
	outcomeOther = iota
	outcomeNotFound
	outcomePrecondition
	outcomeNotModified
	outcomeAccessDenied
	outcomeCanceled
	outcomes
)

var outcomeNames = [outcomes]string{"other", "not_found", "precondition", "not_modified", "access_denied", "canceled"}

const listPage = 1000

// ReaderMeter passes requests to a Reader and counts them.
type ReaderMeter struct {
	reader   Reader
	requests [kinds]atomic.Uint64
	bytes    [kinds]atomic.Uint64
	errors   [kinds][outcomes]atomic.Uint64
}

// NewReaderMeter returns a Reader that counts what is asked of r.
func NewReaderMeter(r Reader) *ReaderMeter { return &ReaderMeter{reader: r} }

// Counts returns the numbers so far. Requests under way may be counted in part.
func (m *ReaderMeter) Counts() Counts {
	c := Counts{Requests: map[string]uint64{}, Bytes: map[string]uint64{}, Errors: map[string]uint64{}}
	for kind, name := range kindNames {
		c.Requests[name] = m.requests[kind].Load()
		c.Bytes[name] = m.bytes[kind].Load()
		for outcome, what := range outcomeNames {
			if n := m.errors[kind][outcome].Load(); n > 0 {
				c.Errors[name+"/"+what] = n
			}
		}
	}
	return c
}

func (m *ReaderMeter) count(kind requestKind, bytes int, err error) {
	m.requests[kind].Add(1)
	m.bytes[kind].Add(uint64(bytes))
	if err != nil {
		m.errors[kind][outcomeOf(err)].Add(1)
	}
}

func outcomeOf(err error) int {
	switch {
	case errors.Is(err, ErrNotFound):
		return outcomeNotFound
	case errors.Is(err, ErrPrecondition):
		return outcomePrecondition
	case errors.Is(err, ErrNotModified):
		return outcomeNotModified
	case errors.Is(err, ErrAccessDenied):
		return outcomeAccessDenied
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return outcomeCanceled
	default:
		return outcomeOther
	}
}

// Get implements Reader.
func (m *ReaderMeter) Get(ctx context.Context, name string) (Object, error) {
	o, err := m.reader.Get(ctx, name)
	m.count(kindGet, len(o.Data), err)
	return o, err
}

// GetIfChanged implements Reader.
func (m *ReaderMeter) GetIfChanged(ctx context.Context, name, etag string) (Object, error) {
	o, err := m.reader.GetIfChanged(ctx, name, etag)
	m.count(kindGet, len(o.Data), err)
	return o, err
}

// GetRange implements Reader.
func (m *ReaderMeter) GetRange(ctx context.Context, name string, off, n int64) ([]byte, error) {
	data, err := m.reader.GetRange(ctx, name, off, n)
	m.count(kindGetRange, len(data), err)
	return data, err
}

// List implements Reader.
func (m *ReaderMeter) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	listing := m.reader.List(ctx, prefix, after)
	return func(yield func(Info, error) bool) {
		names := 0
		m.count(kindList, 0, nil)
		for info, err := range listing {
			if err != nil {
				m.errors[kindList][outcomeOf(err)].Add(1)
			} else if names++; names > 1 && names%listPage == 1 {
				m.count(kindList, 0, nil)
			}
			if !yield(info, err) {
				return
			}
		}
	}
}

// Meter is a ReaderMeter over a whole Bucket.
type Meter struct {
	ReaderMeter
	bucket Bucket
}

// NewMeter returns a Bucket that counts what is asked of b.
func NewMeter(b Bucket) *Meter { return &Meter{ReaderMeter: ReaderMeter{reader: b}, bucket: b} }

// Put implements Bucket.
func (m *Meter) Put(ctx context.Context, name string, data []byte, c Condition) (string, error) {
	etag, err := m.bucket.Put(ctx, name, data, c)
	m.count(kindPut, len(data), err)
	return etag, err
}

// Delete implements Bucket.
func (m *Meter) Delete(ctx context.Context, name string) error {
	err := m.bucket.Delete(ctx, name)
	m.count(kindDelete, 0, err)
	return err
}
