package logdb

import (
	"runtime"
	"testing"
)

// TestSimulationRepeats measures how many schedules repeat write by write on
// one core. Were it less than half, a seed would be a poor name for a failure.
func TestSimulationRepeats(t *testing.T) {
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
	if same < seeds/2 {
		t.Errorf("%d of %d schedules repeat, want half", same, seeds)
	}
}
