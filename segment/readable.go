package segment

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2/objstorage"

	"github.com/logdb-go/logdb/objstore"
)

// tableFile is a table as Pebble sees it: the tail from memory, data through
// the plan of whoever reads, which travels in the context. It knows no bucket,
// so a cached table serves every one that holds the object.
type tableFile struct {
	name string
	size int64
	tail []byte
}

var (
	_ objstorage.Readable   = (*tableFile)(nil)
	_ objstorage.ReadHandle = planHandle{}
)

func (f *tableFile) Close() error { return nil }

func (f *tableFile) Size() int64 { return f.size }

func (f *tableFile) tailOffset() int64 { return f.size - int64(len(f.tail)) }

// NewReadHandle implements objstorage.Readable. Read-before is ignored: the
// tail is here already.
func (f *tableFile) NewReadHandle(objstorage.ReadBeforeSize) objstorage.ReadHandle {
	return planHandle{f}
}

// ReadAt implements objstorage.Readable.
func (f *tableFile) ReadAt(ctx context.Context, p []byte, off int64) error {
	tail, end := f.tailOffset(), off+int64(len(p))
	switch {
	case off < 0 || end > f.size || off < tail && end > tail:
		return &objstore.CorruptError{Object: f.name, Offset: off,
			Err: fmt.Errorf("block [%d, %d), want it inside [0, %d) or [%d, %d)", off, end, tail, tail, f.size)}
	case off >= tail:
		copy(p, f.tail[off-tail:])
		return nil
	}
	plan, ok := ctx.Value(planKey{}).(*readPlan)
	if !ok {
		return fmt.Errorf("segment: table %s: data read [%d, %d) outside a scan", f.name, off, end)
	}
	return plan.read(ctx, p, off)
}

// planHandle shows Pebble's cache hits to the plan, by way of the context.
type planHandle struct{ f *tableFile }

func (h planHandle) Close() error        { return nil }
func (h planHandle) SetupForCompaction() {}

func (h planHandle) ReadAt(ctx context.Context, p []byte, off int64) error {
	return h.f.ReadAt(ctx, p, off)
}

func (h planHandle) RecordCacheHit(ctx context.Context, off, size int64) {
	if plan, ok := ctx.Value(planKey{}).(*readPlan); ok && off < h.f.tailOffset() {
		plan.last = extent{off, off + size}
	}
}

const (
	minWindow = 64 << 10
	maxWindow = 8 << 20
)

// extent is a half-open range of bytes of a table.
type extent struct{ lo, hi int64 }

func (e extent) contains(o extent) bool { return e.lo <= o.lo && o.hi <= e.hi }

// readPlan turns the block reads of one iterator into few ranged reads. The
// index tells which bytes can be wanted at all, so no read goes beyond them;
// inside, a window starts small and doubles as long as reads follow each other
// in one direction. What is read ahead stays here and not in the cache.
type readPlan struct {
	file *tableFile
	src  objstore.Reader
	// bounds is asked once, at the first read, for the extent of the blocks that the iterator can want.
	bounds func() (extent, error)

	known    bool
	limit    extent
	window   int64 // of the next sequential read
	backward bool
	last     extent // the block that was asked for before
	at       extent // what buf holds
	buf      []byte
}

type planKey struct{}

// planContext carries a plan to tableFile, through Pebble.
type planContext struct {
	context.Context
	plan *readPlan
}

func (c *planContext) Value(key any) any {
	if _, ok := key.(planKey); ok {
		return c.plan
	}
	return c.Context.Value(key)
}

func (p *readPlan) init(f *tableFile, src objstore.Reader, hint, least int64) {
	p.file, p.src = f, src
	p.window = min(max(hint, least), maxWindow)
}

func (p *readPlan) read(ctx context.Context, dst []byte, off int64) error {
	want := extent{off, off + int64(len(dst))}
	if p.buf == nil || !p.at.contains(want) {
		if err := p.fetch(ctx, want); err != nil {
			return err
		}
	}
	copy(dst, p.buf[want.lo-p.at.lo:])
	p.last = want
	return nil
}

// fetch reads want and what is likely to be wanted after it.
func (p *readPlan) fetch(ctx context.Context, want extent) error {
	if !p.known {
		limit, err := p.bounds()
		if err != nil {
			return err
		}
		p.known, p.limit = true, limit
	} else if want.lo != p.last.hi && want.hi != p.last.lo {
		p.window = minWindow
	}
	get := p.widen(want)
	b, err := p.src.GetRange(ctx, p.file.name, get.lo, get.hi-get.lo)
	if err != nil {
		return fmt.Errorf("segment: table %s: read [%d, %d): %w", p.file.name, get.lo, get.hi, err)
	}
	if int64(len(b)) != get.hi-get.lo {
		return fmt.Errorf("segment: table %s: read [%d, %d): got %d bytes", p.file.name, get.lo, get.hi, len(b))
	}
	p.buf, p.at = b, get
	p.window = min(2*p.window, maxWindow)
	return nil
}

// widen grows want by the window, inside the limit. What would remain is taken
// along if it is not more than another window.
func (p *readPlan) widen(want extent) extent {
	get := want
	if p.backward {
		if lo := max(want.hi-p.window, p.limit.lo); lo < get.lo {
			get.lo = lo
		}
		if rest := get.lo - p.limit.lo; rest > 0 && rest <= p.window && get.hi-p.limit.lo <= maxWindow {
			get.lo = p.limit.lo
		}
		return get
	}
	if hi := min(want.lo+p.window, p.limit.hi); hi > get.hi {
		get.hi = hi
	}
	if rest := p.limit.hi - get.hi; rest > 0 && rest <= p.window && p.limit.hi-get.lo <= maxWindow {
		get.hi = p.limit.hi
	}
	return get
}
