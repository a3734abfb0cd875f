package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/logdb/server/logpb"
)

// Count returns how many entries of key lie in r, as [logdb.LogDb.Count] does.
func (c *Client) Count(ctx context.Context, key []byte, r logdb.Range) (uint64, error) {
	q := &logpb.CountRequest{Key: key, StartSequence: r.Start(), EndSequence: endOf(r), MinSequence: c.minimum()}
	a, err := read(ctx, c, "count", c.rpc.Count, q)
	if err != nil {
		return 0, err
	}
	return a.Count, nil
}

func endOf(r logdb.Range) *uint64 {
	if end, bounded := r.End(); bounded {
		return &end
	}
	return nil
}

// ListSegments returns the retained segments whose sequences overlap r, oldest
// first, as [logdb.LogDb.ListSegments] does.
func (c *Client) ListSegments(ctx context.Context, r logdb.Range) ([]logdb.Segment, error) {
	q := &logpb.ListSegmentsRequest{StartSequence: r.Start(), EndSequence: endOf(r), MinSequence: c.minimum()}
	a, err := read(ctx, c, "list segments", c.rpc.ListSegments, q)
	if err != nil {
		return nil, err
	}
	var list []logdb.Segment
	for _, m := range a.Segments {
		s := logdb.Segment{
			ID: m.Id, Sequences: logdb.From(m.StartSeq), Opened: time.UnixMilli(m.StartTimeMs), Last: time.UnixMilli(m.LastTimeMs),
			Records: m.Records, Bytes: m.Bytes, Sealed: m.Sealed, Metadata: m.Metadata,
		}
		if m.EndSeq != nil {
			s.Sequences = logdb.Between(m.StartSeq, *m.EndSeq)
		}
		list = append(list, s)
	}
	return list, nil
}

// Frontier asks below which sequence every retained record is readable, as
// [logdb.LogDb.Frontier] tells it: where a follower begins that wants only what
// comes next.
func (c *Client) Frontier(ctx context.Context) (uint64, error) {
	a, err := read(ctx, c, "status", c.rpc.Status, &logpb.StatusRequest{})
	if err != nil {
		return 0, err
	}
	return a.Frontier, nil
}

// ListKeys streams the keys of some segments in byte order, each once, as
// [logdb.LogDb.ListKeys] does, up to 4,096 with one request. Each answer is of
// its own moment. Visibility cannot be chosen.
func (c *Client) ListKeys(ctx context.Context, o logdb.KeyOptions) *KeyIterator {
	it := &KeyIterator{ctx: ctx, c: c, after: o.After}
	it.left, it.limited = o.Limit.Get()
	it.q = logpb.ListKeysRequest{
		StartSegment: o.Segments.Start(), EndSegment: endOf(o.Segments), Prefix: o.Prefix, MinSequence: c.minimum(),
	}
	if o.Visibility != logdb.Default {
		it.err, it.over = errors.New("client: keys are listed at the visibility of the server's log"), true
	}
	return it
}

// KeyIterator streams keys in byte order. It is not for concurrent use and must be
// closed.
type KeyIterator struct {
	ctx     context.Context
	c       *Client
	q       logpb.ListKeysRequest
	after   []byte // nil: from the first
	left    uint64 // keys wanted yet, if limited
	limited bool
	queue   []*logpb.Key
	key     logdb.Key
	err     error
	last    bool // nothing behind the queue
	over    bool
}

// Next moves to the next key. It returns false at the end or at an error.
func (it *KeyIterator) Next() bool {
	it.key = logdb.Key{}
	if it.limited && it.left == 0 {
		it.over = true
	}
	for !it.over && len(it.queue) == 0 {
		if it.last {
			it.over = true
		} else if err := it.fetch(); err != nil {
			it.err, it.over = err, true
		}
	}
	if it.over {
		return false
	}
	k := it.queue[0]
	it.queue = it.queue[1:]
	it.left -= min(it.left, 1)
	it.key = logdb.Key{
		Key: k.Key, Count: k.Count, ValueBytes: k.ValueBytes,
		First: k.FirstSequence, Last: k.LastSequence, LastTime: time.UnixMilli(k.LastTimeMs),
	}
	return true
}

func (it *KeyIterator) fetch() error {
	limit := uint64(pageRecords)
	if it.limited {
		limit = min(limit, it.left)
	}
	it.q.Limit, it.q.After = &limit, it.after
	a, err := read(it.ctx, it.c, "list keys", it.c.rpc.ListKeys, &it.q)
	if err != nil {
		return err
	}
	if a.NextAfter != nil && it.after != nil && bytes.Compare(a.NextAfter, it.after) <= 0 {
		return &Error{Message: fmt.Sprintf("list keys: the server goes on behind %q, after %q", a.NextAfter, it.after)}
	}
	it.queue = a.Keys
	it.after, it.last = a.NextAfter, a.NextAfter == nil
	return nil
}

// Key returns the key that Next moved to. Its bytes are valid until the next call
// of Next or Close.
func (it *KeyIterator) Key() logdb.Key { return it.key }

// Err returns why Next returned false, and nil at the end. It is ctx's own error
// where ctx ended.
func (it *KeyIterator) Err() error { return it.err }

// Close ends the listing. It can be called more than once.
func (it *KeyIterator) Close() error {
	it.over, it.queue, it.key = true, nil, logdb.Key{}
	return nil
}

// All returns the remaining keys for a range loop and closes the iterator when the
// loop ends.
func (it *KeyIterator) All() iter.Seq2[logdb.Key, error] {
	return func(yield func(logdb.Key, error) bool) {
		defer it.Close()
		for it.Next() {
			if !yield(it.Key(), nil) {
				return
			}
		}
		if err := it.Err(); err != nil {
			yield(logdb.Key{}, err)
		}
	}
}
