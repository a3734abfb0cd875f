package memtable

import (
	"bytes"
	"hash/maphash"
	"sort"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/logdb-go/logdb/listing"
	"github.com/logdb-go/logdb/wal"
)

// Table holds records of one segment, in frames of ascending sequence. See the
// package comment for who may call what at the same time.
type Table struct {
	segment, segmentStart, start uint64

	seed    maphash.Seed
	index   atomic.Pointer[hashIndex]
	streams chunks[stream]
	records chunks[record]
	frames  chunks[frame]

	draft  totals // of the applying goroutine, like ahead
	ahead  ahead
	public published

	ordering sync.Mutex // held while keys are sorted; guards nothing that Apply needs
	order    atomic.Pointer[order]
}

// frame is one applied frame.
type frame struct {
	data   wal.Frame
	first  uint64
	end    uint64
	timeMs int64
}

// totals are what the applying goroutine counts.
type totals struct {
	end             uint64
	records         uint64
	bytes, memory   int64
	firstMs, lastMs int64
}

// published are the totals that readers see, and how many frames and streams
// are theirs to look at.
type published struct {
	end             atomic.Uint64
	records         atomic.Uint64
	bytes, memory   atomic.Int64
	firstMs, lastMs atomic.Int64
	frames, streams atomic.Uint32
}

// New returns an empty table for records of one segment at or above start.
func New(segment, segmentStart, start uint64) *Table {
	t := &Table{segment: segment, segmentStart: segmentStart, start: start, seed: maphash.MakeSeed()}
	x := newHashIndex(firstHashBits)
	t.index.Store(x)
	t.draft.end = start
	t.draft.memory = int64(unsafe.Sizeof(*t)) + x.bytes()
	t.publish()
	return t
}

// Apply adds the records of a validated frame. The table keeps f, whose bytes
// must not change any more. Frames come in ascending sequence, at or above the
// table's end; the caller is the only one that applies.
//
// A frame of another kind than a batch holds no records and is kept for
// [Table.Frames] alone; a pad is ignored.
func (t *Table) Apply(f wal.Frame) {
	t.apply(f)
	t.publish()
}

// ApplyAll is Apply for the frames of one group commit. The table's end moves
// once, behind the last of them.
func (t *Table) ApplyAll(fs []wal.Frame) {
	for _, f := range fs {
		t.apply(f)
	}
	t.publish()
}

func (t *Table) apply(f wal.Frame) {
	h := f.Header()
	if h.Kind == wal.Pad {
		return
	}
	number := t.keep(f, h)
	if h.Kind != wal.Batch || h.Count == 0 {
		return
	}
	if t.draft.records == 0 {
		t.draft.firstMs = h.TimeMs
	}
	t.draft.lastMs = h.TimeMs
	t.draft.records += uint64(h.Count)
	t.draft.end = f.End()

	sequence := h.First
	for c := f.Cursor(); ; {
		group := t.ahead.fill(&c, t.seed)
		t.ahead.warm(t, group)
		for i := range group {
			t.add(&group[i], sequence, number)
			sequence++
		}
		if len(group) < len(t.ahead.pending) {
			return
		}
	}
}

func (t *Table) keep(f wal.Frame, h wal.Header) uint32 {
	number, e, grew := t.frames.grow()
	if grew {
		t.draft.memory += int64(unsafe.Sizeof(*e)) * chunkLen
	}
	*e = frame{data: f, first: h.First, end: f.End(), timeMs: h.TimeMs}
	t.draft.memory += int64(cap(f))
	return number
}

// add links one record to the end of its key's stream.
func (t *Table) add(p *pending, sequence uint64, frame uint32) {
	id, r, grew := t.records.grow()
	if grew {
		t.draft.memory += int64(unsafe.Sizeof(*r)) * chunkLen
	}
	r.sequence, r.frame, r.off = sequence, frame, p.off
	t.draft.bytes += int64(len(p.key) + p.valueBytes)

	s := t.find(p.hash, p.key)
	if s == nil {
		r.sum, r.jump = uint64(p.valueBytes), id
		t.addStream(p.hash, id, r)
		return
	}
	last := s.last.Load()
	tail := t.records.at(last)
	r.sum, r.depth = tail.sum+uint64(p.valueBytes), tail.depth+1
	r.prev, r.jump = last, t.jumpFrom(last, tail)
	tail.next.Store(id)
	s.last.Store(id)
}

