//go:build unix

package logdb

import (
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
)

var openRaces = flag.Int("race.loops", 4, "rounds of TestOpenRace and TestS3OpenRace")

// openRacers open a log at once: one asks whether it may, and two share a
// directory.
const openRacers = 6

// TestOpenRace lets processes open the same log at the same moment, a new one
// at first, and append: exactly one of them is the writer in the end. The
// others are told that they are fenced, or shut out, and what any of them was
// acknowledged at Remote is in the log.
func TestOpenRace(t *testing.T) { raceToOpen(t, fileURL(t)) }

// TestS3OpenRace does it on a real server. The long form:
//
//	.ci/servers with minio go test ./logdb -run TestS3OpenRace -race.loops 50
func TestS3OpenRace(t *testing.T) { raceToOpen(t, serverURL(t)) }

func raceToOpen(t *testing.T, url string) {
	l, root := newLedger(t), t.TempDir()
	ends := map[string]int{}
	for round := range *openRaces {
		var racers []*process
		for i := range openRacers {
			o := orders{
				Run: fmt.Sprintf("r%d-%d", round, i), Bucket: url, Workers: 4, Gate: true, Polite: i == 1,
				Dir: filepath.Join(root, fmt.Sprint("wal", min(i, openRacers-2))),
			}
			racers = append(racers, l.start(o))
		}
		raceOnce(l, racers, ends)
		r := openReader(t, openURL(t, url), ReaderOptions{RefreshInterval: -1})
		found := l.batches("the log", mustHistory(t, r))
		l.holds("the log", found, func(_ string, b toldBatch) bool { return b.level == Remote })
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
	checkBucket(t, openURL(t, url))
	t.Logf("%d processes in %d rounds ended with %v", openRacers**openRaces, *openRaces, ends)
}

// raceOnce starts all at once, waits until one is left, and ends it.
func raceOnce(l *ledger, racers []*process, ends map[string]int) {
	l.t.Helper()
	for _, p := range racers {
		p.await("get ready", func() bool { return p.ready })
	}
	for _, p := range racers {
		p.tell("go")
	}
	var left []*process
	if !l.await(func() bool { left = alive(racers); return len(left) <= 1 }) || len(left) == 0 {
		l.t.Fatalf("%d processes are alive, want one", len(left))
	}
	for _, p := range left {
		p.awaitOpened()
		p.goesOn(10)
		p.tell("end")
	}
	for _, p := range racers {
		end := p.leave()
		ends[end]++
		won := slices.Contains(left, p)
		if won != (end == "ok") || !won && !slices.Contains([]string{"fenced", "busy", "locked"}, end) {
			l.t.Errorf("%s ended with %q; the one that was left: %v", p.Run, end, won)
		}
		for why := range p.whys {
			if why != "fenced" {
				l.t.Errorf("%s told its callers %q, want fenced", p.Run, why)
			}
		}
	}
}

// alive are the processes that have not ended. ledger.mu is held.
func alive(all []*process) (left []*process) {
	for _, p := range all {
		if !p.gone {
			left = append(left, p)
		}
	}
	return left
}
