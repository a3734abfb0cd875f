package segment

import (
	"context"
	"errors"
	"sync"

	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/sstable/block"
	"github.com/cockroachdb/pebble/v2/sstable/block/blockkind"
	"github.com/cockroachdb/pebble/v2/sstable/colblk"
)

// scan walks the rows of a table between two bounds: over the index, which is
// in memory, and over the blocks that the bounds leave. It reads blocks through
// the block cache. Both iterators stand on it.
type scan struct {
	table        *openTable
	ctx          context.Context
	lower, upper []byte // rows in [lower, upper)
	fromMs       uint64 // blocks of older entries are skipped; 0 skips none
	*cursor             // nil if there is nothing to see
	ahead        readAhead
	// The blocks that the bounds leave: index rows, both inclusive, and where they lie.
	first, last int
	limit       extent
	backward    bool
	env         block.ReadEnv
	err         error

	lowerBuf, upperBuf [64]byte
}

// cursor is the large part of a scan, and outlives it.
type cursor struct {
	index colblk.IndexIter
	data  colblk.DataBlockIter
	pool  block.BufferPool
}

var cursors = sync.Pool{New: func() any {
	c := new(cursor)
	c.data.InitOnce(&keySchema, keyComparer, nil)
	return c
}}

// bypass makes the scan leave no blocks in the cache: a pass over a whole table
// would drive out what is read again. It comes before start.
func (s *scan) bypass() {
	s.cursor = cursors.Get().(*cursor)
	s.pool.Init(4)
	s.env.BufferPool = &s.pool
}

// start finds the blocks. lower and upper are set. It reads nothing.
func (s *scan) start(ctx context.Context, r *Reader, window int64) {
	s.ctx = ctx
	s.ahead.init(s, r, window)
	if s.env.BufferPool != nil {
		s.ahead.disk = nil // a pass over everything is no sign of what is wanted again
	}
	if s.cursor == nil {
		s.cursor = cursors.Get().(*cursor)
	}
	s.index.InitWithDecoder(keyComparer, &s.table.index, sstable.NoTransforms)
	if ok, err := s.bound(); err != nil || !ok {
		s.err = err
		_ = s.close()
	}
}

func (s *scan) bound() (ok bool, err error) {
	defer s.guard(&err)
	// The last block whose separator is below upper is followed by one that may begin below it.
	if !s.index.SeekGE(s.upper) && !s.index.Last() {
		return false, nil
	}
	hi, err := s.handle()
	if err != nil {
		return false, err
	}
	s.last = s.index.RowIndex()
	if !s.index.SeekGE(s.lower) {
		return false, nil
	}
	lo, err := s.handle()
	s.first = s.index.RowIndex()
	s.limit = extent{lo.lo, hi.hi}
	return err == nil && s.first <= s.last, err
}

// guard makes errors of panics, and sorts errors out.
func (s *scan) guard(err *error) {
	if p := recover(); p != nil {
		*err = panicError(p)
	}
	if *err != nil {
		*err = readError(s.table.name, s.ahead.last.lo, *err)
	}
}

// handle is where the block of the index row lies, its trailer included.
func (s *scan) handle() (extent, error) {
	h, err := s.index.BlockHandleWithProperties()
	if err == nil {
		err = checkHandle(h.Handle, 0, s.table.dataEnd)
	}
	if err != nil {
		return extent{}, tableError(s.table.name, s.table.dataEnd, err)
	}
	return extentOf(h.Handle), nil
}

func extentOf(h block.Handle) extent {
	return extent{int64(h.Offset), int64(h.Offset+h.Length) + block.TrailerLen}
}

// move is a step of a scan.
type move uint8

const (
	moveFirst move = iota
	moveLast
	moveNext
	movePrev
)

// step moves and returns key and value of where it arrives, or ok false at
// either end and after an error. Both slices are valid until the next step.
func (s *scan) step(m move) (key, value []byte, ok bool) {
	ok, err := s.tryStep(m)
	if err != nil {
		s.err = err
	}
	if !ok || err != nil {
		return nil, nil, false
	}
	kv := s.data.KV()
	return kv.K.UserKey, kv.InPlaceValue(), true
}

