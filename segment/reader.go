package segment

import (
	"bytes"
	"context"
	"sync/atomic"

	"github.com/logdb-go/logdb/objstore"
)

// Reader reads one table. It keeps the table's tail in memory until it is
// closed, and may be used from any number of goroutines. Its iterators are
// closed before it is.
type Reader struct {
	cache  *Cache
	table  *openTable
	src    objstore.Reader
	ahead  int64
	closed atomic.Bool
}

// BoundReadAhead bounds what each iterator that is opened later reads ahead of
// itself: bytes in all, but 64 KiB and one block at least. Without it, and at
// most, that is 4 MiB. Who reads many tables side by side shares a budget out
// like this.
func (r *Reader) BoundReadAhead(bytes int64) { r.ahead = bytes }

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
	// Steady reads one window while the caller goes through the one before, from the first on: the iterator holds two. It
	// goes before Ahead.
	Steady bool
	// Ahead is that of the scan that goes through this table; nil reads one window after the other.
	Ahead *Ahead
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
	it.open(ctx, r, o.Hint)
	return it
}

// scanWindow is what a pass over a whole table reads at first.
const scanWindow = 1 << 20

// All returns every entry of the table, by key and sequence. It uses cached
// blocks and leaves none behind.
func (r *Reader) All(ctx context.Context, o EntryOptions) *EntryIter {
	it := r.newEntryIter(o)
	it.lower = append(it.lowerBuf[:0], byte(KindEntry), keyTerminator)
	it.upper = append(it.upperBuf[:0], byte(KindEntry)+1, keyTerminator)
	it.pass = true
	it.open(ctx, r, max(o.Hint, scanWindow))
	return it
}

// Spread returns how many blocks can hold entries of key, and their bytes as
// stored. It looks at filter and index only and reads nothing.
func (r *Reader) Spread(ctx context.Context, key []byte) (blocks int, size int64, err error) {
	if !filterMayContain(r.table.filter, key) {
		return 0, 0, nil
	}
	s := &scan{table: r.table, lower: appendPrefix(nil, KindEntry, key)}
	s.upper = append(bytes.Clone(s.lower), keyTerminator)
	s.start(ctx, r, 0)
	if s.cursor == nil {
		return 0, 0, s.err
	}
	defer func() { _ = s.close() }()
	return s.last - s.first + 1, s.limit.hi - s.limit.lo, nil
}