func (t *Table) addStream(hash uint64, id uint32, r *record) {
	number, s, grew := t.streams.grow()
	if grew {
		t.draft.memory += int64(unsafe.Sizeof(*s)) * chunkLen
	}
	s.frame, s.off, s.first = r.frame, r.off, id
	s.last.Store(id)
	x := t.index.Load()
	if x.room == 0 {
		t.draft.memory -= x.bytes()
		x = x.grown()
		t.draft.memory += x.bytes()
		t.index.Store(x)
	}
	x.insert(hash, number)
}

// find returns the stream of key, nil when the key has none.
func (t *Table) find(hash uint64, key []byte) *stream {
	p := t.index.Load().probe(hash)
	for n := p.next(); n != 0; n = p.next() {
		if s := t.streams.at(n); bytes.Equal(t.keyOf(s), key) {
			return s
		}
	}
	return nil
}

func (t *Table) keyOf(s *stream) []byte {
	key, _ := t.frames.at(s.frame).data.At(s.off)
	return key
}

// publish shows readers what was applied. The end comes last: whoever sees it
// sees everything below it.
func (t *Table) publish() {
	d, p := &t.draft, &t.public
	p.frames.Store(max(t.frames.len, 1))
	p.streams.Store(max(t.streams.len, 1))
	p.records.Store(d.records)
	p.bytes.Store(d.bytes)
	p.memory.Store(d.memory)
	p.firstMs.Store(d.firstMs)
	p.lastMs.Store(d.lastMs)
	p.end.Store(d.end)
}

// Segment is the id of the segment whose records these are.
func (t *Table) Segment() uint64 { return t.segment }

// SegmentStart is the first sequence of the segment.
func (t *Table) SegmentStart() uint64 { return t.segmentStart }

// Start is the inclusive sequence that the table begins at.
func (t *Table) Start() uint64 { return t.start }

// End is the exclusive sequence below which every record that was applied can
// be read. It is Start while the table is empty.
func (t *Table) End() uint64 { return t.public.end.Load() }

// Records is the number of records applied.
func (t *Table) Records() uint64 { return t.public.records.Load() }

// Bytes is the sum of key and value bytes of the records applied.
func (t *Table) Bytes() int64 { return t.public.bytes.Load() }

// Memory is what the table holds on to in bytes: frames and index.
func (t *Table) Memory() int64 { return t.public.memory.Load() }

// FirstMs is the time of the first record in milliseconds since the epoch. It
// means nothing while Records is 0.
func (t *Table) FirstMs() int64 { return t.public.firstMs.Load() }

// LastMs is the time of the last record in milliseconds since the epoch. It
// means nothing while Records is 0.
func (t *Table) LastMs() int64 { return t.public.lastMs.Load() }

// KeyCount is the number of distinct keys.
func (t *Table) KeyCount() int { return int(t.public.streams.Load() - 1) }

// Frames returns the frames whose first sequence is at or above from, in
// order. The slice is the caller's, the frames are the table's.
func (t *Table) Frames(from uint64) []wal.Frame {
	n := t.public.frames.Load()
	i := t.firstFrame(n, func(f *frame) bool { return f.first >= from })
	fs := make([]wal.Frame, 0, n-i)
	for ; i < n; i++ {
		fs = append(fs, t.frames.at(i).data)
	}
	return fs
}

// SequenceAt returns the first sequence of the earliest batch whose time is at
// or after ms, and End when there is none. Times never fall with the sequence,
// so everything at or above it is at or after ms and nothing below it is.
func (t *Table) SequenceAt(ms int64) uint64 {
	end := t.End()
	n := t.public.frames.Load()
	i := t.firstFrame(n, func(f *frame) bool { return f.timeMs >= ms })
	if i == n {
		return end
	}
	return t.frames.at(i).first
}

func (t *Table) firstFrame(n uint32, ok func(*frame) bool) uint32 {
	return 1 + uint32(sort.Search(int(n-1), func(i int) bool { return ok(t.frames.at(uint32(i) + 1)) }))
}

// Listing sums up the records of key with sequences in [lo, hi). It reports
// false when there are none. The cost does not depend on their number.
func (t *Table) Listing(key []byte, lo, hi uint64) (listing.Listing, bool) {
	s := t.find(maphash.Bytes(t.seed, key), key)
	if s == nil {
		return listing.Listing{}, false
	}
	return t.listing(s, lo, hi)
}
