package memtable

import (
	"hash/maphash"

	"github.com/logdb-go/logdb/wal"
)

// pending is a record that was read from its frame and is not linked yet.
type pending struct {
	key        []byte
	valueBytes int
	hash       uint64
	off        uint32
	stream     *stream // a guess, for warm
}

// ahead reads records of a frame in groups, to touch the memory that linking
// them needs before it is needed. A link follows four pointers, each of which
// misses the cache when there are many keys. One record after the other these
// waits add up; in loops of independent loads they overlap, which makes
// applying to 100,000 keys about twice as fast.
type ahead struct {
	pending [64]pending
	sink    uint64 // what was read, lest the loads be optimised away
}

// fill reads the next records of a frame. Fewer than the array holds means that
// the frame has ended.
func (a *ahead) fill(c *wal.Cursor, seed maphash.Seed) []pending {
	n := 0
	for ; n < len(a.pending); n++ {
		off, key, value, ok := c.Next()
		if !ok {
			break
		}
		a.pending[n] = pending{key: key, valueBytes: len(value), hash: maphash.Bytes(seed, key), off: off}
	}
	return a.pending[:n]
}

// warm touches what find and add will read for the group.
func (a *ahead) warm(t *Table, group []pending) {
	x := t.index.Load()
	if len(group) < 4 || len(x.slots) <= 1<<firstHashBits {
		return // nothing to overlap, or all of it in the cache
	}
	for i := range group {
		p := &group[i]
		if slot := x.slots[p.hash>>x.shift].Load(); slot&tagMask == p.hash&tagMask && slot != 0 {
			p.stream = t.streams.at(uint32(slot))
		}
	}
	for i := range group {
		if s := group[i].stream; s != nil {
			a.sink += uint64(s.off)
		}
	}
	for i := range group {
		if s := group[i].stream; s != nil {
			a.sink += uint64(t.frames.at(s.frame).data[s.off]) + t.records.at(s.last.Load()).sum
		}
	}
}
