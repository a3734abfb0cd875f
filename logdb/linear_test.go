package logdb

import (
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

var (
	linSeeds = flag.Int("linear.seeds", 200, "linearizability: how many histories on the faulty bucket in memory")
	linFrom  = flag.Int64("linear.from", 1, "linearizability: the first seed")
	linOps   = flag.Int("linear.ops", 40, "linearizability: operations of each of the six clients")
	linOut   = flag.String("linear.out", "", "linearizability: directory for pictures of failures; empty: a temporary one")
)

func TestLinear(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(*simProcs))
	if *simSeed >= 0 {
		o := linearHistory(t, linConfig{seed: uint64(*simSeed), operations: *linOps, out: linPictures(t, "seed"), trace: t.Log})
		o.report(t)
		t.Log(o.tally)
		return
	}
	seeds := *linSeeds
	if testing.Short() || raceEnabled {
		seeds = min(seeds, 20)
	}
	out := linPictures(t, "memory")
	total := simCounts{}
	for i := range int64(seeds) {
		o := linearHistory(t, linConfig{seed: uint64(*linFrom + i), operations: *linOps, out: out})
		o.report(t)
		total.add(o.tally)
		if t.Failed() {
			break
		}
	}
	t.Logf("%d histories: %v", seeds, total)
	for _, k := range []string{"acked applied", "acked local", "acked remote", "pending", "refused", "unanswered", "reads", "reader", "kill", "killed in open", "takeover", "takeover from a sleeper", "outage", "fenced"} {
		if total[k] == 0 && seeds >= 200 && !t.Failed() {
			t.Errorf("no history had %q; they have lost their reach", k)
		}
	}
}

func (o *linOutcome) report(t *testing.T) {
	t.Helper()
	if len(o.problems) == 0 {
		return
	}
	var lines []string
	for _, p := range o.problems {
		lines = append(lines, p.String())
	}
	t.Errorf("seed %d: %s\nreplay: go test ./logdb -run '^TestLinear$' -seed %d -linear.ops %d -v", o.seed, strings.Join(lines, "\n\t"), o.seed, *linOps)
}

// linPictures is where the pictures of a test's failures go. It is made when
// there is one.
func linPictures(t *testing.T, name string) string {
	if *linOut != "" {
		return filepath.Join(*linOut, name)
	}
	return filepath.Join(os.TempDir(), "logdb-linear", t.Name(), name)
}
