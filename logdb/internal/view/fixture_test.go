package view

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/logdb-go/logdb/listing"
	"github.com/logdb-go/logdb/logdb/internal/memtable"
	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
	"github.com/logdb-go/logdb/wal"
)

// fixture is a log that is written by hand, table by table, and the model of
// what it holds.
type fixture struct {
	t      *testing.T
	bucket *objstore.Meter
	view   *View
	model  map[string][]Entry
	next   uint64 // sequence
	timeMs int64
	tables uint64
	frames []wal.Frame // of the segment being written
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, bucket: objstore.NewMeter(objstore.NewMem()), model: map[string][]Entry{}, timeMs: 1_700_000_000_000}
	f.view = &View{Store: &Store{Log: objstore.NewID(), Source: f.bucket}}
	f.coldCache()
	return f
}

// coldCache makes the next read of everything a read of the bucket.
func (f *fixture) coldCache() {
	c := segment.NewCache(64<<20, 64<<20)
	f.view.Store.Cache = c
	f.t.Cleanup(func() {
		if s := c.Stats(); s.Pinned != 0 {
			f.t.Errorf("%d tables were never closed", s.Pinned)
		}
		c.Close()
	})
}

// append adds one batch to the model and to the frames of the present segment.
func (f *fixture) append(kv ...string) {
	fr := wal.AppendBatch(nil, len(kv)/2, func(i int) (key, value []byte) { return []byte(kv[2*i]), []byte(kv[2*i+1]) })
	fr.Stamp(f.next, f.timeMs, f.segment(), 0)
	for i := 0; i < len(kv); i += 2 {
		e := Entry{Key: []byte(kv[i]), Sequence: f.next, TimeMs: f.timeMs, Value: []byte(kv[i+1])}
		f.model[kv[i]] = append(f.model[kv[i]], e)
		f.next++
	}
	f.frames = append(f.frames, fr)
}

func (f *fixture) segment() uint64 { return uint64(len(f.view.Segments)) }

// memtable makes one of the frames appended since the last part.
func (f *fixture) memtable() *memtable.Table {
	start := f.next
	if len(f.frames) > 0 {
		start = f.frames[0].Header().First
	}
	m := memtable.New(f.segment(), 0, start)
	m.ApplyAll(f.frames)
	f.frames = nil
	return m
}

// keepInMemory adds what was appended as a memtable.
func (f *fixture) keepInMemory() *memtable.Table {
	m := f.memtable()
	f.view.Parts = append(f.view.Parts, Part{Mem: m, Lo: m.Start(), Hi: math.MaxUint64})
	return m
}

// flush adds what was appended as a table.
func (f *fixture) flush() { f.flushInto(1) }

// flushInto adds what was appended as a sorted run of up to n tables.
func (f *fixture) flushInto(n int) {
	m := f.memtable()
	if m.Records() == 0 {
		return
	}
	per := (m.KeyCount() + n - 1) / n
	for s := m.Flush(); ; {
		t, ok := f.build(s, per)
		if !ok {
			return
		}
		f.addTable(t)
	}
}

func (f *fixture) addTable(t segment.Table) {
	f.view.Parts = append(f.view.Parts, Part{Table: &t, Lo: t.Start, Hi: t.End})
}

// build puts a table of the next keys.
func (f *fixture) build(s *memtable.Sorted, keys int) (segment.Table, bool) {
	rest := *s
	w := f.writer()
	n := 0
	for ; n < keys && s.Next(); n++ {
		f.check(w.AddListing(s.Key(), listing.Append(nil, s.Listing())))
	}
	if n == 0 {
		_, _, _ = w.Finish()
		return segment.Table{}, false
	}
	for range n {
		rest.Next()
		for it := rest.Entries(); it.Next(); {
			f.check(w.Add(rest.Key(), it.Sequence(), it.TimeMs(), 0, it.Value()))
		}
	}
	return f.put(w), true
}

