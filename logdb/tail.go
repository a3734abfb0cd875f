package logdb

import (
	"github.com/logdb-go/logdb/logdb/internal/memtable"
	"github.com/logdb-go/logdb/logdb/internal/view"
	"github.com/logdb-go/logdb/segment"
	"github.com/logdb-go/logdb/wal"
)

// tail is what a reader knows above the manifest's flushed: runs of WAL
// objects, as memtables or as the tables that they name. Owned by the
// refresher; the views made of it are immutable but for memtables, which only
// grow beyond the view's frontier.
type tail struct {
	flushed, end uint64
	runs         []*tailRun
	segments     []view.SegmentInfo // of the tail, ascending; counts left out
	kept         *kept              // runs that are in tables now
}

// tailRun is one part of the tail.
type tailRun struct {
	start, end uint64
	segment    uint64
	mem        *memtable.Table
	tables     []segment.Table
	marks      []mark
}

// mark counts the batches of one WAL object, so that a run which is partly
// flushed is counted exactly.
type mark struct {
	end            uint64
	records, bytes uint64
	lastMs         int64
}

// runBytes is when a reader starts a new memtable: small enough that what was
// flushed leaves memory soon.
const runBytes = 8 << 20

// reset begins anew at flushed: behind a gap, or where all that is known is in
// tables.
func (t *tail) reset(flushed uint64) {
	if flushed == t.end {
		t.drop(flushed)
	} else {
		t.kept.restart(flushed)
	}
	*t = tail{flushed: flushed, end: flushed, kept: t.kept}
}

// drop moves the runs that are in tables now to those that are kept.
func (t *tail) drop(flushed uint64) {
	t.flushed = flushed
	for len(t.runs) > 0 && t.runs[0].end <= flushed {
		if r := t.runs[0]; r.mem != nil {
			t.kept.add(r.mem, r.end)
		} else {
			t.kept.restart(r.end)
		}
		t.runs[0] = nil // the slice goes on holding what is before it
		t.runs = t.runs[1:]
	}
}

// frames applies a data object and returns its batches.
func (t *tail) frames(obj wal.Object) ([]wal.Frame, error) {
	var batches []wal.Frame
	for f, err := range obj.Frames() {
		if err != nil {
			return nil, &CorruptError{Object: wal.ObjectName(obj.At.Epoch, obj.At.Number), Err: err}
		}
		h := f.Header()
		switch {
		case h.Kind == wal.Seal:
			t.seal(h, f)
		case h.First >= t.end:
			t.batch(h, f)
			batches = append(batches, f)
		}
	}
	t.end = max(t.end, obj.End)
	if n := len(t.runs); n > 0 && t.runs[n-1].mem != nil { // tables end where they end
		t.runs[n-1].end = t.end
	}
	return batches, nil
}

func (t *tail) batch(h wal.Header, f wal.Frame) {
	t.segment(h.Segment, h.SegmentStart, h.TimeMs)
	r := t.run(h)
	r.mem.Apply(f)
	if n := len(r.marks); n == 0 || r.marks[n-1].end <= t.end {
		r.marks = append(r.marks, mark{}) // the first batch of this object
	}
	m := &r.marks[len(r.marks)-1]
	m.end, m.records, m.bytes, m.lastMs = f.End(), m.records+uint64(h.Count), m.bytes+uint64(frameDataBytes(f)), h.TimeMs
	r.end = f.End()
}

// run returns the run that takes the next batch.
func (t *tail) run(h wal.Header) *tailRun {
	if n := len(t.runs); n > 0 {
		if r := t.runs[n-1]; r.mem != nil && r.segment == h.Segment && r.mem.Memory() < runBytes {
			return r
		}
	}
	r := &tailRun{start: t.end, segment: h.Segment, mem: memtable.New(h.Segment, h.SegmentStart, t.end)}
	t.runs = append(t.runs, r)
	return r
}

// tables takes what a tables object names.
func (t *tail) tables(tables []segment.Table, end uint64) {
	if end <= t.end || len(tables) == 0 {
		t.end = max(t.end, end)
		return
	}
	first, start := tables[0].FirstMs, tables[0].Start
	for _, x := range tables {
		first, start = min(first, x.FirstMs), min(start, x.Start)
	}
	t.segment(tables[0].Segment, start, first)
	t.runs = append(t.runs, &tailRun{start: t.end, end: end, segment: tables[0].Segment, tables: tables})
	t.end = end
}

func (t *tail) segment(id, start uint64, ms int64) {
	if n := len(t.segments); n == 0 || t.segments[n-1].ID < id {
		t.segments = append(t.segments, view.SegmentInfo{ID: id, Start: start, OpenedMs: ms, LastMs: ms})
	}
}

func (t *tail) seal(h wal.Header, f wal.Frame) {
	t.segment(h.Segment, h.SegmentStart, h.TimeMs)
	s := &t.segments[len(t.segments)-1]
	if s.ID == h.Segment {
		s.Sealed, s.End, s.Metadata = true, h.First, f.Metadata()
	}
}

// view builds the snapshot: the manifest's tables below flushed, then the tail.
func (t *tail) view(store *view.Store, m *segment.Manifest) *view.View {
	v := &view.View{Store: store, TrimmedBelow: m.TrimmedBelow}
	for i := range m.Segments {
		v.Parts = append(v.Parts, tableParts(m.Segments[i].Tables)...)
		v.Segments = append(v.Segments, segmentInfo(&m.Segments[i]))
	}
	for _, s := range t.segments {
		if n := len(v.Segments); n > 0 && v.Segments[n-1].ID == s.ID {
			if last := &v.Segments[n-1]; !last.Sealed {
				last.Sealed, last.End, last.Metadata = s.Sealed, s.End, s.Metadata
			}
		} else if s.ID >= m.NextSegment {
			v.Segments = append(v.Segments, s)
		}
	}
	var recent []view.Part
	for _, r := range t.runs {
		if r.mem != nil {
			v.Parts = append(v.Parts, view.Part{Mem: r.mem, Lo: max(r.start, t.flushed), Hi: ^uint64(0)})
			recent = append(recent, view.Part{Mem: r.mem, Lo: r.start, Hi: ^uint64(0)})
		} else {
			v.Parts = append(v.Parts, tableParts(r.tables)...)
			recent = append(recent, tableParts(r.tables)...)
		}
		r.count(v.Segments, t.flushed)
	}
	t.kept.trim(m.TrimmedBelow)
	v.Recent = t.kept.recent(recent)
	return v
}

// count adds a run's records above flushed to its segment.
func (r *tailRun) count(segs []view.SegmentInfo, flushed uint64) {
	for i := range segs {
		s := &segs[i]
		if s.ID != r.segment {
			continue
		}
		for _, x := range r.tables {
			s.Records, s.Bytes, s.LastMs = s.Records+x.Records, s.Bytes+x.KeyBytes+x.ValueBytes, max(s.LastMs, x.LastMs)
		}
		for _, m := range r.marks {
			if m.end > flushed {
				s.Records, s.Bytes, s.LastMs = s.Records+m.records, s.Bytes+m.bytes, max(s.LastMs, m.lastMs)
			}
		}
	}
}
