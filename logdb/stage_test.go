package logdb

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// outageOptions are those of a log whose memtables hold a few of siege's
// batches.
func outageOptions(fs vfs.FS) Options {
	return Options{
		WALDir: "wal", fs: fs, LocalBytes: 64 << 20,
		Memory: Memory{Memtable: 512 << 10, Cache: 1 << 20}, Limits: Limits{ValueBytes: 64 << 10, BatchBytes: 64 << 10},
	}
}

// siege appends batches of 32 KiB at Local to three keys until the log has so
// many, and returns when the last one was acknowledged.
func siege(t *testing.T, d *LogDb, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if _, err := d.Append(context.Background(), siegeBatch(i), AppendOptions{Ack: Local}); err != nil {
			t.Fatalf("append %d: %v", i, err)
		}
	}
}

func siegeBatch(i int) []Record {
	value := append([]byte(fmt.Sprintf("%06d ", i)), make([]byte, 16<<10)...)
	_, _ = rand.NewChaCha8([32]byte{byte(i), byte(i >> 8)}).Read(value[7:]) // nothing to compress
	return []Record{{Key: []byte(siegeKeys[i%3]), Value: value}, {Key: []byte("all"), Value: value}}
}

var siegeKeys = []string{"a", "b", "c"}

// checkSiege reads what siege wrote: every batch once, in order, by key and
// counted.
func checkSiege(t *testing.T, who string, d LogRead, n int) {
	t.Helper()
	ctx := context.Background()
	i := 0
	for e, err := range d.Scan(ctx, []byte("all"), Range{}, ScanOptions{}).All() {
		if err != nil {
			t.Fatalf("%s: scan: %v", who, err)
		}
		if want := fmt.Sprintf("%06d ", i); !strings.HasPrefix(string(e.Value), want) {
			t.Fatalf("%s: entry %d begins with %q, want %q", who, i, e.Value[:7], want)
		}
		i++
	}
	if i != n {
		t.Fatalf("%s: %d entries, want %d", who, i, n)
	}
	total := uint64(0)
	for _, key := range siegeKeys {
		c, err := d.Count(ctx, []byte(key), Range{})
		if err != nil {
			t.Fatalf("%s: count %s: %v", who, key, err)
		}
		total += c
	}
	if total != uint64(n) {
		t.Errorf("%s: %d entries under %v, want %d", who, total, siegeKeys, n)
	}
}

func stagedNames(t *testing.T, fs vfs.FS) (names []string) {
	t.Helper()
	all, err := fs.List("wal")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		if strings.Contains(name, ".staged") {
			names = append(names, name)
		}
	}
	return names
}

// While the bucket is away, Local appends go on for longer than memory lasts,
// everything is readable without a request, and memory stays within four
// memtables. When it is back, all of it arrives in order, without a restart,
// and the disk is given back.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, store := disk(), objstore.NewMem()
		b := objstoretest.NewFaulty(store, objstoretest.Plan{})
		d := openLog(t, b, outageOptions(fs))
		siege(t, d, 0, 5)
		b.Down(true)
		const n = 400 // 25 memtables
		siege(t, d, 5, n)
		time.Sleep(time.Second)
		if m := d.state.inMemory(); m > keptMemtables {
			t.Errorf("%d memtables, want at most %d", m, keptMemtables)
		}
		if got := stagedNames(t, fs); len(got) < 15 {
			t.Errorf("staged files: %v, want most of the 25 memtables", got)
		}
		if size := d.committer.log.Size(); size > 4<<20 {
			t.Errorf("%d bytes of WAL files, want those of what is not staged", size)
		}
		before := d.Metrics()
		checkSiege(t, "during the outage", d, n)
		if after := d.Metrics(); fmt.Sprint(after.Requests["get_range"]) != fmt.Sprint(before.Requests["get_range"]) {
			t.Errorf("reading cost requests: %v before, %v after", before.Requests, after.Requests)
		}
		if got, want := before.StagedBytes, d.dir.StagedBytes(); got != want || got == 0 {
			t.Errorf("metrics show %d staged bytes, want %d", got, want)
		}
		b.Down(false)
		mustFlush(t, d)
		checkSiege(t, "the bucket", openReader(t, store, ReaderOptions{}), n)
		closeLog(t, d)
		if got := stagedNames(t, fs); len(got) > 0 {
			t.Errorf("staged files are left: %v", got)
		}
		checkSiege(t, "the bucket, closed", openReader(t, store, ReaderOptions{}), n)
	})
}

