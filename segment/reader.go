package segment

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/sstable/block"
	"github.com/cockroachdb/pebble/v2/sstable/block/blockkind"
	"github.com/cockroachdb/pebble/v2/sstable/colblk"

	"github.com/logdb-go/logdb/objstore"
)

// Reader reads one table. It keeps the table's tail in memory until it is
// closed, and may be used from any number of goroutines. Its iterators are
// closed before it is.
type Reader struct {
	cache  *Cache
	table  *openTable
	src    objstore.Reader
	closed atomic.Bool
}

// Close lets the table leave the cache. It may be called more than once.
func (r *Reader) Close() error {
	if !r.closed.Swap(true) {
		r.cache.release(r.table)
	}
	return nil
}

// MayContain reports whether the table may hold entries of key. false is
// certain; about one absent key in a hundred is true. Nothing is read.
func (r *Reader) MayContain(key []byte) (bool, error) {
	return filterMayContain(r.table.filter, key), nil
}

// Listing returns the listing row of key, a copy; ok is false if there is none.
func (r *Reader) Listing(ctx context.Context, key []byte) (row []byte, ok bool, err error) {
	if !filterMayContain(r.table.filter, key) {
		return nil, false, nil
	}
	lower := AppendListingKey(nil, key)
	it := r.newListingIter(ctx, lower, append(appendPrefix(nil, KindListing, key), keyTerminator))
	defer it.Close()
	if !it.Next() {
		return nil, false, it.Err()
	}
	return bytes.Clone(it.Row()), true, it.Close()
}

// Listings returns the listing rows of keys at or above from, in ascending
// order of their keys. The empty key is the first.
func (r *Reader) Listings(ctx context.Context, from []byte) *ListingIter {
	return r.newListingIter(ctx, AppendListingKey(nil, from), []byte{byte(KindListing) + 1, keyTerminator})
}

// EntryOptions say what an iterator over entries is for.
type EntryOptions struct {
	// FromMs leaves out entries that are older, if HasFromMs: whole blocks of them are never read.
	FromMs    int64
	HasFromMs bool
	// Hint is how many bytes of entries the caller is going to read; 0 is unknown. The first read takes that much.
	Hint int64
}

// Entries returns the entries of key with sequences in [start, end), or from
// start on if the end is not bounded. ctx is used for all reads of the iterator.
func (r *Reader) Entries(ctx context.Context, key []byte, start, end uint64, endBounded bool, o EntryOptions) *EntryIter {
	it := r.newEntryIter(o)
	it.fixed, it.key = true, key
	if !filterMayContain(r.table.filter, key) || endBounded && end <= start {
		return it
	}
	it.lower = AppendEntryKey(it.lowerBuf[:0], key, start)
	it.upper = appendPrefix(it.upperBuf[:0], KindEntry, key)
	if endBounded {
		it.upper = appendSuffix(it.upper, end)
	} else {
		it.upper = append(it.upper, keyTerminator)
	}
	it.open(ctx, minWindow)
	return it
}

// scanWindow is what a pass over a whole table reads at first.
const scanWindow = 1 << 20

// All returns every entry of the table, by key and sequence.
func (r *Reader) All(ctx context.Context, o EntryOptions) *EntryIter {
	it := r.newEntryIter(o)
	it.lower = append(it.lowerBuf[:0], byte(KindEntry), keyTerminator)
	it.upper = append(it.upperBuf[:0], byte(KindEntry)+1, keyTerminator)
	it.open(ctx, scanWindow)
	return it
}

// Spread returns how many blocks can hold entries of key, and their bytes as
// stored. It looks at filter and index only and reads nothing.
func (r *Reader) Spread(ctx context.Context, key []byte) (blocks int, size int64, err error) {
	if !filterMayContain(r.table.filter, key) {
		return 0, 0, nil
	}
	lower := appendPrefix(nil, KindEntry, key)
	upper := append(bytes.Clone(lower), keyTerminator)
	err = r.table.withIndex(ctx, func(index *colblk.IndexIter) error {
		for ok := index.SeekGE(lower); ok; ok = index.Next() {
			h, err := index.BlockHandleWithProperties()
			if err != nil {
				return err
			}
			blocks, size = blocks+1, size+int64(h.Length)+block.TrailerLen
			if index.SeparatorGT(upper, true) {
				break
			}
		}
		return nil
	})
	return blocks, size, err
}

// extent returns where the blocks are that can hold keys in [lower, upper).
func (o *openTable) extent(ctx context.Context, lower, upper []byte) (e extent, err error) {
	err = o.withIndex(ctx, func(index *colblk.IndexIter) error {
		for i, bound := range [][]byte{lower, upper} {
			if !index.SeekGE(bound) && !index.Last() {
				return nil
			}
			h, err := index.BlockHandleWithProperties()
			if err == nil {
				err = checkHandle(h.Handle, 0, o.file.tailOffset())
			}
			if err != nil {
				return tableError(o.file.name, int64(o.foot.index.Offset), err)
			}
			if i == 0 {
				e.lo = int64(h.Offset)
			}
			e.hi = int64(h.Offset+h.Length) + block.TrailerLen
		}
		return nil
	})
	return e, err
}

// withIndex gives f the table's index, which lies in the block cache or is
// unpacked again from the tail.
func (o *openTable) withIndex(ctx context.Context, f func(*colblk.IndexIter) error) (err error) {
	defer func() { err = readError(o.file.name, err) }()
	defer recoverTo(&err)
	h, err := o.sst.BlockReader().Read(ctx, block.NoReadEnv, nil, o.foot.index, blockkind.Index, colblk.InitIndexBlockMetadata)
	if err != nil {
		return err
	}
	var index colblk.IndexIter
	defer func() { _ = index.Close() }()
	if err := index.InitHandle(keyComparer, h, sstable.NoTransforms); err != nil {
		return fmt.Errorf("segment: table %s: index: %w", o.file.name, err)
	}
	return f(&index)
}
