package wal

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/logdb-go/logdb/objstore"
)

var testLog = objstore.ID{1: 0xaa}

// reports collects what a log says is durable and lets a test wait for it.
type reports struct {
	mu   sync.Mutex
	cond *sync.Cond
	ends []uint64
	err  error
}

func newReports() *reports {
	r := &reports{}
	r.cond = sync.NewCond(&r.mu)
	return r
}

func (r *reports) synced(end uint64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ends = append(r.ends, end)
	if r.err == nil {
		r.err = err
	}
	r.cond.Broadcast()
}

// wait returns when end was reported, or an error.
func (r *reports) wait(end uint64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.err == nil && r.lastLocked() < end {
		r.cond.Wait()
	}
	return r.err
}

func (r *reports) waitErr() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.err == nil {
		r.cond.Wait()
	}
	return r.err
}

func (r *reports) last() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lastLocked()
}

func (r *reports) lastLocked() uint64 {
	if len(r.ends) == 0 {
		return 0
	}
	return r.ends[len(r.ends)-1]
}

func openTestDir(t testing.TB, fs vfs.FS) *Dir {
	t.Helper()
	d, err := OpenDir(fs, "wal")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func startLog(t testing.TB, d *Dir, epoch uint64) (*Log, *reports) {
	t.Helper()
	if err := d.NoteEpoch(testLog, epoch, objstore.NewID()); err != nil {
		t.Fatal(err)
	}
	r := newReports()
	l, err := d.NewLog(epoch, r.synced)
	if err != nil {
		t.Fatal(err)
	}
	return l, r
}

func mustAppend(t testing.TB, l *Log, first uint64, sync bool, records ...string) {
	t.Helper()
	if err := l.Append(batchOf(first, int64(first), records...), sync); err != nil {
		t.Fatal(err)
	}
}

// replayed describes the frames of a run, one line each.
func replayed(t testing.TB, d *Dir, from, to uint64) (lines []string, stats ReplayStats) {
	t.Helper()
	stats, err := d.Replay(from, to, func(epoch uint64, f Frame) error {
		lines = append(lines, fmt.Sprintf("%d: %s [%d, %d)", epoch, f.kind(), f.first(), f.End()))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines, stats
}

func wantLines(t testing.TB, got []string, want ...string) {
	t.Helper()
	if !equalStrings(got, want) {
		t.Fatalf("got %q\nwant %q", got, want)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhatWasAppendedIsReplayedInOrder(t *testing.T) {
	fs := vfs.NewMem()
	d := openTestDir(t, fs)
	l, r := startLog(t, d, 3)
	mustAppend(t, l, 0, false, "a=1", "b=2")
	mustAppend(t, l, 2, true, "c=3")
	must(t, r.wait(3))
	must(t, l.Append(NewSeal(Header{First: 3}, []byte("m")), false))
	must(t, l.Rotate())
	mustAppend(t, l, 10, false, "d=4")
	must(t, d.Close())
	if r.last() != 11 {
		t.Fatalf("close reported %d, want 11", r.last())
	}

	d = openTestDir(t, fs)
	l, _ = startLog(t, d, 4)
	mustAppend(t, l, 11, false, "e=5")
	must(t, d.Close())

	d = openTestDir(t, fs)
	lines, stats := replayed(t, d, 3, 4)
	wantLines(t, lines, "3: batch [0, 2)", "3: batch [2, 3)", "3: seal [3, 3)", "3: batch [10, 11)", "4: batch [11, 12)")
	if stats.Files != 3 || stats.Frames != 5 || stats.Records != 5 || stats.Torn != 0 || stats.Dropped != 0 {
		t.Fatalf("stats %+v", stats)
	}
	lines, _ = replayed(t, d, 4, 9)
	wantLines(t, lines, "4: batch [11, 12)")
	lines, _ = replayed(t, d, 5, 4)
	wantLines(t, lines)
}

func TestSyncReportsWhatWasAppendedWithoutOne(t *testing.T) {
	l, r := startLog(t, openTestDir(t, vfs.NewMem()), 1)
	mustAppend(t, l, 0, false, "a=1")
	mustAppend(t, l, 1, false, "b=2")
	must(t, l.Sync())
	must(t, r.wait(2))
	must(t, l.Close())
	must(t, l.Close())
	if err := l.Append(batchOf(2, 2, "c=3"), false); err == nil {
		t.Fatal("append after close succeeded")
	}
}

// A seal ends where the batch before it ends, so that a report of that end says nothing about it.
func TestSealIsAwaitedByMark(t *testing.T) {
	l, r := startLog(t, openTestDir(t, vfs.NewMem()), 1)
	defer l.Close()
	mustAppend(t, l, 0, true, "a=1")
	must(t, r.wait(1))
	if l.Durable() != l.Appended() {
		t.Fatalf("durable mark %d, want %d", l.Durable(), l.Appended())
	}
	must(t, l.Append(NewSeal(Header{First: 1}, nil), true))
	sealed := l.Appended()
	r.mu.Lock()
	for l.Durable() < sealed {
		r.cond.Wait()
	}
	r.mu.Unlock()
}

func TestAppendRefusesASequenceThatGoesBack(t *testing.T) {
	l, r := startLog(t, openTestDir(t, vfs.NewMem()), 1)
	defer l.Close()
	mustAppend(t, l, 5, false, "a=1", "b=2")
	if err := l.Append(batchOf(6, 6, "c=3"), true); err == nil {
		t.Fatal("overlapping batch was appended")
	}
	if err := l.Append(nil, true); err == nil {
		t.Fatal("nothing was appended")
	}
	mustAppend(t, l, 7, true, "c=3")
	must(t, r.wait(8))
}

// gate is a file system whose syncs of one file wait until the test lets them through.
func gate(fs vfs.FS, pattern string) (gated vfs.FS, reached chan struct{}, release func()) {
	reached, open := make(chan struct{}, 100), make(chan struct{})
	match := errorfs.PathMatch(pattern)
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) && match.Evaluate(op) {
			reached <- struct{}{}
			<-open
		}
		return nil
	})), reached, sync.OnceFunc(func() { close(open) })
}

// The new file's fsync returns at once, the old file's does not: were the new one reported, a power loss could leave
// acknowledged frames behind a hole.
func TestNothingInTheNewFileIsReportedBeforeTheOldOneIsClosed(t *testing.T) {
	fs, reached, release := gate(vfs.NewMem(), "*/0000000001-0000000000.wal")
	defer release()
	l, r := startLog(t, openTestDir(t, fs), 1)
	defer l.Close()
	defer release()
	mustAppend(t, l, 0, false, "a=1")
	must(t, l.Rotate())
	<-reached
	mustAppend(t, l, 1, true, "b=2")
	waitSettled(l, l.Appended())
	if n := l.settled(); n.any || r.last() != 0 || l.Durable() != 0 {
		t.Fatalf("reported %d and mark %d while the old file is open", r.last(), l.Durable())
	}
	release()
	must(t, r.wait(2))
}

// Were a frame of the new file reported before the pad that vouches for the old one is durable, damage to the old file
// could pass for a crash and take that frame with it.
func TestNothingInTheNewFileIsReportedBeforeItVouchesForTheOldOne(t *testing.T) {
	old, oldReached, releaseOld := gate(vfs.NewMem(), "*/0000000001-0000000000.wal")
	defer releaseOld()
	padReached, pad := make(chan struct{}, 100), make(chan struct{})
	releasePad := sync.OnceFunc(func() { close(pad) })
	defer releasePad()
	syncs := 0 // of the new file, all from its flush goroutine
	match := errorfs.PathMatch("*/0000000001-0000000001.wal")
	fs := errorfs.Wrap(old, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSyncData && match.Evaluate(op) {
			if syncs++; syncs > 1 {
				padReached <- struct{}{}
				<-pad
			}
		}
		return nil
	}))
	l, r := startLog(t, openTestDir(t, fs), 1)
	defer l.Close()
	defer releasePad()
	defer releaseOld()
	mustAppend(t, l, 0, false, "a=1")
	must(t, l.Rotate())
	<-oldReached
	mustAppend(t, l, 1, true, "b=2")
	waitSettled(l, l.Appended())
	releaseOld()
	<-padReached
	must(t, r.wait(1))
	if n := l.settled(); n.any || r.last() != 1 {
		t.Fatalf("reported %d before the pad is durable, want 1", r.last())
	}
	releasePad()
	must(t, r.wait(2))
}

