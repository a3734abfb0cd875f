package logdb

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// simCompactors opens compactors beside the writers, one after the other and
// now and then two at once, and stalls, kills and ends them. It draws from a
// source of its own, so that the rest of a schedule is what it was without.
type simCompactors struct {
	w      *simWorld
	rng    *rand.Rand
	opened int
}

func (w *simWorld) compactors() *simCompactors {
	return &simCompactors{w: w, rng: rand.New(rand.NewPCG(w.c.seed, 2))}
}

// between draws a time whose order of magnitude is as good as any.
func (c *simCompactors) between(lo, hi time.Duration) time.Duration {
	d := lo
	for d < hi && c.rng.IntN(3) > 0 {
		d *= 3
	}
	return d + time.Duration(c.rng.Int64N(int64(d)))
}

func (c *simCompactors) drive() {
	for c.pause(c.between(5*time.Second, time.Hour)) {
		for range 1 + c.rng.IntN(4)/3 {
			c.open()
		}
	}
}

func (c *simCompactors) pause(d time.Duration) bool {
	select {
	case <-c.w.ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// open starts one and decides its fate.
func (c *simCompactors) open() {
	c.opened++
	w, life, stall := c.w, c.between(time.Second, 2*time.Hour), time.Duration(0)
	kill := c.rng.IntN(2) == 0
	if c.rng.IntN(3) == 0 {
		stall = c.between(2*time.Second, 20*time.Minute)
	}
	port := w.port(fmt.Sprintf("c%d", c.opened))
	o := w.compactorOptions(c.rng)
	ctx, cancel := context.WithCancel(w.ctx)
	w.tracef("%s opens, for %v, stalls for %v", port.name, life, stall)
	w.running.Go(func() { w.runCompactor(ctx, port, o) })
	w.running.Go(func() {
		defer cancel()
		if stall > 0 && c.pauseFor(ctx, life/2) {
			port.stall()
			c.pauseFor(ctx, stall)
			port.thaw()
		}
		c.pauseFor(ctx, life)
		if kill {
			w.tracef("%s is killed", port.name)
			port.kill()
		}
	})
}

func (c *simCompactors) pauseFor(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func (w *simWorld) compactorOptions(rng *rand.Rand) CompactorOptions {
	return CompactorOptions{
		NoConsolidation: rng.IntN(4) == 0,
		Interval:        []time.Duration{time.Second, 10 * time.Second, time.Minute}[rng.IntN(3)],
		BytesPerSecond:  []int64{0, 0, 2 << 10}[rng.IntN(3)],
		CollectGrace:    w.profile.grace,
		Events: EventListener{
			Merged:  func(Event) { w.count("merged elsewhere") },
			Deleted: func(Event) { w.count("deleted elsewhere") },
		},
		hooks: hooks{off: w.c.off, step: w.step, steady: true},
	}
}

func (w *simWorld) runCompactor(ctx context.Context, port *simPort, o CompactorOptions) {
	c, err := OpenCompactor(ctx, port, o)
	if err != nil {
		if !errors.Is(err, ErrNoLog) {
			w.explain(port.name+" open", err)
		}
		return
	}
	w.tracef("%s is open: compactor epoch %d", port.name, c.epoch)
	w.count("compactor opened")
	err = c.Run(ctx)
	w.tracef("%s ends: %v", port.name, err)
	if errors.Is(err, ErrFenced) {
		w.count("compactor fenced")
	}
	w.explain(port.name, err)
	if err := c.Close(); err != nil {
		w.oracle.fail("%s: close: %v", port.name, err)
	}
}

// tidy merges and collects what is left in the end, when all is flushed: then
// every table in the bucket is named. What the last writer sent and did not wait
// for has landed by then; in life, the next sweep would find it.
func (w *simWorld) tidy() {
	time.Sleep(w.profile.maxDelay)
	c, err := OpenCompactor(w.ctx, w.port("tidy"), CompactorOptions{hooks: hooks{off: w.c.off, steady: true}})
	if err != nil {
		w.oracle.fail("final compactor: %v", err)
		return
	}
	defer c.Close()
	err = c.Compact(w.ctx)
	if err == nil {
		err = c.Collect(w.ctx)
	}
	if err != nil {
		w.oracle.fail("final compactor: %v", err)
		return
	}
	m := w.store.now()
	named := map[string]bool{}
	for i := range m.Segments {
		addNames(named, m.Segments[i].Tables)
	}
	for info, err := range w.store.List(w.ctx, collectorTables, "") {
		if err != nil {
			w.oracle.fail("list: %v", err)
			return
		}
		if !named[info.Name] {
			w.oracle.fail("%s is nobody's and was not collected", info.Name)
		}
	}
}
