package wal

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/logdb-go/logdb/objstore"
)

// describe is a file in one line.
func describe(f FileInfo) string {
	s := fmt.Sprintf("%s: %d batches, %d seals, %d records in [%d, %d)", filepath.Base(f.Path), f.Batches, f.Seals, f.Records, f.First, f.End)
	if !f.Closed {
		s += fmt.Sprintf(", open, %d torn", f.Torn)
	}
	if f.Err != nil {
		s += ", damaged"
	}
	return s
}

func inspected(t testing.TB, fs vfs.FS, path string) (in Inspection, lines []string) {
	t.Helper()
	in, err := Inspect(fs, path)
	must(t, err)
	for _, f := range in.Files {
		lines = append(lines, describe(f))
	}
	for _, l := range in.Lost {
		for _, f := range l.Files {
			lines = append(lines, "lost "+describe(f))
		}
	}
	return in, lines
}

// A directory is looked at while its writer is at work, after that was killed, and after another one set its files
// aside.
func TestInspectADirectoryThroughItsLife(t *testing.T) {
	fs := vfs.NewMem()
	d := openTestDir(t, fs)
	l, r := startLog(t, d, 4)
	must(t, d.SetLimit(4, 1000))
	mustAppend(t, l, 10, false, "a=1", "b=2")
	must(t, l.Append(NewSeal(Header{First: 12}, nil), false))
	must(t, l.Rotate())
	mustAppend(t, l, 12, false, "a=3")
	must(t, l.Sync())
	must(t, r.wait(13))
	in, lines := inspected(t, fs, "wal")
	if in.Dir != d.ID() || in.State != d.State() || in.StateErr != nil || in.State.Limit != 1000 {
		t.Fatalf("got %+v, want what the directory says of itself: %v, %+v", in, d.ID(), d.State())
	}
	wantLines(t, lines[:2], "0000000004-0000000000.wal: 1 batches, 1 seals, 2 records in [10, 12)",
		"0000000004-0000000001.wal: 1 batches, 0 seals, 1 records in [12, 13), open, 0 torn")
	must(t, d.Close())

	tear(t, fs, "wal/0000000004-0000000001.wal")
	_, lines = inspected(t, fs, "wal")
	if !strings.Contains(lines[1], "0 batches") || !strings.Contains(lines[1], "open") || strings.Contains(lines[1], "open, 0 torn") {
		t.Errorf("torn file: got %q, want no batch and what is torn", lines[1])
	}

	d = openTestDir(t, fs)
	_, _, err := d.MoveToLost(testLog, 1, 0)
	must(t, err)
	must(t, d.Close())
	in, lines = inspected(t, fs, "wal")
	if len(in.Files) > 0 || len(in.Lost) != 1 || in.Lost[0].Path != "wal/lost/"+testLog.String()+"-4" {
		t.Fatalf("got %+v, want all files in one lost directory", in)
	}
	if want := "lost 0000000004-0000000000.wal: 1 batches, 1 seals, 2 records in [10, 12)"; lines[0] != want {
		t.Errorf("got %q, want %q", lines[0], want)
	}
}

// tear cuts the last byte of the last record off.
func tear(t *testing.T, fs *vfs.MemFS, name string) {
	t.Helper()
	end := int64(0)
	_, err := ReadFile(fs, name, func(f Frame, off int64) error { end = recordEnd(off, len(f)); return nil })
	must(t, err)
	b := readAll(t, fs, name)
	writeAll(t, fs, name, b[:end-1])
}

func TestInspectNamesWhatIsDamaged(t *testing.T) {
	fs := vfs.NewMem()
	starts := syncedOneByOne(t, fs, false, 10, 10, 10)
	b := readAll(t, fs, file0)
	b[starts[1]+30] ^= 1
	writeAll(t, fs, file0, b)
	writeAll(t, fs, "wal/"+stateName, []byte("nothing"))
	in, lines := inspected(t, fs, "wal")
	if !errors.Is(in.StateErr, objstore.ErrCorrupt) || !in.Dir.IsZero() {
		t.Errorf("state: got %v and id %v, want a corrupt one and none", in.StateErr, in.Dir)
	}
	if want := "0000000001-0000000000.wal: 1 batches, 0 seals, 1 records in [0, 1), open, 0 torn, damaged"; lines[0] != want {
		t.Errorf("got %q, want %q", lines[0], want)
	}
}

