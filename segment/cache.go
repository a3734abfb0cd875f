package segment

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/sstable/colblk"

	"github.com/logdb-go/logdb/objstore"
)

// tableOverhead is what an open table takes beside filter and index, about.
const tableOverhead = 4 << 10

// maxNumbers bounds how many tables are remembered by number once their tails
// have left the cache.
const maxNumbers = 1 << 15

// ErrCacheClosed: a table was to be opened through a cache that is closed.
var ErrCacheClosed = errors.New("segment: cache is closed")

// Cache holds blocks of data and tails of tables in memory, each in a budget
// of its own. It is shared by everything that reads tables in a process.
//
// The data budget is for blocks of rows, unpacked. The meta budget is for what
// an open table takes: its filter, its index, unpacked, and a little beside.
// Tables in use do not leave, even if they overdraw the budget.
type Cache struct {
	blocks  *pebble.Cache
	options sstable.ReaderOptions // with the one handle that all tables share
	budget  int64
	disk    *Disk // nil: none

	transfers *objstore.Budget // of what long scans read ahead; nil: nothing

	mu struct {
		sync.Mutex
		tables  map[tableKey]*openTable
		lru     list.List // of *openTable, loaded ones, the front used last
		numbers map[tableKey]uint64
		next    uint64
		used    int64
		pins    int // of all tables
		lent    int64
		lentOf  int64  // of it, from the meta budget
		back    func() // gives the rest back to the data budget
		stats   CacheStats
		closed  bool
	}
}

// CacheStats counts since NewCache, and measures the present.
type CacheStats struct {
	// DataBytes of DataBudget are in use. DataHits and DataMisses count lookups of blocks.
	DataBytes, DataBudget int64
	DataHits, DataMisses  int64

	// LentBytes of both budgets are used otherwise.
	LentBytes int64

	// MetaBytes of MetaBudget are in use, by Tables tables, of which Pinned have a Reader.
	MetaBytes, MetaBudget int64
	Tables, Pinned        int64
	// Hits opened a table from memory, Loads read its tail, Failures did so in vain, Joins waited for another's load,
	// Evictions made room.
	Hits, Loads, Failures, Joins, Evictions int64
}

// tableKey is a table object, for ever: the nonce is its own.
type tableKey struct {
	segment uint64
	id      TableID
	nonce   objstore.ID
}

func keyOf(t *Table) tableKey {
	return tableKey{segment: t.Segment, id: t.ID, nonce: t.Nonce}
}

// openTable is a table whose tail is in memory, or on its way there.
type openTable struct {
	key    tableKey
	number uint64 // Pebble's file number, never given to another object
	loaded chan struct{}

	// Set before loaded is closed, constant afterwards.
	err     error
	name    string
	dataEnd int64 // offset behind the last data block
	filter  []byte
	index   colblk.IndexBlockDecoder
	self    tableIdentity
	span    span
	spanID  byte            // Pebble's number of the span property
	sst     *sstable.Reader // for its blocks; its tail is gone

	bytes int64

	// Guarded by Cache.mu.
	pins int
	elem *list.Element
}

// NewCache returns a cache with the given budgets in bytes.
func NewCache(dataBytes, metaBytes int64) *Cache {
	c := &Cache{blocks: pebble.NewCache(max(dataBytes, 0)), budget: metaBytes}
	c.options = sstable.ReaderOptions{Comparer: keyComparer, KeySchemas: sstable.MakeKeySchemas(&keySchema)}
	c.options.CacheOpts.CacheHandle = c.blocks.NewHandle()
	c.mu.tables = make(map[tableKey]*openTable)
	c.mu.numbers = make(map[tableKey]uint64)
	return c
}

// UseDisk puts a disk below the cache. It comes before the first Open, and the
// disk is closed after the last Reader.
func (c *Cache) UseDisk(d *Disk) { c.disk = d }

// Stats returns counters and present sizes.
func (c *Cache) Stats() CacheStats {
	m := c.blocks.Metrics()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.mu.stats
	s.DataBytes, s.DataBudget, s.DataHits, s.DataMisses = m.Size, c.blocks.MaxSize(), m.Hits, m.Misses
	s.MetaBytes, s.MetaBudget, s.Tables = c.mu.used, c.budget, int64(c.mu.lru.Len())
	s.LentBytes = c.mu.lent
	for e := c.mu.lru.Front(); e != nil; e = e.Next() {
		if e.Value.(*openTable).pins > 0 {
			s.Pinned++
		}
	}
	return s
}

// Close lets no further table be opened. Readers that are open go on; when the
// last of them is closed, or at once, the memory is given back.
func (c *Cache) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.closed {
		return nil
	}
	c.mu.closed = true
	c.mu.lru.Init()
	c.mu.tables, c.mu.numbers, c.mu.used = nil, nil, 0
	c.freeLocked()
	return nil
}

