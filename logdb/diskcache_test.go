package logdb

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// readCosts scans keys and returns how many reads of tables that took.
func readCosts(t *testing.T, b *objstoretest.Requests, r LogRead, keys int) int {
	t.Helper()
	b.Reset()
	for i := range keys {
		if n := len(scanAll(t, r, fmt.Sprintf("key %d", i), Range{}, ScanOptions{})); n != 1 {
			t.Fatalf("key %d has %d entries, want 1", i, n)
		}
	}
	return b.Count(objstoretest.GetRange, "seg/")
}

// A reader that starts anew beside its disk cache asks the bucket for nothing
// that it had read before, and for everything when the directory is
// gone, is another process's, or holds rubbish.
func TestReaderKeepsWhatItReadsOnDisk(t *testing.T) {
	const keys = 200
	b, dir := counted(), filepath.Join(t.TempDir(), "cache")
	d := openLog(t, b, Options{})
	for i := range keys {
		mustAppend(t, d, Applied, fmt.Sprintf("key %d", i), strings.Repeat("v", 3000))
	}
	mustSeal(t, d)
	closeLog(t, d)
	o := ReaderOptions{RefreshInterval: -1, DiskCache: DiskCache{Dir: dir, Bytes: 16 << 20}}
	for pass := range 3 {
		r := openReader(t, b, o)
		cost := readCosts(t, b, r, keys)
		m := r.Metrics().Cache
		switch {
		case pass == 0 && (cost == 0 || m.DiskHits != 0):
			t.Errorf("a cold reader made %d reads, %+v", cost, m)
		case pass > 0 && (cost != 0 || m.DiskHits == 0 || m.DiskBytes == 0 || m.DiskFailures != 0):
			t.Errorf("a later reader made %d reads, %+v", cost, m)
		}
		if _, err := OpenReader(t.Context(), b, o); err == nil {
			t.Error("two readers have one directory")
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if cost := readCosts(t, b, openReader(t, b, o), keys); cost == 0 {
		t.Error("the directory is gone, and nothing was read")
	}
}

// A writer may have one, too.
func TestWriterKeepsWhatItReadsOnDisk(t *testing.T) {
	b := counted()
	o := Options{WALDir: "wal", fs: disk(), DiskCache: DiskCache{Dir: "cache"}}
	d := openLog(t, b, o)
	mustAppend(t, d, Local, "key 0", "v")
	mustRotate2(t, d)
	for range 2 {
		readCosts(t, b, d, 1)
	}
	if m := d.Metrics().Cache; m.DiskBudget != 4<<30 || m.DiskBytes == 0 {
		t.Errorf("%+v", m)
	}
	closeLog(t, d)
	if _, err := Open(t.Context(), b, Options{DiskCache: DiskCache{Dir: "cache", Bytes: 1}, fs: o.fs}); err == nil {
		t.Error("a disk cache of one byte was opened")
	}
}

// mustRotate2 is mustRotate outside of a bubble.
func mustRotate2(t testing.TB, d *LogDb) {
	t.Helper()
	err := <-d.control((*committer).rotate)
	if err == nil {
		err = d.flushed.wait(t.Context(), d.applied.get())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A scan of one key that is much larger than the block cache leaves the blocks
// of other keys, which are read all the time, where they are.
func TestScanDoesNotFloodTheCache(t *testing.T) {
	const keys = 20
	b := objstoretest.NewRequests(objstore.NewMem())
	d := openLog(t, b, Options{Limits: Limits{ValueBytes: 1 << 20, BatchBytes: 4 << 20}})
	for i := range keys {
		mustAppend(t, d, Applied, fmt.Sprintf("key %d", i), strings.Repeat("v", 30_000))
	}
	for range 100 {
		var pairs []string
		for range 100 {
			pairs = append(pairs, "big", strings.Repeat("big", 1000))
		}
		mustAppend(t, d, Applied, pairs...)
	}
	mustSeal(t, d)
	closeLog(t, d)
	r := openReader(t, b, ReaderOptions{RefreshInterval: -1, Cache: 4 << 20})
	for range 5 {
		readCosts(t, b, r, keys)
	}
	if n := readCosts(t, b, r, keys); n != 0 {
		t.Fatalf("the hot set is not in the cache before the scan: %d reads", n)
	}
	if n := len(scanAll(t, r, "big", Range{}, ScanOptions{})); n != 10_000 {
		t.Fatalf("%d entries", n)
	}
	if n := readCosts(t, b, r, keys); n > keys/10 {
		t.Errorf("after a scan of 30 MB through a cache of 4, %d of %d hot keys are read again", n, keys)
	}
}
