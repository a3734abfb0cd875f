//go:build unix

package logdb

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/logdb-go/logdb/objstore"
)

var zombieLoops = flag.Int("zombie.loops", 2, "rounds of TestZombie and TestS3Zombie with writers stopped at random, beside one for each named step")

// zombieSteps are where a writer stops itself; it is overtaken and continued.
var zombieSteps = []string{
	"put wal#6", "put wal done#6", "put manifest#3", "put manifest done#3", "put seg#2", "put seg done#3", "seal#2",
	"open: claimed", "open: fenced", "open: confirmed", "flush: named#2", "compact: uploaded", "delete wal done",
}

// zombieStepsS3 are in the middle of a request: the server has half of it.
var zombieStepsS3 = []string{"put wal half#6", "put manifest half#3", "put seg half#2"}

// TestZombie stops writer processes where they are, opens the log from
// elsewhere, and continues them. A writer that was overtaken says so to all who
// wait for it, acknowledges nothing at Remote that is not below the next
// writer's fence, and puts nothing into the log any more; the records that only
// it had are in its directory, reported by the next writer from there.
func TestZombie(t *testing.T) { zombieRounds(t, fileURL(t), zombieSteps) }

// TestS3Zombie does it on a real server. (One that is stopped in the middle of
// a PUT may hold up those who want the same name until the server gives up on
// it: MinIO locks a name while the body of a conditional PUT arrives, for 30 s
// unless it is told otherwise. Then the next Open takes that long.) The long
// form:
//
//	.ci/servers with versitygw go test ./logdb -run TestS3Zombie -zombie.loops 50
func TestS3Zombie(t *testing.T) {
	zombieRounds(t, serverURL(t), append(zombieStepsS3, zombieSteps...))
}

// zombiesOfALog is how many rounds one log goes through: all of it is read in
// each.
const zombiesOfALog = 5

func zombieRounds(t *testing.T, url string, steps []string) {
	rng := drawn(t)
	stops, lost := 0, 0
	for from := 0; from == 0 || from < *zombieLoops; from += zombiesOfALog {
		z := newZombies(t, below(url, fmt.Sprint("log", from)), rng)
		for _, step := range steps {
			z.round(step)
		}
		for range min(zombiesOfALog, *zombieLoops-from) {
			z.round("", "") // two at once
			z.round("")
		}
		z.rest()
		steps, stops, lost = nil, stops+z.stops, lost+z.lost
	}
	t.Logf("%d writers stopped and overtaken, %d batches lost to the log and found in their directories", stops, lost)
}

func newZombies(t *testing.T, url string, rng *rand.Rand) *zombies {
	t.Helper()
	z := &zombies{ledger: newLedger(t), url: url, bucket: openURL(t, url), root: t.TempDir(), rng: rng, all: map[string]*process{}}
	closeLog(t, openLog(t, z.bucket, Options{}))
	return z
}

type zombies struct {
	*ledger
	url    string
	bucket objstore.Bucket
	root   string // of the WAL directories
	rng    *rand.Rand
	all    map[string]*process // by run
	cuts   []cut
	stops  int
	lost   int
}

// cut is what a writer found in the log when it opened it, below its fence.
type cut struct {
	run  string
	end  uint64
	held []Entry
}

// round starts writers one after the other, each in a directory of its own, and
// stops each at its step, or anywhere. One more overtakes them and lives. They
// are continued, all at once.
func (z *zombies) round(steps ...string) {
	z.t.Helper()
	w := look(z.t, z.bucket, false)
	var stopped []*process
	for i, step := range steps {
		p := z.begin(i, step)
		z.stop(p)
		stopped = append(stopped, p)
	}
	z.lockedOut(stopped[0])
	last := z.begin(len(steps), "")
	last.awaitOpened()
	z.cut(last)
	last.await("flush and collect", func() bool { return last.flushes >= 2 && last.deletes >= 1 && last.acks[Remote] >= 5 })
	for _, p := range stopped {
		p.signal(syscall.SIGCONT)
		p.tell("resume")
	}
	for _, p := range stopped {
		z.fenced(p, steps)
	}
	last.goesOn(20)
	if z.rng.IntN(2) == 0 {
		last.kill()
	} else if last.tell("end"); last.leave() != "ok" {
		z.t.Errorf("%s, which nobody overtook, ended with %q", last.Run, last.end)
	}
	z.check(w)
	if z.t.Failed() {
		z.t.Fatalf("stopped at %q", steps)
	}
}

