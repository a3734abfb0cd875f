package segment

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2/objstorage"

	"github.com/logdb-go/logdb/objstore"
)

// tailFile is what Pebble sees of a table while it is opened: the tail. Data
// is read block by block later, each through the readAhead of an iterator.
type tailFile struct {
	size int64
	tail []byte
}

var (
	_ objstorage.Readable   = (*tailFile)(nil)
	_ objstorage.ReadHandle = (*readAhead)(nil)
)

func (f *tailFile) Close() error { return nil }

func (f *tailFile) Size() int64 { return f.size }

// NewReadHandle implements objstorage.Readable. Read-before has nothing to do:
// the tail is here already.
func (f *tailFile) NewReadHandle(objstorage.ReadBeforeSize) objstorage.ReadHandle {
	h := objstorage.MakeNoopReadHandle(f)
	return &h
}

// ReadAt implements objstorage.Readable.
func (f *tailFile) ReadAt(_ context.Context, p []byte, off int64) error {
	lo := f.size - int64(len(f.tail))
	if end := off + int64(len(p)); off < lo || end < off || end > f.size {
		return fmt.Errorf("block [%d, %d), want it inside the tail [%d, %d)", off, end, lo, f.size)
	}
	copy(p, f.tail[off-lo:])
	return nil
}

// A scan reads a table through a window of MinWindow bytes at first, and of
// twice as many each time up to MaxWindow.
const (
	MinWindow = 64 << 10
	MaxWindow = 4 << 20

	// shortRead is what an iterator may read and be no scan yet: the disk keeps
	// it at once, and what follows when it is read a second time.
	shortRead = 2 * MinWindow
)

// extent is a half-open range of bytes of a table.
type extent struct{ lo, hi int64 }

func (e extent) contains(o extent) bool { return e.lo <= o.lo && o.hi <= e.hi }

// readAhead turns the block reads of one iterator into few ranged reads. The
// index tells which bytes can be wanted at all, so no read goes beyond them;
// inside, a window starts small and doubles as long as reads follow each other
// in one direction. What is read ahead stays here and not in the cache.
type readAhead struct {
	name string
	src  objstore.Reader
	scan *scan // whose blocks they are

	disk   *Disk  // nil: not asked, and not given anything
	piece  piece  // what the table's are named by there
	total  int64  // bytes that came from the bucket
	most   int64  // bound of windows
	window int64  // of the next read, if it follows the last
	last   extent // the block that was wanted last, from here or from the cache
	at     extent // what buf holds
	buf    []byte

	ahead *Ahead    // of the scan over all tables; nil: one read at a time
	plan  *plan     // of reads behind those of the queue; nil: none yet
	queue []*flight // in the order in which they will be wanted
}

func (a *readAhead) init(s *scan, r *Reader, window int64) {
	a.name, a.src, a.scan, a.most = r.table.name, r.src, s, MaxWindow
	a.disk, a.piece = r.cache.disk, piece{log: r.table.self.log, table: r.table.key}
	if r.ahead > 0 {
		a.most = min(max(r.ahead, MinWindow), MaxWindow)
	}
	a.window = min(max(window, MinWindow), a.most)
}

// ReadAt implements objstorage.ReadHandle.
func (a *readAhead) ReadAt(ctx context.Context, dst []byte, off int64) error {
	want := extent{off, off + int64(len(dst))}
	p := a.pieceAt(want)
	if a.buf == nil || !a.at.contains(want) {
		if kept := a.disk.read(p); kept != nil {
			copy(dst, kept)
			a.entered(want, 0)
			return nil
		}
		if err := a.fetch(ctx, want); err != nil {
			return err
		}
	}
	copy(dst, a.buf[want.lo-a.at.lo:])
	a.entered(want, int64(len(dst)))
	a.total += int64(len(dst))
	a.disk.add(p, dst, a.total <= shortRead)
	return nil
}

func (a *readAhead) pieceAt(e extent) piece {
	p := a.piece
	p.off, p.bytes = e.lo, e.hi-e.lo
	return p
}

// entered notes a block that the scan goes to, and how much of it is from the
// bucket.
func (a *readAhead) entered(block extent, fetched int64) {
	a.last = block
	if a.ahead != nil {
		a.ahead.seen += block.hi - block.lo
		a.ahead.fetched += fetched
	}
}

// fetch makes buf hold what is wanted, by waiting for a window that is on its
// way, or else by a read. Where the scan is long it sends for more before.
func (a *readAhead) fetch(ctx context.Context, want extent) error {
	if f := a.arriving(want); f != nil {
		a.buf = nil
		a.ahead.goes(true)
		a.onward(f.at)
		return a.land(f)
	}
	long := a.ahead.goes(a.buf != nil && (want.lo == a.at.hi || want.hi == a.at.lo))
	a.carry()
	if a.last.hi != 0 && want.lo != a.last.hi && want.hi != a.last.lo {
		a.window = MinWindow
	}
	window := a.window
	if long && a.ahead.depth > 1 {
		window = a.ahead.clip(window)
	}
	get := a.scan.widen(a.scan.index, want, window)
	a.widened()
	a.buf, a.plan = nil, nil
	if long {
		a.plan = a.scan.planBehind(get)
		a.onward(get)
	}
	b, err := getRange(ctx, a.src, a.name, get)
	if err != nil {
		return err
	}
	a.buf, a.at = b, get
	return nil
}

// RecordCacheHit implements objstorage.ReadHandle.
func (a *readAhead) RecordCacheHit(_ context.Context, off, size int64) {
	a.entered(extent{off, off + size}, 0)
}

// SetupForCompaction implements objstorage.ReadHandle.
func (a *readAhead) SetupForCompaction() {}

// Close implements objstorage.ReadHandle.
func (a *readAhead) Close() error { return nil }

// getRange reads e of the object, all of it.
func getRange(ctx context.Context, src objstore.Reader, name string, e extent) ([]byte, error) {
	b, err := src.GetRange(ctx, name, e.lo, e.hi-e.lo)
	if err != nil {
		return nil, fmt.Errorf("segment: table %s: read [%d, %d): %w", name, e.lo, e.hi, err)
	}
	if int64(len(b)) != e.hi-e.lo {
		return nil, fmt.Errorf("segment: table %s: read [%d, %d): got %d bytes", name, e.lo, e.hi, len(b))
	}
	return b, nil
}
