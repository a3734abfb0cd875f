package memtable

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/logdb-go/logdb/objstore/turn"
)

// order is the streams of a table in ascending key order. It is immutable.
type order struct{ streams []uint32 }

// sorted returns the streams published so far by key. The work is done once
// for every stream: a later call sorts what came since and merges it in.
func (t *Table) sorted() []uint32 {
	t.ordering.Lock()
	defer t.ordering.Unlock()
	var old []uint32
	if o := t.order.Load(); o != nil {
		old = o.streams
	}
	n := t.public.streams.Load()
	if int(n-1) == len(old) {
		return old
	}
	// Numbers are handed out in order: what is new follows what was sorted.
	items := make([]sortItem, 0, int(n-1)-len(old))
	var work turn.Work
	for id := uint32(len(old)) + 1; id < n; id++ {
		items = append(items, sortItem{key: t.keyOf(t.streams.at(id)), stream: id})
		work.Did(keyWork)
	}
	sortByKey(items, 0, &work)
	ids := t.mergeOrder(old, items)
	t.order.Store(&order{streams: ids})
	return ids
}

func (t *Table) mergeOrder(old []uint32, items []sortItem) []uint32 {
	ids := make([]uint32, 0, len(old)+len(items))
	for _, it := range items {
		for len(old) > 0 && bytes.Compare(t.keyOf(t.streams.at(old[0])), it.key) < 0 {
			ids = append(ids, old[0])
			old = old[1:]
		}
		ids = append(ids, it.stream)
	}
	return append(ids, old...)
}

// What finding a key takes, and looking at two, in bytes copied.
const (
	keyWork     = 256
	compareWork = 16
)

// sortItem is one key to sort. window is eight bytes of the key from the depth
// that is being sorted, padded with zeros; rest is how many bytes the key has
// from there, 9 for more than eight.
type sortItem struct {
	window uint64
	rest   uint32
	stream uint32
	key    []byte
}

// sortByKey sorts distinct keys that agree in their first depth bytes. It
// compares eight bytes at a time behind what all of them have in common, since
// keys often share a long beginning, and goes deeper only where those agree.
func sortByKey(items []sortItem, depth int, work *turn.Work) {
	for len(items) > 1 {
		depth = commonPrefix(items, depth)
		for i := range items {
			items[i].look(depth)
			work.Did(compareWork)
		}
		slices.SortFunc(items, func(a, b sortItem) int {
			work.Did(compareWork)
			if c := cmp.Compare(a.window, b.window); c != 0 {
				return c
			}
			return cmp.Compare(a.rest, b.rest)
		})
		// Only keys that go on behind the window can still be out of order.
		// The last such run is sorted by the loop and not by recursion.
		items = deepen(items, depth+8, work)
		depth += 8
	}
}

// deepen sorts all runs of undecided items but the last, which it returns.
func deepen(items []sortItem, depth int, work *turn.Work) []sortItem {
	var last []sortItem
	for len(items) > 0 {
		n := 1
		for n < len(items) && items[n].window == items[0].window && items[n].rest == items[0].rest {
			n++
		}
		if n > 1 {
			sortByKey(last, depth, work)
			last = items[:n]
		}
		items = items[n:]
	}
	return last
}

func (s *sortItem) look(depth int) {
	rest := s.key[depth:]
	if len(rest) >= 8 {
		s.window = binary.BigEndian.Uint64(rest)
		s.rest = uint32(min(len(rest), 9))
		return
	}
	var b [8]byte
	copy(b[:], rest)
	s.window, s.rest = binary.BigEndian.Uint64(b[:]), uint32(len(rest))
}

func commonPrefix(items []sortItem, depth int) int {
	n := len(items[0].key)
	for i := range items[1:] {
		a, b := items[i].key, items[i+1].key
		n = min(n, len(b))
		j := depth
		for j < n && a[j] == b[j] {
			j++
		}
		n = j
		if n == depth {
			break
		}
	}
	return n
}
