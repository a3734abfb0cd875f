package client

import (
	"context"
	"iter"
	"math"
	"sync/atomic"
	"time"

	"github.com/logdb-go/logdb/logdb"
)

// Iterator reads entries, of a scan or of a follower. It starts before the first;
// it is not for concurrent use but for NextSequence, and must be closed. It holds
// one answer of the server at a time.
type Iterator struct {
	ctx    context.Context
	o      logdb.ScanOptions
	from   feed // nil: nothing was to be asked
	queue  []logdb.Entry
	then   uint64 // where to go on behind the queue
	resume atomic.Uint64

	records, bytes uint64
	entry          logdb.Entry
	err            error
	drained        bool // nothing comes behind the queue
	over           bool
}

// feed brings what an iterator reads, a piece at a time.
type feed interface {
	// next waits for the entries that lie behind the cursor. last says that there
	// will be no more. It repeats what may pass; its error is the iterator's.
	next(ctx context.Context, cursor uint64) (p piece, err error)
	close()
}

// piece is what a feed brings. It may tell more than it was asked for: an
// iterator takes nothing twice.
type piece struct {
	entries []logdb.Entry
	then    uint64 // where to go on, if hasThen
	hasThen bool
	last    bool
}

func newIterator(ctx context.Context, from feed, start uint64, o logdb.ScanOptions) *Iterator {
	it := &Iterator{ctx: ctx, o: o, from: from, then: start}
	it.resume.Store(start)
	return it
}

// Next moves to the next entry. It returns false at the end, at a limit, or at an
// error, which Err tells. On a follower it waits for the next entry.
func (it *Iterator) Next() bool {
	it.entry = logdb.Entry{}
	for !it.over && !it.full() {
		if it.take() {
			return true
		}
		it.move(it.then)
		if it.drained {
			break
		}
		it.fetch()
	}
	it.over = true
	return false
}

func (it *Iterator) fetch() {
	p, err := it.from.next(it.ctx, it.resume.Load())
	if err != nil {
		it.err, it.over = err, true
		return
	}
	it.queue, it.drained = p.entries, p.last
	if p.hasThen {
		it.then = p.then
	}
}

// full tells that a limit is reached.
func (it *Iterator) full() bool {
	records, limited := it.o.Records.Get()
	if limited && it.records >= records {
		return true
	}
	bytes, limited := it.o.Bytes.Get()
	return limited && it.bytes >= bytes
}

// take moves to the first entry of the queue that has not been returned. Whatever
// a server sends, none is returned twice and the cursor does not go back.
func (it *Iterator) take() bool {
	for len(it.queue) > 0 {
		e := it.queue[0]
		it.queue[0], it.queue = logdb.Entry{}, it.queue[1:]
		cursor := it.resume.Load()
		switch {
		case !it.o.Reverse && e.Sequence < cursor, it.o.Reverse && e.Sequence >= cursor:
			continue
		case it.o.Reverse:
			it.move(e.Sequence)
		default:
			it.move(e.Sequence + 1)
		}
		if !it.o.FromTime.IsZero() && e.Time.Before(it.o.FromTime.Truncate(time.Millisecond)) {
			continue // a follower's stream knows no time
		}
		it.entry = e
		it.records++
		it.bytes += uint64(len(e.Value))
		return true
	}
	return false
}

func (it *Iterator) move(cursor uint64) {
	if it.o.Reverse {
		it.resume.Store(min(it.resume.Load(), cursor))
	} else {
		it.resume.Store(max(it.resume.Load(), cursor))
	}
}

// Entry returns the entry that Next moved to. Its Key and Value are valid until
// the next call of Next or Close.
func (it *Iterator) Entry() logdb.Entry { return it.entry }

// Err returns why Next returned false, and nil at the end of the range or at a
// limit. It is ctx's own error where ctx ended.
func (it *Iterator) Err() error { return it.err }

// NextSequence is where to go on: a range, or a follower, that begins there gets
// what this iterator has not returned, and nothing again. It is the last returned
// sequence plus one, or more where the server has shown that there is nothing: on
// a follower it moves with the log even if no followed key does. It never goes
// back. In reverse, Until(NextSequence()) goes on.
//
// It may be called while another goroutine waits in Next, and tells then what
// Next has returned so far.
func (it *Iterator) NextSequence() uint64 { return it.resume.Load() }

// Close ends the iterator's requests. It can be called more than once.
func (it *Iterator) Close() error {
	it.over = true
	it.entry, it.queue = logdb.Entry{}, nil
	if it.from != nil {
		it.from.close()
	}
	return nil
}

// All returns the remaining entries for a range loop and closes the iterator when
// the loop ends. The last pair carries the error, if there is one.
func (it *Iterator) All() iter.Seq2[logdb.Entry, error] {
	return func(yield func(logdb.Entry, error) bool) {
		defer it.Close()
		for it.Next() {
			if !yield(it.Entry(), nil) {
				return
			}
		}
		if err := it.Err(); err != nil {
			yield(logdb.Entry{}, err)
		}
	}
}

// startOf is where a scan begins, in the direction that it goes.
func startOf(r logdb.Range, reverse bool) uint64 {
	if !reverse {
		return r.Start()
	}
	if end, bounded := r.End(); bounded {
		return max(end, r.Start())
	}
	return math.MaxUint64
}
