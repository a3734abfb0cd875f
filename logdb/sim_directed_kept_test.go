package logdb

import (
	"context"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
	"github.com/logdb-go/logdb/segment"
	"github.com/logdb-go/logdb/wal"
)

func always() objstore.Condition { return objstore.Always() }

// killedAtFence opens from a disk, kills the process when its epoch is taken
// and its fence is not yet, and returns the disk.
func (s *stage) killedAtFence(fs *vfs.MemFS) *vfs.MemFS {
	way := s.way(gated(objstoretest.Put, "wal/", "fence"))
	kill, answer := s.opening(way, s.options(fs))
	<-way.Arrived("fence")
	left := fs.CrashClone(vfs.CrashCloneCfg{})
	kill()
	s.need(<-answer != nil, "an open was killed and ended well")
	return left
}

// killedTwice: what was acknowledged at Local survives any number of kills
// while its own directory opens the log again.
func killedTwice(s *stage) {
	fs := disk()
	a := s.open(s.way(rule{kind: objstoretest.Put, prefix: "wal/", fault: objstoretest.Fault{Kind: objstoretest.Refuse}}), s.options(fs))
	s.append(a, Local, "0", "1")
	fs = s.killedAtFence(s.killedAtFence(s.crashed(a, fs)))
	d := s.open(s.bucket, s.options(fs))
	s.need(d.Lost() == Lost{}, "lost %+v", d.Lost())
	s.shows(d, "0", "1")
}

// limitOfOlderRun: directory 1 held the log, then directory 2 did and showed
// higher sequences. Directory 1 comes back and is killed before it has stored
// a limit; its old one says nothing of what directory 2 showed.
func limitOfOlderRun(s *stage) {
	one := disk()
	a := s.open(s.bucket, s.options(one))
	s.append(a, Remote, "a")
	one = s.crashed(a, one)
	mine := "wal/0000000002" // its fence has a number of epoch 1
	b := s.open(s.way(rule{kind: objstoretest.Put, prefix: mine, fault: objstoretest.Fault{Kind: objstoretest.Refuse}}), s.options(disk()))
	shown := s.append(b, Applied, "lost")
	s.crash(b)
	one = s.killedAtFence(one)
	d := s.open(s.bucket, s.options(one))
	got := s.append(d, Remote, "d")
	s.need(got.First >= shown.Next, "sequence %d is given after %d was shown", got.First, shown.First)
}

// appliedReadLost: a consumer has read what a crash then takes back. Its
// cursor must not skip what comes instead.
func appliedReadLost(s *stage) {
	fs := disk()
	a := s.open(s.way(rule{kind: objstoretest.Put, prefix: "wal/", fault: objstoretest.Fault{Kind: objstoretest.Refuse}}), s.options(fs))
	s.append(a, Local, "0")
	s.append(a, Applied, "lost")
	it := a.Scan(s.ctx, []byte("k"), Range{}, ScanOptions{})
	for it.Next() {
	}
	cursor := it.NextSequence()
	_ = it.Close()
	d := s.open(s.bucket, s.options(s.crashed(a, fs)))
	s.shows(d, "0")
	s.append(d, Remote, "1")
	n, err := d.Count(s.ctx, []byte("k"), From(cursor))
	s.must(err)
	s.need(n == 1, "a cursor at %d gets %d entries, want 1", cursor, n)
}

