package logdb

import (
	"sync/atomic"
	"time"

	"github.com/logdb-go/logdb/logdb/internal/compact"
	"github.com/logdb-go/logdb/logdb/internal/memtable"
	"github.com/logdb-go/logdb/logdb/internal/view"
	"github.com/logdb-go/logdb/segment"
	"github.com/logdb-go/logdb/wal"
)

// stager is the goroutine that keeps memory bounded while the bucket is away.
// It writes sealed memtables, oldest first, as tables into the WAL directory:
// there they are read, survive a restart, and wait for the flusher, which puts
// them into the bucket in their turn. Without a WAL directory it has nothing
// to do, and appends wait.
//
// A staged file stands for the frames behind it, so these are trimmed. That is
// safe because everything older is staged, too, or in the bucket.
type stager struct {
	db     *LogDb
	kick   chan struct{}
	on     atomic.Bool               // memory is short and the bucket away, or was
	credit atomic.Int64              // generations installed, less twice those staged, while the bucket answered
	drawn  atomic.Pointer[time.Time] // when one was last installed, or staged without credit
	failed atomic.Pointer[time.Time] // when the disk refused a file; nil: it did not
	turn   chan struct{}             // capacity 1: who trims, or removes staged files
	local  *localTables
	gone   chan leaving // from the installer
}

// leaving are files of the WAL directory that the log no longer needs. Views
// that are read may still show them.
type leaving struct {
	files []*wal.Staged
	at    time.Time
}

// staged are the tables of one generation that lie on the local disk.
type staged struct {
	file   *wal.Staged
	tables []segment.Table
	// put says that the tables are in the bucket under the same names: set by
	// the flusher before the generation is handed on.
	put bool
}

func newStager(d *LogDb) *stager {
	return &stager{db: d, kick: make(chan struct{}, 1), turn: make(chan struct{}, 1), local: newLocalTables(patientReader{d.bucket, d.readRetry}), gone: make(chan leaving)}
}

func (s *stager) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var left []leaving // oldest first
	for {
		select {
		case <-s.db.stop.Done():
			return
		case <-s.kick:
		case l := <-s.gone:
			left = append(left, l)
		case <-timer.C:
		}
		for len(left) > 0 && time.Since(left[0].at) >= s.db.opts.CollectGrace {
			if err := s.remove(left[0].files); err != nil {
				s.db.fail(err)
				return
			}
			left = left[1:]
		}
		s.stageAll()
		if len(left) > 0 {
			timer.Reset(s.db.opts.CollectGrace - time.Since(left[0].at))
		}
	}
}

// stageAll stages what there is, until the disk refuses it.
func (s *stager) stageAll() {
	for s.on.Load() && !s.refused() && s.db.stop.Err() == nil {
		g := s.next()
		if g == nil || !s.pay() {
			return
		}
		if err := s.stage(g); err != nil {
			s.db.opts.Logger.Warn("logdb: cannot stage on the local disk", "err", err)
			now := time.Now()
			s.failed.Store(&now)
		}
	}
}

// next returns the oldest generation that is neither staged nor wholly in the
// bucket, once the shipper has decided where it is cut. A memtable that is in
// WAL objects and waits for its tables counts: it takes memory.
func (s *stager) next() *generation {
	st := &s.db.state
	st.mu.Lock()
	defer st.mu.Unlock()
	for i, g := range st.mu.gens {
		if g.staged != nil || g.mem == nil && closed(g.landed) {
			continue
		}
		if i < len(st.mu.gens)-1 && s.db.opts.hooks.without(stagedInOrder) {
			continue
		}
		if !g.sealed || !closed(g.decided) {
			return nil
		}
		return g
	}
	return nil
}

// stage writes one generation to the disk and then takes its memory away.
func (s *stager) stage(g *generation) error {
	d, begun := s.db, time.Now()
	mem, _ := d.state.source(g)
	about := wal.Staged{
		Epoch: d.epoch, Start: g.start, End: g.end, Segment: g.segment, SegmentStart: g.segmentStart, OpenedMs: g.segmentOpenedMs,
		Seal: g.seal, Frames: uint64(d.state.frameCount(g)),
	}
	bodies, tables, err := s.tables(g, mem)
	if err != nil {
		return err
	}
	about.About = segment.AppendTables(nil, tables)
	file, err := d.dir.Stage(about, bodies...)
	if err != nil {
		return err
	}
	d.opts.hooks.at("stage: written")
	s.local.add(file, tables)
	if !d.state.stage(g, &staged{file: file, tables: tables}) { // installed meanwhile
		return s.remove([]*wal.Staged{file})
	}
	d.opts.hooks.at("stage: shown")
	if err := d.trim(g.end, g.seal != nil); err != nil {
		return err
	}
	wake(d.freed)
	d.opts.Events.emit(d.opts.Events.Staged, Event{
		Name: file.Path(), Segment: g.segment, Range: Between(g.start, g.end), Bytes: file.Size(), Duration: time.Since(begun),
	})
	return nil
}

