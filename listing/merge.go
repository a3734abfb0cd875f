package listing

import (
	"bytes"
	"container/heap"

	"github.com/logdb-go/logdb/segment"
)

// Source is an iterator over the listings of different keys, in ascending
// order of the keys. It belongs to one goroutine.
type Source interface {
	// Next moves to the next key, the first at first, and reports whether there is one.
	Next() bool
	// Key is valid until the next move and must not be changed.
	Key() []byte
	// Listing is the sum of what the source knows about Key.
	Listing() Listing
	// Err is why Next returned false, nil at the end.
	Err() error
	// Close gives back what the source holds. It may be called more than once.
	Close() error
}

// FromTable returns the listings of one table. Closing the source closes it.
func FromTable(it *segment.ListingIter) Source { return &tableSource{it: it} }

type tableSource struct {
	it  *segment.ListingIter
	l   Listing
	err error
}

func (s *tableSource) Next() bool {
	if s.err != nil || !s.it.Next() {
		return false
	}
	s.l, s.err = Decode(s.it.Row())
	return s.err == nil
}

func (s *tableSource) Key() []byte      { return s.it.Key() }
func (s *tableSource) Listing() Listing { return s.l }
func (s *tableSource) Close() error     { return s.it.Close() }

func (s *tableSource) Err() error {
	if s.err != nil {
		return s.err
	}
	return s.it.Err()
}

// Merger is the union of sources: each key once, with the sum of its listings.
// It is itself a Source. Its memory does not grow with the number of keys.
type Merger struct {
	sources []Source   // all of them, to be closed
	heap    sourceHeap // those on a key
	started bool
	key     []byte
	listing Listing
	err     error
}

// Merge returns the union of sources, none of which has been moved. Closing it
// closes them.
func Merge(sources []Source) *Merger {
	return &Merger{sources: sources, heap: make(sourceHeap, 0, len(sources))}
}

// Next implements Source. After the first error of any source it returns false.
func (m *Merger) Next() bool {
	if !m.started {
		m.start()
	}
	if m.err != nil || len(m.heap) == 0 {
		return false
	}
	m.key = append(m.key[:0], m.heap[0].Key()...)
	m.listing = m.heap[0].Listing()
	if !m.advance() {
		return false
	}
	for len(m.heap) > 0 && bytes.Equal(m.heap[0].Key(), m.key) {
		m.listing.Merge(m.heap[0].Listing())
		if !m.advance() {
			return false
		}
	}
	return true
}

func (m *Merger) start() {
	m.started = true
	for _, s := range m.sources {
		if s.Next() {
			m.heap = append(m.heap, s)
		} else if m.err = s.Err(); m.err != nil {
			return
		}
	}
	heap.Init(&m.heap)
}

// advance moves the source with the smallest key and reports whether that went well.
func (m *Merger) advance() bool {
	s := m.heap[0]
	if s.Next() {
		heap.Fix(&m.heap, 0)
		return true
	}
	heap.Pop(&m.heap)
	m.err = s.Err()
	return m.err == nil
}

// Key implements Source.
func (m *Merger) Key() []byte { return m.key }

// Listing implements Source.
func (m *Merger) Listing() Listing { return m.listing }

// Err implements Source.
func (m *Merger) Err() error { return m.err }

// Close implements Source and returns the first error of closing a source.
func (m *Merger) Close() error {
	var first error
	for _, s := range m.sources {
		if err := s.Close(); err != nil && first == nil {
			first = err
		}
	}
	m.sources, m.heap, m.started = nil, nil, true
	return first
}

// sourceHeap orders sources by the key they are on.
type sourceHeap []Source

func (h sourceHeap) Len() int           { return len(h) }
func (h sourceHeap) Less(i, j int) bool { return bytes.Compare(h[i].Key(), h[j].Key()) < 0 }
func (h sourceHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *sourceHeap) Push(x any)        { *h = append(*h, x.(Source)) }

func (h *sourceHeap) Pop() any {
	old := *h
	s := old[len(old)-1]
	*h = old[:len(old)-1]
	return s
}
