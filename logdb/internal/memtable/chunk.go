package memtable

import "sync/atomic"

const (
	chunkShift = 10
	chunkLen   = 1 << chunkShift
	chunkMask  = chunkLen - 1
)

// chunks is an append-only list whose elements never move. One goroutine
// grows it; an element may be read by whoever learned its number through an
// atomic load that followed its publication.
//
// Number 0 is never handed out, so that it can mean "none" in a link.
type chunks[T any] struct {
	dir atomic.Pointer[[]*[chunkLen]T]
	len uint32 // of the growing goroutine only
}

// at returns the element with number i.
func (c *chunks[T]) at(i uint32) *T {
	return &(*c.dir.Load())[i>>chunkShift][i&chunkMask]
}

// grow reserves the next number. The element is zero and belongs to the caller
// until it publishes the number. grew tells that a chunk was allocated.
func (c *chunks[T]) grow() (i uint32, e *T, grew bool) {
	if c.len == 0 {
		c.len = 1
		c.addChunk(nil)
		grew = true
	}
	i = c.len
	dir := *c.dir.Load()
	if int(i>>chunkShift) == len(dir) {
		dir = c.addChunk(dir)
		grew = true
	}
	c.len++
	return i, &dir[i>>chunkShift][i&chunkMask], grew
}

// addChunk may write behind the end of the slice that readers hold: they never
// look there.
func (c *chunks[T]) addChunk(dir []*[chunkLen]T) []*[chunkLen]T {
	dir = append(dir, new([chunkLen]T))
	c.dir.Store(&dir)
	return dir
}
