package logdb

import (
	"errors"
	"strings"
	"time"

	"github.com/logdb-go/logdb/logdb/internal/compact"
	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
	"github.com/logdb-go/logdb/segment"
	"github.com/logdb-go/logdb/wal"
)

func (s *stage) compactor(b objstore.Bucket, o CompactorOptions) *Compactor {
	o.hooks = hooks{off: s.off}
	c, err := OpenCompactor(s.ctx, b, o)
	s.must(err)
	s.closers = append(s.closers, c.Close)
	return c
}

// edits lets a process write the manifest once, to claim its epoch, and what
// becomes of later writes.
func edits(f objstoretest.Fault) []rule {
	return []rule{
		{objstoretest.Put, segment.ManifestName, 1, objstoretest.Fault{Kind: objstoretest.None}},
		{kind: objstoretest.Put, prefix: segment.ManifestName, fault: f},
	}
}

// lateMerge: a compactor has put its tables, and its edit is held up. The next
// one merges nothing, but finds them to be nobody's. The edit must not name
// what is gone.
func lateMerge(s *stage) {
	o := s.options(nil)
	o.ExternalCompactor = true
	a := s.open(s.bucket, o)
	for _, v := range []string{"0", "1", "2"} {
		s.append(a, Remote, v)
		s.rotate(a)
	}
	_, _, err := a.SealSegment(s.ctx, nil)
	s.must(err)
	time.Sleep(time.Second) // the seal is in the manifest
	way := s.way(edits(objstoretest.Fault{Kind: objstoretest.Slow, Gate: "edit"})...)
	late := s.compactor(way, CompactorOptions{})
	merged := make(chan error, 1)
	go func() { merged <- late.Compact(s.ctx) }()
	<-way.Arrived("edit")
	next := s.compactor(s.bucket, CompactorOptions{NoConsolidation: true})
	s.must(next.Compact(s.ctx))
	s.must(next.Collect(s.ctx))
	way.Open("edit")
	err = <-merged
	s.whole()
	s.need(errors.Is(err, ErrFenced), "the late merge ends with %v, want ErrFenced", err)
	s.shows(s.reader(s.bucket, ReaderOptions{}), "0", "1", "2")
}

// mergeElsewhere: an edit whose inputs are not in its base is none.
func mergeElsewhere(s *stage) {
	tables := func(ns ...uint64) (out []segment.Table) {
		for _, n := range ns {
			out = append(out, segment.Table{Segment: 1, ID: segment.TableID{Epoch: 1, N: n}})
		}
		return out
	}
	job, h := compact.Job{Segment: 1, Tables: tables(1, 2)}, &hooks{off: s.off}
	for _, there := range [][]uint64{{}, {1}, {2, 1}, {1, 3, 2}, {3}} {
		m := &segment.Manifest{Segments: []segment.Segment{{ID: 1, Tables: tables(there...)}}}
		err := mergeEdit(m, job, tables(9), h)
		s.need(errors.Is(err, errGone), "a merge of 1 and 2 onto tables %v: %v", there, err)
	}
	err := mergeEdit(&segment.Manifest{}, job, tables(9), h)
	s.need(errors.Is(err, errGone), "a merge into a segment that is gone: %v", err)
}

// trickling are options under which a memtable goes partly as data and partly
// as a table that the WAL names.
func (s *stage) trickling() Options {
	o := s.options(nil)
	o.Limits, o.Memory.Memtable = Limits{ValueBytes: 64 << 10, BatchBytes: 64 << 10}, 512<<10
	o.ShipInterval, o.FlushInterval, o.CollectGrace = 10*time.Second, time.Minute, time.Minute
	o.ExternalCompactor = true
	return o
}

// trickle appends ten records; the last WAL object is one that names tables.
func (s *stage) trickle(d *LogDb) {
	s.append(d, Applied, "0")
	time.Sleep(20 * time.Second)
	for range 9 {
		s.append(d, Applied, strings.Repeat("v", 50<<10))
		settled()
	}
}

