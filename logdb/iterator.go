package logdb

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/logdb-go/logdb/logdb/internal/view"
)

// Iterator reads the entries of one key. It starts before the first; it is not
// for concurrent use and must be closed.
//
// A plain scan reads one snapshot, taken when it was made. Should the bucket
// lose a table of it to retention or a merge meanwhile, the iterator goes on
// from where it is in a newer snapshot.
type Iterator struct {
	ctx    context.Context
	src    *source
	key    []byte
	r      Range
	o      ScanOptions
	follow bool

	it      *view.Iter // nil before the first Next and after the end
	v       *view.View
	hi      uint64
	resume  uint64
	records uint64
	bytes   uint64
	entry   Entry
	err     error
	over    bool
	waiting *follower
	moved   <-chan uint64
}

func (s *source) scan(ctx context.Context, key []byte, r Range, o ScanOptions) *Iterator {
	it := &Iterator{ctx: ctx, src: s, key: append([]byte(nil), key...), r: r, o: o, resume: r.start}
	it.open()
	return it
}

func (s *source) follow(ctx context.Context, key []byte, from uint64, o ScanOptions) *Iterator {
	it := &Iterator{ctx: ctx, src: s, key: append([]byte(nil), key...), r: From(from), o: o, resume: from, follow: true}
	if o.Reverse {
		it.fail(errors.New("logdb: follow cannot go in reverse"))
		return it
	}
	it.waiting = s.followers.add(it.key) // before the frontier is read
	it.moved = s.advanced(ctx, o.Visibility)
	it.open()
	return it
}

// open takes a snapshot and starts reading at the resume point.
func (it *Iterator) open() {
	v, frontier, err := it.src.current(it.o.Visibility)
	if err != nil {
		it.fail(err)
		return
	}
	lo, hi := it.r.clamp(frontier)
	if it.o.Reverse {
		if it.records > 0 {
			hi = min(hi, it.resume)
		}
	} else {
		lo = max(lo, it.resume)
	}
	if it.o.Strict && lo < v.TrimmedBelow && (!it.r.bounded || lo < it.r.end) {
		it.fail(&TrimmedError{Oldest: v.TrimmedBelow})
		return
	}
	if it.o.Reverse && it.records == 0 {
		it.resume = max(lo, hi)
	}
	it.v, it.hi = v, max(lo, hi)
	it.it = v.Scan(it.ctx, it.key, it.viewOptions(lo, it.hi))
}

func (it *Iterator) viewOptions(lo, hi uint64) view.ScanOptions {
	o := view.ScanOptions{Lo: lo, Hi: hi, Reverse: it.o.Reverse}
	if it.o.Records.set {
		o.HasRecords, o.Records = true, it.o.Records.n-min(it.records, it.o.Records.n)
	}
	if it.o.Bytes.set {
		o.HasBytes, o.Bytes = true, it.o.Bytes.n-min(it.bytes, it.o.Bytes.n)
	}
	if !it.o.FromTime.IsZero() {
		o.HasFromMs, o.FromMs = true, it.o.FromTime.UnixMilli()
	}
	return o
}

// Next moves to the next entry. It returns false at the end, at a limit, or at
// an error, which Err tells. On a follower it waits for the next entry.
func (it *Iterator) Next() bool {
	for tries := 0; ; {
		if it.over || it.it == nil {
			return false
		}
		if it.it.Next() {
			it.take()
			return true
		}
		err := it.it.Err()
		switch {
		case vanished(err) && tries < renewals:
			tries++
			if err := it.src.renewed(it.ctx, it.v, err); err != nil {
				return it.fail(err)
			}
			it.reopen()
		case vanished(err):
			return it.fail(fmt.Errorf("%w: %w", ErrStale, err))
		case err != nil:
			return it.fail(whenClosed(err))
		case !it.it.Done() || !it.follow:
			it.resume = max(it.resume, it.it.NextSequence())
			if it.o.Reverse {
				it.resume = it.it.NextSequence()
			}
			it.over = true
			return false
		default:
			it.resume = max(it.resume, it.it.NextSequence())
			it.shut() // a snapshot that nobody reads would keep its memtables
			if !it.wait() {
				return false
			}
			it.open()
		}
	}
}

// wait blocks a follower until its key may have new entries.
func (it *Iterator) wait() bool {
	for {
		if _, _, err := it.src.current(it.o.Visibility); err != nil {
			return it.fail(err)
		}
		select {
		case <-it.waiting.ready:
			if it.moved == nil {
				return true
			}
		case frontier, open := <-it.moved:
			if !open {
				it.moved = nil // the log ended, or ctx did: the next round tells
			}
			if frontier > it.hi {
				return true
			}
		case <-it.ctx.Done():
			return it.fail(it.ctx.Err())
		}
	}
}