// begin starts a writer in the nth directory. What it finds there of an earlier
// one, which others have overtaken since, is lost to the log.
func (z *zombies) begin(n int, step string) *process {
	z.t.Helper()
	run := fmt.Sprintf("w%d", len(z.all))
	dir := filepath.Join(z.root, fmt.Sprint("wal", n))
	if len(z.all)%5 == 4 {
		dir = "" // diskless
	}
	lost, known := z.losing(dir)
	p := z.start(orders{Run: run, Bucket: z.url, Dir: dir, Workers: 12, Step: step, Stop: true, Grace: 200 * time.Millisecond})
	z.all[run] = p
	if strings.HasPrefix(step, "open: ") {
		return p
	}
	p.awaitOpened()
	if known && p.lost != lost {
		z.t.Errorf("%s found %d frames lost in %s, there were %d", run, p.lost, dir, lost)
	}
	return p
}

// losing counts the frames in a directory that the next writer there must
// report as lost. It is not known where the log may take them back.
func (z *zombies) losing(dir string) (frames uint64, known bool) {
	z.t.Helper()
	if dir == "" {
		return 0, true
	}
	in, err := InspectWAL(dir)
	if errors.Is(err, os.ErrNotExist) {
		return 0, true
	}
	m, _, errManifest := readManifest(z.t.Context(), z.bucket, newRetry("test", nil))
	if err != nil || errManifest != nil {
		z.t.Fatal(err, errManifest)
	}
	for _, f := range in.Files {
		frames += f.Batches + f.Seals
	}
	for _, s := range in.Staged {
		frames += s.Frames
	}
	return frames, m.Dir != in.Dir
}

// lockedOut: nobody else gets into the directory of a writer that is stopped.
func (z *zombies) lockedOut(p *process) {
	z.t.Helper()
	if p.Dir == "" {
		return
	}
	if d, err := Open(z.t.Context(), z.bucket, processOptions(p.Dir)); !errors.Is(err, ErrLocked) {
		z.t.Errorf("open beside the stopped %s: %v, want ErrLocked", p.Run, err)
		if err == nil {
			crash(d)
		}
	}
}

// cut notes what the log holds below the fence of a writer that has opened it:
// no more and no less may ever be there.
func (z *zombies) cut(p *process) {
	z.t.Helper()
	r := openReader(z.t, z.bucket, ReaderOptions{RefreshInterval: -1})
	if r.Frontier() < p.remote {
		z.t.Errorf("a reader sees up to %d, %s has opened the log at %d", r.Frontier(), p.Run, p.remote)
	}
	z.cuts = append(z.cuts, cut{run: p.Run, end: p.remote, held: entriesBelow(z.t, r, p.remote)})
}

// entriesBelow reads what the children have appended, in sequence order.
func entriesBelow(t *testing.T, l LogRead, end uint64) []Entry {
	t.Helper()
	var all []Entry
	for i := range processKeys {
		all = append(all, scanAll(t, l, childKey(i), Until(end), ScanOptions{})...)
	}
	slices.SortFunc(all, func(a, b Entry) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return all
}

// fenced waits for the end of a writer that was overtaken.
func (z *zombies) fenced(p *process, steps []string) {
	z.t.Helper()
	if end := p.leave(); end != "fenced" {
		z.t.Errorf("%s, stopped at one of %q and overtaken, ended with %q, want fenced", p.Run, steps, end)
	}
	for why, n := range p.whys {
		if why != "fenced" {
			z.t.Errorf("%s told %d of its callers %q, want fenced", p.Run, n, why)
		}
	}
	if p.opened && len(p.whys) == 0 {
		z.t.Errorf("%s told none of its callers that it was fenced", p.Run)
	}
}
