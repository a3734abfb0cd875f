package logdb

import (
	"sync"
	"time"

	"github.com/logdb-go/logdb/logdb/internal/memtable"
	"github.com/logdb-go/logdb/logdb/internal/view"
	"github.com/logdb-go/logdb/segment"
	"github.com/logdb-go/logdb/wal"
)

// generation is one memtable on its way to the bucket: the sequences
// [start, end) of one segment. Generations tile the sequence space above the
// manifest's flushed, without gaps between them.
//
// A generation is filled by the committer, then sealed; the shipper puts its
// frames into WAL objects; the flusher puts it into tables; when both are in
// the bucket the installer moves it into the manifest. Each hand-over is a
// channel that the one who is done closes.
type generation struct {
	segment, segmentStart, start uint64
	segmentOpenedMs              int64
	born                         time.Time // of this memtable, on the monotonic clock
	first                        uint64    // ordinal of its first frame, over the writer's life

	// Guarded by state.mu. Staging takes mem and frames away; else they are
	// constant once the generation is sealed.
	mem    *memtable.Table // nil where only a seal, adopted tables, or staged ones
	staged *staged         // its records on the local disk
	frames []wal.Frame     // batches, then at most one seal
	bytes  int64           // of frames
	end    uint64
	sealed bool
	seal   wal.Frame // the generation is the last of its segment

	// Set by the shipper before it closes the channel.
	cut     uint64        // [start, cut) lies in data objects, [cut, end) in a tables object
	named   bool          // there is such a tables object
	decided chan struct{} // cut is final
	after   wal.Position  // where recovery starts once this generation is installed
	objects int           // WAL objects that it took
	landed  chan struct{} // every object is in the bucket

	// Of a generation that an earlier writer of this directory staged: its
	// tables, whose names are that writer's and which the log never names.
	inherited []segment.Table
	// files of the WAL directory that go when the generation is installed.
	files []*wal.Staged

	// Set by the flusher before it closes the channel. Recovered generations
	// that the log already named have them from the start.
	tables   []segment.Table // of [start, cut)
	late     []segment.Table // of [cut, end), named by the tables object
	uploaded chan struct{}
}

func newGeneration(s activeSegment, start, ordinal uint64) *generation {
	return &generation{
		segment: s.id, segmentStart: s.start, segmentOpenedMs: s.opened.UnixMilli(),
		start: start, end: start, born: time.Now(), first: ordinal,
		mem:     memtable.New(s.id, s.start, start),
		decided: make(chan struct{}), landed: make(chan struct{}), uploaded: make(chan struct{}),
	}
}

// parts are what a view reads of the generation.
func (g *generation) parts() []view.Part {
	switch {
	case g.mem != nil:
		return []view.Part{{Mem: g.mem, Lo: g.start, Hi: ^uint64(0)}}
	case g.staged != nil:
		return tableParts(g.staged.tables)
	}
	return tableParts(g.late)
}

func tableParts(tables []segment.Table) []view.Part {
	parts := make([]view.Part, len(tables))
	for i := range tables {
		parts[i] = view.Part{Table: &tables[i], Lo: tables[i].Start, Hi: tables[i].End}
	}
	return parts
}

// closed reports whether a hand-over has happened.
func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// state is what the writer's goroutines share: the newest manifest and the
// generations above it. Changing it publishes a new view.
type state struct {
	store *view.Store
	mu    struct {
		sync.Mutex
		manifest *segment.Manifest
		gens     []*generation // oldest first
		added    uint64        // generations there ever were
		kept     *kept         // generations that the manifest holds
	}
	publish func(*view.View)
}

// change runs f under the lock and publishes what follows from it. f must not
// block.
func (s *state) change(f func(m *segment.Manifest, gens []*generation) (*segment.Manifest, []*generation)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.manifest, s.mu.gens = f(s.mu.manifest, s.mu.gens)
	v := buildView(s.store, s.mu.manifest, s.mu.gens)
	v.Recent = s.recentLocked()
	s.publish(v)
}

// recentLocked is what is in memory: what was flushed lately, and the
// generations.
func (s *state) recentLocked() *view.Recent {
	var unflushed []view.Part
	for _, g := range s.mu.gens {
		unflushed = append(unflushed, g.parts()...)
	}
	s.mu.kept.trim(s.mu.manifest.TrimmedBelow)
	return s.mu.kept.recent(unflushed)
}

// keep takes a generation that the manifest holds now.
func (k *kept) keep(g *generation) {
	switch {
	case g.mem != nil:
		k.add(g.mem, g.end)
	case g.start < g.end:
		k.restart(g.end)
	}
}

// add appends generations.
func (s *state) add(gs ...*generation) {
	s.change(func(m *segment.Manifest, gens []*generation) (*segment.Manifest, []*generation) {
		s.mu.added += uint64(len(gs))
		return m, append(gens[:len(gens):len(gens)], gs...)
	})
}

