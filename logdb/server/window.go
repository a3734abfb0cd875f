package server

import (
	"bytes"
	"slices"

	"github.com/logdb-go/logdb/logdb"
)

const (
	// windowBytes bounds what a follower of many keys gathers to put it into
	// order.
	windowBytes   = 128 << 10
	windowRecords = 4 << 10
)

// window is the lowest entries of a range of sequences, of which there is room
// for some. Everything below end that was added is in it.
type window struct {
	end     uint64
	entries []logdb.Entry
	bytes   int
}

func (x *window) add(e logdb.Entry) {
	if e.Sequence >= x.end {
		return
	}
	e.Key, e.Value = bytes.Clone(e.Key), bytes.Clone(e.Value)
	x.entries = append(x.entries, e)
	x.bytes += cost(e)
}

// cost is what an entry holds in memory, about.
func cost(e logdb.Entry) int { return len(e.Key) + len(e.Value) + 96 }

// settle puts the entries into order, once there are more bytes than room, and
// lowers the end to where they would be more.
func (x *window) settle(room int) {
	if x.bytes <= room {
		return
	}
	slices.SortFunc(x.entries, func(a, b logdb.Entry) int {
		if a.Sequence < b.Sequence {
			return -1
		}
		return 1
	})
	size, n := 0, 0
	for ; n < len(x.entries) && x.entries[n].Sequence < x.end; n++ {
		if size += cost(x.entries[n]); room > 0 && size > room && n > 0 {
			x.end = x.entries[n].Sequence
			size -= cost(x.entries[n])
			break
		}
	}
	clear(x.entries[n:])
	x.entries, x.bytes = x.entries[:n], size
}
