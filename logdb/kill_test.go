//go:build unix

package logdb

import (
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/logdb-go/logdb/objstore"
)

var killLoops = flag.Int("kill.loops", 3, "children that TestKill and TestS3Kill kill at random, beside one at each named step")

var killNamed = flag.Int("kill.steps", 10, "named steps at which TestS3Kill kills, drawn at random; TestKill goes through all")

// killSteps are where a child kills itself: every step that the log names, in
// an order that lets each recover from another. The first comes before there
// is a log.
var killSteps = []string{
	"open: noted", "open: claimed", "ship: put#5", "open: fenced", "seal#2", "flush: uploaded#2", "open: confirmed", "flush: named#3",
	"compact: uploaded", "compact: named", "expire", "open: locked", "append: logged#50", "append: applied#20",
	"append: synced#10", "ship: encoded#7", "flush: built#2", "flush: trimmed#2", "seal: applied#2", "open: replayed",
	"compact: merged", "open: limited", "expire: due", "collect#2", "collect: deleted", "close: limited",
	"compact: put#2", "sweep: judged",
	"stage: written#3", "stage: shown#4",
}

// killAppends bounds the life of a child that is killed as it closes, or at
// random, killLongAppends that of one with another step: on a fast machine what
// it waits for, such as retention, begins late.
const (
	killAppends     = 600
	killLongAppends = 20 * killAppends
)

// TestKill kills a process that appends, again and again, on one bucket of
// files and one WAL directory, and opens what is left: what was acknowledged at
// Local or Remote is there, every batch is whole, and no sequence that anybody
// was told has become another record's.
func TestKill(t *testing.T) { killAgain(t, fileURL(t), len(killSteps)) }

// TestS3Kill does it on a real server, which goes on with what a killed
// process had sent. The long form:
//
//	.ci/servers with minio go test ./logdb -run TestS3Kill -kill.steps 99 -kill.loops 50
func TestS3Kill(t *testing.T) { killAgain(t, serverURL(t), *killNamed) }

func killAgain(t *testing.T, url string, named int) {
	k := &killer{ledger: newLedger(t), url: url, dir: filepath.Join(t.TempDir(), "wal")}
	rng := drawn(t)
	runs := append([]string(nil), killSteps...)
	if named < len(runs) {
		rng.Shuffle(len(runs), func(i, j int) { runs[i], runs[j] = runs[j], runs[i] })
		runs = runs[:named]
	}
	for range *killLoops {
		runs = append(runs, "")
	}
	for i, step := range runs {
		after := killLongAppends + 1 // it kills itself
		if step == "" {
			after = rng.IntN(killAppends / 2)
		}
		if killed := k.child(i, step, after); !killed {
			t.Errorf("child %d has come to its end", i)
		}
		k.check(i%2 == 0)
		if t.Failed() {
			t.Fatalf("child %d, killed at %q, or after %d acknowledgements", i, step, after)
		}
	}
	t.Logf("%d processes killed", len(runs))
}

type killer struct {
	*ledger
	url, dir string
	opened   bool // there is a log: a check has opened it
}

// child runs one until it kills itself, or until it has acknowledged so many
// batches and is killed. False means that it was through before.
func (k *killer) child(run int, step string, after int) (killed bool) {
	k.t.Helper()
	o := orders{Run: fmt.Sprint(run), Bucket: k.url, Dir: k.dir, Workers: 4, Appends: killAppends, Step: step, Trim: true, Grace: time.Millisecond}
	if step != "" && !strings.HasPrefix(step, "close: ") {
		o.Appends = killLongAppends
	}
	if strings.HasPrefix(step, "stage: ") {
		o.Away = 20
	}
	p := k.start(o)
	p.awaitOrEnd(fmt.Sprintf("%d acknowledgements, or the end", after), func() bool { return p.total() >= after })
	_ = p.cmd.Process.Kill()
	killed = p.join()
	if p.cmd.ProcessState.Exited() && !p.cmd.ProcessState.Success() {
		k.t.Errorf("child %d failed: %v\n%s", run, p.cmd.ProcessState, p.said.String())
	}
	return killed
}

// check reads everything as a reader without the dead process's directory
// does, then opens the log as the next process does, and reads it again.
func (k *killer) check(clean bool) {
	k.t.Helper()
	b := openURL(k.t, k.url)
	k.checkReader(b)
	d := openLog(k.t, b, processOptions(k.dir))
	k.opened = true
	if d.Lost() != (Lost{}) {
		k.t.Errorf("%+v", d.Lost())
	}
	k.read("the next writer", d, d.view.Load().TrimmedBelow, Local)
	if !clean { // the next child recovers from what this has begun
		crash(d)
		return
	}
	closeLog(k.t, d)
	checkBucket(k.t, b)
}

// checkReader finds no log only if none was made yet: the first child may have
// died before.
func (k *killer) checkReader(b objstore.Bucket) {
	k.t.Helper()
	r, err := OpenReader(k.t.Context(), b, ReaderOptions{RefreshInterval: -1})
	if errors.Is(err, ErrNoLog) && !k.opened {
		return
	}
	if err != nil {
		k.t.Fatal(err)
	}
	k.read("a fresh reader", r, r.snapshot.Load().view.TrimmedBelow, Remote)
	if err := r.Close(); err != nil {
		k.t.Error(err)
	}
}

// read holds what one face of the log shows against what was acknowledged at
// a level and is not expired.
func (k *killer) read(face string, l LogRead, trimmed uint64, level Durability) {
	k.t.Helper()
	found := k.batches(face, mustHistory(k.t, l))
	k.holds(face, found, func(_ string, b toldBatch) bool { return b.level >= level && b.first >= trimmed })
}
