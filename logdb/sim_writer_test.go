package logdb

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// simDisk is one machine's WAL directory. A crash replaces the file system by
// what the crash left of it.
type simDisk struct {
	id    int
	fs    *vfs.MemFS
	inUse bool
}

// simWriter is one process that opens the log for writing.
type simWriter struct {
	w    *simWorld
	name string
	port *simPort
	disk *simDisk // nil: diskless

	cancel context.CancelFunc // of Open
	came   chan struct{}      // Open has ended
	ended  chan struct{}      // the process is gone and its disk free

	mu      sync.Mutex
	db      *LogDb // nil while it opens
	dir     objstore.ID
	dead    bool // killed, or never came up
	closing bool
}

// alive runs f unless the process has been killed: what a killed process was
// about to say, nobody heard.
func (p *simWriter) alive(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.dead {
		f()
	}
}

// open starts a writer; it takes its time, and may be killed meanwhile.
func (w *simWorld) open(disk *simDisk, rng *rand.Rand) *simWriter {
	w.opened++
	p := &simWriter{w: w, name: fmt.Sprintf("w%d", w.opened), disk: disk, came: make(chan struct{}), ended: make(chan struct{})}
	p.port = w.port(p.name)
	o := w.writerOptions(rng)
	if disk != nil {
		p.name += fmt.Sprintf("@d%d", disk.id)
		disk.inUse = true
		o.WALDir, o.fs = "wal", disk.fs
	}
	ctx, cancel := context.WithTimeout(w.ctx, 10*time.Minute)
	p.cancel = cancel
	w.tracef("%s opens", p.name)
	w.writers, w.dirs = append(w.writers, p), append(w.dirs, p)
	w.running.Go(func() {
		defer cancel()
		d, err := Open(ctx, p.port, o)
		p.openEnded(d, err)
	})
	return p
}

func (p *simWriter) openEnded(d *LogDb, err error) {
	p.mu.Lock()
	killed := p.dead
	if err == nil && !killed {
		p.db = d
		if d.dir != nil {
			p.dir = d.dir.ID()
		}
	} else {
		p.dead = true
	}
	p.mu.Unlock()
	defer close(p.came)
	switch {
	case err != nil:
		p.w.tracef("%s did not open: %v", p.name, err)
		if !killed {
			p.w.explain(p.name+" open", err)
		}
	case killed:
		d.stopAll(errCrash)
		_ = d.release()
	default:
		p.w.tracef("%s is open: epoch %d, next %d, lost %+v", p.name, d.epoch, d.committer.next, d.Lost())
		p.w.count("opened")
		p.w.countN("lost", int(d.Lost().Frames))
		p.recovered(d)
		p.w.running.Go(func() { p.w.readAll(p.name, p, d, ScanOptions{Visibility: Applied}, true) })
		return
	}
	p.free()
}

// recovered counts what an open took back.
func (p *simWriter) recovered(d *LogDb) {
	d.state.mu.Lock()
	for _, g := range d.state.mu.gens {
		switch {
		case len(g.inherited) > 0:
			p.w.count("inherited staged tables")
		case g.mem == nil && len(g.late) > 0:
			p.w.count("adopted tables")
		case g.mem != nil && len(g.files) > 0:
			p.w.count("staged in part")
		}
	}
	d.state.mu.Unlock()
	if d.DurableSequence(Applied) > d.DurableSequence(Remote) {
		p.w.count("local replayed")
	}
}

// free gives the disk to whoever opens next.
func (p *simWriter) free() {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if p.disk != nil {
		p.disk.inUse = false
	}
	close(p.ended)
}

// live returns the writer's log, nil where it is opening, closing or gone.
func (p *simWriter) live() *LogDb {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead || p.closing {
		return nil
	}
	return p.db
}

// crash kills the process as it stands and leaves on disk what was synced and
// some of the rest.
func (p *simWriter) crash(rng *rand.Rand) {
	p.mu.Lock()
	if p.dead {
		p.mu.Unlock()
		return
	}
	p.dead = true
	p.port.kill()
	if p.disk != nil {
		cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 0, 50, 100}[rng.IntN(4)], RNG: rng}
		p.disk.fs = p.disk.fs.CrashClone(cfg)
	}
	d, closing := p.db, p.closing
	p.mu.Unlock()
	p.w.tracef("%s crashes", p.name)
	p.cancel()
	if d == nil {
		p.w.count("crash in open")
		return // openEnded frees it
	}
	p.w.count("crash")
	p.w.running.Go(func() {
		d.stopAll(errCrash)
		if !closing { // Close releases by itself
			_ = d.release()
			p.free()
		}
	})
}

