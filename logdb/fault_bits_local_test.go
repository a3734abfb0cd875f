package logdb

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
	"github.com/logdb-go/logdb/wal"
)

// localOnly is a log whose records are only on its disk: the store went away.
// The disk is as a power loss left it.
type localOnly struct {
	bucket *objstore.Mem
	disk   *vfs.MemFS
	want   []Entry
	last   uint64 // the last batch starts here
	shown  uint64 // exclusive
}

func newLocalOnly(t *testing.T) *localOnly {
	l := &localOnly{bucket: objstore.NewMem()}
	fs, b := disk(), objstoretest.NewFaulty(l.bucket, objstoretest.Plan{})
	o := tinyOptions()
	o.WALDir, o.fs = "wal", fs
	d := openLog(t, b, o)
	settled()
	b.Down(true)
	for i := range 6 {
		if i == 3 { // the first file is closed, another follows
			if err := <-d.control((*committer).rotate); err != nil {
				t.Fatal(err)
			}
			settled()
		}
		l.last = mustAppend(t, d, Local, "a", fmt.Sprint("value ", i), fmt.Sprint("key", i), "").First
	}
	l.want, l.shown = mustHistory(t, d), d.DurableSequence(Applied)
	l.disk = fs.CrashClone(vfs.CrashCloneCfg{})
	crash(d)
	return l
}

func (l *localOnly) files(t *testing.T) []string {
	names, err := l.disk.List("wal")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return slices.DeleteFunc(names, func(n string) bool { return n == "LOCK" })
}

func readFile(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// with returns the disk with one file's bytes replaced.
func (l *localOnly) with(t *testing.T, name string, data []byte) *vfs.MemFS {
	t.Helper()
	fs := l.disk.CrashClone(vfs.CrashCloneCfg{})
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(bytes.Clone(data)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return fs
}

// Whatever bit of whatever local file is flipped: the log does not open and the
// error names the file, or it opens with everything. Only of the last record
// nobody can know whether it was damaged or torn: its frame may be missing, and
// then an inspection says that bytes were not readable. No sequence that was
// shown is given again.
func TestEveryFlippedBitOfTheDisk(t *testing.T) {
	var l *localOnly
	var files []string
	synctest.Test(t, func(t *testing.T) {
		l = newLocalOnly(t)
		if files = l.files(t); len(files) < 3 {
			t.Fatalf("files %q, want a state and two of records at least", files)
		}
	})
	for _, name := range files {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				file := path.Join("wal", name)
				data := readFile(t, l.disk, file)
				refused, lost := 0, 0
				for i := range data {
					if name == "state" && i%4096 >= 100 && i%16 != 0 && !*faultsAll {
						continue // between the two slots is nothing
					}
					for _, bit := range bitsOf(i) {
						bad := bytes.Clone(data)
						bad[i] ^= 1 << bit
						r, n := l.reopened(t, l.with(t, file, bad), file, fmt.Sprintf("bit %d of byte %d of %s", bit, i, file))
						refused, lost = refused+r, lost+n
					}
				}
				t.Logf("%d bytes: %d flips refused, %d cost the last record", len(data), refused, lost)
				if first := name == "0000000001-0000000000.wal"; first && (refused < len(data) || lost > 0) {
					t.Errorf("%d of %d flips were refused, %d cost a record: the file was closed", refused, len(data), lost)
				}
			})
		})
	}
}

// reopened opens a damaged disk and counts what became of it.
func (l *localOnly) reopened(t *testing.T, fs *vfs.MemFS, file, what string) (refused, lost int) {
	in, err := wal.Inspect(fs, "wal")
	if err != nil {
		t.Fatalf("%s: inspect: %v", what, err)
	}
	told := in.StateErr != nil || in.State.Limit == 0
	for _, f := range in.Files {
		told = told || f.Path == file && (f.Err != nil || f.Torn > 0)
	}
	o := tinyOptions()
	o.WALDir, o.fs = "wal", fs
	d, err := Open(context.Background(), copyBucket(t, l.bucket), o)
	if err != nil {
		namesObject(t, err, file, what)
		if !told {
			t.Errorf("%s: not opened (%v), and an inspection finds nothing", what, err)
		}
		return 1, 0
	}
	defer crash(d)
	got := mustHistory(t, d)
	want := l.want
	if len(got) < len(want) && file == "wal/0000000001-0000000001.wal" {
		want, lost = slices.DeleteFunc(slices.Clone(want), func(e Entry) bool { return e.Sequence >= l.last }), 1
		if !told {
			t.Errorf("%s: the last batch is gone, and an inspection finds nothing", what)
		}
	}
	sameEntries(t, what, got, want)
	if a := mustAppend(t, d, Applied, "a", "next"); a.First < l.shown {
		t.Errorf("%s: sequence %d was shown and is given again", what, a.First)
	}
	return 0, lost
}
