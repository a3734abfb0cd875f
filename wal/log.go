package wal

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/record"
)

var errLogClosed = errors.New("wal: log is closed")

// Log appends frames to the files of one epoch.
//
// One goroutine at a time calls Append, Sync, Rotate and Close. Trim, Size, Appended and Durable may be called at any
// time; Trim by one goroutine at a time. What was appended and not yet written is held in memory without a bound of its
// own: a caller whose disk stalls has to stop by itself.
//
// Any error of the disk is final: it is given to the callback once and returned by every later call.
type Log struct {
	dir    *Dir
	epoch  uint64
	owner  owner
	synced func(end uint64, err error)

	durable  atomic.Uint64
	appended atomic.Uint64

	jobs chan *logFile // files to close; each is answered by one new file in next
	next chan *logFile // the file created ahead of time; nil: it failed
	wake chan struct{} // capacity 1: there is something to report
	done sync.WaitGroup

	// mu is held for copies in memory, never for I/O.
	mu struct {
		sync.Mutex
		files   []*logFile // not settled yet, oldest first; the last one is appended to
		marks   markQueue  // where syncs were asked for and are not reported
		index   uint64     // of the last record, pads included; counts from 1 over all files
		end     uint64     // of the last frame
		seals   uint64     // above the last seal
		request record.PendingSyncIndex
		pad     [frameHeaderSize]byte
		err     error // final
		closing bool  // Close was called
		ended   bool  // Close has nothing left but to be reported
	}
}

// NewLog starts the log of an epoch, which must be the last one noted and must have no files. The first file's entry in
// the directory is durable on return; the next file is created ahead of time.
//
// synced is called from one goroutine, with no lock held, whenever more frames became durable: those that end at or
// below end, and with them all that were appended before. Ends never go down. A seal ends where its predecessor ends:
// whoever waits for one compares [Log.Durable] with [Log.Appended]. An error is final and the last call.
// The callback may use the log, but not close it.
func (d *Dir) NewLog(epoch uint64, synced func(end uint64, err error)) (*Log, error) {
	if s := d.State(); s.Log.IsZero() || s.Epoch != epoch {
		return nil, fmt.Errorf("wal: new log in %s: got epoch %d, want the noted epoch %d", d.path, epoch, s.Epoch)
	}
	if d.log != nil {
		return nil, fmt.Errorf("wal: new log in %s: one is open", d.path)
	}
	for _, lf := range d.listFiles() {
		if lf.epoch >= epoch {
			return nil, fmt.Errorf("wal: new log of epoch %d in %s: file %s exists", epoch, d.path, lf.path)
		}
	}
	l := &Log{
		dir: d, epoch: epoch, owner: d.owner(), synced: synced,
		jobs: make(chan *logFile, 1), next: make(chan *logFile, 1), wake: make(chan struct{}, 1),
	}
	first, err := l.createFile(0)
	if err != nil {
		return nil, err
	}
	l.mu.files = append(l.mu.files, first)
	d.log = l
	l.done.Add(2)
	go l.report()
	go l.changeFiles()
	l.jobs <- nil
	return l, nil
}

// Append adds a frame, whose sequences must not start below the end of the one before, and copies it before it returns.
// With sync the fsync that covers it is started at once, joined with what else is asked for meanwhile. A frame that is
// refused leaves the log as it was.
func (l *Log) Append(f Frame, sync bool) error {
	if len(f) < frameHeaderSize {
		return fmt.Errorf("wal: append frame: got %d bytes, want at least %d", len(f), frameHeaderSize)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.err != nil {
		return l.mu.err
	}
	if f.first() < l.mu.end || f.End() < f.first() {
		return fmt.Errorf("wal: append frame [%d, %d): want it at or above %d", f.first(), f.End(), l.mu.end)
	}
	return l.writeLocked(f, sync)
}

// Sync asks for an fsync of what was appended so far; the callback reports it.
func (l *Log) Sync() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.err != nil {
		return l.mu.err
	}
	return l.padLocked(true)
}

// padLocked appends a pad, which says what is known to be synced.
func (l *Log) padLocked(sync bool) error {
	cur := l.mu.files[len(l.mu.files)-1]
	cur.claimed = cur.syncedBytes
	pad := Frame(l.mu.pad[:])
	pad.stampPad(l.mu.end, l.closedBelowLocked(), cur.syncedBytes)
	return l.recordLocked(cur, pad, sync)
}

func (l *Log) closedBelowLocked() uint64 {
	for _, lf := range l.mu.files {
		if !lf.closed {
			return lf.info.number
		}
	}
	return 0
}

