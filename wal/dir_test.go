package wal

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/logdb-go/logdb/objstore"
)

func TestDirKeepsItsIdentityAndState(t *testing.T) {
	fs := vfs.NewMem()
	d := openTestDir(t, fs)
	id := d.ID()
	if id.IsZero() || d.State() != (State{}) {
		t.Fatalf("new directory: id %s, state %+v", id, d.State())
	}
	nonce := objstore.NewID()
	must(t, d.NoteEpoch(testLog, 4, nonce))
	must(t, d.SetLimit(4, 1000))
	must(t, d.NoteEpoch(testLog, 6, nonce))
	want := State{Log: testLog, Epoch: 6, Nonce: nonce, Limit: 1000, LimitEpoch: 4}
	if d.State() != want {
		t.Fatalf("got %+v, want %+v", d.State(), want)
	}
	must(t, d.Close())
	must(t, d.Close())
	d = openTestDir(t, fs)
	if d.ID() != id || d.State() != want {
		t.Fatalf("after reopening: id %s, state %+v, want %s and %+v", d.ID(), d.State(), id, want)
	}
	must(t, d.SetLimit(6, 10)) // a clean close takes back what was reserved
	if d.State().Limit != 10 {
		t.Fatal("limit did not go down")
	}
}

func TestDirWhereNobodyWroteTakesAnotherLog(t *testing.T) {
	d := openTestDir(t, vfs.NewMem())
	must(t, d.NoteEpoch(testLog, 4, objstore.NewID()))
	other := objstore.NewID()
	must(t, d.NoteEpoch(other, 1, objstore.NewID()))
	if s := d.State(); s.Log != other || s.Epoch != 1 || s.Bound() {
		t.Fatalf("got %+v, want epoch 1 of log %v", s, other)
	}
	l, err := d.NewLog(1, func(uint64, error) {})
	must(t, err)
	must(t, l.Close())
	var foreign *ForeignError
	if err := d.NoteEpoch(testLog, 2, objstore.NewID()); !errors.As(err, &foreign) {
		t.Fatalf("got %v, want a ForeignError: the other log has files here", err)
	}
}

func TestDirBelongsToOneLogAndTimeGoesForward(t *testing.T) {
	d := openTestDir(t, vfs.NewMem())
	if err := d.SetLimit(0, 1); err == nil {
		t.Fatal("a directory that no log owns took a limit")
	}
	must(t, d.NoteEpoch(testLog, 4, objstore.NewID()))
	must(t, d.SetLimit(4, 1))
	other := objstore.NewID()
	var foreign *ForeignError
	if err := d.NoteEpoch(other, 5, objstore.NewID()); !errors.As(err, &foreign) || *foreign != (ForeignError{Dir: testLog, Want: other}) {
		t.Fatalf("got %v, want a ForeignError with both logs", err)
	}
	must(t, d.NoteEpoch(testLog, 4, objstore.NewID()))
	if err := d.NoteEpoch(testLog, 3, objstore.NewID()); err == nil {
		t.Fatal("an earlier epoch was noted")
	}
	for _, epoch := range []uint64{3, 5} {
		if err := d.SetLimit(epoch, 1); err == nil {
			t.Fatalf("epoch %d set a limit, the noted one is 4", epoch)
		}
	}
}

func TestDirIsLockedInThisProcess(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Symlink(dir, dir+"-link"))
	t.Cleanup(func() { os.Remove(dir + "-link") })
	d, err := OpenDir(vfs.Default, filepath.Join(dir, "a", "wal"))
	must(t, err)
	for _, path := range []string{dir + "/a/wal", dir + "/a/../a/./wal", dir + "-link/a/wal"} {
		if _, err := OpenDir(vfs.Default, path); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "/a/wal") {
			t.Errorf("%s: got %v, want ErrLocked with the path", path, err)
		}
	}
	must(t, d.Close())
	d, err = OpenDir(vfs.Default, dir+"-link/a/wal")
	must(t, err)
	must(t, d.Close())
}

