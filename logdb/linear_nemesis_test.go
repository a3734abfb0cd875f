package logdb

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// trouble makes the history hard until the clients are through.
func (w *linWorld) trouble(over chan struct{}) {
	for {
		wait := time.Duration(w.nemesis.ExpFloat64() * float64(60*w.profile.latency))
		if w.nemesis.IntN(8) == 0 { // long enough for what goes by time
			wait += time.Duration(w.nemesis.Int64N(int64(5 * time.Minute)))
		}
		select {
		case <-over:
			return
		case <-time.After(wait + time.Millisecond):
		}
		w.makeTrouble()
	}
}

func (w *linWorld) makeTrouble() {
	if len(w.open) == 0 {
		w.startWriter(w.freeDisk())
		return
	}
	newest := w.open[len(w.open)-1]
	switch n := w.nemesis.IntN(14); {
	case n < 4:
		w.count("restart")
		w.kill(newest)
		for range 3 { // killed again while it opens, perhaps
			if w.startWriter(newest.disk) != nil {
				break
			}
		}
	case n < 6: // the old one lives on and does not know
		w.count("takeover")
		w.startWriter(w.freeDisk())
	case n < 8: // and slept all the while
		w.count("takeover from a sleeper")
		newest.port.stall()
		w.startWriter(w.freeDisk())
		time.Sleep(time.Duration(w.nemesis.Int64N(int64(4 * time.Minute))))
		newest.port.thaw()
	case n < 9:
		w.kill(w.open[w.nemesis.IntN(len(w.open))])
	case n < 10:
		w.close(newest)
	case n < 11:
		w.actOutage()
	case n < 12:
		w.actRival()
	case n < 13:
		w.compact(newest)
	default:
		if p := w.startReader(time.Second); p != nil {
			w.count("reader")
			ctx, cancel := context.WithTimeout(w.ctx, w.scene.patience)
			defer cancel()
			w.scene.readThrough(ctx, 9, p, simKeys[w.nemesis.IntN(len(simKeys))], p.since)
		}
	}
	if len(w.open) > 3 {
		w.kill(w.open[0])
	}
}

func (w *linWorld) compact(m *linMember) {
	w.running.Go(func() {
		ctx, cancel := context.WithTimeout(w.ctx, w.scene.patience)
		defer cancel()
		w.scene.failed(m.linProcess, "compact", m.d.Compact(ctx))
	})
}

// kill ends a process as it stands. Its disk keeps what was synced and some of
// the rest.
func (w *linWorld) kill(m *linMember) {
	w.count("kill")
	m.linWriter.kill(func() {
		m.port.kill()
		if m.disk != nil {
			cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 0, 50, 100}[w.nemesis.IntN(4)], RNG: rand.New(rand.NewPCG(w.c.seed, w.nemesis.Uint64()))}
			m.disk.fs = m.disk.fs.CrashClone(cfg)
		}
	})
	w.tracef("%v is killed", m.linWriter)
	m.d.stopAll(errCrash)
	_ = m.d.release()
	w.gone(m)
}

// close ends a process in order: everything of it is Remote, if it says so.
func (w *linWorld) close(m *linMember) {
	w.count("close")
	mark := &linMarked{client: 9, writer: m.linWriter, how: "close", level: Remote, at: m.d.DurableSequence(Applied), call: w.h.tick()}
	if err := m.d.Close(); err == nil {
		w.scene.marked(mark)
	} else {
		w.scene.failed(m.linProcess, "close", err)
	}
	m.linWriter.kill(func() {})
	w.gone(m)
}

func (w *linWorld) gone(m *linMember) {
	w.scene.leave(m.linWriter)
	for i, o := range w.open {
		if o == m {
			w.open = append(w.open[:i:i], w.open[i+1:]...)
			break
		}
	}
	if m.disk != nil {
		m.disk.inUse = false
	}
}

// end heals everything, opens the log once more and reads all of it, through
// a writer and from the bucket.
func (w *linWorld) end() {
	w.mu.Lock()
	w.healed = true
	w.mu.Unlock()
	w.faulty.Down(false)
	last := w.disks[w.nemesis.IntN(len(w.disks))]
	for len(w.open) > 0 {
		m := w.open[len(w.open)-1]
		if m.disk != nil {
			last = m.disk
		}
		if w.nemesis.IntN(3) == 0 {
			w.close(m)
		} else {
			w.kill(m)
		}
	}
	w.running.Wait()
	w.late.Wait()
	w.faulty.Wait()
	defer w.closeReaders()
	m := w.startWriter(last)
	if m == nil {
		w.h.problem(linLives, "the log does not open any more")
		return
	}
	w.readEnd(m)
	w.close(m)
}

func (w *linWorld) readEnd(m *linMember) {
	for _, key := range simKeys {
		r := &linRead{client: 9, writer: m.linWriter, key: key, call: w.h.tick(), final: true}
		entries, next, err := m.Scan(w.ctx, key, Applied)
		if err != nil {
			w.h.problem(linLives, "final scan of %q: %v", key, err)
			continue
		}
		r.ret, r.next = w.h.tick(), next
		w.h.took(r, entries)
	}
	if err := m.Flush(w.ctx); err != nil {
		w.h.problem(linLives, "final flush: %v", err)
	}
	w.startReader(-1)
	for _, p := range w.scene.readers {
		since := w.h.tick()
		if err := p.r.Refresh(w.ctx); err != nil {
			w.h.problem(linLives, "final refresh: %v", err)
			continue
		}
		for _, key := range simKeys {
			w.scene.readThrough(w.ctx, 9, p, key, since)
		}
	}
}

func (w *linWorld) closeReaders() {
	for _, p := range w.scene.readers {
		_ = p.r.Close()
	}
}
