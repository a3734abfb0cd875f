package logdb

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"iter"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/logdb-go/logdb/objstore"
)

// simPort is the bucket as one process sees it: requests take time, and while
// the process is stalled they are not sent or their answers not read. A killed
// process sends nothing more; what was on its way may arrive all the same.
type simPort struct {
	w    *simWorld
	name string // of the process: part of every request's identity
	next objstore.Bucket

	mu struct {
		sync.Mutex
		attempts map[string]int
		thawed   chan struct{} // nil: not stalled; closed when it goes on
		dead     bool
	}
	killed chan struct{}
}

func (w *simWorld) port(name string) *simPort {
	p := &simPort{w: w, name: name, next: w.faulty, killed: make(chan struct{})}
	p.mu.attempts = map[string]int{}
	return p
}

// stall holds every request of the process until thaw.
func (p *simPort) stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.thawed == nil {
		p.mu.thawed = make(chan struct{})
	}
}

func (p *simPort) thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.thawed != nil {
		close(p.mu.thawed)
		p.mu.thawed = nil
	}
}

func (p *simPort) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.mu.dead {
		p.mu.dead = true
		close(p.killed)
	}
}

func (p *simPort) stalled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.thawed != nil
}

// draw is the random source of one request: a function of the seed, the
// process, the request and how often it was made, and of nothing else.
func (p *simPort) draw(kind, name string) *rand.Rand {
	if strings.HasPrefix(name, "probe-") {
		name = "probe-"
	}
	p.mu.Lock()
	p.mu.attempts[kind+name]++
	n := p.mu.attempts[kind+name]
	p.mu.Unlock()
	h := fnv.New64a()
	fmt.Fprintf(h, "%s|%s|%s|%d", p.name, kind, name, n)
	return rand.New(rand.NewPCG(p.w.c.seed, h.Sum64()))
}

// latency is never the same twice: nanoseconds order what happens.
func (p *simPort) latency(rng *rand.Rand) time.Duration {
	typical := p.w.profile.latency
	d := typical/4 + time.Duration(rng.Int64N(int64(typical)))
	if rng.IntN(20) == 0 {
		d *= 8
	}
	return d + time.Duration(rng.Int64N(1000))
}

// pass waits until the process may go on. A stalled process does not notice
// that its context ended.
func (p *simPort) pass() error {
	for {
		p.mu.Lock()
		thawed, dead := p.mu.thawed, p.mu.dead
		p.mu.Unlock()
		if dead {
			return errSimDead
		}
		if thawed == nil {
			return nil
		}
		select {
		case <-thawed:
		case <-p.killed:
		}
	}
}

// travel is the way to the store or back.
func (p *simPort) travel(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	case <-p.killed:
		return errSimDead
	}
}

// send runs one request. late, if it is given, applies a write whose sender
// did not wait for it.
func (p *simPort) send(ctx context.Context, kind, name string, ask func(context.Context) error, late func(context.Context)) error {
	rng := p.draw(kind, name)
	there, back := p.latency(rng), p.latency(rng)
	detached, stillSent := time.Duration(rng.Int64N(int64(p.w.profile.maxDelay))), rng.IntN(2) == 0
	if err := p.pass(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil && !(late != nil && stillSent) {
		return err
	}
	if err := p.travel(ctx, there); err != nil {
		if late != nil && stillSent {
			p.w.later(detached, late)
		}
		return err
	}
	err := ask(ctx)
	if waited := p.travel(ctx, back); waited != nil {
		return waited
	}
	if err := p.pass(); err != nil { // stalled with the answer in its buffer
		return err
	}
	return err
}

func (p *simPort) Get(ctx context.Context, name string) (o objstore.Object, err error) {
	err = p.send(ctx, "get", name, func(ctx context.Context) (err error) {
		o, err = p.next.Get(ctx, name)
		return err
	}, nil)
	return o, err
}

func (p *simPort) GetIfChanged(ctx context.Context, name, etag string) (o objstore.Object, err error) {
	err = p.send(ctx, "getif", name, func(ctx context.Context) (err error) {
		o, err = p.next.GetIfChanged(ctx, name, etag)
		return err
	}, nil)
	return o, err
}

func (p *simPort) GetRange(ctx context.Context, name string, off, n int64) (data []byte, err error) {
	err = p.send(ctx, "range", name, func(ctx context.Context) (err error) {
		data, err = p.next.GetRange(ctx, name, off, n)
		return err
	}, nil)
	return data, err
}

func (p *simPort) List(ctx context.Context, prefix, after string) iter.Seq2[objstore.Info, error] {
	return func(yield func(objstore.Info, error) bool) {
		if err := p.send(ctx, "list", prefix, func(context.Context) error { return nil }, nil); err != nil {
			yield(objstore.Info{}, err)
			return
		}
		for info, err := range p.next.List(ctx, prefix, after) {
			if !yield(info, err) {
				return
			}
		}
	}
}

func (p *simPort) Put(ctx context.Context, name string, data []byte, c objstore.Condition) (etag string, err error) {
	data = bytes.Clone(data) // a late write outlives the caller's slice
	err = p.send(ctx, "put", name, func(ctx context.Context) (err error) {
		etag, err = p.next.Put(ctx, name, data, c)
		return err
	}, func(ctx context.Context) { _, _ = p.w.store.Put(ctx, name, data, c) })
	if err != nil {
		return "", err
	}
	return etag, nil
}

func (p *simPort) Delete(ctx context.Context, name string) error {
	return p.send(ctx, "delete", name, func(ctx context.Context) error { return p.next.Delete(ctx, name) },
		func(ctx context.Context) { _ = p.w.store.Delete(ctx, name) })
}

// later applies a write that nobody waits for any more.
func (w *simWorld) later(after time.Duration, apply func(context.Context)) {
	w.count("applied late")
	w.late.Go(func() {
		time.Sleep(after)
		apply(context.Background())
	})
}