// sweepHeld: a memtable went partly as data, partly as a table that the WAL
// names; the edit that names it in the manifest takes longer than two passes of
// a sweep of the next writer. It has each record once, and the table stays.
func sweepHeld(s *stage) {
	o := s.options(nil)
	o.Limits, o.Memory.Memtable = Limits{ValueBytes: 64 << 10, BatchBytes: 64 << 10}, 512<<10
	o.ShipInterval, o.FlushInterval, o.CollectGrace = 10*time.Second, time.Minute, time.Minute
	named := rule{kind: objstoretest.Put, prefix: segment.ManifestName, fault: objstoretest.Fault{Kind: objstoretest.Refuse}}
	first := named
	first.attempt, first.fault.Kind = 1, objstoretest.None
	a := s.open(s.way(first, named), o)
	value := strings.Repeat("v", 50<<10)
	s.append(a, Applied, "0")
	time.Sleep(20 * time.Second)
	for range 9 {
		s.append(a, Applied, value)
		settled() // the first goes as data at once, the others wait for it
	}
	s.must(a.Flush(s.ctx))
	s.crash(a)
	slow := named
	slow.fault = objstoretest.Fault{Kind: objstoretest.Slow, Gate: "edit"}
	way := s.way(first, slow)
	d := s.open(way, o)
	adopted := 0
	for _, g := range d.state.generations() {
		if g.mem == nil {
			adopted += len(g.late)
		}
	}
	s.arranged(adopted > 0, "no tables object")
	time.Sleep(10 * time.Minute)
	way.Open("edit")
	time.Sleep(time.Hour)
	s.must(d.Err())
	n, err := s.reader(s.bucket, ReaderOptions{}).Count(s.ctx, []byte("k"), Range{})
	s.must(err)
	s.need(n == 10, "%d entries, want 10", n)
	s.whole()
}

// sweepUnnamed: a merge has put its table and takes longer than two passes of
// a sweep to name it.
func sweepUnnamed(s *stage) {
	o := s.options(nil)
	o.CollectGrace, o.Segments.NoConsolidation = time.Minute, true
	a := s.open(s.bucket, o)
	for _, v := range []string{"0", "1", "2"} {
		s.append(a, Remote, v)
		s.rotate(a)
	}
	_, _, err := a.SealSegment(s.ctx, nil)
	s.must(err)
	s.must(a.Close())
	o.Segments.NoConsolidation = false
	edit := gated(objstoretest.Put, segment.ManifestName, "edit")
	claim := rule{objstoretest.Put, segment.ManifestName, 1, objstoretest.Fault{Kind: objstoretest.None}}
	list := rule{kind: objstoretest.List, fault: objstoretest.Fault{Kind: objstoretest.Slow, Delay: 5 * time.Second}}
	way := s.way(claim, edit, list)
	d := s.open(way, o)
	time.Sleep(10 * time.Minute)
	way.Open("edit")
	time.Sleep(time.Hour)
	s.must(d.Err())
	s.need(d.state.manifest().Segments[0].Consolidated, "the segment is not consolidated")
	s.whole()
	s.shows(s.reader(s.bucket, ReaderOptions{}), "0", "1", "2")
}

// whole fails unless every table that the manifest names is there.
func (s *stage) whole() {
	got, err := s.bucket.Get(s.ctx, segment.ManifestName)
	s.must(err)
	m, err := segment.DecodeManifest(got.Data)
	s.must(err)
	for i := range m.Segments {
		for _, t := range m.Segments[i].Tables {
			s.need(s.there(t.Name()), "%s is named and gone", t.Name())
		}
	}
}

// freshReader: a reader has read the manifest and not yet the WAL when that is
// flushed. What was remote before it came must be in its first view.
func freshReader(s *stage) {
	a := s.open(s.bucket, s.options(nil))
	s.append(a, Remote, "0")
	s.append(a, Remote, "1")
	way := s.way(gated(objstoretest.Get, "wal/", "wal"))
	opened := make(chan error, 1)
	var r *LogDbReader
	go func() {
		var err error
		r, err = OpenReader(s.ctx, way, ReaderOptions{RefreshInterval: -1, hooks: hooks{off: s.off}})
		opened <- err
	}()
	<-way.Arrived("wal")
	s.rotate(a)
	time.Sleep(10 * time.Second)
	way.Open("wal")
	s.must(<-opened)
	s.readers = append(s.readers, r)
	s.shows(r, "0", "1")
}

// frozenReader is the bucket of a process that can be stopped: while it is,
// answers arrive and it does not notice that its contexts end.
type frozenReader struct {
	objstore.Reader
	name    string
	reached chan struct{}
	goOn    chan struct{}
}

func (f *frozenReader) Get(ctx context.Context, name string) (objstore.Object, error) {
	if name == f.name {
		select {
		case <-f.goOn:
		default:
			close(f.reached)
			<-f.goOn
			ctx = context.WithoutCancel(ctx)
		}
	}
	return f.Reader.Get(ctx, name)
}