// freeLocked gives the blocks back if nobody can use them any more: they are
// no garbage collector's memory.
func (c *Cache) freeLocked() {
	if c.mu.closed && c.mu.pins == 0 {
		c.options.CacheOpts.CacheHandle.Close()
		c.blocks.Unref()
	}
}

// Lend takes bytes out of the two budgets, from each in proportion, for one who
// holds in memory what would else be read through the cache. It replaces what
// was lent before. What is in the cache makes room at once.
func (c *Cache) Lend(bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.closed || bytes == c.mu.lent {
		return
	}
	if c.mu.back != nil {
		c.mu.back()
		c.mu.back = nil
	}
	data := c.blocks.MaxSize()
	c.mu.lent, c.mu.lentOf = bytes, int64(float64(bytes)*float64(c.budget)/float64(max(data+c.budget, 1)))
	if n := bytes - c.mu.lentOf; n > 0 {
		c.mu.back = c.blocks.Reserve(int(n))
	}
	c.evictLocked()
}

// Cached reports whether t would open without a read.
func (c *Cache) Cached(t Table) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.mu.tables[keyOf(&t)]
	return o != nil && o.elem != nil
}

// Open returns a reader of t, an object of the log, and keeps the table in
// memory until the reader is closed. A tail that is not cached costs one
// GetRange on src; who opens the same table meanwhile waits for that one. All
// later reads of the reader go to src too.
//
// An object that is not the one t describes is an *objstore.CorruptError.
func (c *Cache) Open(ctx context.Context, src objstore.Reader, log objstore.ID, t Table) (*Reader, error) {
	key := keyOf(&t)
	for {
		o, mine, err := c.acquire(key)
		if err != nil {
			return nil, err
		}
		if mine {
			c.load(ctx, o, src, log, &t)
		}
		select {
		case <-o.loaded:
		case <-ctx.Done():
			c.release(o)
			return nil, fmt.Errorf("segment: table %s: open: %w", t.Name(), ctx.Err())
		}
		if o.err == nil {
			if err := o.self.matches(log, &t); err != nil {
				c.release(o)
				return nil, &objstore.CorruptError{Object: t.Name(), Offset: t.Tail, Err: err}
			}
			return &Reader{cache: c, table: o, src: src}, nil
		}
		c.release(o)
		// What ended the leader's context did not end ours.
		if mine || !isContextError(o.err) || ctx.Err() != nil {
			return nil, o.err
		}
	}
}

func isContextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// acquire pins the table and tells whether the caller is to load it.
func (c *Cache) acquire(key tableKey) (o *openTable, load bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.closed {
		return nil, false, ErrCacheClosed
	}
	c.mu.pins++
	if o = c.mu.tables[key]; o != nil {
		o.pins++
		if o.elem != nil {
			c.mu.lru.MoveToFront(o.elem)
			c.mu.stats.Hits++
		} else {
			c.mu.stats.Joins++
		}
		return o, false, nil
	}
	o = &openTable{key: key, number: c.numberLocked(key), loaded: make(chan struct{}), pins: 1}
	c.mu.tables[key] = o
	return o, true, nil
}

// numberLocked returns the table's file number. A table that comes back keeps
// its number, and with it its blocks in the cache.
func (c *Cache) numberLocked(key tableKey) uint64 {
	if n, ok := c.mu.numbers[key]; ok {
		return n
	}
	if len(c.mu.numbers) >= maxNumbers {
		for k := range c.mu.numbers {
			if c.mu.tables[k] == nil {
				delete(c.mu.numbers, k)
			}
		}
	}
	c.mu.next++
	c.mu.numbers[key] = c.mu.next
	return c.mu.next
}

// load reads and opens the table that the caller acquired first.
func (c *Cache) load(ctx context.Context, o *openTable, src objstore.Reader, log objstore.ID, t *Table) {
	o.err = o.open(ctx, c, src, log, t)
	close(o.loaded)
	c.mu.Lock()
	defer c.mu.Unlock()
	if o.err != nil {
		c.mu.stats.Failures++
		delete(c.mu.tables, o.key)
		return
	}
	c.mu.stats.Loads++
	if c.mu.closed {
		return
	}
	o.elem = c.mu.lru.PushFront(o)
	c.mu.used += o.bytes
	c.evictLocked()
}

// release unpins.
func (c *Cache) release(o *openTable) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o.pins--
	c.mu.pins--
	c.evictLocked()
	c.freeLocked()
}

// evictLocked drops tables that nobody reads, longest unused first, until the
// budget is kept.
func (c *Cache) evictLocked() {
	for e := c.mu.lru.Back(); e != nil && c.mu.used > c.budget-c.mu.lentOf; {
		o, prev := e.Value.(*openTable), e.Prev()
		if o.pins == 0 {
			c.mu.lru.Remove(e)
			delete(c.mu.tables, o.key)
			c.mu.used -= o.bytes
			c.mu.stats.Evictions++
		}
		e = prev
	}
}