// writeLocked appends a frame. A pad goes before the first synced frame after each fsync: should bytes that were synced
// be unreadable one day, it tells damage from a crash.
func (l *Log) writeLocked(f Frame, sync bool) error {
	cur := l.mu.files[len(l.mu.files)-1]
	if sync && cur.syncedBytes > cur.claimed {
		if err := l.padLocked(false); err != nil {
			return err
		}
	}
	l.mu.end = f.End()
	if f.kind() == Seal {
		l.mu.seals = f.first() + 1
	}
	return l.recordLocked(cur, f, sync)
}

func (l *Log) recordLocked(cur *logFile, f Frame, sync bool) error {
	l.mu.index++
	l.mu.request.Index = record.NoSyncIndex
	if sync {
		l.mu.request.Index = int64(l.mu.index)
		l.mu.marks.push(mark{l.mu.index, l.mu.end})
		cur.requests.push(mark{l.mu.index, uint64(recordEnd(cur.w.Size(), len(f)))})
	}
	if _, err := cur.w.SyncRecordGeneralized(f, &l.mu.request); err != nil {
		l.failLocked(fmt.Errorf("wal: append to %s: %w", cur.info.path, err))
		return l.mu.err
	}
	l.appended.Store(l.mu.index)
	return nil
}

// Appended returns a mark that stands behind all that was appended so far. Marks only grow.
func (l *Log) Appended() uint64 { return l.appended.Load() }

// Durable returns the highest mark up to which everything is durable. It is set before the callback is told.
func (l *Log) Durable() uint64 { return l.durable.Load() }

// Rotate sends the next frame to a new file. The old one is synced and closed in the background; nothing in the new one
// is reported as durable before. Rotate waits if the rotation before it is not through.
func (l *Log) Rotate() error {
	if err := l.failed(); err != nil {
		return err
	}
	next := <-l.next
	l.mu.Lock()
	if l.mu.err != nil {
		l.mu.Unlock()
		l.next <- next // for Close to find
		return l.failed()
	}
	old := l.fillLocked()
	l.mu.files = append(l.mu.files, next)
	l.mu.Unlock()
	l.jobs <- old
	return nil
}

// fillLocked marks the file that is appended to as full.
func (l *Log) fillLocked() *logFile {
	lf := l.mu.files[len(l.mu.files)-1]
	lf.last, lf.end, lf.seals = l.mu.index, l.mu.end, l.mu.seals
	l.mu.marks.push(mark{l.mu.index, l.mu.end})
	return lf
}

func (l *Log) failed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.err
}

func (l *Log) fail(err error) {
	l.mu.Lock()
	l.failLocked(err)
	l.mu.Unlock()
}

func (l *Log) failLocked(err error) {
	if l.mu.err == nil {
		l.mu.err = err
	}
	l.signal()
}

func (l *Log) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// news is what report has to tell.
type news struct {
	any   bool   // whether index and end moved
	index uint64 // durable up to here
	end   uint64
	err   error
	ended bool
}

// report tells the callback. It has a goroutine of its own so that the next fsync need not wait for it.
func (l *Log) report() {
	defer l.done.Done()
	var end uint64
	for range l.wake {
		n := l.settled()
		if n.any {
			end = n.end
			l.durable.Store(n.index)
			l.synced(end, nil)
		}
		if n.err != nil {
			l.synced(end, n.err)
			return
		}
		if n.ended {
			return
		}
	}
}

// settled takes what became durable since the last call: the syncs of each file in turn, as long as the file before is
// closed and the file itself says so durably (its gate).
func (l *Log) settled() (n news) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		lf := l.mu.files[0]
		if lf.settled < lf.gate {
			break
		}
		n.index = lf.settled
		if !lf.closed || len(l.mu.files) == 1 {
			break
		}
		l.mu.files = append(l.mu.files[:0], l.mu.files[1:]...)
	}
	n.end, n.any = l.mu.marks.popThrough(n.index)
	n.err, n.ended = l.mu.err, l.mu.ended
	return n
}

// Close syncs and closes what is open, reports it and joins every goroutine. It returns the final error, if there is
// one, and is idempotent.
func (l *Log) Close() error {
	l.mu.Lock()
	again := l.mu.closing
	l.mu.closing = true
	l.mu.Unlock()
	if again {
		return l.closeError()
	}
	close(l.jobs)
	if err := l.discard(<-l.next); err != nil {
		l.fail(err)
	}
	l.mu.Lock()
	last := l.fillLocked()
	l.mu.Unlock()
	if err := l.finish(last); err != nil {
		l.fail(err)
	}
	l.mu.Lock()
	l.mu.ended = true
	l.mu.Unlock()
	l.signal()
	l.done.Wait()
	l.dir.log = nil
	l.mu.Lock()
	if l.mu.err == nil {
		l.mu.err = errLogClosed
	}
	l.mu.Unlock()
	return l.closeError()
}

func (l *Log) closeError() error {
	if err := l.failed(); !errors.Is(err, errLogClosed) {
		return err
	}
	return nil
}
