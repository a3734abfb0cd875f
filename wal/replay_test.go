package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/logdb-go/logdb/objstore"
)

func readAll(t testing.TB, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	must(t, err)
	defer f.Close()
	b, err := io.ReadAll(f)
	must(t, err)
	return b
}

func writeAll(t testing.TB, fs vfs.FS, name string, b []byte) {
	t.Helper()
	f, err := fs.Create(name, diskCategory)
	must(t, err)
	_, err = f.Write(bytes.Clone(b)) // the memory file system scribbles on it under the race detector
	must(t, err)
	must(t, f.Close())
}

const (
	file0 = "wal/0000000001-0000000000.wal"
	file1 = "wal/0000000001-0000000001.wal"
)

// syncedOneByOne writes frames of the given value sizes, each synced before the next, and returns where each record
// starts in the file.
func syncedOneByOne(t testing.TB, fs vfs.FS, rotate bool, sizes ...int) (starts []int64) {
	d := openTestDir(t, fs)
	l, r := startLog(t, d, 1)
	for i, size := range sizes {
		starts = append(starts, l.mu.files[0].w.Size())
		mustAppend(t, l, uint64(i), true, "k="+strings.Repeat("v", size))
		must(t, r.wait(uint64(i)+1))
	}
	if rotate {
		must(t, l.Rotate())
		mustAppend(t, l, uint64(len(sizes)), true, "k=v")
		must(t, r.wait(uint64(len(sizes))+1))
	}
	must(t, d.Close())
	return starts
}

// replayLoose replays epoch 1 and returns how many frames came out, and the error.
func replayLoose(t testing.TB, fs vfs.FS) (frames int, err error) {
	t.Helper()
	d, err := OpenDir(fs, "wal")
	must(t, err)
	defer d.Close()
	_, err = d.Replay(1, 1, func(uint64, Frame) error { frames++; return nil })
	return frames, err
}

// Every byte of a file that was closed and followed by another is guarded: whatever flips, somebody hears of it.
func TestAFlippedByteInAClosedFileIsCorruption(t *testing.T) {
	fs := vfs.NewMem()
	syncedOneByOne(t, fs, true, 10, 0, 300)
	whole := readAll(t, fs, file0)
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 0x10
		writeAll(t, fs, file0, b)
		_, err := replayLoose(t, fs)
		var c *objstore.CorruptError
		if !errors.As(err, &c) || c.Object != file0 {
			t.Fatalf("byte %d of %d: got %v, want a CorruptError that names the file", i, len(whole), err)
		}
	}
	for cut := range whole {
		writeAll(t, fs, file0, whole[:cut])
		if _, err := replayLoose(t, fs); !errors.Is(err, objstore.ErrCorrupt) {
			t.Fatalf("cut to %d of %d bytes: got %v, want ErrCorrupt", cut, len(whole), err)
		}
	}
}

// In the last file the end of the synced part is not recorded. Damage in the last record looks like a torn end; damage
// anywhere before it does not.
func TestAFlippedByteInTheLastFileCostsTheLastFrameAtMost(t *testing.T) {
	for _, sizes := range [][]int{{10, 0, 300}, {40_000, 10, 70_000, 10}} {
		fs := vfs.NewMem()
		starts := syncedOneByOne(t, fs, false, sizes...)
		whole := readAll(t, fs, file0)
		last := int(starts[len(starts)-1])
		for i := 0; i < len(whole); i += 1 + len(whole)/700*97 { // the record reader takes a second over a bad chunk of 32 KiB
			b := bytes.Clone(whole)
			b[i] ^= 0x10
			writeAll(t, fs, file0, b)
			frames, err := replayLoose(t, fs)
			switch {
			case i < last && !errors.Is(err, objstore.ErrCorrupt):
				t.Fatalf("byte %d of %d, last record at %d: got %d frames and %v, want ErrCorrupt", i, len(whole), last, frames, err)
			case i >= last && err == nil && frames < len(sizes)-1:
				t.Fatalf("byte %d of %d, last record at %d: got %d frames", i, len(whole), last, frames)
			}
		}
	}
}

func TestATornEndIsLegalInTheLastFileOnly(t *testing.T) {
	fs := vfs.NewMem()
	syncedOneByOne(t, fs, false, 10, 0, 300)
	whole := readAll(t, fs, file0)
	for cut := len(whole); cut >= 0; cut-- {
		writeAll(t, fs, file0, append(bytes.Clone(whole[:cut]), make([]byte, cut%3*50)...))
		if _, err := replayLoose(t, fs); err != nil {
			t.Fatalf("cut to %d of %d bytes: %v", cut, len(whole), err)
		}
	}
}