// The test runs itself as the other process.
func TestDirIsLockedAgainstOtherProcesses(t *testing.T) {
	if path := os.Getenv("WAL_TEST_LOCKED_DIR"); path != "" {
		if _, err := OpenDir(vfs.Default, path); !errors.Is(err, ErrLocked) {
			t.Fatalf("got %v, want ErrLocked", err)
		}
		return
	}
	path := t.TempDir()
	d, err := OpenDir(vfs.Default, path)
	must(t, err)
	defer d.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^TestDirIsLockedAgainstOtherProcesses$")
	cmd.Env = append(os.Environ(), "WAL_TEST_LOCKED_DIR="+path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// On a real file system, with preallocation and real fsyncs.
func TestLogOnDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wal")
	for epoch := uint64(1); epoch <= 2; epoch++ {
		d, err := OpenDir(vfs.Default, path)
		must(t, err)
		lines, stats := replayed(t, d, 1, epoch)
		if epoch == 2 {
			wantLines(t, lines, "1: batch [0, 1)", "1: batch [1, 2)")
			if stats.Torn != 0 {
				t.Fatalf("stats %+v", stats)
			}
		}
		l, r := startLog(t, d, epoch)
		mustAppend(t, l, epoch*100-100, true, "a="+strings.Repeat("x", 100_000))
		must(t, r.wait(epoch*100-99))
		must(t, l.Rotate())
		mustAppend(t, l, epoch*100-99, true, "b=2")
		must(t, r.wait(epoch*100-98))
		must(t, d.Close())
	}
}

func TestStateSurvivesACrashInAnyStep(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for run := range 300 {
		fs := vfs.NewCrashableMem()
		d, err := OpenDir(fs, "a/b/wal")
		must(t, err)
		id := d.ID()
		must(t, d.NoteEpoch(testLog, 1, testLog))
		limit := uint64(run % 5)
		for i := range limit {
			must(t, d.SetLimit(1, i+1))
		}
		// The next write is on its way: in the file, not synced.
		next := d.disk.cur
		next.counter++
		next.Limit = 99
		_, err = d.disk.f.WriteAt(next.encode()[:rng.IntN(slotUsedBytes+1)], int64(next.counter%2)*slotBytes)
		must(t, err)
		after := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
		must(t, d.Close())

		d, err = OpenDir(after, "a/b/wal")
		must(t, err)
		if got := d.State(); d.ID() != id || got.Epoch != 1 || got.Limit != limit && got.Limit != 99 && got.Limit != 0 {
			t.Fatalf("run %d: id %s, state %+v, want %s and limit %d, 99 or none", run, d.ID(), got, id, limit)
		}
		must(t, d.Close())
	}
}

func TestCreationSurvivesACrashInAnyStep(t *testing.T) {
	for fail := range int32(12) {
		fs := vfs.NewCrashableMem()
		inj := errorfs.OnIndex(fail)
		d, err := OpenDir(errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
				return nil
			}
			return inj.MaybeError(op)
		})), "a/wal")
		if err == nil {
			must(t, d.Close())
		}
		rng := rand.New(rand.NewPCG(uint64(fail), 1))
		after := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng})
		d, err = OpenDir(after, "a/wal")
		if err != nil {
			t.Fatalf("after a crash at write %d: %v", fail, err)
		}
		must(t, d.Close())
	}
}

// Whoever made the directory may have lost power before its entry was durable.
func TestADirectoryThatIsFoundIsMadeDurable(t *testing.T) {
	fs := vfs.NewCrashableMem()
	must(t, fs.MkdirAll("wal", 0o755))
	d := openTestDir(t, fs)
	after := fs.CrashClone(vfs.CrashCloneCfg{})
	if again := openTestDir(t, after); again.ID() != d.ID() {
		t.Fatal("the directory has another identity after a power loss")
	}
}

func TestAStateWriteThatFailsIsFinal(t *testing.T) {
	toggle := errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSyncData {
			return errors.New("broken disk")
		}
		return nil
	})}
	d := openTestDir(t, errorfs.Wrap(vfs.NewMem(), &toggle))
	must(t, d.NoteEpoch(testLog, 1, testLog))
	toggle.On()
	if err := d.SetLimit(1, 5); err == nil {
		t.Fatal("limit was set on a broken disk")
	}
	toggle.Off()
	if err := d.SetLimit(1, 6); err == nil || d.State().Limit != 0 {
		t.Fatalf("got %v and limit %d after a failed sync, want the error again", err, d.State().Limit)
	}
}

func TestDecodeStateRejects(t *testing.T) {
	valid := slot{counter: 4, dir: testLog, State: State{Epoch: 2}}
	older := slot{counter: 3, dir: testLog, State: State{Epoch: 1}}
	image := func(a, z []byte) []byte {
		b := make([]byte, 2*slotBytes)
		copy(b, a)
		copy(b[slotBytes:], z)
		return b
	}
	if got, err := decodeState("state", image(valid.encode(), older.encode())); err != nil || got != valid {
		t.Fatalf("got %+v, %v, want the higher counter", got, err)
	}
	if got, err := decodeState("state", image(older.encode(), valid.encode())); err != nil || got != valid {
		t.Fatalf("got %+v, %v, want the higher counter", got, err)
	}
	for i := range slotUsedBytes {
		b := valid.encode()
		b[i] ^= 2
		got, err := decodeState("state", image(b, older.encode()))
		reserved := i >= slotVersionAt && i < slotCounterAt
		if reserved && !errors.Is(err, objstore.ErrUnsupported) {
			t.Errorf("byte %d of the newer slot flipped: got %v, want ErrUnsupported", i, err)
		}
		if !reserved && (err != nil || got != older) {
			t.Errorf("byte %d of the newer slot flipped: got %+v, %v, want the older slot", i, got, err)
		}
		if _, err := decodeState("state", image(b, nil)); !reserved && !errors.Is(err, objstore.ErrCorrupt) {
			t.Errorf("byte %d of the only slot flipped: got %v, want ErrCorrupt", i, err)
		}
	}
	for cut := range slotUsedBytes { // the first write of a slot, on a disk that was full, or lost power
		if got, err := decodeState("state", image(older.encode(), valid.encode()[:cut])); err != nil || got != older {
			t.Errorf("first %d bytes of the newer slot: got %+v, %v, want the older slot", cut, got, err)
		}
	}
	twin := valid
	twin.dir = objstore.ID{9}
	twin.counter++
	for name, b := range map[string][]byte{
		"empty": nil, "zeros": image(nil, nil), "twice": image(valid.encode(), valid.encode()), "two directories": image(valid.encode(), twin.encode()),
	} {
		if _, err := decodeState("state", b); !errors.Is(err, objstore.ErrCorrupt) {
			t.Errorf("%s: got %v, want ErrCorrupt", name, err)
		}
	}
}

