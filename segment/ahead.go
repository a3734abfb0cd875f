package segment

import (
	"context"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2/sstable/colblk"

	"github.com/logdb-go/logdb/objstore"
)

// maxDepth is how many reads a scan has under way, or done and not looked at,
// beside the one that it waits for: 32 windows of 4 MiB in all. One connection
// carries tens of megabytes a second, so many small ones beat few large ones.
const maxDepth = 31

// Ahead is what one scan of one key reads ahead of itself, over all tables that
// it goes through. A scan that has used up a window is a long one: from then on
// it has one more window under way, then two, four and so on, 31 at most of
// up to 4 MiB, each of them one that it would have asked for later. What they
// hold until the scan is there comes out of the budget that the cache was given;
// where that has no room the scan goes on window by window.
//
// It belongs to the goroutine of its scan. Tables that are opened ahead count as
// windows.
type Ahead struct {
	scan   AheadScan
	budget *objstore.Budget // nil: nothing is read ahead
	most   int              // bound of depth

	depth    int   // how many may be under way; 0 while the scan is short
	pending  int   // how many are, or wait to be looked at
	expected int64 // bytes of them
	window   int64 // of the next table's first read
	seen     int64 // bytes of blocks that the scan entered
	fetched  int64 // those of them that came out of windows
}

// AheadScan is who reads ahead. It is called by the scan's own moves.
type AheadScan interface {
	// Wanted is an estimate of how many bytes the scan will yet enter, having
	// entered so many; math.MaxInt64 if only the end of the key bounds it.
	Wanted(seen int64) int64
	// Onward is called when all that the scan's table has for it is read or
	// under way: the next tables may be opened, and read ahead.
	Onward()
}

// Ahead returns the read-ahead of a scan that goes through tables of the cache.
func (c *Cache) Ahead(scan AheadScan) Ahead {
	return Ahead{scan: scan, budget: c.transfers, most: maxDepth}
}

// steady is the read-ahead of a pass over one table: one window while it goes
// through the one before. Who asks for it has memory for two.
func steady() *Ahead {
	return &Ahead{scan: toTheEnd{}, budget: objstore.NewBudget(2 * MaxWindow), most: 1, depth: 1}
}

type toTheEnd struct{}

func (toTheEnd) Wanted(int64) int64 { return math.MaxInt64 }
func (toTheEnd) Onward()            {}

// ReadAhead lets long scans read ahead of themselves, with half of the budget
// for what they hold. It comes before the first Open; without it each scan reads
// one window after the other.
func (c *Cache) ReadAhead(b *objstore.Budget) { c.transfers = b }

// Take asks whether bytes may be read now for later, and about so many of what
// the scan wants with them. Arrived undoes the second and counts the read as one
// that is over, Free gives back its bytes.
func (a *Ahead) Take(bytes, expect int64) bool {
	if a.pending >= a.depth || a.left() <= 0 || !a.budget.TryAhead(bytes) {
		return false
	}
	a.pending++
	a.expected += expect
	return true
}

// Arrived is the end of a read that Take allowed.
func (a *Ahead) Arrived(expect int64) {
	a.pending--
	a.expected -= expect
}

// Free gives back bytes that Take took.
func (a *Ahead) Free(bytes int64) { a.budget.EndAhead(bytes) }

// Seen is how many bytes of blocks the scan has entered.
func (a *Ahead) Seen() int64 { return a.seen }

// Room reports whether a read is worth its while that brings about so many bytes
// of what the scan wants: it wants as many more.
func (a *Ahead) Room(expect int64) bool { return a.left() >= expect }

// left is how much the scan wants beyond what is on its way. An estimate has some
// slack, for which it would otherwise come again.
func (a *Ahead) left() int64 {
	wanted := a.scan.Wanted(a.seen)
	if wanted <= 0 || wanted >= math.MaxInt64/2 {
		return wanted
	}
	return wanted + wanted/16 + MinWindow/4 - a.expected
}

// clip makes a window of a long scan no larger than what is left for it.
func (a *Ahead) clip(window int64) int64 {
	return min(window, max(a.left(), MinWindow))
}

// goes tells, at a read that the scan waits for, whether it is a long one, and
// then lets it have twice as much under way.
func (a *Ahead) goes(usedUp bool) bool {
	if a == nil || a.budget == nil || a.depth == 0 && !usedUp && a.fetched < shortRead {
		return false
	}
	a.depth = min(max(2*a.depth, 1), a.most)
	return true
}

// flight is a window that is under way, or waits to be looked at.
type flight struct {
	at     extent
	cancel context.CancelFunc
	done   chan struct{}
	// Set before done is closed.
	data []byte
	err  error
}

// plan is how far a scan's windows are planned: the index, on the first block
// that is in none.
type plan struct {
	index colblk.IndexIter
	valid bool // there is such a block
	ended bool // and if not, because the scan has no more of the table
}

// ReadAhead begins to read what the iterator is going to want, in the given
// direction, before its first move. It reports whether that is under way to the
// table's end. Without an Ahead in its options it does nothing.
func (it *EntryIter) ReadAhead(reverse bool) (all bool) {
	if it.cursor == nil {
		return true
	}
	a := &it.ahead
	if a.ahead == nil || a.last.hi != 0 {
		return false
	}
	if a.plan == nil {
		it.backward = reverse
		a.plan = it.planAll()
	}
	return a.more()
}

