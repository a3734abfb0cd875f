package logdb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/logdb-go/logdb/logdb/internal/view"
)

// simReader is a process that reads the bucket.
type simReader struct {
	w    *simWorld
	name string
	port *simPort

	mu     sync.Mutex
	r      *LogDbReader // nil while it opens
	closed bool
}

// openReader starts a reader. A fresh one reads everything once and goes.
func (w *simWorld) openReader(refresh time.Duration, fresh bool) {
	w.opened++
	p := &simReader{w: w, name: fmt.Sprintf("r%d", w.opened)}
	p.port = w.port(p.name)
	if !fresh {
		w.readers = append(w.readers, p)
	}
	w.running.Go(func() {
		ctx, cancel := context.WithTimeout(w.ctx, 5*time.Minute)
		defer cancel()
		r, err := OpenReader(ctx, p.port, ReaderOptions{RefreshInterval: refresh, Cache: 1 << 20, hooks: hooks{off: w.c.off, steady: true, forgets: w.c.forgets()}})
		if err != nil {
			w.tracef("%s did not open: %v", p.name, err)
			if !errors.Is(err, ErrNoLog) {
				w.explain(p.name+" open", err)
			}
			return
		}
		w.count("reader opened")
		w.readAll(p.name, nil, r, ScanOptions{}, false)
		p.mu.Lock()
		keep := !fresh && !p.closed
		if keep {
			p.r = r
		}
		p.mu.Unlock()
		if !keep {
			w.closeReader(p.name, r)
		}
	})
}

func (w *simWorld) closeReader(name string, r *LogDbReader) {
	if err := r.Close(); err != nil {
		w.oracle.fail("%s close: %v", name, err)
	}
}

// close ends the reader, whether it is open yet or not.
func (p *simReader) close() {
	p.mu.Lock()
	p.closed = true
	r := p.r
	p.r = nil
	p.mu.Unlock()
	if r != nil {
		p.w.running.Go(func() { p.w.closeReader(p.name, r) })
	}
}

func (p *simReader) live() *LogDbReader {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.r
}

var simKeys = []string{"a", "b", "", "d\x00d"}

// readAll scans every key in one view and notes what it showed. p is the
// writer that is read, nil for a reader; opened tells its first view.
func (w *simWorld) readAll(who string, p *simWriter, l LogRead, o ScanOptions, opened bool) {
	ctx, cancel := context.WithTimeout(w.ctx, 10*time.Minute)
	defer cancel()
	v := &simView{who: who, remote: p == nil || o.Visibility == Remote, frontier: ^uint64(0), seen: map[uint64]bool{}}
	its := make([]*Iterator, len(simKeys))
	var one *view.View
	for i, key := range simKeys {
		its[i] = l.Scan(ctx, []byte(key), Range{}, o)
		defer its[i].Close()
		v.frontier = min(v.frontier, its[i].hi)
		if i > 0 && its[i].v != one && p == nil {
			return // a refresh came between: not one view
		}
		one = its[i].v
	}
	var entries []Entry
	for _, it := range its {
		es, err := w.drain(who, it)
		if err != nil {
			w.tracef("%s: scan: %v", who, err)
			w.explain(who+" scan", err)
			return
		}
		if it.NextSequence() < v.frontier {
			w.oracle.fail("%s: scan of %q ended at the cursor %d, the frontier was %d", who, it.key, it.NextSequence(), v.frontier)
		}
		v.trimmed = max(v.trimmed, it.v.TrimmedBelow)
		entries = append(entries, es...)
	}
	keep := func() {
		w.count("view")
		for _, e := range entries {
			w.oracle.shown(who, e)
			v.seen[e.Sequence] = true
		}
		w.tracef("%s shows %d entries below %d, trimmed %d", who, len(entries), v.frontier, v.trimmed)
		w.oracle.keepView(v)
	}
	if p == nil {
		keep()
		return
	}
	v.epoch, v.dir, v.opened = p.live0().epoch, p.dir, opened
	p.alive(keep)
}

// live0 returns the log although it may be closing.
func (p *simWriter) live0() *LogDb {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.db
}

// drain reads a scan to its end: ascending, in time too.
func (w *simWorld) drain(who string, it *Iterator) ([]Entry, error) {
	var out []Entry
	for it.Next() {
		e := owned(it.Entry())
		if n := len(out); n > 0 && (out[n-1].Sequence >= e.Sequence || out[n-1].Time.After(e.Time)) {
			w.oracle.fail("%s: scan goes from sequence %d, time %v to %d, %v", who, out[n-1].Sequence, out[n-1].Time, e.Sequence, e.Time)
		}
		out = append(out, e)
	}
	return out, it.Err()
}

// consume moves a cursor on over one source, as a consumer does that keeps
// nothing but NextSequence.
func (w *simWorld) consume(who string, p *simWriter, l LogRead, c *simCursor, o ScanOptions, follow time.Duration) {
	ctx, cancel := context.WithTimeout(w.ctx, 2*time.Minute)
	if follow > 0 {
		ctx, cancel = context.WithTimeout(w.ctx, follow)
	}
	defer cancel()
	var it *Iterator
	if follow > 0 {
		it = l.Follow(ctx, []byte(c.key), c.next, o)
	} else {
		it = l.Scan(ctx, []byte(c.key), From(c.next), o)
	}
	defer it.Close()
	es, err := w.drain(who, it)
	if err != nil {
		w.explain(who+" consume", err)
	}
	next := it.NextSequence()
	keep := func() {
		w.count("consumed")
		for _, e := range es {
			w.oracle.shown(who, e)
			if e.Sequence < c.next || c.seen[e.Sequence] {
				w.oracle.fail("%s: cursor %d of key %q got sequence %d again", who, c.next, c.key, e.Sequence)
			}
			c.seen[e.Sequence] = true
		}
		if next < c.next {
			w.oracle.fail("%s: cursor of key %q went from %d back to %d", who, c.key, c.next, next)
		}
		w.tracef("%s: cursor of %q moves from %d to %d over %d entries", who, c.key, c.next, next, len(es))
		c.next = next
	}
	if p == nil {
		keep()
	} else {
		p.alive(keep)
	}
}
