package logdb

import (
	"flag"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

var linMutants = flag.Bool("linear.mutants", false, "linearizability: run every mutant from the first seed until it is caught")

// linMutant is an engine that lacks one defence, and the invariant that it
// breaks for want of it.
type linMutant struct {
	mutant
	invariant string
	seed      uint64 // that has caught it before; 0: it takes too many to be among the usual tests
}

// linMutantList has at least one mutant for each invariant, and each that the
// histories have been seen to catch. Those that are caught by directed
// schedules only are in TestMutants.
var linMutantList = []linMutant{
	{mutant{off: readsApplied}, linLinear, 1},
	{mutant{off: directoryRun}, linLinear, 4},
	{mutant{off: limitInManifest}, linUnique, 1},
	{mutant{off: limitInDirectory}, linUnique, 10},
	{mutant{off: timesGoOn}, linOrdered, 2},
	{mutant{off: viewAtOnce}, linSub, 1},
	{mutant{off: landedFirst}, linSub, 1},
	{mutant{off: graceFirst}, linPrefix, 1},
	{mutant{off: tailDropped}, linPrefix, 16},
	{mutant{off: landedInOrder}, linPrefix, 3},
	{mutant{off: readsApplied}, linWatermark, 1},
	{mutant{name: "an unknown outcome is sent again", put: putOnce}, linWatermark, 1},
	{mutant{off: syncedFirst}, linSurvives, 2},
	{mutant{off: replayFromEnd}, linSurvives, 8},
	{mutant{name: "a 412 is settled by reading", put: putUnread}, linSurvives, 2},
	{mutant{name: "a 412 is settled by reading", put: putUnread}, linFence, 17},
	{mutant{off: fencesStay}, linFence, 0},
	{mutant{off: withdrawnStays}, linRefused, 5},
	{mutant{off: tablesFirst}, linLives, 1},
	{mutant{name: "bytes are frozen: a nonce per attempt", put: putRenewed}, linLives, 3},
	{mutant{name: "bytes are frozen: a retry takes more in", put: putCoalesced}, linLives, 5},
}

// TestLinearMutants shows that the loss of each invariant is noticed. A seed
// is tried together with those after it: nine in ten repeat.
//
//	go test ./logdb -run TestLinearMutants -linear.mutants -v
//
// lists how many histories each takes, from the first seed on.
func TestLinearMutants(t *testing.T) {
	if raceEnabled {
		t.Skip("shows nothing about races; TestLinear does")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(*simProcs))
	covered := map[string]bool{}
	var table strings.Builder
	for _, m := range linMutantList {
		covered[m.invariant] = true
		t.Run(m.invariant+"/"+m.String(), func(t *testing.T) {
			from, within := m.seed, 300
			if *linMutants {
				from, within = uint64(*linFrom), 1000
			} else if m.seed == 0 {
				t.Skip("-linear.mutants catches it")
			}
			seeds, how := m.hunt(t, from, within)
			if seeds == 0 {
				t.Fatalf("not caught by %d histories from seed %d on", within, from)
			}
			fmt.Fprintf(&table, "| %s | %s | %d |\n", m.invariant, m, seeds)
			t.Logf("caught by history %d, seed %d: %.200s", seeds, from+uint64(seeds)-1, how)
		})
	}
	for _, invariant := range []string{linLinear, linUnique, linOrdered, linSub, linPrefix, linWatermark, linSurvives, linFence, linRefused, linLives} {
		if !covered[invariant] {
			t.Errorf("no mutant breaks the invariant %q", invariant)
		}
	}
	t.Logf("\n| invariant | without the rule that | histories until caught |\n|---|---|---|\n%s", &table)
}

// hunt runs histories until one breaks the invariant, and returns how many
// that took; 0 if none did.
func (m linMutant) hunt(t *testing.T, from uint64, within int) (seeds int, how string) {
	for i := range within {
		o := linearHistory(t, linConfig{seed: from + uint64(i), operations: *linOps, off: m.off, put: m.put})
		for _, p := range o.problems {
			if p.invariant == m.invariant {
				return i + 1, p.what
			}
		}
	}
	return 0, ""
}
