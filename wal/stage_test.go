package wal

import (
	"bytes"
	"errors"
	iofs "io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/logdb-go/logdb/objstore"
)

// someStaged is a stretch of segment 2 at epoch 3.
func someStaged() Staged {
	return Staged{
		Epoch: 3, Start: 100, End: 107, Segment: 2, SegmentStart: 90, OpenedMs: 50, Frames: 4,
		Seal:  NewSeal(Header{Kind: Seal, First: 107, TimeMs: 60, Segment: 2, SegmentStart: 90}, []byte("m")),
		About: []byte("about"),
	}
}

func goldenStaged(*testing.T) []byte {
	s, bodies := someStaged(), [][]byte{[]byte("one"), []byte("another")}
	s.number = 4
	return append(s.encode(owner{testLog, objstore.ID{5}}, bodies), "oneanother"...)
}

// stagedFrom reads a staged file with these bytes, to its last body.
func stagedFrom(b []byte, name string) (*Staged, error) {
	fs := vfs.NewMem()
	f, err := fs.Create(name, stageCategory)
	if err == nil {
		_, err = f.Write(bytes.Clone(b))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	s, err := ReadStaged(fs, name)
	if err != nil {
		return nil, err
	}
	for i := range s.Bodies() {
		if _, err := s.Body(i); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// What is staged is there after a restart, in order; what is not whole is not.
func TestStaged(t *testing.T) {
	fs := vfs.NewCrashableMem()
	d := openTestDir(t, fs)
	must(t, d.NoteEpoch(testLog, 3, objstore.ID{1}))
	first, err := d.Stage(someStaged(), []byte("one"), []byte("another"))
	must(t, err)
	next := someStaged()
	next.Start, next.End, next.Seal = 107, 110, nil
	second, err := d.Stage(next)
	must(t, err)
	if got, want := d.StagedBytes(), first.Size()+second.Size(); got != want {
		t.Errorf("%d bytes are staged, want %d", got, want)
	}
	f, err := fs.Create(fs.PathJoin("wal", "0000000003-0000000009.staged.tmp"), stageCategory)
	must(t, err)
	must(t, errors.Join(f.Close(), syncDir(fs, "wal")))
	fs = fs.CrashClone(vfs.CrashCloneCfg{})

	d = openTestDir(t, fs)
	all, err := d.Staged(3, 3)
	must(t, err)
	if len(all) != 2 || all[0].Start != 100 || all[1].Start != 107 || all[0].Seal.Metadata() == nil || all[1].Seal != nil {
		t.Fatalf("staged: %+v", all)
	}
	body, err := all[0].Body(1)
	must(t, err)
	part := make([]byte, 3)
	must(t, all[0].ReadAt(part, 1, 2))
	if string(body) != "another" || string(part) != "oth" || string(all[0].About) != "about" {
		t.Errorf("body %q, part %q, about %q", body, part, all[0].About)
	}
	if err := all[0].ReadAt(part, 1, 5); err == nil {
		t.Error("a body was read behind its end")
	}
	names, err := fs.List("wal")
	must(t, err)
	if slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(n, tmpSuffix) }) {
		t.Errorf("what a crash left is still there: %v", names)
	}
	must(t, d.Unstage(all[0]))
	if err := all[0].ReadAt(part, 0, 0); !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("read of a removed file: %v", err)
	}
	must(t, d.NoteEpoch(testLog, 4, objstore.ID{2}))
	s := someStaged()
	s.Epoch = 4
	again, err := d.Stage(s)
	must(t, err)
	if again.number <= second.number {
		t.Errorf("number %d is given again, the last was %d", again.number, second.number)
	}
}

// Files of an epoch that does not count go to lost/ with the others.
func TestStagedIsMovedToLost(t *testing.T) {
	fs := vfs.NewMem()
	d := openTestDir(t, fs)
	must(t, d.NoteEpoch(testLog, 3, objstore.ID{1}))
	_, err := d.Stage(someStaged(), []byte("one"))
	must(t, err)
	moved, frames, err := d.MoveToLost(testLog, 4, 3)
	must(t, err)
	if moved != 1 || frames != 4 || d.StagedBytes() != 0 {
		t.Errorf("moved %d files with %d frames, %d bytes stay; want 1, 4, 0", moved, frames, d.StagedBytes())
	}
	in, err := Inspect(fs, "wal")
	must(t, err)
	if len(in.Staged) != 0 || len(in.Lost) != 1 || len(in.Lost[0].Staged) != 1 || in.Lost[0].Staged[0].Frames != 4 {
		t.Errorf("inspection: %+v", in)
	}
}

// Whatever byte flips, somebody hears of it.
func TestStagedFlips(t *testing.T) {
	whole := goldenStaged(t)
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 0x10
		_, err := stagedFrom(b, "0000000003-0000000004.staged")
		want := objstore.ErrCorrupt
		if i >= stageVersionAt && i < stageLogAt || i >= stagePaddingAt && i < stageFixedBytes {
			want = objstore.ErrUnsupported
		}
		if !errors.Is(err, want) {
			t.Errorf("byte %d flipped: got %v, want %v", i, err, want)
		}
	}
	for n := range len(whole) {
		if _, err := stagedFrom(whole[:n], "0000000003-0000000004.staged"); !errors.Is(err, objstore.ErrCorrupt) {
			t.Errorf("cut to %d bytes: got %v, want ErrCorrupt", n, err)
		}
	}
	if _, err := stagedFrom(whole, "0000000003-0000000005.staged"); !errors.Is(err, objstore.ErrCorrupt) {
		t.Errorf("under another name: got %v, want ErrCorrupt", err)
	}
}

func FuzzStaged(f *testing.F) {
	f.Add(goldenStaged(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := stagedFrom(b, "0000000003-0000000004.staged")
		if err == nil && (s.Size() != int64(len(b)) || s.Start > s.End) {
			t.Errorf("accepted: %+v", s)
		}
	})
}
