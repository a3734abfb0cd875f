//go:build unix

package logdb

import (
	"context"
	"slices"
	"syscall"
	"time"
)

// trouble makes the history hard until the clients are through.
func (w *linHosts) trouble(over chan struct{}) {
	for {
		timer := time.NewTimer(time.Duration(w.nemesis.ExpFloat64() * float64(450*time.Millisecond)))
		select {
		case <-over:
			timer.Stop()
			return
		case <-timer.C:
		}
		w.makeTrouble()
	}
}

func (w *linHosts) makeTrouble() {
	if len(w.open) == 0 {
		w.startWriter(w.freeDir())
		return
	}
	newest := w.open[len(w.open)-1]
	switch n := w.nemesis.IntN(10); {
	case n < 4:
		w.count("restart")
		w.kill(newest)
		w.startWriter(newest.dir)
	case n < 6: // the old one lives on and does not know
		w.count("takeover")
		w.startWriter(w.freeDir())
	case n < 8: // and slept all the while
		w.count("takeover from a sleeper")
		newest.remote.signal(syscall.SIGSTOP)
		w.startWriter(w.freeDir())
		newest.remote.signal(syscall.SIGCONT)
	case n < 9:
		w.count("outage")
		if w.proxy != nil {
			w.proxy.Down(true)
			linSleep(w.t.Context(), time.Duration(w.nemesis.Int64N(int64(300*time.Millisecond))))
			w.proxy.Down(false)
		}
	default:
		if p := w.startReader(-1); p != nil {
			w.count("reader")
			w.scene.readThrough(w.t.Context(), 9, p, w.scene.keys[w.nemesis.IntN(len(w.scene.keys))], p.since)
		}
	}
	if len(w.open) > 2 {
		w.kill(w.open[0])
	}
}

// freeDir is a WAL directory that no child has open.
func (w *linHosts) freeDir() string {
	dirs := []string{"a", "b", "c", "d"}
	dirs = slices.DeleteFunc(dirs, func(dir string) bool {
		return slices.ContainsFunc(w.open, func(m *linHost) bool { return m.dir == dir })
	})
	return dirs[w.nemesis.IntN(len(dirs))]
}

// kill ends a child with SIGKILL.
func (w *linHosts) kill(m *linHost) {
	w.count("kill")
	m.linWriter.kill(func() {})
	if err := m.remote.kill(); err != nil {
		w.h.problem(linLives, "%v had ended by itself: %v", m.linWriter, err)
	}
	w.gone(m)
}

// close ends a child in order.
func (w *linHosts) close(ctx context.Context, m *linHost) {
	w.count("close")
	at, err := m.Watermark(ctx, Applied)
	mark := &linMarked{client: 9, writer: m.linWriter, how: "close", level: Remote, at: at, call: w.h.tick()}
	if err == nil {
		err = m.remote.close(ctx)
	}
	if err == nil {
		w.scene.marked(mark)
	} else {
		w.explain(m.String()+" close", err)
	}
	m.linWriter.kill(func() {})
	w.gone(m)
}

func (w *linHosts) gone(m *linHost) {
	w.scene.leave(m.linWriter)
	for i, o := range w.open {
		if o == m {
			w.open = append(w.open[:i:i], w.open[i+1:]...)
			return
		}
	}
}

// end stops the faults, opens the log once more and reads all of it, through a
// writer and from the bucket.
func (w *linHosts) end() {
	w.healed.Store(true)
	ctx, cancel := context.WithTimeout(w.t.Context(), 3*time.Minute)
	defer cancel()
	last := "a"
	for len(w.open) > 0 {
		m := w.open[len(w.open)-1]
		last = m.dir
		if w.nemesis.IntN(3) == 0 {
			w.close(ctx, m)
		} else {
			w.kill(m)
		}
	}
	if w.proxy != nil {
		w.proxy.Wait()
	}
	m := w.startWriter(last)
	if m == nil {
		w.h.problem(linLives, "the log does not open any more")
		return
	}
	w.readEnd(ctx, m)
	w.close(ctx, m)
}

func (w *linHosts) readEnd(ctx context.Context, m *linHost) {
	for _, key := range w.scene.keys {
		r := &linRead{client: 9, writer: m.linWriter, key: key, call: w.h.tick(), final: true}
		entries, next, err := m.Scan(ctx, key, Applied)
		if err != nil {
			w.h.problem(linLives, "final scan of %q: %v", key, err)
			continue
		}
		r.ret, r.next = w.h.tick(), next
		w.h.took(r, entries)
	}
	if err := m.Flush(ctx); err != nil {
		w.h.problem(linLives, "final flush: %v", err)
	}
	w.startReader(-1)
	for _, p := range w.scene.readers {
		since := w.h.tick()
		if err := p.r.Refresh(ctx); err != nil {
			w.explain("final refresh", err)
			continue
		}
		for _, key := range w.scene.keys {
			w.scene.readThrough(ctx, 9, p, key, since)
		}
	}
}
