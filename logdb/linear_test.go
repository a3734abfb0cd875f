package logdb

import (
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// The linearizability tests let clients work at the same time on one log,
// through kills, restarts, takeovers and a store that breaks, and hold what
// each of them was told against what a log may do. A history is judged twice:
//
//   - by Porcupine, key by key, against the model in linear_model_test.go: an
//     append, a scan at Applied or Remote, a count, a watermark and an Open each
//     take effect at one moment between call and answer, in an order that the
//     rules of a log allow. Reads are compared as number of records and chained
//     hash. No verdict in time is a failure. Where there is no such order, the
//     failure names a picture of it, a page of HTML;
//   - by the invariants in linear_global_test.go, over all keys and for readers
//     of the bucket, which may be late and so are not linearizable: sequences
//     are unique, also against frontiers that were shown; sequences and times
//     follow real time; a key's log is a subsequence of the global order, in
//     whole batches; a frontier is a prefix and never goes back, and what was
//     Remote before a reader opened or looked is in what it shows; no
//     watermark is ahead of a later scan, nor of the log as it ended; what was
//     acknowledged at Remote survives everything, at Local every restart on the
//     same directory; nothing called after the next writer had opened is
//     acknowledged at Remote; what was refused is shown to nobody.
//
// There are two worlds for it. In memory (TestLinear), writers and readers are
// real, time is that of a synctest bubble, and the faults, disks and sleeping
// processes are those of the simulation; a history takes some 50 ms. On a
// bucket of files or a real server (TestLinearProcesses, TestS3Linear), each
// writer is a process that is killed with SIGKILL or stopped and continued,
// and a proxy breaks requests, and sends what a dead process had sent.
//
//	go test ./logdb -run '^TestLinear$' -seed 123 -v                  one history, with its trace
//	go test ./logdb -run '^TestLinear$' -linear.seeds 10000           more of them
//	go test ./logdb -run TestLinearMutants -linear.mutants -v         what each missing rule takes until it is caught
//	.ci/servers with minio go test ./logdb -run TestS3Linear -linear.histories 200 -timeout 1h -v
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