// stalledRefresh: a reader is stopped inside a refresh, before it asks for a
// number. Meanwhile that is written, flushed and collected, and the late
// fence of an open that came to nothing lies there. Where it leads to is not
// the log.
func stalledRefresh(s *stage) {
	a := s.open(s.bucket, s.options(nil))
	s.append(a, Remote, "a0")
	frozen := &frozenReader{Reader: s.bucket, name: wal.ObjectName(1, 1), reached: make(chan struct{}), goOn: make(chan struct{})}
	opened := make(chan error, 1)
	var r *LogDbReader
	go func() {
		var err error
		r, err = OpenReader(s.ctx, frozen, ReaderOptions{RefreshInterval: -1, hooks: hooks{off: s.off}})
		opened <- err
	}()
	<-frozen.reached
	s.append(a, Remote, "a1")
	c := s.open(s.bucket, s.options(nil))
	s.append(c, Remote, "c0")
	s.rotate(c)
	time.Sleep(time.Hour)
	s.arranged(!s.there(wal.ObjectName(1, 1)), "object 1 was not collected")
	s.forge(wal.EncodeFence(wal.ObjectHeader{
		Kind: wal.Fence, Log: a.logID, At: wal.Position{Epoch: 1, Number: 1}, Nonce: objstore.NewID(), Start: 1, End: 1, Next: wal.Position{Epoch: 9},
	}), 1, 1)
	s.forge(wal.AppendData(nil, wal.ObjectHeader{
		Kind: wal.Data, Log: a.logID, At: wal.Position{Epoch: 9}, Nonce: objstore.NewID(), Start: 1, End: 2,
	}, []wal.Frame{forged(1, "dead")}), 9, 0)
	close(frozen.goOn)
	if err := <-opened; err != nil { // it noticed how late it is: as good
		r = s.reader(s.bucket, ReaderOptions{})
	} else {
		s.readers = append(s.readers, r)
	}
	s.shows(r, "a0", "a1", "c0")
}

func (s *stage) forge(body []byte, epoch, number uint64) {
	_, err := s.bucket.Put(s.ctx, wal.ObjectName(epoch, number), body, always())
	s.must(err)
}

func forged(at uint64, value string) wal.Frame {
	f := wal.AppendBatch(nil, 1, func(int) (key, v []byte) { return []byte("k"), []byte(value) })
	f.Stamp(at, 1, 1, 0)
	return f
}

// manifestMoved: the header of a WAL object says that the manifest moved. The
// refresh that meets it reads that, too, and lets go of what is in tables.
func manifestMoved(s *stage) {
	a := s.open(s.bucket, s.options(nil))
	s.append(a, Remote, "0")
	r := s.reader(s.bucket, ReaderOptions{RefreshInterval: -1})
	s.rotate(a)
	s.append(a, Remote, "1")
	s.must(r.Refresh(s.ctx))
	got, want := r.snapshot.Load().version, a.state.manifest().Version
	s.need(got == want, "the reader has manifest version %d, want %d", got, want)
	s.shows(r, "0", "1")
}

// gap: an object starts above what a reader has. It is not applied, for what
// lies between may be anywhere.
func gap(s *stage) {
	a := s.open(s.bucket, s.options(nil))
	s.append(a, Remote, "0")
	r := s.reader(s.bucket, ReaderOptions{RefreshInterval: -1})
	s.forge(wal.AppendData(nil, wal.ObjectHeader{
		Kind: wal.Data, Log: a.logID, At: wal.Position{Epoch: 1, Number: 1}, Nonce: objstore.NewID(), Start: 5, End: 6,
	}, []wal.Frame{forged(5, "beyond")}), 1, 1)
	s.must(r.Refresh(s.ctx))
	s.need(r.Frontier() == 1, "the frontier is %d, want 1", r.Frontier())
	s.shows(r, "0")
}

// flushElsewhere: an edit that does not start where the manifest ends is none.
func flushElsewhere(s *stage) {
	h := &hooks{off: s.off}
	m := &segment.Manifest{Flushed: 5, NextSegment: 1}
	s.need(flushEdit(m, &generation{segment: 1, start: 3, end: 9}, h) != nil, "a flush of [3,9) went onto a manifest flushed to 5")
	s.need(flushEdit(m, &generation{segment: 1, start: 7, end: 9}, h) != nil, "a flush of [7,9) went onto a manifest flushed to 5")
}
