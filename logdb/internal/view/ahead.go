package view

import (
	"context"
	"math"

	"github.com/logdb-go/logdb/segment"
)

// upcoming is a table that is opened before the scan is there.
type upcoming struct {
	part    *Part
	cancel  context.CancelFunc
	done    chan struct{}
	expect  int64 // bytes of the key's that may be in it
	settled bool  // the open is known to be over, and run is there if ok

	// Set before done is closed.
	reader *segment.Reader
	ok     bool
	err    error

	run run
}

func (u *upcoming) tail() int64 { return u.part.Table.Size - u.part.Table.Tail }

// Wanted implements segment.AheadScan: what the limits leave, if the records to
// come are like those that were returned.
func (it *Iter) Wanted(seen int64) int64 {
	share := math.Inf(1)
	if it.o.HasRecords {
		share = float64(it.o.Records-it.records) / float64(max(it.records, 1))
	}
	if it.o.HasBytes {
		share = min(share, float64(it.o.Bytes-min(it.bytes, it.o.Bytes))/float64(max(it.bytes, 1)))
	}
	if wanted := share * float64(seen); wanted < math.MaxInt64 {
		return int64(wanted)
	}
	return math.MaxInt64
}

// Onward implements segment.AheadScan. Tables are read ahead in the order of the
// scan, so that what it wants last does not take the room of what it wants first.
func (it *Iter) Onward() {
	for _, u := range it.next {
		select {
		case <-u.done:
		default:
			it.openAhead()
			return
		}
		it.settle(u)
		if u.err != nil {
			return // the scan will end there
		}
		if u.ok && !u.run.entries.ReadAhead(it.o.Reverse) {
			return
		}
	}
	it.openAhead()
}

// settle takes in what became of an open that is over.
func (it *Iter) settle(u *upcoming) {
	if u.settled {
		return
	}
	u.settled = true
	u.cancel()
	it.ahead.Arrived(u.expect)
	if u.ok {
		u.run = runOf(it.ctx, u.part, u.reader, it.key, &it.o, it.entryOptions())
	}
}

// openAhead opens as many tables as may be read ahead, side by side. A memtable
// is where they end: nobody waits for one.
func (it *Iter) openAhead() {
	for {
		p := it.peek()
		if p == nil || p.Mem != nil {
			return
		}
		if !p.mayHave(it.key, &it.o) {
			it.skip()
			continue
		}
		u := &upcoming{part: p, done: make(chan struct{}), expect: it.ahead.Seen() / max(it.tables, 1)}
		if !it.ahead.Room(u.expect) || !it.ahead.Take(u.tail(), u.expect) {
			return
		}
		it.skip()
		var ctx context.Context
		ctx, u.cancel = context.WithCancel(it.ctx)
		it.next = append(it.next, u)
		go func() {
			defer close(u.done)
			u.reader, u.ok, u.err = it.v.Store.openFor(ctx, p.Table, it.key)
		}()
	}
}

// arrive takes the next of the tables that were opened ahead.
func (it *Iter) arrive() (run, bool, error) {
	u := it.next[0]
	it.next = it.next[1:]
	<-u.done
	it.settle(u)
	it.ahead.Free(u.tail())
	return u.run, u.ok, u.err
}

// callBack ends what was opened ahead, when the scan will not get there.
func (it *Iter) callBack() {
	for _, u := range it.next {
		u.cancel()
	}
	for len(it.next) > 0 {
		if r, ok, _ := it.arrive(); ok {
			_ = r.close()
		}
	}
}
