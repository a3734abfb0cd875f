package logdb

import (
	"errors"
	"fmt"
	"time"

	"github.com/logdb-go/logdb/segment"
	"github.com/logdb-go/logdb/wal"
)

// recovery rebuilds the generations above the manifest's flushed: first from
// the WAL objects, which are in the bucket already, then from the local WAL's
// frames at or above their end, which are not.
type recovery struct {
	memtable int64  // bytes at which a generation ends
	flushed  uint64 // of the manifest
	next     wal.Position
	seg      activeSegment
	nextID   uint64

	gens    []*generation
	gen     *generation // the last of gens, while it takes frames
	end     uint64      // of the newest frame
	last    int64       // ms of the newest frame
	ordinal uint64
	objects []wal.Position // WAL objects read, for the collector
	local   int            // frames, or staged tables, that were only on this machine

	covered  uint64        // exclusive sequence below which local frames are staged, too
	obsolete []*wal.Staged // staged, and wholly in the bucket

	localRecords, localBytes uint64 // in what was only on this machine
}

// begin takes the state that the manifest describes.
func (r *recovery) begin(m *segment.Manifest, memtable int64) {
	*r = recovery{memtable: memtable, flushed: m.Flushed, end: m.Flushed, last: m.LastMs, nextID: m.NextSegment}
	if n := len(m.Segments); n > 0 && !m.Segments[n-1].Sealed {
		s := m.Segments[n-1]
		r.seg = activeSegment{open: true, id: s.ID, start: s.Start, opened: time.UnixMilli(s.OpenedMs), bytes: int64(s.Bytes), records: s.Records}
	}
}

// object takes one WAL object below the fence. What it holds is remote.
func (r *recovery) object(obj wal.Object) error {
	r.next = wal.Position{Epoch: obj.At.Epoch, Number: obj.At.Number}
	r.objects = append(r.objects, obj.At)
	if obj.Kind == wal.Tables {
		if err := r.adopt(obj); err != nil {
			return err
		}
	} else {
		for f, err := range obj.Frames() {
			if err != nil {
				return &CorruptError{Object: wal.ObjectName(obj.At.Epoch, obj.At.Number), Err: err}
			}
			if err := r.frame(f); err != nil {
				return err
			}
		}
	}
	r.next.Number++
	r.end = max(r.end, obj.End)
	if r.gen != nil {
		r.gen.objects++
		r.gen.end = r.end
		if r.gen.mem == nil || r.gen.mem.Memory() >= r.memtable {
			r.close()
		}
	}
	return nil
}

// frame takes one batch or seal. Frames below flushed are in tables already.
func (r *recovery) frame(f wal.Frame) error {
	h := f.Header()
	switch h.Kind {
	case wal.Batch:
		if f.End() <= r.flushed {
			return nil
		}
		if h.First < r.end {
			return fmt.Errorf("logdb: recover: batch at %d, the log before it ends at %d", h.First, r.end)
		}
		r.roll(h)
		if r.gen == nil {
			r.open()
		}
		r.gen.mem.Apply(f)
		r.seg.bytes += frameDataBytes(f)
		r.seg.records += uint64(h.Count)
		r.keep(f)
	case wal.Seal:
		if !r.seg.open || r.seg.id != h.Segment {
			if h.Segment >= r.nextID {
				return fmt.Errorf("logdb: recover: seal of segment %d, the log is at segment %d", h.Segment, r.nextID-1)
			}
			return nil // sealed in the manifest already
		}
		if r.gen == nil {
			r.open()
			r.gen.mem = nil
		}
		r.keep(f)
		r.gen.seal = f
		r.seg.open = false
		r.close()
	}
	return nil
}

func (r *recovery) keep(f wal.Frame) {
	r.gen.frames = append(r.gen.frames, f)
	r.gen.bytes += int64(len(f))
	r.end = max(r.end, f.End())
	r.gen.end = r.end
	r.last = max(r.last, f.Header().TimeMs)
	r.ordinal++
}

// roll follows the writer into the segment that a batch names.
func (r *recovery) roll(h wal.Header) {
	if r.seg.open && r.seg.id == h.Segment {
		return
	}
	r.close()
	r.seg = activeSegment{open: true, id: h.Segment, start: h.SegmentStart, opened: time.UnixMilli(h.TimeMs)}
	r.nextID = h.Segment + 1
}

func (r *recovery) open() {
	start := r.flushed
	if n := len(r.gens); n > 0 {
		start = r.gens[n-1].end
	}
	r.gen = newGeneration(r.seg, start, r.ordinal)
	r.gens = append(r.gens, r.gen)
}

// close ends the generation that takes frames. Should that be in the middle of
// an object, recovery would start at that object again.
func (r *recovery) close() {
	if r.gen == nil {
		return
	}
	r.gen.sealed = true
	r.gen.after = r.next
	r.gen = nil
}

// adopt takes the tables that a tables object names, as they are.
func (r *recovery) adopt(obj wal.Object) error {
	name := wal.ObjectName(obj.At.Epoch, obj.At.Number)
	tables, err := segment.DecodeTables(obj.Body)
	if err != nil {
		return &CorruptError{Object: name, Err: err}
	}
	if obj.End <= r.flushed {
		return nil
	}
	if len(tables) == 0 {
		return &CorruptError{Object: name, Err: errors.New("names no table")}
	}
	h := wal.Header{Segment: tables[0].Segment, SegmentStart: tables[0].Start, TimeMs: tables[0].FirstMs}
	for _, t := range tables {
		h.SegmentStart, h.TimeMs = min(h.SegmentStart, t.Start), min(h.TimeMs, t.FirstMs)
	}
	r.roll(h)
	r.close()
	r.open()
	r.gen.mem, r.gen.late = nil, tables
	r.gen.end = max(r.end, obj.End)
	for _, t := range tables {
		r.seg.bytes += int64(t.KeyBytes + t.ValueBytes)
		r.seg.records += t.Records
		r.last = max(r.last, t.LastMs)
	}
	return nil
}

// remote ends the part that is in the bucket: those generations need no
// shipping, only the flush; after the last of them recovery starts at our own
// first object.
func (r *recovery) remote(own wal.Position) {
	r.close()
	r.ordinal = 0 // counts what is still to be shipped
	for i, g := range r.gens {
		g.cut = g.end
		if i == len(r.gens)-1 {
			g.after = own
		}
		close(g.decided)
		close(g.landed)
		if g.mem == nil {
			close(g.uploaded)
		}
	}
}

// localFrame takes a frame of the local WAL, if the bucket does not have it.
func (r *recovery) localFrame(bucketEnd uint64, f wal.Frame) error {
	h, from := f.Header(), max(bucketEnd, r.covered)
	if h.Kind == wal.Pad || h.First < from {
		if h.Kind == wal.Batch && f.End() > from {
			return fmt.Errorf("logdb: recover: local batch [%d,%d) lies across %d, where the bucket's log or what is staged ends", h.First, f.End(), from)
		}
		return nil
	}
	if r.gen != nil && r.gen.mem != nil && r.gen.mem.Memory() >= r.memtable {
		r.close()
	}
	r.local++
	r.localRecords += uint64(h.Count)
	r.localBytes += uint64(len(f))
	return r.frame(f)
}

// frameDataBytes is the size of a batch's keys and values.
func frameDataBytes(f wal.Frame) (n int64) {
	for c := f.Cursor(); ; {
		_, key, value, ok := c.Next()
		if !ok {
			return n
		}
		n += int64(len(key) + len(value))
	}
}
