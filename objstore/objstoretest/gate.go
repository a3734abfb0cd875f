package objstoretest

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// gate holds requests until a test lets them go.
type gate struct {
	arrived chan struct{}
	opened  chan struct{}
	once    struct{ arrive, open sync.Once }
}

func (g *gate) arrive() { g.once.arrive.Do(func() { close(g.arrived) }) }
func (g *gate) open()   { g.once.open.Do(func() { close(g.opened) }) }

// gates are made when they are first spoken of, by a request or by the test.
type gates struct {
	mu     sync.Mutex
	byName map[string]*gate
}

func (gs *gates) get(name string) *gate {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	g, ok := gs.byName[name]
	if !ok {
		g = &gate{arrived: make(chan struct{}), opened: make(chan struct{})}
		if gs.byName == nil {
			gs.byName = map[string]*gate{}
		}
		gs.byName[name] = g
	}
	return g
}

// wait returns when the fault's delay is over and its gate is open, or with the context's error.
func (gs *gates) wait(ctx context.Context, fault Fault) error {
	if err := sleep(ctx, fault.Delay); err != nil {
		return err
	}
	if fault.Gate == "" {
		return nil
	}
	g := gs.get(fault.Gate)
	g.arrive()
	select {
	case <-g.opened:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("objstoretest: waiting at gate %q: %w", fault.Gate, ctx.Err())
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("objstoretest: waiting for an answer: %w", ctx.Err())
	}
}