// close ends the process in order.
func (p *simWriter) close() {
	p.mu.Lock()
	d := p.db
	if p.dead || p.closing || d == nil {
		p.mu.Unlock()
		return
	}
	p.closing = true
	p.mu.Unlock()
	p.w.tracef("%s closes", p.name)
	p.w.running.Go(func() {
		next := d.applied.get()
		err := d.Close()
		p.w.tracef("%s closed: %v", p.name, err)
		p.alive(func() {
			p.dead = true
			if err == nil {
				p.w.count("closed")
				p.w.oracle.keepMark(simMark{who: p.name + " close", epoch: d.epoch, dir: p.dir, level: Remote, at: next})
			} else {
				p.w.explain(p.name+" close", err)
			}
		})
		p.free()
	})
}

// append is one client's append and what it was told.
func (p *simWriter) append(records []Record, level Durability, patience time.Duration, try bool) {
	d := p.live()
	if d == nil {
		return
	}
	b := p.w.oracle.submit(level, d.epoch, p.dir, records)
	p.w.running.Go(func() {
		ctx, cancel := context.WithTimeout(p.w.ctx, patience)
		defer cancel()
		var a Appended
		var err error
		if try {
			a, err = d.TryAppend(ctx, b.records, AppendOptions{Ack: level})
		} else {
			a, err = d.Append(ctx, b.records, AppendOptions{Ack: level})
		}
		p.alive(func() { p.answered(d, b, a, err) })
	})
}

func (p *simWriter) answered(d *LogDb, b *simBatch, a Appended, err error) {
	w, pending := p.w, (*PendingError)(nil)
	switch {
	case err == nil:
		w.tracef("%s acked b%d at [%d,%d) %v", p.name, b.id, a.First, a.Next, d.level(b.level))
		w.count("acked " + d.level(b.level).String())
		w.oracle.placed(b, a, true)
		if got := d.DurableSequence(b.level); got < a.Next {
			w.oracle.fail("%s acknowledged b%d at [%d,%d) %v, its watermark is %d", p.name, b.id, a.First, a.Next, b.level, got)
		}
	case errors.As(err, &pending):
		w.tracef("%s pending b%d at [%d,%d): %v", p.name, b.id, pending.Appended.First, pending.Appended.Next, err)
		w.count("append pending")
		w.oracle.placed(b, pending.Appended, false)
		w.explain(p.name+" append", pending.Err)
	default:
		w.oracle.refuse(b)
		w.explain(p.name+" append", err)
	}
}

// explain fails where an error is none that these faults can cause.
func (w *simWorld) explain(what string, err error) {
	for _, ok := range []error{
		context.Canceled, context.DeadlineExceeded, ErrClosed, ErrQueueFull, ErrStale, errSimDead, errCrash, objstoretest.ErrInjected,
	} {
		if errors.Is(err, ok) {
			return
		}
	}
	if errors.Is(err, ErrFenced) {
		w.count("fenced")
		return
	}
	w.oracle.fail("%s: %v", what, err)
}

// observe notes the watermarks and holds them against what is readable.
func (p *simWriter) observe() {
	d := p.live()
	if d == nil {
		return
	}
	remote, local := d.DurableSequence(Remote), d.DurableSequence(Local)
	applied := d.DurableSequence(Applied)
	p.alive(func() {
		if remote > applied || local > applied || remote > local && p.disk != nil {
			p.w.oracle.fail("%s: watermarks out of order: remote %d, local %d, applied %d", p.name, remote, local, applied)
		}
		p.w.oracle.keepMark(simMark{who: p.name, epoch: d.epoch, dir: p.dir, level: Remote, at: remote})
		p.w.oracle.keepMark(simMark{who: p.name, epoch: d.epoch, dir: p.dir, level: Local, at: local})
		if err := d.Err(); err != nil {
			p.w.explain(p.name+" stopped", err)
		}
	})
}
