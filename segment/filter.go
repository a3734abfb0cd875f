package segment

import (
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
)

// filterName is in every table and never changes. The filter is Pebble's (and
// RocksDB's) full-file bloom filter with 10 bits per key, over the keys of
// streams alone: neither kind nor suffix nor terminator are hashed.
const (
	filterName  = "logdb.bloom.1"
	filterBits  = 10
	filterLines = 64 // bytes
	filterTail  = 5  // probes u8, lines u32 little endian
)

// streamFilter adds every stream key once. The writer knows when the key
// changes, so the same key is not hashed for each of its entries.
type streamFilter struct {
	add bool // the next row brings a key that the filter has not seen
}

func (f *streamFilter) Name() string { return filterName }

// MayContain is never asked: readers probe the bytes themselves.
func (f *streamFilter) MayContain(sstable.FilterType, []byte, []byte) bool { return true }

func (f *streamFilter) NewWriter(t sstable.FilterType) sstable.FilterWriter {
	return &streamFilterWriter{FilterWriter: bloom.FilterPolicy(filterBits).NewWriter(t), filter: f}
}

type streamFilterWriter struct {
	sstable.FilterWriter
	filter *streamFilter
}

// AddKey is given the prefix of every row.
func (w *streamFilterWriter) AddKey(prefix []byte) {
	if w.filter.add {
		w.FilterWriter.AddKey(prefix[1 : len(prefix)-1])
	}
}

// checkFilter makes sure that probing b cannot leave it.
func checkFilter(b []byte) error {
	n := len(b) - filterTail
	if n < 0 {
		return fmt.Errorf("filter of %d bytes, want at least %d", len(b), filterTail)
	}
	probes, lines := b[n], binary.LittleEndian.Uint32(b[n+1:])
	if uint64(lines)*filterLines != uint64(n) || (n > 0) != (probes > 0) {
		return fmt.Errorf("filter of %d bytes: got %d lines of %d and %d probes", n, lines, filterLines, probes)
	}
	return nil
}

func filterMayContain(filter, key []byte) bool {
	return bloom.FilterPolicy(filterBits).MayContain(sstable.TableFilter, filter, key)
}
