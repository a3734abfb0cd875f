package inspect

import (
	"errors"
	"fmt"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
	"github.com/logdb-go/logdb/wal"
)

// chainTries bounds how often the WAL is walked again because the manifest
// moved under the walk.
const chainTries = 5

// wal checks the WAL objects from where recovery starts to the first absent
// number. What seems wrong counts only if the manifest is still the one that
// the walk began with: a writer may be at work.
func (c *checker) wal() error {
	m, err := readManifest(c.ctx, c.bucket) // tables may have taken long
	if err != nil {
		return c.failed(segment.ManifestName, err)
	}
	c.name(m)
	for try := 1; ; try++ {
		ch := newChain(m)
		err := ch.walk(c)
		if err != nil {
			return err
		}
		moved := false
		if len(ch.findings) > 0 {
			now, err := readManifest(c.ctx, c.bucket)
			if err != nil {
				return c.failed(segment.ManifestName, err)
			}
			moved, m = now.Version != m.Version, now
			c.name(m)
		}
		if !moved || try == chainTries {
			c.chain = ch
			return c.chained(ch)
		}
	}
}

// chained takes over what a walk has found, and checks the tables that its
// objects name.
func (c *checker) chained(ch *chain) error {
	for _, err := range ch.findings {
		if err := c.failed(err.object, err.err); err != nil {
			return err
		}
	}
	c.n.WALObjects += uint64(len(ch.objects))
	c.n.Records += ch.records
	for name, size := range ch.objects {
		c.named[name] = size
	}
	for _, t := range ch.tables {
		for i := range t.tables {
			c.named[t.tables[i].Name()] = t.tables[i].Size
		}
		named := func(name string) func(*segment.Manifest) bool {
			return func(m *segment.Manifest) bool { return m.Flushed < t.window.end || tableNamed(name)(m) }
		}
		if err := c.tables(t.tables, t.window, named); err != nil {
			return err
		}
	}
	return nil
}

// chain is one walk over the WAL objects, and what it knows on the way.
type chain struct {
	m     *segment.Manifest
	at    wal.Position
	begun bool   // an object was read
	end   uint64 // of the object before
	next  uint64 // lowest sequence that a record may have
	ms    int64  // newest time
	seg   active

	objects  map[string]int64
	tables   []namedTables
	records  uint64
	findings []suspicion
	broken   bool // the walk cannot go on
}

// active is the segment that takes batches.
type active struct {
	open      bool
	id, start uint64
	least     uint64 // lowest id that a new one may have
}

// namedTables are what a tables object stands for.
type namedTables struct {
	tables []segment.Table
	window window
}

// suspicion is a finding, unless the manifest has moved.
type suspicion struct {
	object string
	err    error
}

func newChain(m *segment.Manifest) *chain {
	ch := &chain{
		m: m, at: wal.Position{Epoch: m.ReplayEpoch, Number: m.ReplayNumber},
		end: m.Flushed, next: m.Flushed, ms: m.LastMs, objects: make(map[string]int64),
	}
	ch.seg.least = m.NextSegment
	if n := len(m.Segments); n > 0 && !m.Segments[n-1].Sealed {
		s := &m.Segments[n-1]
		ch.seg.open, ch.seg.id, ch.seg.start = true, s.ID, s.Start
	}
	return ch
}

func (ch *chain) suspect(name string, offset int64, format string, args ...any) {
	ch.findings = append(ch.findings, suspicion{name, finding(name, offset, format, args...)})
}

func (ch *chain) walk(c *checker) error {
	for !ch.broken {
		name := wal.ObjectName(ch.at.Epoch, ch.at.Number)
		got, err := c.bucket.Get(c.ctx, name)
		if errors.Is(err, objstore.ErrNotFound) {
			ch.finish()
			return nil
		}
		if err != nil {
			return err
		}
		ch.objects[name] = int64(len(got.Data))
		obj, err := wal.DecodeObject(name, got.Data)
		if err != nil {
			ch.findings = append(ch.findings, suspicion{name, err})
			return nil // what follows cannot be judged without it
		}
		ch.object(name, obj)
	}
	return nil
}

// finish judges the end of the chain.
func (ch *chain) finish() {
	if ch.m.Closed && ch.end > ch.m.Flushed {
		ch.suspect(segment.ManifestName, 0, "the log was closed with everything below %d in tables, its WAL ends at %d", ch.m.Flushed, ch.end)
	}
	if limit := max(ch.next, ch.m.Flushed); ch.m.Limit < limit {
		ch.suspect(segment.ManifestName, 0, "limit is %d, the log has records below %d", ch.m.Limit, limit)
	}
}

