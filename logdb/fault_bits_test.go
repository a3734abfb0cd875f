package logdb

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logdb-go/logdb/objstore"
)

var faultsAll = flag.Bool("faults.all", false, "damage every bit, not one bit of each byte")

// bitsOf returns the bits to flip in byte i.
func bitsOf(i int) []int {
	if *faultsAll {
		return []int{0, 1, 2, 3, 4, 5, 6, 7}
	}
	return []int{(i*5 + 3) % 8}
}

// tinyOptions make a log whose every kind of object is a few hundred bytes.
func tinyOptions() Options {
	return Options{
		Memory: Memory{Memtable: 256 << 10, Cache: 1 << 20}, Limits: Limits{ValueBytes: 48 << 10, BatchBytes: 64 << 10},
		ShipInterval: time.Hour, FlushInterval: time.Hour, Segments: SegmentOptions{NoConsolidation: true},
	}
}

// tinyLog is a log that has an object of every kind: a sealed segment and an
// open one, records in tables that the manifest names, in a tables object and in
// data objects only, and a fence.
func tinyLog(t *testing.T) *objstore.Mem {
	b := objstore.NewMem()
	d := openLog(t, b, tinyOptions())
	mustAppend(t, d, Remote, "a", "1", "b", "2", "", "")
	if _, _, err := d.SealSegment(context.Background(), []byte("first")); err != nil {
		t.Fatal(err)
	}
	settled() // flushed, and in the manifest
	for i := range 3 {
		mustAppend(t, d, Applied, fmt.Sprint("key", i), strings.Repeat(fmt.Sprint(i), 45_000))
	}
	// Half of a memtable goes as a table at once; it compresses well.
	if err := <-d.control((*committer).rotate); err != nil {
		t.Fatal(err)
	}
	mustFlush(t, d)
	mustAppend(t, d, Remote, "a", "in the WAL only")
	crash(d)
	d = openLog(t, b, tinyOptions())
	mustAppend(t, d, Remote, "a", "3", "c", "4")
	crash(d)
	return b
}

// Whatever bit of whatever object is flipped, nothing that was not appended is
// read, nothing is left out without an error, the error names the object, and
// so does a check.
func TestEveryFlippedBitOfTheBucket(t *testing.T) {
	ctx := context.Background()
	var whole *objstore.Mem
	var want []Entry
	var names []string
	synctest.Test(t, func(t *testing.T) {
		whole = tinyLog(t)
		want = mustHistory(t, openReader(t, whole, ReaderOptions{RefreshInterval: -1}))
		kinds, size := map[string]int{}, int64(0)
		for info := range whole.List(ctx, "", "") {
			names = append(names, info.Name)
			kinds[kindOf(t, whole, info.Name)]++
			size += info.Size
		}
		for _, kind := range []string{"manifest", "table", "data", "tables", "fence"} {
			if kinds[kind] == 0 {
				t.Fatalf("the log has no %s: %v", kind, kinds)
			}
		}
		t.Logf("%v, %d bytes", kinds, size)
	})
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := copyBucket(t, whole)
				got, err := b.Get(ctx, name)
				if err != nil {
					t.Fatal(err)
				}
				flipped := 0
				for i := range got.Data {
					for _, bit := range bitsOf(i) {
						bad := bytes.Clone(got.Data)
						bad[i] ^= 1 << bit
						if _, err := b.Put(ctx, name, bad, objstore.Always()); err != nil {
							t.Fatal(err)
						}
						damaged(t, b, name, fmt.Sprintf("bit %d of byte %d of %s", bit, i, name), want)
						flipped++
					}
				}
				t.Logf("%d bits of %d bytes", flipped, len(got.Data))
			})
		})
	}
}

// damaged reads a bucket with one damaged object in every way there is.
func damaged(t *testing.T, b *objstore.Mem, name, what string, want []Entry) {
	found, _ := findings(t, b)
	if !slices.ContainsFunc(found, func(f *CorruptError) bool { return f.Object == name || strings.Contains(f.Err.Error(), name) }) {
		t.Errorf("%s: a check names %v", what, found)
	}
	r, err := OpenReader(context.Background(), b, ReaderOptions{RefreshInterval: -1, Cache: 1 << 20})
	if err == nil {
		err = readDamaged(t, r, what+", read by a reader", want)
		_ = r.Close()
	}
	namesObject(t, err, name, what+", read by a reader")
	d, err := Open(context.Background(), copyBucket(t, b), tinyOptions())
	if err == nil {
		err = readDamaged(t, d, what+", read by a writer", want)
		crash(d)
	}
	namesObject(t, err, name, what+", read by a writer")
}

// namesObject holds that an error, if there is one, is of the kind that damage
// has, and says where it is.
func namesObject(t *testing.T, err error, name, what string) {
	t.Helper()
	if err == nil {
		return
	}
	typed := errors.Is(err, objstore.ErrCorrupt) || errors.Is(err, objstore.ErrUnsupported)
	if !typed || !strings.Contains(err.Error(), name) {
		t.Errorf("%s: %v, want a typed error that names it", what, err)
	}
}

// readDamaged reads everything and returns the first error. What it gets is
// what was appended, and without an error it is all of that.
func readDamaged(t *testing.T, l LogRead, what string, want []Entry) (first error) {
	ctx := context.Background()
	note := func(err error) {
		if err != nil && first == nil {
			first = err
		}
	}
	left := map[string][]Entry{}
	for _, e := range want {
		left[string(e.Key)] = append(left[string(e.Key)], e)
	}
	keys := sortedKeys(left)
	var listed []string
	for k, err := range l.ListKeys(ctx, KeyOptions{}).All() {
		note(err)
		if err == nil {
			listed = append(listed, string(k.Key))
			if es := left[string(k.Key)]; uint64(len(es)) != k.Count || k.First != es[0].Sequence || k.Last != es[len(es)-1].Sequence {
				t.Errorf("%s: listed %+v", what, k)
			}
		}
	}
	for _, key := range keys {
		n, err := l.Count(ctx, []byte(key), Range{})
		note(err)
		if err == nil && n != uint64(len(left[key])) {
			t.Errorf("%s: count of %q is %d, want %d", what, key, n, len(left[key]))
		}
		for e, err := range l.Scan(ctx, []byte(key), Range{}, ScanOptions{}).All() {
			if note(err); err != nil {
				break
			}
			if es := left[key]; len(es) == 0 || es[0].Sequence != e.Sequence || !es[0].Time.Equal(e.Time) || string(es[0].Value) != string(e.Value) {
				t.Fatalf("%s: a scan of %q returns %d %.20q", what, key, e.Sequence, e.Value)
			}
			left[key] = left[key][1:]
		}
	}
	for _, key := range keys {
		if first == nil && (len(left[key]) > 0 || !slices.Contains(listed, key)) {
			t.Errorf("%s: no error, and %d entries of %q are missing, listed are %q", what, len(left[key]), key, listed)
		}
	}
	return first
}