// A power loss during a rotation can keep the new file's frames and lose the old file's last ones. The new frames were
// never reported, and without their predecessors they are not the log's.
func TestFramesBehindATornFileAreMovedToLost(t *testing.T) {
	fs, reached, release := gate(vfs.NewMem(), "*/0000000001-0000000000.wal")
	mem := fs.Unwrap()
	d := openTestDir(t, fs)
	l, _ := startLog(t, d, 1)
	mustAppend(t, l, 0, false, "a=1")
	must(t, l.Rotate())
	<-reached
	mustAppend(t, l, 1, false, "b="+strings.Repeat("v", 40_000))
	mustAppend(t, l, 2, false, "c="+strings.Repeat("v", 40_000))
	torn, whole := readAll(t, mem, file0), []byte(nil)
	for len(whole) < 64<<10 { // until the flush goroutine has written two blocks
		whole = readAll(t, mem, file1)
	}
	release()
	must(t, d.Close())

	writeAll(t, mem, file0, torn[:len(torn)-trailerBytes])
	writeAll(t, mem, file1, whole)
	d = openTestDir(t, mem)
	lines, stats := replayed(t, d, 1, 1)
	wantLines(t, lines, "1: batch [0, 1)")
	if stats.Dropped == 0 || stats.Torn != 1 {
		t.Fatalf("stats %+v, want frames dropped", stats)
	}
	lines, stats = replayed(t, d, 1, 1)
	wantLines(t, lines, "1: batch [0, 1)")
	if stats.Dropped != 0 {
		t.Fatalf("dropped again: %+v", stats)
	}
	names, err := mem.List("wal/lost/" + testLog.String() + "-1")
	must(t, err)
	wantLines(t, names, "0000000001-0000000001.wal")
}

func TestAFileThatIsMissingOrStrangeIsCorruption(t *testing.T) {
	build := func() *vfs.MemFS {
		fs := vfs.NewMem()
		d := openTestDir(t, fs)
		l, _ := startLog(t, d, 1)
		for i := range uint64(3) {
			mustAppend(t, l, i, false, "k=v")
			must(t, l.Rotate())
		}
		must(t, d.Close())
		return fs
	}
	cases := map[string]func(fs *vfs.MemFS){
		"missing in the middle": func(fs *vfs.MemFS) { must(t, fs.Remove(file1)) },
		"swapped": func(fs *vfs.MemFS) {
			a, b := readAll(t, fs, file0), readAll(t, fs, file1)
			writeAll(t, fs, file0, b)
			writeAll(t, fs, file1, a)
		},
		"another directory's": func(fs *vfs.MemFS) { writeAll(t, fs, file1, readAll(t, build(), file1)) },
		"emptied":             func(fs *vfs.MemFS) { writeAll(t, fs, file1, nil) },
		"zeroed":              func(fs *vfs.MemFS) { writeAll(t, fs, file1, make([]byte, len(readAll(t, fs, file1)))) },
	}
	for name, harm := range cases {
		fs := build()
		harm(fs)
		if _, err := replayLoose(t, fs); !errors.Is(err, objstore.ErrCorrupt) {
			t.Errorf("%s: got %v, want ErrCorrupt", name, err)
		}
	}
}

// A process that was killed leaves frames in the page cache only. Once they were shown, the log goes on behind them: they
// must not be gone after the next power loss.
func TestWhatReplayShowsIsDurable(t *testing.T) {
	from := vfs.NewMem()
	syncedOneByOne(t, from, false, 10, 20)
	fs := vfs.NewCrashableMem()
	must(t, fs.MkdirAll("wal", 0o755))
	for _, name := range []string{stateName, "0000000001-0000000000.wal"} {
		writeAll(t, fs, "wal/"+name, readAll(t, from, "wal/"+name))
	}
	must(t, syncDir(fs, "wal"))
	must(t, syncDir(fs, ""))
	d := openTestDir(t, fs)
	must(t, d.SetLimit(1, 1))
	lines, _ := replayed(t, d, 1, 1)
	wantLines(t, lines, "1: batch [0, 1)", "1: batch [1, 2)")
	lines, _ = replayed(t, openTestDir(t, fs.CrashClone(vfs.CrashCloneCfg{})), 1, 1)
	wantLines(t, lines, "1: batch [0, 1)", "1: batch [1, 2)")
}

