package inspect

import (
	"maps"
	"math/bits"
	"slices"
)

// sequences is a set of the sequences of one segment, and roughly their times.
// It takes about a bit and a half per sequence where they are dense.
type sequences struct {
	chunks map[uint64]*chunk
	last   uint64 // number of the chunk that was used last
	recent *chunk
}

// chunk covers chunkSize sequences.
type chunk struct {
	bits         [chunkSize / 64]uint64
	minMs, maxMs int64
}

const chunkSize = 1024

func newSequences() *sequences { return &sequences{chunks: make(map[uint64]*chunk)} }

// add adds a sequence and reports whether it is new.
func (s *sequences) add(seq uint64, ms int64) bool {
	n := seq / chunkSize
	if s.recent == nil || s.last != n {
		s.last, s.recent = n, s.chunks[n]
		if s.recent == nil {
			s.recent = &chunk{minMs: ms, maxMs: ms}
			s.chunks[n] = s.recent
		}
	}
	c := s.recent
	c.minMs, c.maxMs = min(c.minMs, ms), max(c.maxMs, ms)
	word, bit := seq%chunkSize/64, uint64(1)<<(seq%64)
	if c.bits[word]&bit != 0 {
		return false
	}
	c.bits[word] |= bit
	return true
}

// timesFall looks for a chunk that holds an earlier time than one before it.
func (s *sequences) timesFall() (seq uint64, before, after int64, bad bool) {
	var prev *chunk
	for _, n := range slices.Sorted(maps.Keys(s.chunks)) {
		c := s.chunks[n]
		if prev != nil && c.minMs < prev.maxMs {
			return n*chunkSize + c.first(), prev.maxMs, c.minMs, true
		}
		prev = c
	}
	return 0, 0, 0, false
}

func (c *chunk) first() uint64 {
	for i, w := range c.bits {
		if w != 0 {
			return uint64(i*64 + bits.TrailingZeros64(w))
		}
	}
	return 0
}
