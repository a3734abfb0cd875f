package logdb

import (
	"errors"
	"flag"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
)

// The simulation runs real writers and readers over one bucket in memory that
// loses answers, applies writes late and is away for hours. Everything that
// happens follows from a seed: who opens, appends, stalls, crashes and reads,
// when, and what becomes of every request. Time is that of a synctest bubble,
// so hours cost milliseconds.
//
//	go test ./logdb -run TestSimulation -seed 123 -v       one schedule, with its trace
//	go test ./logdb -run TestSimulation -sim.seeds 10000   more of them
//	go test ./logdb -run TestSimulation -sim.from 5000     others
//
// How repeatable is a seed? The driver, every fault and every latency are
// drawn from the seed and from what is asked for, never from a shared stream;
// latencies differ in their nanoseconds, so virtual time orders requests; ids
// come from a seeded source; retries wait without jitter. What is left to
// chance is the order of goroutines that run at the same virtual instant, the
// choice of a select with several ready cases, and which unsynced bytes a
// crashed file system keeps. On one core, the default here, about nine
// schedules in ten repeat write by write (TestSimulationRepeats). A failure
// that does not come back at once does so with a few -count.
var (
	simSeed  = flag.Int64("seed", -1, "simulation: run this seed alone")
	simSeeds = flag.Int("sim.seeds", raceShare(500), "simulation: how many seeds to run")
	simFrom  = flag.Int64("sim.from", 1, "simulation: the first seed")
	simSteps = flag.Int("sim.steps", 90, "simulation: steps of the driver in one schedule")
	simProcs = flag.Int("sim.procs", 1, "simulation: GOMAXPROCS; more repeat less, and show more to the race detector")
	simTally = flag.Bool("sim.tally", false, "simulation: print what the schedules made happen")
)

func TestSimulation(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(*simProcs))
	if *simSeed >= 0 {
		s := simulate(t, simConfig{seed: uint64(*simSeed), steps: *simSteps, trace: t.Log})
		s.report(t)
		t.Log(s.tally.String())
		return
	}
	seeds := *simSeeds
	if testing.Short() {
		seeds = min(seeds, 40)
	}
	total := simCounts{}
	for i := range int64(seeds) {
		s := simulate(t, simConfig{seed: uint64(*simFrom + i), steps: *simSteps})
		s.report(t)
		total.add(s.tally)
		if t.Failed() {
			break
		}
	}
	if *simTally || testing.Verbose() {
		t.Log(total.String())
	}
	if !t.Failed() && seeds >= 200 {
		total.mustHave(t)
	}
}

// forgets tells whether reads are to go to tables as soon as there are some. What
// stays in memory hides the loss of a rule.
func (c *simConfig) forgets() bool { return c.seed%2 == 0 || c.off != "" || c.put != nil }

// simConfig is one schedule.
type simConfig struct {
	seed  uint64
	steps int
	off   defence                                           // switched off in every writer and reader
	put   func(s *shipper, sh *shipment, body []byte) error // instead of the product's
	trace func(...any)
}

// simOutcome is what became of it.
type simOutcome struct {
	seed       uint64
	violations []string
	tally      simCounts
	digest     uint64 // of all requests in the order that the store saw them
}

func (s *simOutcome) report(t *testing.T) {
	t.Helper()
	if len(s.violations) == 0 {
		return
	}
	t.Errorf("seed %d: %s\nreplay: go test ./logdb -run TestSimulation -seed %d -sim.steps %d -v", s.seed, strings.Join(s.violations, "\n\t"), s.seed, *simSteps)
}

// simulate runs one schedule in a bubble of its own.
func simulate(t *testing.T, c simConfig) *simOutcome {
	var out *simOutcome
	synctest.Test(t, func(t *testing.T) {
		cryptotest.SetGlobalRandom(t, c.seed)
		w := newSimWorld(c)
		defer w.cancel()
		w.drive()
		w.finish()
		w.late.Wait()
		out = &simOutcome{seed: c.seed, violations: w.oracle.violations, tally: w.tally, digest: w.store.digest}
	})
	return out
}

// simCounts counts what happened, by name, so that a simulation that has
// stopped to reach something is noticed.
type simCounts map[string]int

func (c simCounts) add(o simCounts) {
	for k, n := range o {
		c[k] += n
	}
}

func (c simCounts) String() string {
	var s strings.Builder
	for _, k := range sortedKeys(c) {
		fmt.Fprintf(&s, "%s=%d ", k, c[k])
	}
	return strings.TrimSpace(s.String())
}

// mustHave fails where a few hundred schedules never did what they are for.
func (c simCounts) mustHave(t *testing.T) {
	t.Helper()
	for _, k := range []string{
		"acked applied", "acked local", "acked remote", "append pending", "crash", "crash in open", "fenced", "stall", "outage",
		"shipped data", "shipped tables", "adopted tables", "segment sealed", "merged", "dropped", "deleted", "local replayed", "lost", "reader opened",
		"compactor opened", "compactor fenced", "merged elsewhere", "deleted elsewhere",
		"staged", "inherited staged tables",
	} {
		if c[k] == 0 {
			t.Errorf("no schedule had %q; the simulation has lost its reach: %v", k, c)
		}
	}
}

// errSimDead is what a process that was killed is told by the bucket.
var errSimDead = errors.New("simulation: the process is dead")
