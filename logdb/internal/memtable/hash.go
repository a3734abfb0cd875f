package memtable

import "sync/atomic"

const firstHashBits = 10

// hashIndex maps the hash of a key to the number of its stream: open
// addressing with linear probing. A slot holds the upper half of the hash and
// the number; 0 is a free slot. The position of a slot comes from the same
// upper half, so a larger index is filled from the slots alone, in order, and
// without looking at any key.
//
// One goroutine inserts. Growing builds a new index beside the old one, which
// stays as it was for the readers that hold it.
type hashIndex struct {
	slots []atomic.Uint64
	shift uint
	room  int // inserts left before it has to grow
}

func newHashIndex(bits uint) *hashIndex {
	n := 1 << bits
	return &hashIndex{slots: make([]atomic.Uint64, n), shift: 64 - bits, room: n / 4 * 3}
}

const tagMask = 0xffffffff_00000000

// grown returns an index of twice the size with the same content.
func (x *hashIndex) grown() *hashIndex {
	bits := 64 - x.shift + 1
	y := newHashIndex(bits)
	for i := range x.slots {
		if s := x.slots[i].Load(); s != 0 {
			y.insert(s, uint32(s))
		}
	}
	return y
}

// insert adds a stream that is not in the index yet.
func (x *hashIndex) insert(hash uint64, stream uint32) {
	mask := uint64(len(x.slots) - 1)
	i := hash >> x.shift
	for x.slots[i].Load() != 0 {
		i = (i + 1) & mask
	}
	x.slots[i].Store(hash&tagMask | uint64(stream))
	x.room--
}

// probe walks the streams whose keys may have this hash.
type probe struct {
	x   *hashIndex
	tag uint64
	i   uint64
}

func (x *hashIndex) probe(hash uint64) probe {
	return probe{x: x, tag: hash & tagMask, i: hash >> x.shift}
}

// next returns the number of the next candidate, 0 when there is none left.
func (p *probe) next() uint32 {
	mask := uint64(len(p.x.slots) - 1)
	for {
		s := p.x.slots[p.i].Load()
		if s == 0 {
			return 0
		}
		p.i = (p.i + 1) & mask
		if s&tagMask == p.tag {
			return uint32(s)
		}
	}
}

func (x *hashIndex) bytes() int64 { return int64(len(x.slots)) * 8 }