// planAll returns a plan for all of the scan. It has moved nothing yet.
func (s *scan) planAll() (p *plan) {
	p = &plan{index: s.index}
	defer p.guard()
	if s.backward {
		p.valid = p.index.SeekGE(s.upper) || p.index.Last()
	} else {
		p.valid = p.index.SeekGE(s.lower)
	}
	return p
}

// planBehind returns a plan for what is behind a window that begins where the
// scan is.
func (s *scan) planBehind(at extent) *plan {
	p := &plan{index: s.index}
	s.skip(p, at)
	return p
}

// guard ends a plan that the index makes panic. The scan will find out by itself
// if it gets there.
func (p *plan) guard() {
	if recover() != nil {
		p.valid, p.ended = false, false
	}
}

// skip moves the plan behind a window.
func (s *scan) skip(p *plan, at extent) {
	defer p.guard()
	for p.valid = s.turn(&p.index); p.valid; p.valid = s.turn(&p.index) {
		if row := p.index.RowIndex(); row < s.first || row > s.last {
			break
		}
		if h, err := p.index.BlockHandleWithProperties(); err != nil || !at.contains(extentOf(h.Handle)) {
			return
		}
	}
	p.valid, p.ended = false, true
}

// following returns the next window of the plan. There is none at the end, and
// none now where blocks are at hand.
func (s *scan) following(p *plan, window int64) (get extent, ok bool) {
	defer p.guard()
	if !p.valid {
		return extent{}, false
	}
	h, err := p.index.BlockHandleWithProperties()
	if err == nil {
		err = checkHandle(h.Handle, 0, s.table.dataEnd)
	}
	old := false
	if err == nil {
		old, err = s.tooOld(h.Props)
	}
	if err != nil || old {
		p.valid = false
		return extent{}, false
	}
	at := extentOf(h.Handle)
	if kept := s.table.sst.BlockReader().GetFromCache(h.Handle); kept != nil {
		kept.Release()
		return extent{}, false
	}
	if s.ahead.disk.has(s.ahead.pieceAt(at)) {
		return extent{}, false
	}
	return s.widen(p.index, at, window), true
}

// onward sends for what comes behind a window that the scan goes into.
func (a *readAhead) onward(into extent) {
	n := into.hi - into.lo
	a.ahead.expected += n
	if a.more() {
		a.ahead.scan.Onward()
	}
	a.ahead.expected -= n
}

// more sends for as many windows of the plan as may be under way, and reports
// whether the plan is at the table's end.
func (a *readAhead) more() (all bool) {
	if a.plan == nil {
		return false
	}
	a.carry()
	for {
		if a.ahead.left() <= 0 || a.ahead.pending >= a.ahead.depth {
			return false
		}
		get, ok := a.scan.following(a.plan, a.ahead.clip(a.window))
		if !ok {
			return a.plan.ended
		}
		if n := get.hi - get.lo; !a.ahead.Take(n, n) {
			return false
		}
		a.scan.skip(a.plan, get)
		a.send(get)
		a.widened()
	}
}

// carry takes over the window of the table before.
func (a *readAhead) carry() {
	if a.ahead != nil && a.ahead.depth > 0 && a.last.hi == 0 && len(a.queue) == 0 {
		a.window = min(max(a.window, a.ahead.window), a.most)
	}
}

func (a *readAhead) widened() {
	a.window = min(2*a.window, a.most)
	if a.ahead != nil {
		a.ahead.window = a.window
	}
}

func (a *readAhead) send(get extent) {
	ctx, cancel := context.WithCancel(a.scan.ctx)
	f := &flight{at: get, cancel: cancel, done: make(chan struct{})}
	a.queue = append(a.queue, f)
	src, name := a.src, a.name
	go func() {
		defer close(f.done)
		f.data, f.err = getRange(ctx, src, name, f.at)
	}()
}

// arriving takes the window that holds what is wanted out of the queue, nil if
// none does. What was to come before it is not wanted any more.
func (a *readAhead) arriving(want extent) *flight {
	i := slices.IndexFunc(a.queue, func(f *flight) bool { return f.at.contains(want) })
	if i < 0 {
		a.drop(len(a.queue))
		a.plan = nil
		return nil
	}
	a.drop(i)
	f := a.queue[0]
	a.queue = a.queue[1:]
	a.ahead.Arrived(f.at.hi - f.at.lo)
	return f
}

// land waits for a window. An error is that of a read made now.
func (a *readAhead) land(f *flight) error {
	<-f.done
	f.cancel()
	a.ahead.Free(f.at.hi - f.at.lo)
	if f.err != nil {
		return f.err
	}
	a.buf, a.at = f.data, f.at
	return nil
}

// drop calls the first n windows back and returns when they have ended.
func (a *readAhead) drop(n int) {
	for _, f := range a.queue[:n] {
		f.cancel()
	}
	for _, f := range a.queue[:n] {
		<-f.done
		a.ahead.Arrived(f.at.hi - f.at.lo)
		a.ahead.Free(f.at.hi - f.at.lo)
	}
	a.queue = a.queue[n:]
}