// unfinishedRecovery: A has put a table, and the object that names it is held
// up. B has taken the next epoch and not yet put its fence. The table is of an
// older epoch than the manifest's and nobody names it, but A's object may yet
// land below the fence.
func unfinishedRecovery(s *stage) {
	last := wal.ObjectName(1, 2)
	way := s.way(append(edits(objstoretest.Fault{Kind: objstoretest.Refuse}), gated(objstoretest.Put, last, "tables"))...)
	a := s.open(way, s.trickling())
	s.trickle(a)
	go func() { _ = a.Flush(s.ctx) }()
	<-way.Arrived("tables")
	fence := s.way(gated(objstoretest.Put, last, "fence"))
	_, answer := s.opening(fence, s.trickling())
	<-fence.Arrived("fence")
	s.must(s.compactor(s.bucket, CompactorOptions{}).Collect(s.ctx))
	way.Open("tables")
	settled()
	got, err := s.bucket.Get(s.ctx, last)
	s.must(err)
	obj, err := wal.DecodeObject(last, got.Data)
	s.must(err)
	s.arranged(obj.Kind == wal.Tables, "%s is a %v object", last, obj.Kind)
	fence.Open("fence")
	s.must(<-answer)
	d := s.open(s.bucket, s.trickling())
	n, err := d.Count(s.ctx, []byte("k"), Range{})
	s.must(err)
	s.need(n == 10, "%d entries, want 10", n)
	s.must(d.Close())
	s.whole()
}

// sweepElsewhere: tables that the next writer has recovered are named by the
// WAL alone while its edit is held up. Another process's sweep sees that.
func sweepElsewhere(s *stage) {
	refused := objstoretest.Fault{Kind: objstoretest.Refuse}
	a := s.open(s.way(edits(refused)...), s.trickling())
	s.trickle(a)
	s.must(a.Flush(s.ctx))
	s.crash(a)
	d := s.open(s.way(edits(refused)...), s.trickling())
	adopted := 0
	for _, g := range d.state.generations() {
		if g.mem == nil {
			adopted += len(g.late)
		}
	}
	s.arranged(adopted > 0, "no tables object")
	s.must(s.compactor(s.bucket, CompactorOptions{}).Collect(s.ctx))
	s.crash(d)
	n, err := s.reader(s.bucket, ReaderOptions{}).Count(s.ctx, []byte("k"), Range{})
	s.must(err)
	s.need(n == 10, "%d entries, want 10", n)
}

// staleReader: a compactor merges what a reader has in its view, which is not
// two minutes old.
func staleReader(s *stage) {
	o := s.options(nil)
	o.ExternalCompactor = true
	a := s.open(s.bucket, o)
	for _, v := range []string{"0", "1", "2"} {
		s.append(a, Remote, v)
		s.rotate(a)
	}
	_, _, err := a.SealSegment(s.ctx, nil)
	s.must(err)
	time.Sleep(time.Second) // the seal is in the manifest
	r := s.reader(s.bucket, ReaderOptions{RefreshInterval: -1})
	old := r.snapshot.Load().view
	c := s.compactor(s.bucket, CompactorOptions{})
	go func() { _ = c.Run(s.ctx) }()
	time.Sleep(90 * time.Second)
	n, err := old.Count(s.ctx, []byte("k"), 0, 3)
	s.must(err)
	s.need(n == 3, "%d entries, want 3", n)
	time.Sleep(2 * time.Minute)
	s.need(!s.there(old.Parts[0].Table.Name()), "the merge's inputs were not deleted")
	s.shows(r, "0", "1", "2")
}

// sweepMerging: a merge has put its tables, and sweeps of this process and of
// the writer's pass while its edit is held up.
func sweepMerging(s *stage) {
	o := s.options(nil)
	o.Segments.NoConsolidation, o.CollectGrace = true, time.Minute
	a := s.open(s.bucket, o)
	for _, v := range []string{"0", "1", "2"} {
		s.append(a, Remote, v)
		s.rotate(a)
	}
	_, _, err := a.SealSegment(s.ctx, nil)
	s.must(err)
	time.Sleep(time.Second) // the seal is in the manifest
	way := s.way(edits(objstoretest.Fault{Kind: objstoretest.Slow, Gate: "edit"})...)
	c := s.compactor(way, CompactorOptions{CollectGrace: time.Minute})
	ran := make(chan error, 1)
	go func() { ran <- c.Run(s.ctx) }()
	<-way.Arrived("edit")
	time.Sleep(48 * time.Hour)
	way.Open("edit")
	time.Sleep(time.Minute)
	select {
	case err := <-ran:
		s.need(false, "the compactor ended: %v", err)
	default:
	}
	m, _, err := readManifest(s.ctx, s.bucket, a.retry("test"))
	s.must(err)
	s.need(m.Segments[0].Consolidated, "nothing was merged")
	s.whole()
	s.shows(s.reader(s.bucket, ReaderOptions{}), "0", "1", "2")
}