func (it *Iterator) reopen() {
	it.shut()
	it.open()
}

func (it *Iterator) take() {
	v := it.it
	it.entry = Entry{Key: it.key, Value: v.Value(), Sequence: v.Sequence(), Time: time.UnixMilli(v.TimeMs())}
	it.resume = v.NextSequence()
	it.records++
	it.bytes += uint64(len(it.entry.Value))
}

func (it *Iterator) fail(err error) bool {
	if it.err == nil {
		it.err = err
	}
	it.over = true
	return false
}

// Entry returns the entry that Next moved to. Its Key and Value are valid
// until the next call of Next or Close.
func (it *Iterator) Entry() Entry { return it.entry }

// Err returns why Next returned false, and nil at the end of the range or at a
// limit.
func (it *Iterator) Err() error { return it.err }

// NextSequence is where to go on: From(NextSequence()) returns what this
// iterator has not, and nothing again. It is the last returned sequence plus
// one; after a full drain it is the frontier or the end of the range, so that
// the cursor of an idle key moves with the log; before anything was read it is
// the range's start. It is never beyond what the iterator has shown to be
// empty. In reverse, Until(NextSequence()) goes on.
func (it *Iterator) NextSequence() uint64 { return it.resume }

// Close releases what the iterator holds. It can be called more than once.
func (it *Iterator) Close() error {
	it.over = true
	it.entry = Entry{}
	if it.waiting != nil {
		it.src.followers.remove(it.waiting)
		it.waiting = nil
	}
	return it.shut()
}

func (it *Iterator) shut() error {
	if it.it == nil {
		return nil
	}
	err := it.it.Close()
	it.it, it.v = nil, nil
	return err
}

// All returns the remaining entries for a range loop and closes the iterator
// when the loop ends. The last pair carries the error, if there is one.
func (it *Iterator) All() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		defer it.Close()
		for it.Next() {
			if !yield(it.Entry(), nil) {
				return
			}
		}
		if err := it.Err(); err != nil {
			yield(Entry{}, err)
		}
	}
}

// KeyIterator streams keys in byte order. It is not for concurrent use and
// must be closed. It reads one snapshot.
type KeyIterator struct {
	it  *view.KeyIter
	key Key
	err error
}

func (s *source) keys(ctx context.Context, o KeyOptions) *KeyIterator {
	v, hi, err := s.current(o.Visibility)
	if err != nil {
		return &KeyIterator{err: err}
	}
	vo := view.KeyOptions{
		SegLo: o.Segments.start, SegHi: o.Segments.end, HasSegHi: o.Segments.bounded,
		Prefix: o.Prefix, After: o.After, HasAfter: o.After != nil, Hi: hi,
	}
	if o.Limit.set {
		vo.Records, vo.HasRecords = o.Limit.n, true
	}
	return &KeyIterator{it: v.Keys(ctx, vo)}
}

// Next moves to the next key. It returns false at the end or at an error.
func (it *KeyIterator) Next() bool {
	if it.it == nil || !it.it.Next() {
		return false
	}
	l := it.it.Listing()
	it.key = Key{
		Key: it.it.Key(), Count: l.Records, ValueBytes: l.ValueBytes,
		First: l.First, Last: l.Last, LastTime: time.UnixMilli(l.LastMs),
	}
	return true
}

// Key returns the key that Next moved to. Its bytes are valid until the next
// call of Next or Close.
func (it *KeyIterator) Key() Key { return it.key }

// Err returns why Next returned false, and nil at the end. ErrStale means that
// tables vanished under the listing; listing again from the last key goes on.
func (it *KeyIterator) Err() error {
	if it.err != nil || it.it == nil {
		return it.err
	}
	if err := it.it.Err(); vanished(err) {
		return fmt.Errorf("%w: %w", ErrStale, err)
	} else {
		return whenClosed(err)
	}
}

// Close releases what the iterator holds. It can be called more than once.
func (it *KeyIterator) Close() error {
	if it.it == nil {
		return nil
	}
	if it.err == nil {
		it.err = it.Err()
	}
	it.key = Key{}
	err := it.it.Close()
	it.it = nil
	return err
}

// All returns the remaining keys for a range loop and closes the iterator when
// the loop ends.
func (it *KeyIterator) All() iter.Seq2[Key, error] {
	return func(yield func(Key, error) bool) {
		defer it.Close()
		for it.Next() {
			if !yield(it.Key(), nil) {
				return
			}
		}
		if err := it.Err(); err != nil {
			yield(Key{}, err)
		}
	}
}
