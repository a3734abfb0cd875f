package logdb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// readWAL returns the records of a WAL directory or file, and the last error.
func readWAL(path string) (lines []string, err error) {
	for e, errRead := range ReadWAL(path) {
		if errRead != nil {
			err = errRead
			continue
		}
		lines = append(lines, fmt.Sprintf("%d %s=%s", e.Sequence, e.Key, e.Value))
	}
	return lines, err
}

func wantWAL(t *testing.T, path string, want ...string) {
	t.Helper()
	got, err := readWAL(path)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: got %q, want %q", path, got, want)
	}
}

// A writer that was overtaken from another machine while its bucket was out of
// reach has records that the log will never hold. They can be looked at beside
// the running writer, after its end, and after they were set aside.
func TestRecordsOfAFencedWriterCanBeReadBack(t *testing.T) {
	bucket, dir := objstore.NewMem(), filepath.Join(t.TempDir(), "wal")
	away := objstoretest.NewFaulty(bucket, objstoretest.Plan{})
	old := openLog(t, away, Options{WALDir: dir})
	mustAppend(t, old, Remote, "a", "1")
	away.Down(true)
	mustAppend(t, old, Local, "a", "2", "b", "3")
	mustAppend(t, old, Local, "a", "4")

	in, err := InspectWAL(dir)
	if err != nil {
		t.Fatal(err)
	}
	if in.Dir != old.dir.ID() || in.State.Log != old.logID || in.State.Epoch != 1 || in.State.Limit == 0 || !in.InUse {
		t.Errorf("got %+v, want id, log, epoch and limit of the running writer, in use", in)
	}
	records := uint64(0)
	for _, f := range in.Files {
		records += f.Records
	}
	if records != 4 {
		t.Errorf("got %d records in %+v, want 4", records, in.Files)
	}
	wantWAL(t, dir, "0 a=1", "1 a=2", "2 b=3", "3 a=4")
	if err := old.Err(); err != nil {
		t.Fatalf("the writer was disturbed: %v", err)
	}
	crash(old)

	closeLog(t, openLog(t, bucket, Options{WALDir: filepath.Join(t.TempDir(), "wal")}))
	wantWAL(t, dir, "0 a=1", "1 a=2", "2 b=3", "3 a=4")
	again := openLog(t, bucket, Options{WALDir: dir})
	if again.Lost().Frames != 3 {
		t.Errorf("got %+v, want 3 batches lost", again.Lost())
	}
	closeLog(t, again)
	if in, err = InspectWAL(dir); err != nil || len(in.Lost) != 1 || in.InUse {
		t.Fatalf("got %+v, %v; want one lost directory, not in use", in, err)
	}
	wantWAL(t, in.Lost[0].Path, "0 a=1", "1 a=2", "2 b=3", "3 a=4")
	wantWAL(t, in.Lost[0].Files[0].Path, "0 a=1", "1 a=2", "2 b=3", "3 a=4")
}

func TestReadWALSaysWhatItCannotRead(t *testing.T) {
	dir := t.TempDir()
	if _, err := readWAL(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: got %v, want ErrNotExist", err)
	}
	if _, err := readWAL(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("empty: got %v, want ErrNotExist", err)
	}
	name := filepath.Join(dir, "0000000001-0000000000.wal")
	if err := os.WriteFile(filepath.Join(dir, "other"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readWAL(filepath.Join(dir, "other")); err == nil {
		t.Error("a file that is no wal file was read")
	}
	// What is in the bucket is Local, too, before the file has it. The second record is not shipped within a minute.
	writer := openLog(t, objstore.NewMem(), Options{WALDir: filepath.Join(dir, "wal"), ShipInterval: time.Minute})
	mustAppend(t, writer, Remote, "a", "0")
	mustAppend(t, writer, Local, "a", "1")
	in, err := InspectWAL(filepath.Join(dir, "wal"))
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(in.Files[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	data[40] ^= 1 // the file's own header, which later syncs vouch for
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	var corrupt *CorruptError
	if got, err := readWAL(name); err != nil && !errors.As(err, &corrupt) || len(got) > 0 {
		t.Errorf("got %q, %v; want nothing of a damaged file", got, err)
	}
}
