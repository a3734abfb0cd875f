package wal

// mark remembers, for a record that a sync was asked for, where something stood behind it: the sequences, or the file.
type mark struct{ index, end uint64 }

// markQueue holds marks in ascending order. It keeps its memory, so that a steady state allocates nothing.
type markQueue struct {
	items []mark
	head  int
}

func (q *markQueue) push(m mark) {
	if len(q.items) == cap(q.items) && q.head > len(q.items)/2 {
		q.items = q.items[:copy(q.items, q.items[q.head:])]
		q.head = 0
	}
	q.items = append(q.items, m)
}

// popThrough drops the marks up to index and returns the end of the last of them, if there was one.
func (q *markQueue) popThrough(index uint64) (end uint64, ok bool) {
	for q.head < len(q.items) && q.items[q.head].index <= index {
		end, ok = q.items[q.head].end, true
		q.head++
	}
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	return end, ok
}