func (s *scan) tryStep(m move) (ok bool, err error) {
	defer s.guard(&err)
	s.backward = m == moveLast || m == movePrev
	switch m {
	case moveFirst:
		ok, err = s.enter(s.index.SeekGE(s.lower))
		if ok && s.index.RowIndex() == s.first {
			s.data.SeekGE(s.lower, 0)
		}
	case moveLast:
		ok, err = s.enter(s.index.SeekGE(s.upper) || s.index.Last())
		if ok && s.index.RowIndex() == s.last {
			s.data.SeekLT(s.upper, 0)
		}
	case moveNext:
		ok = true
		s.data.Next()
	case movePrev:
		ok = true
		s.data.Prev()
	}
	for ok && err == nil && !s.data.Valid() {
		ok, err = s.enter(s.turn(&s.index))
	}
	return ok && err == nil && s.inside(), err
}

// turn moves to the next row of an index, in the scan's direction.
func (s *scan) turn(index *colblk.IndexIter) bool {
	if s.backward {
		return index.Prev()
	}
	return index.Next()
}

// inside compares with the bound that the scan goes towards, in the one block
// that can reach beyond it.
func (s *scan) inside() bool {
	row := s.index.RowIndex()
	if s.backward {
		return row != s.first || compareKeys(s.data.KV().K.UserKey, s.lower) >= 0
	}
	return row != s.last || compareKeys(s.data.KV().K.UserKey, s.upper) < 0
}

// enter loads the block of the index row, or the nearest after it that may
// hold what is looked for, and stands on the row where it begins in the
// direction of the scan.
func (s *scan) enter(valid bool) (ok bool, err error) {
	for ; valid; valid = s.turn(&s.index) {
		if row := s.index.RowIndex(); row < s.first || row > s.last {
			return false, nil
		}
		h, err := s.index.BlockHandleWithProperties()
		if err != nil {
			return false, err
		}
		if old, err := s.tooOld(h.Props); err != nil {
			return false, err
		} else if old {
			continue
		}
		return true, s.load(h.Handle)
	}
	return false, nil
}

func (s *scan) tooOld(props []byte) (bool, error) {
	if s.fromMs == 0 {
		return false, nil
	}
	sp, err := blockSpan(props, s.table.spanID)
	if err != nil {
		return false, tableError(s.table.name, s.table.dataEnd, err)
	}
	return !sp.some || sp.msHi < s.fromMs, nil
}

func (s *scan) load(h block.Handle) error {
	if err := checkHandle(h, 0, s.table.dataEnd); err != nil {
		return tableError(s.table.name, s.table.dataEnd, err)
	}
	b, err := s.table.sst.BlockReader().Read(s.ctx, s.env, &s.ahead, h, blockkind.SSTableData, initDataBlock)
	if err != nil {
		return readError(s.table.name, int64(h.Offset), err)
	}
	if err := s.data.InitHandle(keyComparer, b, sstable.NoTransforms); err != nil {
		return err
	}
	if s.backward {
		s.data.Last()
	} else {
		s.data.First()
	}
	return nil
}

func initDataBlock(md *block.Metadata, data []byte) error {
	return colblk.InitDataBlockMetadata(&keySchema, md, data)
}

// widen returns whole blocks around the one that is wanted, where index stands,
// in the direction of the scan, window bytes at most unless that one is larger.
// What would remain of the limit is taken along if it is not more than another
// window.
func (s *scan) widen(index colblk.IndexIter, want extent, window int64) extent {
	get := want
	if s.backward {
		if want.hi-s.limit.lo <= min(2*window, s.ahead.most) {
			get.lo = s.limit.lo
			return get
		}
		for index.Prev() && index.RowIndex() >= s.first {
			if h, err := index.BlockHandleWithProperties(); err != nil || want.hi-int64(h.Offset) > window || int64(h.Offset) >= get.lo {
				break
			} else {
				get.lo = int64(h.Offset)
			}
		}
		return get
	}
	if s.limit.hi-want.lo <= min(2*window, s.ahead.most) {
		get.hi = s.limit.hi
		return get
	}
	for index.Next() && index.RowIndex() <= s.last {
		h, err := index.BlockHandleWithProperties()
		if e := extentOf(h.Handle); err != nil || e.hi-want.lo > window || e.hi <= get.hi {
			break
		} else {
			get.hi = e.hi
		}
	}
	return get
}

// close gives back what the scan holds.
func (s *scan) close() error {
	if s.cursor != nil {
		_ = s.data.Close()
		s.index.Invalidate()
		// After a panic somewhere in Pebble nobody knows what is still in use.
		if !errors.Is(s.err, errPanic) {
			if s.env.BufferPool != nil {
				s.pool.Release()
			}
			cursors.Put(s.cursor)
		}
		s.cursor = nil
	}
	s.ahead.drop(len(s.ahead.queue))
	s.ahead.buf, s.ahead.plan = nil, nil
	return s.err
}