func FuzzDecodeState(f *testing.F) {
	f.Add(bytes.Repeat(slot{counter: 1, dir: testLog}.encode(), 82))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeState("state", b)
		if err == nil && !bytes.Contains(b, s.encode()) {
			t.Fatal("what was decoded does not encode to the same bytes")
		}
	})
}

func TestFilesWithoutStateAreCorrupt(t *testing.T) {
	fs := vfs.NewMem()
	d := openTestDir(t, fs)
	startLog(t, d, 1)
	must(t, d.Close())
	must(t, fs.Remove("wal/"+stateName))
	if _, err := OpenDir(fs, "wal"); !errors.Is(err, objstore.ErrCorrupt) {
		t.Fatalf("got %v, want ErrCorrupt", err)
	}
}

func TestMoveToLost(t *testing.T) {
	fs := vfs.NewMem()
	for epoch := uint64(1); epoch <= 3; epoch++ {
		d := openTestDir(t, fs)
		l, _ := startLog(t, d, epoch)
		mustAppend(t, l, epoch*10, false, "k=v")
		must(t, l.Append(NewSeal(Header{First: epoch*10 + 1}, nil), false))
		must(t, l.Rotate())
		mustAppend(t, l, epoch*10+1, false, "k=v")
		if _, _, err := d.MoveToLost(testLog, 0, 0); err == nil {
			t.Fatal("files were moved under an open log")
		}
		must(t, d.Close())
	}
	d := openTestDir(t, fs)
	moved, frames, err := d.MoveToLost(testLog, 2, 2)
	must(t, err)
	if moved != 4 || frames != 6 {
		t.Fatalf("moved %d files with %d frames, want 4 with 6", moved, frames)
	}
	lines, _ := replayed(t, d, 0, 9)
	wantLines(t, lines, "2: batch [20, 21)", "2: seal [21, 21)", "2: batch [21, 22)")
	names, err := fs.List("wal/lost/" + testLog.String() + "-3")
	must(t, err)
	if len(names) != 2 {
		t.Fatalf("lost holds %q", names)
	}
	slices.Sort(names)
	lostFile := "wal/lost/" + testLog.String() + "-3/" + names[0]
	must(t, fs.Rename(lostFile, lostFile+".1"))
	read := 0
	clean, err := ReadFile(fs, lostFile+".1", func(Frame, int64) error { read++; return nil })
	if err != nil || !clean || read != 2 {
		t.Fatalf("lost file: %d frames, clean %v, %v", read, clean, err)
	}
	if _, err := ReadFile(fs, "wal/"+stateName, nil); err == nil {
		t.Fatal("a file of another kind was read")
	}
	must(t, d.Close())
	d = openTestDir(t, fs)
	lines, _ = replayed(t, d, 0, 9)
	if len(lines) != 3 {
		t.Fatalf("after reopening: %q", lines)
	}
	moved, frames, err = d.MoveToLost(testLog, 1, 0)
	must(t, err)
	if moved != 2 || frames != 3 {
		t.Fatalf("moved %d files with %d frames, want 2 with 3", moved, frames)
	}
}

// A slot that counted and rots later must not bring an older, lower limit back: sequences below the lost one were shown.
func TestADamagedStateKnowsNoLimit(t *testing.T) {
	fs := vfs.NewMem()
	d, err := OpenDir(fs, "wal")
	must(t, err)
	must(t, d.NoteEpoch(testLog, 1, testLog))
	must(t, d.SetLimit(1, 100))
	must(t, d.SetLimit(1, 200))
	_, err = d.disk.f.WriteAt([]byte{0xff}, int64(d.disk.cur.counter%2)*slotBytes+slotLimitAt)
	must(t, err)
	must(t, d.Close())
	d, err = OpenDir(fs, "wal")
	must(t, err)
	if got := d.State(); got.Limit != 0 || got.LimitEpoch != 1 {
		t.Fatalf("state %+v, want no limit", got)
	}
	must(t, d.Close())
}