// tables builds what a generation's parts become: their names are of this
// epoch, so the flusher can put them as they are.
func (s *stager) tables(g *generation, mem *memtable.Table) (bodies [][]byte, tables []segment.Table, err error) {
	for _, p := range s.db.flusher.parts(g, mem) {
		body, t, err := p.build(nil)
		if err != nil {
			return nil, nil, err
		}
		if len(t) > 0 {
			bodies, tables = append(bodies, body), append(tables, t...)
		}
	}
	return bodies, tables, nil
}

// installed gives back what a generation took of the disk, and ends staging
// when the backlog is gone. Tables that have other names in the bucket than
// here are kept for the grace, as the bucket's are.
func (s *stager) installed(g *generation) error {
	s.draw()
	s.credit.Add(1)
	if s.db.state.backlog() == 0 {
		s.on.Store(false)
	}
	if _, staged := s.db.state.source(g); staged == nil || staged.put || len(staged.tables) == 0 {
		return s.remove(g.files)
	}
	select {
	case s.gone <- leaving{g.files, time.Now()}:
	case <-s.db.stop.Done(): // the next open removes them
	}
	return nil
}

// clear removes every staged file, when all is in the bucket and nobody reads
// any more.
func (s *stager) clear() error {
	if s.db.dir == nil {
		return nil
	}
	files, err := s.db.dir.Staged(0, s.db.epoch)
	if err != nil {
		return err
	}
	return s.remove(files)
}

func (s *stager) remove(files []*wal.Staged) error {
	if len(files) == 0 {
		return nil
	}
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	for _, f := range files {
		s.local.drop(f)
		if err := s.db.dir.Unstage(f); err != nil {
			return err
		}
	}
	s.failed.Store(nil)
	return nil
}

// trim gives back the local WAL below end, and seals at end, too, if they are
// safe.
func (d *LogDb) trim(end uint64, sealed bool) error {
	if d.dir == nil {
		return nil
	}
	d.stager.turn <- struct{}{}
	defer func() { <-d.stager.turn }()
	if sealed {
		return d.committer.log.TrimSealed(end)
	}
	return d.committer.log.Trim(end)
}

// putStaged puts the staged tables of a generation. Those of this epoch have
// their names; those that an earlier writer staged get new ones, and are
// written anew for it.
func (f *flusher) putStaged(g *generation, s *staged) error {
	for i, t := range s.tables {
		if len(g.inherited) > 0 {
			if err := f.rewrite(g, t); err != nil {
				return err
			}
			continue
		}
		body, err := s.file.Body(i)
		if err != nil {
			return err
		}
		if err := f.upload(body, t); err != nil {
			return err
		}
		if t.End <= g.cut {
			g.tables = append(g.tables, t)
		} else {
			g.late = append(g.late, t)
		}
	}
	s.put = len(g.inherited) == 0
	return nil
}

// rewrite puts the entries of a staged table under a name of this epoch.
func (f *flusher) rewrite(g *generation, t segment.Table) error {
	d := f.db
	cache := segment.NewCache(mergeCache, mergeCache)
	defer cache.Close()
	store := &view.Store{Log: d.logID, Source: d.store.Source, Cache: cache}
	out := func() segment.WriterOptions { return f.name(g) }
	return compact.Merge(d.stop, store, []segment.Table{t}, out, 1<<62, func(body []byte, t segment.Table) error {
		g.late = append(g.late, t)
		return f.upload(body, t)
	})
}

// stage puts staged tables in the place of a generation's memtable and frames.
// False if it has left the log's memory meanwhile.
func (s *state) stage(g *generation, st *staged) (there bool) {
	s.change(func(m *segment.Manifest, gens []*generation) (*segment.Manifest, []*generation) {
		for _, o := range gens {
			there = there || o == g
		}
		if there {
			g.mem, g.frames, g.staged = nil, nil, st
			g.files = append(g.files, st.file)
		}
		return m, gens
	})
	return there
}

// backlog counts the generations that are staged.
func (s *state) backlog() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.mu.gens {
		if g.staged != nil {
			n++
		}
	}
	return n
}

// frameCount returns how many frames a generation has.
func (s *state) frameCount(g *generation) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(g.frames)
}

// tableTimes returns the first and the last time in tables.
func tableTimes(tables []segment.Table) (first, last int64) {
	for i, t := range tables {
		if i == 0 || t.FirstMs < first {
			first = t.FirstMs
		}
		last = max(last, t.LastMs)
	}
	return first, last
}