// A writer killed in an outage finds on its disk what it acknowledged at
// Local, also when it comes up while the next outage lasts, and ships it.
func TestOutageAndCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, store := disk(), objstore.NewMem()
		b := objstoretest.NewFaulty(store, objstoretest.Plan{})
		n := 7
		for life := range 3 {
			d := openLog(t, b, outageOptions(fs))
			checkSiege(t, fmt.Sprintf("life %d, as it opens", life), d, n*min(life, 1))
			siege(t, d, n*min(life, 1), n)
			b.Down(true)
			siege(t, d, n, n+150)
			if life == 1 {
				_, err := d.Append(context.Background(), siegeBatch(n+150), AppendOptions{Ack: Local})
				if err != nil {
					t.Fatal(err)
				}
				n++
			}
			n += 150
			left := fs.CrashClone(vfs.CrashCloneCfg{})
			crash(d)
			fs = left
			b.Down(false)
		}
		if got := stagedNames(t, fs); len(got) < 15 {
			t.Errorf("staged files: %v", got)
		}
		d := openLog(t, b, outageOptions(fs))
		checkSiege(t, "last life", d, n)
		mustFlush(t, d)
		closeLog(t, d)
		if got := stagedNames(t, fs); len(got) > 0 {
			t.Errorf("staged files are left: %v", got)
		}
		checkSiege(t, "the bucket", openReader(t, store, ReaderOptions{}), n)
	})
}

// A WAL object sent before the outage lands when the writer is dead: part of a
// staged stretch is in the bucket, and comes back once.
func TestStagedInPart(t *testing.T) { stagedInPart(t, false) }

// The same, and then an outage that begins before the part has its tables.
// Found by the simulation, seed 103278: the two files were both taken.
func TestStagedInPartTwice(t *testing.T) { stagedInPart(t, true) }

func stagedInPart(t *testing.T, again bool) {
	synctest.Test(t, func(t *testing.T) {
		fs, store := disk(), objstore.NewMem()
		b := objstoretest.NewFaulty(store, objstoretest.Plan{Hook: func(op objstoretest.Op) objstoretest.Fault {
			if op.Kind == objstoretest.Put && strings.HasPrefix(op.Name, "wal/") && op.Attempt == 1 {
				return objstoretest.Fault{Kind: objstoretest.ApplyLater, Gate: "late"}
			}
			return objstoretest.Fault{Kind: objstoretest.None}
		}})
		d := openLog(t, b, outageOptions(fs))
		siege(t, d, 0, 3)
		time.Sleep(300 * time.Millisecond) // an object is on its way
		b.Down(true)
		siege(t, d, 3, 200)
		left := fs.CrashClone(vfs.CrashCloneCfg{})
		crash(d)
		b.Open("late")
		b.Wait()
		b.Down(false)
		b = objstoretest.NewFaulty(store, objstoretest.Plan{Hook: func(op objstoretest.Op) objstoretest.Fault {
			if again && op.Kind == objstoretest.Put && (strings.HasPrefix(op.Name, "wal/0000000002") || strings.HasPrefix(op.Name, "seg/")) {
				return objstoretest.Fault{Kind: objstoretest.Refuse}
			}
			return objstoretest.Fault{Kind: objstoretest.None}
		}})
		d = openLog(t, b, outageOptions(left))
		if d.remote.get() == 0 {
			t.Fatal("nothing has landed: the test shows nothing")
		}
		checkSiege(t, "after the restart", d, 200)
		if !again {
			closeLog(t, d)
			checkSiege(t, "the bucket", openReader(t, store, ReaderOptions{}), 200)
			return
		}
		siege(t, d, 200, 300) // what came back as a memtable is staged a second time
		last := left.CrashClone(vfs.CrashCloneCfg{})
		crash(d)
		d = openLog(t, store, outageOptions(last))
		checkSiege(t, "after the second restart", d, 300)
		closeLog(t, d)
		checkSiege(t, "the bucket", openReader(t, store, ReaderOptions{}), 300)
	})
}

// A seal in an outage is a seal after it, and after a restart, too.
func TestSealInAnOutage(t *testing.T) {
	for _, restart := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			fs, store := disk(), objstore.NewMem()
			b := objstoretest.NewFaulty(store, objstoretest.Plan{})
			o := outageOptions(fs)
			o.Ack = Applied // a seal does not wait for the bucket
			d := openLog(t, b, o)
			b.Down(true)
			for i := range 10 {
				siege(t, d, 20*i, 20*i+20)
				if _, sealed, err := d.SealSegment(context.Background(), []byte{byte(i)}); err != nil || !sealed {
					t.Fatalf("seal %d: %v, %v", i, sealed, err)
				}
			}
			if restart {
				settled() // the last seal is on the disk
				o.fs = fs.CrashClone(vfs.CrashCloneCfg{})
				crash(d)
				b.Down(false)
				d = openLog(t, b, o)
			}
			b.Down(false)
			closeLog(t, d)
			r := openReader(t, store, ReaderOptions{})
			checkSiege(t, "the bucket", r, 200)
			segments, err := r.ListSegments(context.Background(), Range{})
			if err != nil || len(segments) != 10 {
				t.Fatalf("%d segments, %v", len(segments), err)
			}
			for i, s := range segments {
				if !s.Sealed || len(s.Metadata) != 1 || s.Metadata[0] != byte(i) || s.Records != 40 {
					t.Errorf("segment %d: %+v", i, s)
				}
			}
		})
	}
}