// waitSettled waits until the newest file is synced up to index, reported or not.
func waitSettled(l *Log, index uint64) {
	for {
		l.mu.Lock()
		settled := l.mu.files[len(l.mu.files)-1].settled
		l.mu.Unlock()
		if settled >= index {
			return
		}
		runtime.Gosched()
	}
}

func TestSyncsThatComeDuringAnFsyncAreJoined(t *testing.T) {
	fs, reached, release := gate(vfs.NewMem(), "*/0000000001-0000000000.wal")
	defer release()
	l, r := startLog(t, openTestDir(t, fs), 1)
	defer l.Close()
	defer release()
	mustAppend(t, l, 0, true, "a=1")
	<-reached
	for i := range uint64(5000) {
		mustAppend(t, l, 1+i, true, "b=2")
	}
	release()
	must(t, r.wait(5001))
	if n := len(reached); n > 3 {
		t.Fatalf("5000 syncs that waited for one took %d more fsyncs", n)
	}
}

func TestTrimRemovesWhatEndsBelow(t *testing.T) {
	fs := vfs.NewCrashableMem()
	d := openTestDir(t, fs)
	l, _ := startLog(t, d, 1)
	for i := range uint64(3) {
		mustAppend(t, l, i*10, false, "k=v")
		must(t, l.Rotate())
	}
	must(t, d.Close())

	d = openTestDir(t, fs)
	replayed(t, d, 1, 1)
	l, _ = startLog(t, d, 2)
	mustAppend(t, l, 30, false, "k=v")
	must(t, l.Rotate())
	mustAppend(t, l, 40, false, "k=v")
	must(t, l.Rotate()) // waits until the rotation before is through
	steps := []struct {
		below uint64
		want  []string
	}{
		{0, []string{"1-0", "1-1", "1-2", "1-3", "2-0"}},
		{10, []string{"1-1", "1-2", "1-3", "2-0"}},
		{20, []string{"1-2", "1-3", "2-0"}},
		{21, []string{"2-0"}},
		{31, nil},
	}
	for _, step := range steps {
		must(t, l.Trim(step.below))
		var got []string
		for _, lf := range d.listFiles() {
			if lf.epoch == 1 || lf.number == 0 {
				got = append(got, fmt.Sprintf("%d-%d", lf.epoch, lf.number))
			}
		}
		wantLines(t, got, step.want...)
		durable, err := fs.CrashClone(vfs.CrashCloneCfg{}).List("wal")
		must(t, err)
		for _, gone := range []string{"1-0", "1-1", "1-2", "1-3", "2-0"} {
			if name := fileName(uint64(gone[0]-'0'), uint64(gone[2]-'0')); !slices.Contains(got, gone) && slices.Contains(durable, name) {
				t.Fatalf("%s is back after a power loss", name)
			}
		}
	}
	must(t, d.Close())
	d = openTestDir(t, fs)
	lines, _ := replayed(t, d, 1, 2)
	wantLines(t, lines[len(lines)-1:], "2: batch [40, 41)")
}

