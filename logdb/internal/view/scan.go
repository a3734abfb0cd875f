package view

import (
	"context"
	"math"

	"github.com/logdb-go/logdb/segment"
)

// ScanOptions say what a scan returns of one key. A limit counts only with its
// Has field, and a limit of 0 reads nothing.
type ScanOptions struct {
	// Lo and Hi bound the sequences: [Lo, Hi). The caller holds Hi at or below the view's frontier.
	Lo, Hi uint64
	// Reverse returns the entries in descending sequence.
	Reverse bool
	// Records is how many entries to return at most.
	Records uint64
	// Bytes is how many bytes of values to return; the entry that reaches it is the last.
	Bytes uint64

	HasRecords, HasBytes bool

	// FromMs leaves out entries before this time, in milliseconds since the epoch.
	FromMs    int64
	HasFromMs bool
}

// Iter is a scan. It belongs to one goroutine and must be closed.
type Iter struct {
	ctx   context.Context
	v     *View
	key   []byte
	o     ScanOptions
	at    stretch // parts not yet opened
	later stretch // and those behind them
	run   run

	ahead  segment.Ahead
	next   []*upcoming // in the order of the scan, before at
	tables int64       // that the scan has come to

	records, bytes uint64 // returned so far
	resume         uint64
	value          []byte
	over, done     bool
	err            error
}

// Scan returns the entries of key. Neither key nor the view may change while
// the iterator is in use, and ctx covers all of its reads. Errors are the
// iterator's.
func (v *View) Scan(ctx context.Context, key []byte, o ScanOptions) *Iter {
	it := &Iter{ctx: ctx, v: v, key: key, o: o, resume: o.Lo}
	if o.Reverse {
		it.resume = o.Hi
	}
	it.ahead = v.Store.Cache.Ahead(it)
	it.at, it.later = v.stretches(o.Lo, o.Hi)
	if o.Reverse {
		it.at, it.later = it.later, it.at
	}
	return it
}

// Next moves to the next entry and reports whether there is one. It returns
// false at the end of the range, at a limit, at an error and after Close: Done
// and Err tell which.
func (it *Iter) Next() bool {
	it.value = nil
	if it.over || it.atLimit() {
		return false
	}
	for {
		if !it.run.open && !it.nextRun() {
			return false
		}
		if it.run.move(it.o.Reverse) {
			it.take()
			return true
		}
		err := it.run.err()
		if e := it.run.close(); err == nil {
			err = e
		}
		if err != nil {
			return it.fail(err)
		}
	}
}

// atLimit ends the scan without calling it drained: what lies behind the limit
// was not looked at.
func (it *Iter) atLimit() bool {
	if it.o.HasRecords && it.records >= it.o.Records || it.o.HasBytes && it.bytes >= it.o.Bytes {
		it.over = true
		it.callBack()
		if err := it.run.close(); err != nil {
			it.fail(err)
		}
	}
	return it.over
}

func (it *Iter) take() {
	it.value = it.run.value()
	it.records++
	it.bytes += uint64(len(it.value))
	it.resume = it.run.sequence()
	if !it.o.Reverse {
		it.resume++
	}
}

// nextRun opens the next part that may have entries. Without one the scan is
// drained.
func (it *Iter) nextRun() bool {
	for {
		r, ok, err := run{}, false, error(nil)
		if len(it.next) > 0 {
			r, ok, err = it.arrive()
		} else if p := it.peek(); p != nil {
			it.skip()
			r, ok, err = it.v.Store.openRun(it.ctx, p, it.key, &it.o, it.entryOptions())
		} else {
			break
		}
		if err != nil {
			return it.fail(err)
		}
		if ok {
			it.run = r
			it.tables++
			return true
		}
	}
	it.over, it.done = true, true
	if it.o.Reverse {
		it.resume = min(it.o.Lo, it.o.Hi)
	} else {
		it.resume = max(it.o.Lo, it.o.Hi)
		it.v.wanted(it.o.Lo, it.o.Hi)
	}
	return false
}

// peek returns the next of the parts that were not opened, and skip goes behind
// it.
func (it *Iter) peek() *Part {
	p := it.at.peek(it.o.Reverse)
	if p == nil && it.later.parts != nil {
		it.at, it.later = it.later, stretch{}
		p = it.at.peek(it.o.Reverse)
	}
	return p
}

func (it *Iter) skip() { it.at.skip(it.o.Reverse) }

func (it *Iter) entryOptions() segment.EntryOptions {
	return segment.EntryOptions{Hint: it.hint(), Ahead: &it.ahead}
}

// hint is how many bytes the scan still wants, 0 if nobody knows.
func (it *Iter) hint() int64 {
	if !it.o.HasBytes {
		return 0
	}
	return int64(min(it.o.Bytes-it.bytes, math.MaxInt64))
}

func (it *Iter) fail(err error) bool {
	it.over, it.err = true, err
	it.callBack()
	return false
}

// Key is the key that is scanned.
func (it *Iter) Key() []byte { return it.key }

// Sequence is the sequence of the entry. Like TimeMs and Value it may be
// called only after a Next that returned true.
func (it *Iter) Sequence() uint64 { return it.run.sequence() }

// TimeMs is the time of the entry in milliseconds since the epoch.
func (it *Iter) TimeMs() int64 { return it.run.timeMs() }

// Value is the value of the entry. It is valid until the next move and must
// not be changed.
func (it *Iter) Value() []byte { return it.value }

// Err is the error that ended the scan, nil if none did.
func (it *Iter) Err() error { return it.err }

// Done reports that the scan returned everything in its range. A scan that a
// limit stopped is not done, whether or not anything lies behind the limit.
func (it *Iter) Done() bool { return it.done }

// NextSequence is where to go on, and never beyond what the scan has proved.
// Forward, it is the Lo of the scan that would return the rest: the last entry's
// sequence plus one, and Hi once Done. In reverse it is that scan's Hi: the last
// entry's sequence, and Lo once Done. It is right after an error too.
func (it *Iter) NextSequence() uint64 { return it.resume }

// Close ends the scan and gives back what it holds. It may be called more than
// once; Err and NextSequence stay.
func (it *Iter) Close() error {
	it.over, it.value = true, nil
	it.callBack()
	return it.run.close()
}
