//go:build unix

package logdb

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/logdb-go/logdb/objstore"
)

var killLoops = flag.Int("kill.loops", 3, "children that TestKill kills at random, beside one at each named step")

// killSteps are where a child can kill itself. (Collection is a minute away
// from anything; crashes in it are among those that TestEveryCrash opens.)
var killSteps = []string{
	"open: claimed", "ship: put#5", "open: fenced", "seal#2", "flush: uploaded#2", "open: confirmed", "flush: named#3",
	"compact: uploaded", "compact: named", "expire",
}

// TestKill kills a process that appends, again and again, on one bucket of
// files and one WAL directory, and opens what is left: what was acknowledged at
// Local or Remote is there, every batch is whole, and no sequence that anybody
// was told has become another record's.
func TestKill(t *testing.T) {
	k := &killer{t: t, dir: t.TempDir(), acked: map[string]killAck{}, given: map[uint64]string{}}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	runs := append([]string(nil), killSteps...)
	for range *killLoops {
		runs = append(runs, "")
	}
	for i, step := range runs {
		after := killAppends + 1 // it kills itself
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
}

// killAck is what a child was told of a batch.
type killAck struct {
	first   uint64
	records int
	level   Durability
}

type killer struct {
	t     *testing.T
	dir   string
	acked map[string]killAck
	given map[uint64]string // sequences that anybody was told, and the batch there
}

// child runs one until it kills itself, or until it has acknowledged so many
// batches and is killed. False means that it was through before.
func (k *killer) child(run int, step string, after int) bool {
	k.t.Helper()
	out, in, err := os.Pipe()
	if err != nil {
		k.t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKillChild$", "-test.count=1")
	cmd.Env = append(os.Environ(), killDir+"="+k.dir, fmt.Sprintf("%s=%d", killRun, run), killStep+"="+step)
	cmd.ExtraFiles = []*os.File{in}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	in.Close()
	lines := bufio.NewScanner(out)
	for n := 0; ; n++ {
		if n == after {
			_ = cmd.Process.Kill()
		}
		if !lines.Scan() { // what was written before the end is read to the end
			break
		}
		k.ack(lines.Text())
	}
	err = cmd.Wait()
	if cmd.ProcessState.Exited() && err != nil {
		k.t.Errorf("child %d failed: %v\n%s", run, err, said.String())
	}
	return !cmd.ProcessState.Exited()
}

func (k *killer) ack(line string) {
	k.t.Helper()
	var id string
	var a killAck
	if _, err := fmt.Sscanf(line, "%s %d %d %d", &id, &a.first, &a.records, &a.level); err != nil {
		k.t.Fatalf("acknowledgement %q: %v", line, err)
	}
	k.acked[id] = a
	for i := range a.records {
		k.give(a.first+uint64(i), id)
	}
}

// give notes that a sequence was shown as a record of a batch.
func (k *killer) give(sequence uint64, id string) {
	if before, ok := k.given[sequence]; ok && before != id {
		k.t.Errorf("sequence %d was batch %s's and is batch %s's", sequence, before, id)
	}
	k.given[sequence] = id
}

// check opens the log as the next process does, and reads everything.
func (k *killer) check(clean bool) {
	k.t.Helper()
	b, err := objstore.NewFile(filepath.Join(k.dir, "bucket"))
	if err != nil {
		k.t.Fatal(err)
	}
	o := killOptions(k.dir)
	o.Retention = Retention{}
	d := openLog(k.t, b, o)
	found, err := history(d)
	if err != nil {
		k.t.Fatal(err)
	}
	if d.Lost() != (Lost{}) {
		k.t.Errorf("%+v", d.Lost())
	}
	k.whole(found, d.view.Load().TrimmedBelow)
	if !clean { // the next child recovers from what this has begun
		crash(d)
		return
	}
	closeLog(k.t, d)
	checkBucket(k.t, b)
}

// whole holds what is found against what was acknowledged.
func (k *killer) whole(found []Entry, trimmed uint64) {
	k.t.Helper()
	type batch struct {
		first uint64
		n, of int
	}
	batches := map[string]*batch{}
	for _, e := range found {
		var id string
		var i, of int
		if _, err := fmt.Sscanf(string(e.Value), "%s %d/%d", &id, &i, &of); err != nil {
			k.t.Fatalf("sequence %d holds %.40q", e.Sequence, e.Value)
		}
		k.give(e.Sequence, id)
		if batches[id] == nil {
			batches[id] = &batch{first: e.Sequence, of: of}
		}
		b := batches[id]
		if i != b.n || e.Sequence != b.first+uint64(i) {
			k.t.Errorf("batch %s: record %d is at %d, the first at %d", id, i, e.Sequence, b.first)
		}
		b.n++
	}
	for id, b := range batches {
		if b.n != b.of {
			k.t.Errorf("batch %s: %d of %d records", id, b.n, b.of)
		}
	}
	for id, a := range k.acked {
		if b := batches[id]; a.level > Applied && a.first >= trimmed && (b == nil || b.first != a.first) {
			k.t.Errorf("batch %s at %d was acknowledged at %v and is gone", id, a.first, a.level)
		}
	}
}
