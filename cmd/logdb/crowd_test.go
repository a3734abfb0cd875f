package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// spot is a server that comes and goes, and where it is while it is there.
type spot struct {
	name string
	mu   sync.Mutex
	addr string
	up   chan struct{} // closed while it is there
}

func newSpot(name string) *spot { return &spot{name: name, up: make(chan struct{})} }

func (p *spot) comes(addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.addr = addr
	close(p.up)
}

// goes comes before the server is told to end, so that what breaks then finds it
// away.
func (p *spot) goes() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.up = make(chan struct{})
}

// dial waits for the server. A browser would ask once in a second instead; from
// thousands at once, that would be noise.
func (p *spot) dial(ctx context.Context) (net.Conn, error) {
	for {
		p.mu.Lock()
		up := p.up
		p.mu.Unlock()
		select {
		case <-up:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		p.mu.Lock()
		addr := p.addr
		p.mu.Unlock()
		conn, err := net.Dial("tcp", addr)
		if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) {
			continue // it went in between
		}
		return conn, err
	}
}

// fate is what became of one append. Times are nanoseconds since the crowd's begun,
// sequences are one more than they are: zero is not yet.
type fate struct {
	sent, acked, arrived atomic.Int64
	told, seen           atomic.Uint64
	lost                 atomic.Bool // there was no answer: it may be in the log
}

// crowd is keys with a follower each, every other one at the gateway and the rest
// at the writer, and producers of single records for them.
type crowd struct {
	t      *testing.T
	ctx    context.Context
	stop   context.CancelFunc
	places [2]*spot // the writer, the gateway
	keys   int
	ack    string
	fates  []fate
	begun  time.Time
	next   atomic.Int64  // of fates
	dials  chan struct{} // not all at once: a listener's queue is short
	ready  atomic.Int64  // followers that have had a heartbeat
	all    sync.WaitGroup
}

func newCrowd(t *testing.T, keys, appends int, ack string) *crowd {
	c := &crowd{
		t: t, places: [2]*spot{newSpot("writer"), newSpot("gateway")}, keys: keys, ack: ack,
		fates: make([]fate, appends), begun: time.Now(), dials: make(chan struct{}, 128),
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	t.Cleanup(c.leave)
	return c
}

// leave ends everybody.
func (c *crowd) leave() {
	c.stop()
	c.all.Wait()
}

func (c *crowd) now() int64       { return int64(time.Since(c.begun)) }
func (c *crowd) key(i int) string { return fmt.Sprintf("key/%06d", i%c.keys) }

// at is the place where a key is followed.
func (c *crowd) at(i int) int { return i % c.keys % 2 }

// come starts every follower and returns once each has had a heartbeat.
func (c *crowd) come() {
	for k := range c.keys {
		f := &follower{c: c, k: k, waiting: true}
		c.all.Go(f.run)
	}
	until(c.t, "every follower has had a heartbeat", func() bool { return int(c.ready.Load()) == c.keys })
}

// produce appends what there are fates for, at a rate in records a second, each in
// a request of its own. Who is late sends at once: the rate holds on average.
func (c *crowd) produce(rate int) {
	const producers = 16
	begun := time.Now()
	for range producers {
		p := &producer{c: c}
		c.all.Go(func() {
			defer p.hangUp()
			for c.ctx.Err() == nil {
				i := int(c.next.Add(1)) - 1
				if i >= len(c.fates) {
					return
				}
				time.Sleep(time.Until(begun.Add(time.Duration(i) * time.Second / time.Duration(rate)))) // the load's own pace
				if err := p.append(i); err != nil {
					c.t.Errorf("append %d: %v", i, err)
				}
			}
		})
	}
}

// begins tells how many appends were begun.
func (c *crowd) begins() int { return min(int(c.next.Load()), len(c.fates)) }

// settle waits until every append was answered or lost, and everything that was
// acknowledged has arrived.
func (c *crowd) settle() {
	c.t.Helper()
	settled := 0 // a prefix
	defer func() {
		if settled < len(c.fates) {
			f := &c.fates[settled]
			c.t.Errorf("append %d of %d, at the %s: acknowledged at %d, seen at %d", settled, len(c.fates),
				c.places[c.at(settled)].name, int64(f.told.Load())-1, int64(f.seen.Load())-1)
		}
	}()
	until(c.t, "all that was acknowledged has arrived", func() bool {
		for ; settled < len(c.fates); settled++ {
			f := &c.fates[settled]
			if !f.lost.Load() && (f.acked.Load() == 0 || f.arrived.Load() == 0) {
				return false
			}
		}
		return true
	})
}

// check holds every append against what its producer was told, and against the log
// where it was told nothing. It returns how many those were, and how many of them are
// in the log.
func (c *crowd) check(truth func(key string) map[int]uint64) (lost, kept int) {
	for i := range c.fates {
		f := &c.fates[i]
		told, seen := f.told.Load(), f.seen.Load()
		if !f.lost.Load() {
			if told != seen {
				c.t.Errorf("append %d was acknowledged at %d and seen at %d", i, int64(told)-1, int64(seen)-1)
			}
			continue
		}
		lost++
		in := truth(c.key(i))[i]
		if in > 0 {
			kept++
			until(c.t, fmt.Sprintf("append %d, which is in the log at %d", i, in-1), func() bool { return f.seen.Load() != 0 })
		}
		// At applied, the writer shows what the kill of it may then take away.
		if seen = f.seen.Load(); seen != in && (in > 0 || c.at(i) == 1) {
			c.t.Errorf("append %d had no answer, is in the log at %d and was seen at %d", i, int64(in)-1, int64(seen)-1)
		}
	}
	return lost, kept
}

// until polls. What has failed already ends the test.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !f(); time.Sleep(5 * time.Millisecond) {
		if t.Failed() || time.Now().After(end) {
			t.Fatalf("it did not come to this: %s", what)
		}
	}
}

// refused is an answer that says that nothing happened.
type refused struct{ status int }

func (r refused) Error() string {
	return fmt.Sprintf("status %d %s", r.status, http.StatusText(r.status))
}
