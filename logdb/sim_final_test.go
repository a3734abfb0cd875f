package logdb

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// finish heals the store, ends every process, opens the log once more and
// holds everything that was ever said against what is in it.
func (w *simWorld) finish() {
	w.mu.Lock()
	w.healed = true
	w.mu.Unlock()
	w.faulty.Down(false)
	w.observeAll()
	for _, p := range w.up() {
		p.port.thaw()
		if w.rng.IntN(2) == 0 {
			p.crash(rand.New(rand.NewPCG(w.c.seed, w.rng.Uint64())))
		}
	}
	time.Sleep(time.Duration(w.rng.Int64N(int64(time.Minute))))
	w.observeAll()
	for _, p := range w.up() {
		p.port.thaw()
		<-p.came // up, or not: within ten minutes
		p.close()
	}
	for _, p := range w.up() {
		if !p.endsWithin(time.Hour) {
			w.oracle.fail("%s does not end", p.name)
			p.crash(w.rng)
			<-p.ended
		}
	}
	for _, r := range w.readers {
		r.port.thaw()
	}
	w.cancel() // clients that wait for nothing
	w.running.Wait()
	w.late.Wait()
	w.faulty.Wait()
	defer w.closeReaders()
	if w.oracle.failed() || w.store.now() == nil {
		return
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	defer w.cancel()
	w.judge()
}

func (p *simWriter) endsWithin(d time.Duration) bool {
	select {
	case <-p.ended:
		return true
	case <-time.After(d):
		return false
	}
}

func (w *simWorld) observeAll() {
	for _, p := range w.up() {
		p.observe()
	}
}

func (w *simWorld) closeReaders() {
	for _, r := range w.readers {
		r.close()
	}
	w.running.Wait()
}

// catchUp fails where a reader that followed the log through everything does
// not arrive at its end, however long ago that was.
func (w *simWorld) catchUp(want []Entry, end uint64) {
	w.late.Wait() // an edit that a close cut off may still come
	time.Sleep(3 * time.Minute)
	for _, p := range w.readers {
		r := p.live()
		if r == nil {
			continue
		}
		if got, want := r.snapshot.Load().version, w.store.now().Version; got < want {
			w.oracle.fail("%s keeps manifest version %d, the newest is %d", p.name, got, want)
		}
		if got := r.Frontier(); got < end {
			w.oracle.fail("%s stays at %d, the log ends at %d", p.name, got, end)
			continue
		}
		got, err := history(r)
		if err != nil {
			w.oracle.fail("%s in the end: %v", p.name, err)
		} else if !slices.EqualFunc(want, got, sameEntry) {
			w.oracle.fail("%s shows %d entries in the end, the log holds %d", p.name, len(got), len(want))
		}
	}
}

// judge opens the log as a writer, reads all of it, closes it and reads it
// again from the bucket.
func (w *simWorld) judge() {
	w.tracef("judgement")
	w.profile.retention = Retention{} // nothing may go while it is read
	disk := w.disks[w.rng.IntN(len(w.disks))]
	for _, d := range w.disks { // mostly the one that held the log last
		if w.lastHeld(d) && w.rng.IntN(4) > 0 {
			disk = d
		}
	}
	p := w.open(disk, w.rng)
	w.running.Wait()
	d := p.live()
	if d == nil {
		w.oracle.fail("the log does not open any more")
		return
	}
	first, err := history(d)
	if err != nil {
		w.oracle.fail("final writer: %v", err)
	}
	trimmed := d.view.Load().TrimmedBelow
	final := newSimFinal(w.oracle, first, trimmed)
	final.store = w.store
	final.check(d.epoch, p.dir)
	if err := d.installed.wait(w.ctx, d.state.added()); err != nil { // a backlog takes longer than a close waits
		w.oracle.fail("final writer: %v", err)
	}
	p.close()
	w.running.Wait()
	w.tidy()
	r, err := OpenReader(w.ctx, w.port("last"), ReaderOptions{RefreshInterval: -1, Cache: 1 << 20, hooks: hooks{off: w.c.off, forgets: w.c.forgets()}})
	if err != nil {
		w.oracle.fail("final reader: %v", err)
		return
	}
	defer r.Close()
	second, err := history(r)
	if err != nil {
		w.oracle.fail("final reader: %v", err)
	}
	kept := slices.DeleteFunc(slices.Clone(first), func(e Entry) bool { return e.Sequence < r.snapshot.Load().view.TrimmedBelow })
	w.catchUp(second, r.Frontier())
	if !slices.EqualFunc(kept, second, sameEntry) {
		w.oracle.fail("the writer showed %d entries, and after its close the bucket holds %d", len(kept), len(second))
	}
}

func sameEntry(a, b Entry) bool {
	return a.Sequence == b.Sequence && a.Time.Equal(b.Time) && string(a.Key) == string(b.Key) && string(a.Value) == string(b.Value)
}

// lastHeld reports whether the newest writer in the manifest had this disk.
func (w *simWorld) lastHeld(d *simDisk) bool {
	for _, p := range w.dirs {
		if p.disk == d && p.dir == w.store.now().Dir && !p.dir.IsZero() {
			return true
		}
	}
	return false
}
