package logdb

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// linConfig is one history on the faulty bucket in memory.
type linConfig struct {
	seed       uint64
	operations int // of each client
	off        defence
	put        func(s *shipper, sh *shipment, body []byte) error
	out        string // directory for pictures
	trace      func(...any)
}

// linWorld is the simulation's world, with its bucket, faults, disks and
// processes that stall, under clients that all work at the same time.
type linWorld struct {
	*simWorld
	scene   *linScene
	h       *linHistory
	nemesis *rand.Rand
	open    []*linMember // processes that live
}

// linMember is a process with a LogDb in this world.
type linMember struct {
	*linProcess
	d    *LogDb
	port *simPort
	disk *simDisk
}

// linOutcome is what became of a history.
type linOutcome struct {
	seed     uint64
	problems []linProblem
	tally    simCounts
}

// linearHistory runs one history in a bubble of its own, and then judges it.
func linearHistory(t *testing.T, c linConfig) *linOutcome {
	var w *linWorld
	synctest.Test(t, func(t *testing.T) {
		cryptotest.SetGlobalRandom(t, c.seed)
		w = newLinWorld(c)
		defer w.cancel()
		w.play()
		w.late.Wait()
	})
	for _, v := range w.oracle.violations { // of the bucket's own checks
		w.h.problem(linLives, "bucket: %s", v)
	}
	problems := w.h.judge(simKeys, c.out)
	w.h.count(w.tally)
	return &linOutcome{seed: c.seed, problems: problems, tally: w.tally}
}

func newLinWorld(c linConfig) *linWorld {
	w := &linWorld{
		simWorld: newSimWorld(simConfig{seed: c.seed, steps: c.operations, off: c.off, put: c.put, trace: c.trace}),
		nemesis:  rand.New(rand.NewPCG(c.seed, 2)),
	}
	w.profile.retention = Retention{} // everything acknowledged is there in the end
	for len(w.disks) < 2 {
		w.disks = append(w.disks, &simDisk{id: len(w.disks), fs: vfs.NewCrashableMem()})
	}
	w.h = newLinHistory(w.tracef)
	w.scene = &linScene{h: w.h, keys: simKeys, patience: 5 * time.Minute, explain: w.explain}
	w.scene.pause = func(rng *rand.Rand) time.Duration {
		return time.Duration(rng.ExpFloat64() * float64(6*w.profile.latency))
	}
	w.scene.padding = func(rng *rand.Rand) []byte {
		if w.profile.bigs {
			return padding[:rng.IntN(len(padding))]
		}
		return padding[:rng.IntN(40)]
	}
	return w
}

// play runs the clients, the nemesis and two readers, and then the end.
func (w *linWorld) play() {
	w.startWriter(w.disks[0])
	w.startReader(time.Second)
	w.startReader(5 * time.Second)
	var clients sync.WaitGroup
	ctx, stop := context.WithTimeout(w.ctx, 4*time.Hour)
	defer stop()
	const n = 6
	for id := range n {
		rng := rand.New(rand.NewPCG(w.c.seed, 100+uint64(id)))
		clients.Go(func() { w.scene.client(ctx, id, w.c.steps, rng) })
	}
	over := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() { w.trouble(over) })
	clients.Wait()
	close(over)
	ended.Wait()
	w.end()
}

// startWriter opens the log from a disk (nil: diskless) and lets clients talk
// to it.
func (w *linWorld) startWriter(disk *simDisk) *linMember {
	w.opened++
	m := &linMember{port: w.port(fmt.Sprintf("p%d", w.opened)), disk: disk}
	o, dir := w.writerOptions(w.nemesis), ""
	if disk != nil {
		o.WALDir, o.fs, dir = "wal", disk.fs, fmt.Sprint("d", disk.id)
		disk.inUse = true
	}
	var bucket, local uint64
	o.hooks.step = w.stepAside
	o.hooks.recovered = func(b, l uint64) { bucket, local = b, l }
	ctx, cancel := context.WithTimeout(w.ctx, 10*time.Minute)
	defer cancel()
	doomed := w.opened > 1 && !w.isHealed() && w.nemesis.IntN(5) == 0
	if doomed { // killed somewhere on its way
		after := time.Duration(w.nemesis.Int64N(int64(40 * w.profile.latency)))
		w.running.Go(func() {
			time.Sleep(after)
			m.port.kill()
			cancel()
		})
	}
	a := w.h.attempt(dir)
	d, err := Open(ctx, m.port, o)
	if err != nil || doomed {
		w.notOpened(m, a, d, err, doomed)
		return nil
	}
	w.count("opened")
	m.d = d
	m.linProcess = &linProcess{w.h.opened(a, d.epoch, bucket, local), linLocal{d}}
	w.open = append(w.open, m)
	w.scene.join(m.linProcess)
	return m
}

func (w *linWorld) isHealed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.healed
}

// stepAside lets others run where a mutant does in two steps what must be one.
func (w *linWorld) stepAside(name string) {
	if w.step(name); name == "flush: half in the view" {
		time.Sleep(10 * w.profile.latency)
	}
}

func (w *linWorld) notOpened(m *linMember, a *linAttempt, d *LogDb, err error, killed bool) {
	if killed {
		w.count("killed in open")
		m.port.kill()
		if m.disk != nil {
			m.disk.fs = m.disk.fs.CrashClone(vfs.CrashCloneCfg{})
		}
	} else {
		w.explain("open", err)
	}
	if d != nil {
		d.stopAll(errCrash)
		_ = d.release()
	}
	a.ret = w.h.tick()
	if m.disk != nil {
		m.disk.inUse = false
	}
}

// startReader opens a reader that looks every so often.
func (w *linWorld) startReader(every time.Duration) *linReader {
	w.opened++
	w.h.readers++
	p := &linReader{id: w.h.readers, since: w.h.tick()}
	ctx, cancel := context.WithTimeout(w.ctx, 10*time.Minute)
	defer cancel()
	r, err := OpenReader(ctx, w.port(fmt.Sprintf("p%d", w.opened)), ReaderOptions{RefreshInterval: every, Cache: 1 << 20, hooks: hooks{off: w.c.off, steady: true, forgets: w.c.forgets()}})
	if err != nil {
		if !errors.Is(err, ErrNoLog) {
			w.explain("open reader", err)
		}
		return nil
	}
	p.r = r
	w.scene.mu.Lock()
	defer w.scene.mu.Unlock()
	w.scene.readers = append(w.scene.readers, p)
	return p
}
