package objstoretest

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Storm is a fault that lasts: every request that it concerns suffers it for as long as it does. It begins when After
// has passed since the bucket was made and Skip of the requests that it concerns have come; it ends when it
// has lasted For, after Requests of them, or when Calm is called. Zero fields set no bound.
//
// A store that sheds load, for one, is {Fault: Fault{Kind: SlowDown, Delay: time.Second}, For: time.Minute}; credentials
// that expire with the hundredth request are {Fault: Fault{Kind: Denied}, Skip: 99}, and Calm renews them.
type Storm struct {
	Fault Fault
	// Kind and Prefix say which requests it concerns: those of a kind, and names that begin so. "" is any.
	Kind   Kind
	Prefix string

	After, For     time.Duration
	Skip, Requests int
}

// passing is a storm as it passes.
type passing struct {
	Storm
	seen, hit int // requests that it concerns
	over      bool
}

// takes reports whether the storm is in force for a request that comes so long after the beginning.
func (s *passing) takes(op Op, since time.Duration) bool {
	if s.Kind != "" && s.Kind != op.Kind || !strings.HasPrefix(op.Name, s.Prefix) {
		return false
	}
	s.seen++
	switch {
	case s.over || s.seen <= s.Skip || since < s.After:
		return false
	case s.For > 0 && since >= s.After+s.For, s.Requests > 0 && s.hit >= s.Requests:
		return false
	}
	s.hit++
	return true
}

// begun reports whether the storm has started, so that Calm can end it.
func (s *passing) begun(since time.Duration) bool { return since >= s.After && s.seen >= s.Skip }

// faults is what Faulty and Transport have in common: what becomes of each request, and what a test directs.
type faults struct {
	plan     Plan
	start    time.Time
	attempts attempts
	down     atomic.Bool
	gates    gates
	late     sync.WaitGroup
	mu       struct {
		sync.Mutex
		storms   []passing
		made     map[string]time.Time // when objects were first put, where Plan.Unseen asks for it
		injected map[FaultKind]int
	}
}

func (f *faults) init(plan Plan) {
	f.plan, f.start = plan, time.Now()
	f.mu.made, f.mu.injected = map[string]time.Time{}, map[FaultKind]int{}
	for _, s := range plan.Storms {
		f.mu.storms = append(f.mu.storms, passing{Storm: s})
	}
}

// Down(true) begins an outage: every request is refused, and not counted as an attempt, until Down(false). Writes that
// are already on their way still land.
func (f *faults) Down(down bool) { f.down.Store(down) }

// Calm ends every storm that has begun: the store has recovered, credentials are renewed.
func (f *faults) Calm() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.mu.storms {
		f.mu.storms[i].over = f.mu.storms[i].over || f.mu.storms[i].begun(time.Since(f.start))
	}
}

// Open opens a gate for all requests that wait at it now or will later.
func (f *faults) Open(gate string) { f.gates.get(gate).open() }

// Arrived returns a channel that is closed once a request has come to wait at the gate.
func (f *faults) Arrived(gate string) <-chan struct{} { return f.gates.get(gate).arrived }

// Wait returns when every write that was to be applied later has been. Gates that they wait for must have been opened.
func (f *faults) Wait() { f.late.Wait() }

// Injected returns how many requests have suffered each fault so far: a test that asserts nothing broke wants to know
// that something could have. Requests that an outage refused are not among them.
func (f *faults) Injected() map[FaultKind]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.mu.injected)
}

// choose gives a request its attempt number and its fault.
func (f *faults) choose(op *Op) Fault {
	op.Attempt = f.attempts.next(op.Kind, op.Name)
	fault := f.decide(*op)
	if fault.Kind != None {
		f.mu.Lock()
		f.mu.injected[fault.Kind]++
		f.mu.Unlock()
	}
	return fault
}

func (f *faults) decide(op Op) Fault {
	if f.plan.Hook != nil {
		if fault := f.plan.Hook(op); fault.Kind != BySeed {
			return fault
		}
	}
	if fault, ok := f.lasting(op); ok {
		return fault
	}
	return f.plan.draw(op)
}

// lasting returns what does not depend on the request alone. Storms count the requests that they concern even where
// another one comes first.
func (f *faults) lasting(op Op) (fault Fault, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	since := time.Since(f.start)
	for i := range f.mu.storms {
		if s := &f.mu.storms[i]; s.takes(op, since) && !ok {
			fault, ok = s.Fault, true
		}
	}
	made, known := f.mu.made[op.Name]
	if unseen := known && time.Since(made) < f.plan.Unseen; !ok && unseen && byName(op.Kind) {
		return Fault{Kind: NotFound}, true
	}
	return fault, ok
}

func byName(k Kind) bool { return k == Get || k == GetIfChanged || k == GetRange || k == Head }

// wrote notes that a write of a name went well.
func (f *faults) wrote(op Op) {
	if f.plan.Unseen <= 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if op.Kind == Delete {
		delete(f.mu.made, op.Name)
	} else if _, known := f.mu.made[op.Name]; !known {
		f.mu.made[op.Name] = time.Now()
	}
}