// What lies below a sequence may be safe elsewhere and the seal at that sequence not: nothing but the caller can tell.
func TestTrimKeepsTheSealAtItsSequence(t *testing.T) {
	fs := vfs.NewMem()
	d := openTestDir(t, fs)
	for epoch := uint64(1); epoch < 3; epoch++ { // written here, then replayed
		if epoch == 2 {
			replayed(t, d, 1, 1)
		}
		l, _ := startLog(t, d, epoch)
		if epoch == 1 {
			mustAppend(t, l, 0, false, "k=v")
			must(t, l.Append(NewSeal(Header{Kind: Seal, First: 1}, nil), false))
			must(t, l.Rotate())
			mustAppend(t, l, 1, false, "k=v")
			must(t, l.Rotate()) // waits until the rotation before is through
		}
		must(t, l.Trim(1))
		if n := len(d.listFiles()); n < 3 {
			t.Fatalf("epoch %d: %d files are left, the seal's is not", epoch, n)
		}
		if epoch == 2 {
			must(t, l.TrimSealed(1))
			if lf := d.listFiles()[0]; lf.epoch == 1 && lf.number == 0 {
				t.Fatal("the seal's file is left")
			}
		}
		must(t, d.Close())
		d = openTestDir(t, fs)
	}
}

// Somebody who opened the directory without replaying an epoch cannot know what it holds.
func TestTrimLeavesWhatWasNotReplayed(t *testing.T) {
	fs := vfs.NewMem()
	d := openTestDir(t, fs)
	l, _ := startLog(t, d, 1)
	mustAppend(t, l, 0, false, "k=v")
	must(t, d.Close())
	d = openTestDir(t, fs)
	l, _ = startLog(t, d, 2)
	must(t, l.Trim(1000))
	must(t, d.Close())
	d = openTestDir(t, fs)
	lines, _ := replayed(t, d, 1, 2)
	wantLines(t, lines, "1: batch [0, 1)")
}