// object checks one object against the chain before it.
func (ch *chain) object(name string, obj wal.Object) {
	switch {
	case obj.Log != ch.m.Log:
		ch.suspect(name, 0, "object of log %s, want %s", obj.Log, ch.m.Log)
		ch.broken = true
		return
	case !ch.begun && obj.Start > ch.end:
		ch.suspect(name, 0, "starts at %d, everything below %d is in tables", obj.Start, ch.end)
	case ch.begun && obj.Start != ch.end:
		ch.suspect(name, 0, "starts at %d, the object before it ends at %d", obj.Start, ch.end)
	case obj.ManifestVersion > ch.m.Version:
		ch.suspect(name, 0, "knows manifest version %d, the manifest has %d", obj.ManifestVersion, ch.m.Version)
	}
	ch.begun, ch.end = true, obj.End
	ch.at.Number++
	switch obj.Kind {
	case wal.Fence:
		ch.fence(name, obj)
	case wal.Tables:
		ch.tablesObject(name, obj)
	default:
		ch.data(name, obj)
	}
}

func (ch *chain) fence(name string, obj wal.Object) {
	if obj.Next.Epoch > ch.m.Epoch {
		ch.suspect(name, 0, "fence names epoch %d, the manifest is at epoch %d", obj.Next.Epoch, ch.m.Epoch)
	}
	ch.at = obj.Next
}

func (ch *chain) data(name string, obj wal.Object) {
	offset := int64(0)
	for f, err := range obj.Frames() {
		if err != nil {
			ch.findings = append(ch.findings, suspicion{name, err})
			return
		}
		if err := ch.frame(f); err != nil {
			ch.suspect(name, offset, "body: %w", err)
			return
		}
		offset += int64(len(f))
	}
}

// frame checks one batch or seal. Those below flushed are in tables already,
// whole.
func (ch *chain) frame(f wal.Frame) error {
	h := f.Header()
	flushed := ch.m.Flushed
	switch {
	case h.Kind == wal.Batch && f.End() <= flushed:
		return nil
	case h.Kind == wal.Batch && h.First < flushed:
		return fmt.Errorf("batch [%d, %d) lies across %d, below which everything is in tables", h.First, f.End(), flushed)
	case h.Kind == wal.Seal && h.First <= flushed && !(ch.seg.open && ch.seg.id == h.Segment):
		return nil // in the manifest already
	case h.First < ch.next:
		return fmt.Errorf("%s at %d, the log before it ends at %d", h.Kind, h.First, ch.next)
	case h.TimeMs < ch.ms:
		return fmt.Errorf("%s at %d has time %d ms, before it is %d", h.Kind, h.First, h.TimeMs, ch.ms)
	}
	if err := ch.enter(h.Segment, h.SegmentStart, h.First); err != nil {
		return fmt.Errorf("%s at %d: %w", h.Kind, h.First, err)
	}
	ch.next, ch.ms = f.End(), h.TimeMs
	if h.Kind == wal.Seal {
		ch.seg.open, ch.seg.least = false, h.Segment+1
		return nil
	}
	ch.records += uint64(h.Count)
	return nil
}

// enter makes sure that the segment takes records: it is the open one, or a
// new one after a seal.
func (ch *chain) enter(id, start, first uint64) error {
	s := &ch.seg
	switch {
	case s.open && (id != s.id || start != s.start):
		return fmt.Errorf("segment %d from %d, want %d from %d, which is not sealed", id, start, s.id, s.start)
	case !s.open && id < s.least:
		return fmt.Errorf("segment %d, want one from %d on", id, s.least)
	case !s.open && (start > first || start < ch.next):
		return fmt.Errorf("segment %d begins at %d, want it inside [%d, %d]", id, start, ch.next, first)
	}
	s.open, s.id, s.start = true, id, start
	return nil
}

// tablesObject checks what a tables object says; the tables follow later.
func (ch *chain) tablesObject(name string, obj wal.Object) {
	tables, err := segment.DecodeTables(obj.Body)
	if err != nil || len(tables) == 0 {
		ch.suspect(name, 0, "names %d tables: %w", len(tables), err)
		return
	}
	if obj.End <= ch.m.Flushed {
		return
	}
	id, first := tables[0].Segment, tables[0].Start
	for i := range tables {
		t := &tables[i]
		first = min(first, t.Start)
		if t.Segment != id || t.Start < obj.Start || t.End > obj.End {
			ch.suspect(name, 0, "table %s of segment %d has [%d, %d), want segment %d, [%d, %d)", t.Name(), t.Segment, t.Start, t.End, id, obj.Start, obj.End)
		}
		if t.FirstMs < ch.ms {
			ch.suspect(name, 0, "table %s begins at %d ms, before it is %d", t.Name(), t.FirstMs, ch.ms)
		}
	}
	start := first
	if ch.seg.open {
		start = ch.seg.start
	}
	if err := ch.enter(id, start, first); err != nil {
		ch.suspect(name, 0, "%w", err)
		return
	}
	for i := range tables {
		ch.ms = max(ch.ms, tables[i].LastMs)
	}
	ch.next = obj.End
	ch.tables = append(ch.tables, namedTables{tables, window{segment: id, start: obj.Start, end: obj.End}})
}