// The record reader skips a chunk that is whole but begins no record, without a word.
func TestAChunkThatTheRecordReaderSkipsIsCorruption(t *testing.T) {
	fs := vfs.NewMem()
	starts := syncedOneByOne(t, fs, true, 10, 20, 30)
	b := readAll(t, fs, file0)
	number := (&localFile{epoch: 1, number: 0}).chunkNumber()
	pad, ok := validChunk(b[starts[1]:], number)
	if !ok {
		t.Fatal("no chunk where the second record should start")
	}
	chunk, _ := validChunk(b[int(starts[1])+len(pad):], number)
	chunk[chunkTypeAt] = 11
	binary.LittleEndian.PutUint32(chunk, chunkChecksum(chunk[chunkTypeAt:]))
	writeAll(t, fs, file0, b)
	if frames, err := replayLoose(t, fs); !errors.Is(err, objstore.ErrCorrupt) {
		t.Fatalf("got %d frames and %v, want ErrCorrupt", frames, err)
	}
}

func TestReplayReturnsTheCalleesError(t *testing.T) {
	fs := vfs.NewMem()
	syncedOneByOne(t, fs, false, 1, 2)
	stop := errors.New("stop")
	if _, err := openTestDir(t, fs).Replay(1, 1, func(uint64, Frame) error { return stop }); err != stop {
		t.Fatalf("got %v, want the callee's own error", err)
	}
}

func TestFileHeaderRejects(t *testing.T) {
	lf := &localFile{epoch: 3, number: 4}
	o := owner{log: testLog, dir: objstore.ID{5}}
	good := lf.header(o)
	must(t, lf.checkHeader(good, o))
	for i := range good {
		b := bytes.Clone(good)
		b[i] ^= 1
		err := lf.checkHeader(b, o)
		later := i >= fileVersionAt && i < fileLogAt
		if err == nil || errors.Is(err, objstore.ErrUnsupported) != later {
			t.Errorf("byte %d flipped: got %v", i, err)
		}
	}
	for name, b := range map[string][]byte{
		"short": good[:fileHeaderBytes-1], "long": append(bytes.Clone(good), 0),
		"other log":    lf.header(owner{log: objstore.ID{1}, dir: o.dir}),
		"other dir":    lf.header(owner{log: o.log}),
		"other epoch":  (&localFile{epoch: 2, number: 4}).header(o),
		"other number": (&localFile{epoch: 3, number: 5}).header(o),
	} {
		if lf.checkHeader(b, o) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestFileNames(t *testing.T) {
	for _, name := range []string{fileName(0, 0), fileName(1, 2), fileName(1<<63, 1<<63)} {
		e, n, ok := parseFileName(name)
		if !ok || fileName(e, n) != name {
			t.Errorf("%s does not parse", name)
		}
	}
	for _, name := range []string{"", "LOCK", "state", "1-2.wal", "0000000001-0000000002", "0000000001-0000000002.wal.1", "+000000001-0000000002.wal"} {
		if _, _, ok := parseFileName(name); ok {
			t.Errorf("%q parses", name)
		}
	}
}

// Whatever a file holds, the scan ends without a panic, and what it hands out is in the file.
func FuzzReplay(f *testing.F) {
	o := owner{log: testLog, dir: objstore.ID{5}}
	lf := &localFile{path: "f", epoch: 1, number: 2}
	build := func(f testing.TB, records ...[]byte) []byte {
		fs := vfs.NewMem()
		w, err := fs.Create("f", diskCategory)
		must(f, err)
		info := &localFile{path: "f", epoch: 1, number: 2}
		lw := newLogWriter(&logFile{info: info, f: w, log: &Log{wake: make(chan struct{}, 1)}})
		for _, r := range append([][]byte{info.header(o)}, records...) {
			_, err := lw.WriteRecord(r)
			must(f, err)
		}
		must(f, lw.Close())
		return readAll(f, fs, "f")
	}
	f.Add(build(f))
	f.Add(build(f, batchOf(1, 1, "k=v"), batchOf(2, 1, "k="+strings.Repeat("v", 40_000)), NewSeal(Header{First: 3}, []byte("m"))))
	f.Add(build(f, []byte{1}, nil))
	// What is fuzzed is put behind the checksums: the second argument is written as records into an intact file.
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, content := range [][]byte{b, build(t, slices.Collect(slices.Chunk(b, 60))...)} {
			fs := vfs.NewMem()
			writeAll(t, fs, "f", content)
			total := 0
			_, err := scanFile(fs, lf, o, false, func(f Frame, _ int64) error {
				total += len(f)
				return nil
			})
			if total > len(content) {
				t.Fatal(fmt.Errorf("%d bytes of frames in a file of %d: %w", total, len(content), err))
			}
		}
	})
}
