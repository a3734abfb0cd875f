package wal

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// nullFS swallows what is written to WAL files, so that the append path is measured and not the disk.
type nullFS struct{ *vfs.MemFS }

type nullFile struct{ vfs.File }

func (fs nullFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.MemFS.Create(name, c)
	if _, _, ok := parseFileName(fs.PathBase(name)); !ok || err != nil {
		return f, err
	}
	return nullFile{f}, nil
}

func (nullFile) Write(p []byte) (int, error) { return len(p), nil }

func TestAppendDoesNotAllocate(t *testing.T) {
	l, r := startLog(t, openTestDir(t, nullFS{vfs.NewMem()}), 1)
	defer l.Close()
	f := batchOf(0, 1, "key=a value of some length", "key=another one")
	next := uint64(0)
	step := func() {
		f.Stamp(next, 1, 1, 0)
		next += 2
		must(t, l.Append(f, next%64 == 0))
	}
	for range 100_000 { // until the writer has the blocks it needs
		step()
	}
	must(t, l.Sync())
	must(t, r.wait(next))
	if n := testing.AllocsPerRun(20_000, step); n >= 0.1 {
		t.Errorf("got %v allocations per append, want none", n)
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, disk := range []string{"null", "disk"} {
		for _, every := range []int{0, 1, 64} {
			for _, records := range []int{1, 100} {
				b.Run(fmt.Sprintf("%s/records=%d/syncEvery=%d", disk, records, every), func(b *testing.B) {
					var fs vfs.FS = nullFS{vfs.NewMem()}
					path := "wal"
					if disk == "disk" {
						fs, path = vfs.Default, b.TempDir()
					}
					benchmarkAppend(b, fs, path, records, every)
				})
			}
		}
	}
}

func benchmarkAppend(b *testing.B, fs vfs.FS, path string, records, every int) {
	d, err := OpenDir(fs, path)
	must(b, err)
	defer d.Close()
	l, r := startLog(b, d, 1)
	key, value := []byte("tenant-0001/device-000001"), make([]byte, 256)
	f := AppendBatch(nil, records, func(int) ([]byte, []byte) { return key, value })
	b.SetBytes(int64(len(f)))
	b.ReportAllocs()
	next, n := uint64(0), 0
	for b.Loop() {
		f.Stamp(next, 1, 1, 0)
		next += uint64(records)
		n++
		must(b, l.Append(f, every > 0 && n%every == 0))
		if n%(64<<20/len(f)) == 0 { // as a full memtable would
			must(b, l.Rotate())
		}
	}
	must(b, l.Sync())
	must(b, r.wait(next))
}