func TestInspectRefusesWhatIsNoWALDirectory(t *testing.T) {
	fs := vfs.NewMem()
	must(t, fs.MkdirAll("other", 0o755))
	writeAll(t, fs, "other/notes.txt", []byte("x"))
	for _, path := range []string{"other", "absent"} {
		if _, err := Inspect(fs, path); !errors.Is(err, iofs.ErrNotExist) {
			t.Errorf("%s: got %v, want ErrNotExist", path, err)
		}
	}
}

// To look takes nothing away: the lock holds against another process, which sees it, and against this one.
func TestInspectLeavesTheLockAlone(t *testing.T) {
	if path := os.Getenv("WAL_TEST_INSPECT_DIR"); path != "" {
		in, err := Inspect(vfs.Default, path)
		_, errOpen := OpenDir(vfs.Default, path)
		fmt.Println(in.InUse, in.InUseKnown, err, errors.Is(errOpen, ErrLocked))
		return
	}
	path := t.TempDir()
	fromOutside := func() string {
		cmd := exec.Command(os.Args[0], "-test.run=^TestInspectLeavesTheLockAlone$")
		cmd.Env = append(os.Environ(), "WAL_TEST_INSPECT_DIR="+path)
		out, err := cmd.CombinedOutput()
		must(t, err)
		line, _, _ := strings.Cut(string(out), "\n")
		return line
	}
	d, err := OpenDir(vfs.Default, path)
	must(t, err)
	for range 2 {
		in, err := Inspect(vfs.Default, path)
		must(t, err)
		if !in.InUse || !in.InUseKnown {
			t.Errorf("from inside: got in use %v, known %v", in.InUse, in.InUseKnown)
		}
		if got, want := fromOutside(), "true true <nil> true"; got != want {
			t.Fatalf("from another process: got %q, want %q", got, want)
		}
	}
	must(t, d.Close())
	if got, want := fromOutside(), "false true <nil> false"; got != want {
		t.Errorf("after Close: got %q, want %q", got, want)
	}
	names, err := vfs.Default.List(path)
	must(t, err)
	if slices.Contains(names, stateTmpName) {
		t.Errorf("got %q", names)
	}
}

// growingFS is a disk on which a writer is at work: a file has cut bytes until it was read from n times.
type growingFS struct {
	vfs.FS
	cut, n int64
}

type growingFile struct {
	vfs.File
	fs *growingFS
}

type cutInfo struct {
	vfs.FileInfo
	size int64
}

func (i cutInfo) Size() int64 { return i.size }

func (fs *growingFS) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := fs.FS.Open(name, o...)
	return growingFile{f, fs}, err
}

func (f growingFile) Stat() (vfs.FileInfo, error) {
	info, err := f.File.Stat()
	if f.fs.n > 0 {
		info = cutInfo{info, f.fs.cut}
	}
	return info, err
}

func (f growingFile) ReadAt(p []byte, off int64) (int, error) {
	if f.fs.n--; f.fs.n < 0 || off+int64(len(p)) <= f.fs.cut {
		return f.File.ReadAt(p, off)
	}
	n, err := f.File.ReadAt(p[:min(max(f.fs.cut-off, 0), int64(len(p)))], off)
	if err == nil {
		err = io.EOF
	}
	return n, err
}

// What a writer appends behind a record that was half there, with proof that it was synced, does not make that corrupt.
func TestAFileThatGrowsIsReadAsItWas(t *testing.T) {
	fs := vfs.NewMem()
	d := openTestDir(t, fs)
	l, r := startLog(t, d, 1)
	long := "key=" + strings.Repeat("v", 10_000)
	for i := range uint64(12) {
		mustAppend(t, l, i, true, long)
		must(t, r.wait(i+1))
	}
	must(t, d.Close())
	name := "wal/" + fileName(1, 0)
	size := int64(len(readAll(t, fs, name)))
	for cut := int64(1000); cut < size; cut += 1777 {
		for n := int64(1); n < 12; n++ {
			read := 0
			_, err := ReadFile(&growingFS{FS: fs, cut: cut, n: n}, name, func(Frame, int64) error { read++; return nil })
			if err != nil {
				t.Fatalf("cut at %d of %d until read %d: after %d batches: %v", cut, size, n, read, err)
			}
		}
	}
}