// With the disk budget used up appends fail, with a typed error and nothing
// written, until the bucket is back.
func TestDiskBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, store := disk(), objstore.NewMem()
		b := objstoretest.NewFaulty(store, objstoretest.Plan{})
		o := outageOptions(fs)
		o.LocalBytes = 4 << 20
		d := openLog(t, b, o)
		b.Down(true)
		n := fillUp(t, d)
		if used := d.dir.StagedBytes() + d.committer.log.Size(); used > o.LocalBytes+2*o.Memory.Memtable {
			t.Errorf("%d bytes on disk, budget %d", used, o.LocalBytes)
		}
		checkSiege(t, "with the disk full", d, n)
		b.Down(false)
		time.Sleep(time.Minute)
		siege(t, d, n, n+100)
		closeLog(t, d)
		checkSiege(t, "the bucket", openReader(t, store, ReaderOptions{}), n+100)
	})
}

// fillUp appends until the disk is full and returns how many appends were
// acknowledged.
func fillUp(t *testing.T, d *LogDb) int {
	t.Helper()
	for i := range 1000 {
		_, err := d.Append(context.Background(), siegeBatch(i), AppendOptions{Ack: Local})
		if errors.Is(err, ErrDiskFull) {
			if d.Err() != nil {
				t.Fatalf("the writer stopped: %v", d.Err())
			}
			return i
		}
		if err != nil {
			t.Fatalf("append %d: %v", i, err)
		}
	}
	t.Fatal("the disk was never full")
	return 0
}

// noStaging is a disk that has room for the WAL and for no staged file.
type noStaging struct {
	vfs.FS
	full func() bool
}

func (fs noStaging) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, c)
	if err == nil && strings.Contains(name, ".staged") && fs.full() {
		return fullFile{f}, nil
	}
	return f, err
}

type fullFile struct{ vfs.File }

func (f fullFile) Write(p []byte) (int, error) {
	n, _ := f.File.Write(p[:len(p)/2])
	return n, errors.New("no space left on device")
}

// A disk that is full while memtables are staged is no end: nothing is lost,
// the writer lives, and goes on when there is room.
func TestDiskFullWhileStaging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem, store, full := disk(), objstore.NewMem(), true
		b := objstoretest.NewFaulty(store, objstoretest.Plan{})
		d := openLog(t, b, outageOptions(noStaging{mem, func() bool { return full }}))
		b.Down(true)
		n := fillUp(t, d)
		if got := stagedNames(t, mem); len(got) > 0 {
			t.Errorf("files are left on the full disk: %v", got)
		}
		full = false
		time.Sleep(2 * stageAfter)
		siege(t, d, n, n+100)
		if len(stagedNames(t, mem)) == 0 {
			t.Error("nothing is staged although there is room")
		}
		b.Down(false)
		closeLog(t, d)
		checkSiege(t, "the bucket", openReader(t, store, ReaderOptions{}), n+100)
	})
}

// What a fenced writer had staged is set aside with its frames, reported, and
// can be read there: each record once.
func TestStagedIsLostToATakeover(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		o, store := outageOptions(vfs.Default), objstore.NewMem()
		o.WALDir = dir
		b := objstoretest.NewFaulty(store, objstoretest.Plan{})
		d := openLog(t, b, o)
		siege(t, d, 0, 4)
		mustFlush(t, d)
		b.Down(true)
		siege(t, d, 4, 200)
		crash(d)
		closeLog(t, openLog(t, store, outageOptions(disk())))
		d = openLog(t, store, o)
		if got := d.Lost(); got.Frames < 196 {
			t.Errorf("lost %+v, want 196 batches at least", got)
		}
		checkSiege(t, "after the takeover", d, 4)
		in, err := InspectWAL(dir)
		if err != nil || len(in.Lost) != 1 || len(in.Lost[0].Staged) < 5 {
			t.Fatalf("inspection: %+v, %v", in, err)
		}
		i := 4
		for e, err := range ReadWAL(in.Lost[0].Path) {
			if err != nil {
				t.Fatal(err)
			}
			if string(e.Key) != "all" || e.Sequence < 8 { // those of the first batches are in the log
				continue
			}
			if want := fmt.Sprintf("%06d ", i); !strings.HasPrefix(string(e.Value), want) {
				t.Fatalf("set aside: %q at %d, want %q", e.Value[:7], e.Sequence, want)
			}
			i++
		}
		if i != 200 {
			t.Errorf("set aside: batches up to %d, want 200", i)
		}
	})
}
