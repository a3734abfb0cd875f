package logdb

import (
	"runtime"
	"testing"
)

// TestSimulationRepeats measures how many schedules repeat write by write on
// one core: nine in ten on a machine with nothing else to do. What is left is
// preemption, which a busy machine and the race detector make frequent. Were
// it less than a quarter, a seed would be a poor name for a failure.
func TestSimulationRepeats(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector schedules goroutines at random")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const seeds = 40
	same := 0
	for seed := range uint64(seeds) {
		c := simConfig{seed: seed + 1, steps: *simSteps}
		if once := simulate(t, c).digest; once == simulate(t, c).digest {
			same++
		}
	}
	t.Logf("%d of %d schedules repeat write by write", same, seeds)
	if same < seeds/4 {
		t.Errorf("%d of %d schedules repeat, want a quarter", same, seeds)
	}
}
