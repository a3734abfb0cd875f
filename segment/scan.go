package segment

import (
	"context"

	"github.com/cockroachdb/pebble/v2/sstable"
)

// scan is what both iterators stand on: a Pebble iterator between two bounds,
// the plan of its reads, and its errors.
type scan struct {
	table        *openTable
	it           sstable.Iterator // nil if there is nothing to see
	plan         readPlan
	ctx          planContext
	lower, upper []byte
	err          error

	lowerBuf, upperBuf [64]byte
}

// start opens the Pebble iterator. lower and upper are set.
func (s *scan) start(ctx context.Context, filter *sstable.BlockPropertiesFilterer) {
	s.ctx = planContext{ctx, &s.plan}
	s.plan.bounds = s.bounds
	it, err := s.newIter(filter)
	if err != nil {
		s.err = readError(s.table.file.name, err)
		return
	}
	s.it = it
}

func (s *scan) newIter(filter *sstable.BlockPropertiesFilterer) (it sstable.Iterator, err error) {
	defer recoverTo(&err)
	return s.table.sst.NewPointIter(&s.ctx, sstable.IterOptions{
		Lower: s.lower, Upper: s.upper,
		Transforms:           sstable.NoTransforms,
		Filterer:             filter,
		FilterBlockSizeLimit: sstable.NeverUseFilterBlock,
		Env:                  sstable.NoReadEnv,
		ReaderProvider:       sstable.MakeTrivialReaderProvider(s.table.sst),
		BlobContext:          sstable.AssertNoBlobHandles,
	})
}

func (s *scan) bounds() (extent, error) {
	return s.table.extent(s.ctx.Context, s.lower, s.upper)
}

// move is a step of the Pebble iterator.
type move uint8

const (
	moveFirst move = iota
	moveLast
	moveNext
	movePrev
)

// step moves and returns key and value of where it arrives, or ok false at the
// end and after an error. Both slices are valid until the next step.
func (s *scan) step(m move) (key, value []byte, ok bool) {
	key, value, ok, err := s.tryStep(m)
	if err != nil {
		s.err = readError(s.table.file.name, err)
	}
	return key, value, ok && err == nil
}

func (s *scan) tryStep(m move) (key, value []byte, ok bool, err error) {
	defer recoverTo(&err)
	s.plan.backward = m == moveLast || m == movePrev
	// Pebble's type of a row has no name outside of Pebble.
	kv := none(s.it.Next)
	switch m {
	case moveFirst:
		kv = s.it.SeekGE(s.lower, 0)
	case moveLast:
		kv = s.it.SeekLT(s.upper, 0)
	case moveNext:
		kv = s.it.Next()
	case movePrev:
		kv = s.it.Prev()
	}
	if kv == nil {
		return nil, nil, false, s.it.Error()
	}
	value, _, err = kv.Value(nil)
	return kv.K.UserKey, value, true, err
}

func none[T any](func() T) (v T) { return v }

// close gives the Pebble iterator back.
func (s *scan) close() error {
	if s.it != nil {
		if err := s.it.Close(); err != nil && s.err == nil {
			s.err = readError(s.table.file.name, err)
		}
		s.it = nil
	}
	s.plan.buf = nil
	return s.err
}