func (f *fixture) writer() *segment.Writer {
	f.tables++
	return segment.NewWriter(segment.WriterOptions{
		Log: f.view.Store.Log, ID: segment.TableID{Epoch: 1, N: f.tables}, Nonce: objstore.NewID(), Segment: f.segment(), BlockBytes: 4 << 10,
	})
}

func (f *fixture) put(w *segment.Writer) segment.Table {
	data, t, err := w.Finish()
	f.check(err)
	_, err = f.bucket.Put(context.Background(), t.Name(), data, objstore.IfAbsent())
	f.check(err)
	return t
}

func (f *fixture) endSegment() {
	f.view.Segments = append(f.view.Segments, SegmentInfo{ID: f.segment(), End: f.next, Sealed: true})
}

func (f *fixture) check(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// gets runs do and returns how many reads of the bucket it made.
func (f *fixture) gets(do func()) int {
	before := f.bucket.Counts().Requests
	do()
	after := f.bucket.Counts().Requests
	n := 0
	for kind := range after {
		n += int(after[kind] - before[kind])
	}
	return n
}

// expect is what a scan should return, by the slowest possible way.
func (f *fixture) expect(key string, o ScanOptions) []Entry {
	var all []Entry
	for _, e := range f.model[key] {
		if e.Sequence >= o.Lo && e.Sequence < o.Hi && (!o.HasFromMs || e.TimeMs >= o.FromMs) {
			all = append(all, e)
		}
	}
	if o.Reverse {
		slices.Reverse(all)
	}
	bytes := uint64(0)
	for i, e := range all {
		if o.HasRecords && uint64(i) >= o.Records || o.HasBytes && bytes >= o.Bytes {
			return append([]Entry(nil), all[:i]...)
		}
		bytes += uint64(len(e.Value))
	}
	return all
}

// randomView writes segments in every state that a log may hold: flushed table
// by table, consolidated into a sorted run, and a tail in memory, partly flushed
// already.
func randomView(t *testing.T, rng *rand.Rand, keys []string) *fixture {
	f := newFixture(t)
	batches := func(n int) {
		for range n {
			var kv []string
			for range 1 + rng.IntN(8) {
				kv = append(kv, keys[rng.IntN(len(keys))], strings.Repeat("v", rng.IntN(300)))
			}
			if rng.IntN(3) == 0 {
				f.next += rng.Uint64N(100)
			}
			f.timeMs += rng.Int64N(3)
			f.append(kv...)
		}
	}
	for range 1 + rng.IntN(3) {
		if rng.IntN(2) == 0 {
			batches(60)
			f.flushInto(1 + rng.IntN(4))
		} else {
			for range rng.IntN(5) {
				batches(10)
				f.flush()
			}
		}
		f.endSegment()
	}
	partlyFlushed(f, batches)
	for range rng.IntN(3) {
		batches(10)
		f.keepInMemory()
	}
	return f
}

// partlyFlushed puts the older half of a memtable as a table and leaves the
// memtable in the view for the rest.
func partlyFlushed(f *fixture, batches func(int)) {
	batches(20)
	m := f.memtable()
	cut := m.Frames(0)[10].Header().First
	t, ok := f.build(m.FlushRange(0, cut), m.KeyCount())
	if !ok {
		f.t.Fatal("nothing flushed")
	}
	f.addTable(t)
	f.view.Parts = append(f.view.Parts, Part{Mem: m, Lo: cut, Hi: math.MaxUint64})
}

func hostileKeys() []string {
	keys := []string{"", "\x00", "\x00\x00", "\xff", "\xff\xff", "a", "a\x00", "a\x00b", "ab", "b", strings.Repeat("\xff", 100)}
	long := strings.Repeat("k", 64<<10-1)
	for i := range 20 {
		keys = append(keys, fmt.Sprintf("tenant/%02d", i), fmt.Sprintf("tenant/%02d/x", i))
	}
	return append(keys, long, long+"k", long[:64], long[:65])
}