// added returns how many generations there ever were.
func (s *state) added() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.added
}

// source returns where a sealed generation's records are read from: at most
// one of the two.
func (s *state) source(g *generation) (*memtable.Table, *staged) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return g.mem, g.staged
}

// inMemory counts the generations that hold a memtable.
func (s *state) inMemory() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.mu.gens {
		if g.mem != nil {
			n++
		}
	}
	return n
}

// setManifest publishes a manifest and lets go of the generations that it
// holds. Whoever edited the manifest comes here when its turn is over, so edits
// may arrive in another order than they were made: an older manifest than the
// present one is passed over, and a newer one may hold a generation whose flush
// has not said so yet.
func (s *state) setManifest(m *segment.Manifest) {
	s.change(func(now *segment.Manifest, gens []*generation) (*segment.Manifest, []*generation) {
		if now != nil && now.Version > m.Version {
			return now, gens
		}
		n := 0
		for ; n < len(gens) && gens[n].sealed && closed(gens[n].landed) && gens[n].in(m); n++ {
			s.mu.kept.keep(gens[n])
		}
		return m, append([]*generation(nil), gens[n:]...) // the old slice would hold their memtables
	})
}

// in reports whether a manifest holds a generation.
func (g *generation) in(m *segment.Manifest) bool {
	return m.Flushed >= g.end && (g.seal == nil || sealedOrGone(m, g.segment))
}

// generations returns those not yet installed, oldest first.
func (s *state) generations() []*generation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.gens[:len(s.mu.gens):len(s.mu.gens)]
}

func (s *state) manifest() *segment.Manifest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.manifest
}

// unflushed is 1 if a memtable holds something, else 0.
func (s *state) unflushed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.mu.gens) > 1 || len(s.mu.gens) == 1 && len(s.mu.gens[0].frames) > 0 {
		return 1
	}
	return 0
}

// frames returns a generation's frames from index i on, the bytes of all of
// its frames, and whether it is sealed. The slice is append-only, so the caller
// may keep it.
func (s *state) frames(g *generation, i int) (frames []wal.Frame, bytes int64, sealed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return g.frames[i:len(g.frames):len(g.frames)], g.bytes, g.sealed
}

// append adds a group commit's frames to the active generation.
func (s *state) append(g *generation, frames []wal.Frame, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g.frames = append(g.frames, frames...)
	g.bytes += bytes
	g.end = frames[len(frames)-1].End()
}

// seal ends a generation at end. A nil frame only rotates the memtable.
func (s *state) seal(g *generation, end uint64, frame wal.Frame) {
	s.change(func(m *segment.Manifest, gens []*generation) (*segment.Manifest, []*generation) {
		if frame != nil {
			g.frames = append(g.frames, frame)
			g.bytes += int64(len(frame))
			g.seal = frame
		}
		g.end, g.sealed = end, true
		return m, gens
	})
}

// buildView says what is readable: the manifest's tables below its flushed,
// then the generations.
func buildView(store *view.Store, m *segment.Manifest, gens []*generation) *view.View {
	v := &view.View{Store: store, TrimmedBelow: m.TrimmedBelow}
	for i := range m.Segments {
		v.Parts = append(v.Parts, tableParts(m.Segments[i].Tables)...)
		v.Segments = append(v.Segments, segmentInfo(&m.Segments[i]))
	}
	for _, g := range gens {
		v.Parts = append(v.Parts, g.parts()...)
		v.Segments = withGeneration(v.Segments, g)
	}
	return v
}

func segmentInfo(s *segment.Segment) view.SegmentInfo {
	return view.SegmentInfo{
		ID: s.ID, Start: s.Start, End: s.End, Sealed: s.Sealed, OpenedMs: s.OpenedMs, LastMs: s.LastMs,
		Records: s.Records, Bytes: s.Bytes, Metadata: s.Metadata,
	}
}

// withGeneration extends the segment list by what a generation knows. Records
// and bytes of memtables are added when somebody asks, since they still grow.
func withGeneration(segs []view.SegmentInfo, g *generation) []view.SegmentInfo {
	if n := len(segs); n == 0 || segs[n-1].ID < g.segment {
		segs = append(segs, view.SegmentInfo{ID: g.segment, Start: g.segmentStart, OpenedMs: g.segmentOpenedMs, LastMs: g.segmentOpenedMs})
	}
	s := &segs[len(segs)-1]
	if g.mem == nil {
		var tables []segment.Table
		if g.staged != nil { // then late is the flusher's yet
			tables = g.staged.tables
		} else {
			tables = g.late
		}
		for _, t := range tables {
			s.Records, s.Bytes, s.LastMs = s.Records+t.Records, s.Bytes+t.KeyBytes+t.ValueBytes, max(s.LastMs, t.LastMs)
		}
	}
	if g.seal != nil {
		s.Sealed, s.End, s.Metadata = true, g.end, g.seal.Metadata()
	}
	return segs
}
