package memtable

import (
	"bytes"
	"sort"

	"github.com/logdb-go/logdb/listing"
)

// Keys returns the keys at or above from that have records with sequences in
// [lo, hi), ascending, each with the listing of that range. The bytes of a key
// alias a frame and stay valid while referenced. The source never fails.
func (t *Table) Keys(from []byte, lo, hi uint64) listing.Source {
	s := t.FlushRange(lo, hi)
	s.at = sort.Search(len(s.streams), func(i int) bool {
		return bytes.Compare(t.keyOf(t.streams.at(s.streams[i])), from) >= 0
	})
	return keySource{s}
}

type keySource struct{ *Sorted }

func (keySource) Err() error   { return nil }
func (keySource) Close() error { return nil }
