package logdb

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// simProfile is what one seed fixes for its whole schedule.
type simProfile struct {
	latency  time.Duration
	maxDelay time.Duration // of late writes
	faults   float64       // share of requests that suffer one
	disks    int
	diskless bool
	rivals   int // writers alive at once, zombies included
	bigs     bool

	ship, flush, segment, grace time.Duration
	memtable, bytes             int64
	ahead                       uint64 // of limits; 0 is the product's
	retention                   Retention

	compactors bool // in processes of their own
	external   bool // writers leave merging to them
}

func newSimProfile(rng *rand.Rand) simProfile {
	pick := func(ds ...time.Duration) time.Duration { return ds[rng.IntN(len(ds))] }
	p := simProfile{
		latency:  pick(2*time.Millisecond, 20*time.Millisecond, 300*time.Millisecond),
		maxDelay: pick(time.Second, 20*time.Second, 4*time.Minute),
		faults:   []float64{0, 0.03, 0.1, 0.25}[rng.IntN(4)],
		disks:    1 + rng.IntN(2), diskless: rng.IntN(3) == 0,
		rivals: 1 + rng.IntN(3), bigs: rng.IntN(3) == 0,
		ship:     pick(20*time.Millisecond, 250*time.Millisecond, 3*time.Second),
		flush:    pick(3*time.Second, 10*time.Second, time.Minute),
		segment:  pick(10*time.Second, time.Minute, 20*time.Minute),
		grace:    pick(time.Minute, 2*time.Minute),
		memtable: []int64{64 << 10, 116 << 10, 140 << 10}[rng.IntN(3)], // an empty one takes 110
		bytes:    6 << 10,
	}
	if p.bigs { // memtables that fill between two shipments and go as tables
		p.memtable, p.bytes = 256<<10, 600<<10
	}
	if rng.IntN(2) == 0 {
		p.ahead = 30 + rng.Uint64N(300)
	}
	switch rng.IntN(4) {
	case 0:
		p.retention.Records = 20 + rng.Uint64N(150)
	case 1:
		p.retention.Age = p.segment + pick(time.Second, time.Minute)
	}
	return p
}

// simWorld is one schedule: the processes, the bucket and the driver's state.
// The driver owns what is not behind mu.
type simWorld struct {
	c       simConfig
	profile simProfile
	rng     *rand.Rand
	ctx     context.Context
	cancel  context.CancelFunc
	oracle  *simOracle
	store   *simStore
	faulty  *objstoretest.Faulty
	started time.Time

	writers []*simWriter
	disks   []*simDisk
	readers []*simReader
	cursors []*simCursor
	opened  int
	dirs    []*simWriter // every writer that ever lived

	running sync.WaitGroup // processes and their clients
	late    sync.WaitGroup // writes on their way

	mu     sync.Mutex
	tally  simCounts
	healed bool
}

func newSimWorld(c simConfig) *simWorld {
	w := &simWorld{c: c, rng: rand.New(rand.NewPCG(c.seed, 1)), oracle: newSimOracle(), tally: simCounts{}, started: time.Now()}
	w.profile = newSimProfile(w.rng)
	w.profile.compactors, w.profile.external = c.seed%3 != 0, c.seed%3 == 1
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.oracle.trace = w.tracef
	w.store = newSimStore(w.oracle)
	w.store.trace = w.tracef
	share := w.profile.faults / 8
	w.faulty = objstoretest.NewFaulty(w.store, objstoretest.Plan{
		Seed: c.seed, MaxDelay: w.profile.maxDelay, Hook: w.spare,
		Rates: map[objstoretest.FaultKind]float64{
			objstoretest.Refuse: 2 * share, objstoretest.ApplyThenError: 2 * share, objstoretest.ApplyLater: 2 * share,
			objstoretest.LoseResponse: share / 2, objstoretest.Stall: share / 2, objstoretest.SlowAnswer: share,
		},
	})
	for i := range w.profile.disks {
		w.disks = append(w.disks, &simDisk{id: i, fs: vfs.NewCrashableMem()})
	}
	w.tracef("seed %d: %+v", c.seed, w.profile)
	return w
}

// spare lets probes through, and everything once the store is healed.
func (w *simWorld) spare(op objstoretest.Op) objstoretest.Fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.healed || len(op.Name) > 6 && op.Name[:6] == "probe-" {
		return objstoretest.Fault{Kind: objstoretest.None}
	}
	return objstoretest.Fault{}
}

func (w *simWorld) writerOptions(rng *rand.Rand) Options {
	p := w.profile
	skew := time.Duration(rng.Int64N(int64(20*time.Second))) - 10*time.Second
	n := w.count
	return Options{
		Limits: Limits{ValueBytes: int(p.memtable / 4), BatchBytes: int(p.memtable / 4)},
		Memory: Memory{Memtable: p.memtable, Queue: p.memtable, QueueRecords: 64, Cache: 1 << 20},
		Segments: SegmentOptions{
			Interval: p.segment, Bytes: p.bytes, NoConsolidation: rng.IntN(3) == 0,
		},
		Retention: p.retention, ShipInterval: p.ship, FlushInterval: p.flush, CollectGrace: p.grace, ExternalCompactor: p.external,
		Clock: func() time.Time { return time.Now().Add(skew) },
		Events: EventListener{
			Shipped: func(e Event) { n("shipped " + e.Name) },
			Staged:  func(Event) { n("staged") },
			Flushed: func(Event) { n("flushed") },
			Sealed:  func(Event) { n("segment sealed") },
			Merged:  func(Event) { n("merged") },
			Dropped: func(Event) { n("dropped") },
			Deleted: func(e Event) { n("deleted") },
			Retried: func(Event) { n("retried") },
		},
		hooks: hooks{off: w.c.off, put: w.c.put, step: w.step, ahead: p.ahead, steady: true, forgets: w.c.forgets()},
	}
}

func (w *simWorld) step(name string) { w.count("step " + name) }

func (w *simWorld) count(what string) { w.countN(what, 1) }

func (w *simWorld) countN(what string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tally[what] += n
}

func (w *simWorld) tracef(format string, args ...any) {
	if w.c.trace != nil {
		w.c.trace(fmt.Sprintf("%12.6f ", time.Since(w.started).Seconds()) + fmt.Sprintf(format, args...))
	}
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