func TestSizeIsWhatTheFilesTake(t *testing.T) {
	fs := vfs.NewMem()
	d := openTestDir(t, fs)
	l, _ := startLog(t, d, 1)
	mustAppend(t, l, 0, false, "k=v")
	must(t, l.Close())
	names, _ := fs.List("wal")
	var want int64
	for _, name := range names {
		if _, _, ok := parseFileName(name); ok {
			info, err := fs.Stat(fs.PathJoin("wal", name))
			must(t, err)
			want += info.Size()
		}
	}
	if l.Size() != want || want == 0 {
		t.Fatalf("size %d, want %d", l.Size(), want)
	}
}

func TestADiskErrorIsFinal(t *testing.T) {
	broken := errors.New("broken disk")
	for name, kind := range map[string]errorfs.OpKind{
		"write": errorfs.OpFileWrite, "sync": errorfs.OpFileSyncData, "create": errorfs.OpCreate,
	} {
		t.Run(name, func(t *testing.T) {
			toggle := errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind == kind {
					return broken
				}
				return nil
			})}
			l, r := startLog(t, openTestDir(t, errorfs.Wrap(vfs.NewMem(), &toggle)), 1)
			mustAppend(t, l, 0, true, "a=1")
			must(t, r.wait(1))
			toggle.On()
			// The next file exists already; the one after it does not.
			_ = l.Rotate()
			_ = l.Append(batchOf(1, 1, "b=2"), true)
			if err := r.waitErr(); !errors.Is(err, broken) {
				t.Fatalf("callback got %v, want the disk's error", err)
			}
			toggle.Off()
			for what, err := range map[string]error{
				"append": l.Append(batchOf(2, 2, "c=3"), false), "sync": l.Sync(), "rotate": l.Rotate(),
				"close": l.Close(), "close again": l.Close(),
			} {
				if !errors.Is(err, broken) {
					t.Errorf("%s: got %v, want the disk's error", what, err)
				}
			}
		})
	}
}

func TestNewLogWantsItsEpochNoted(t *testing.T) {
	fs := vfs.NewMem()
	d := openTestDir(t, fs)
	nop := func(uint64, error) {}
	if _, err := d.NewLog(0, nop); err == nil {
		t.Fatal("a directory that no log owns took a log")
	}
	l, _ := startLog(t, d, 5)
	if _, err := d.NewLog(5, nop); err == nil {
		t.Fatal("two logs at once")
	}
	must(t, l.Close())
	if _, err := d.NewLog(5, nop); err == nil {
		t.Fatal("an epoch was written twice")
	}
	if _, err := d.NewLog(6, nop); err == nil {
		t.Fatal("an epoch that was not noted was written")
	}
}
