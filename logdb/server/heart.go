package server

import (
	"sync"
	"sync/atomic"
	"time"
)

// beats is into how many parts a heartbeat's interval is cut, so that not all
// followers write at once.
const beats = 64

// heart is the one goroutine that reminds followers of heartbeats, in place of a
// timer for each.
type heart struct {
	mu struct {
		sync.Mutex
		slots [beats]map[*pulse]struct{}
		next  int
	}
	interval time.Duration
	stop     <-chan struct{}
}

// pulse is one follower's. due says that its heartbeat is.
type pulse struct {
	due  atomic.Bool
	wake func()
	slot int
}

func newHeart(interval time.Duration, stop <-chan struct{}) *heart {
	h := &heart{interval: interval, stop: stop}
	go h.run()
	return h
}

func (h *heart) add(p *pulse) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.next = (h.mu.next + 1) % beats
	p.slot = h.mu.next
	if h.mu.slots[p.slot] == nil {
		h.mu.slots[p.slot] = make(map[*pulse]struct{})
	}
	h.mu.slots[p.slot][p] = struct{}{}
}

func (h *heart) remove(p *pulse) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.mu.slots[p.slot], p)
}

func (h *heart) run() {
	ticker := time.NewTicker(max(h.interval/beats, time.Millisecond))
	defer ticker.Stop()
	for slot := 0; ; slot = (slot + 1) % beats {
		select {
		case <-ticker.C:
			h.beat(slot)
		case <-h.stop:
			return
		}
	}
}

func (h *heart) beat(slot int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for p := range h.mu.slots[slot] {
		p.due.Store(true)
		p.wake()
	}
}
