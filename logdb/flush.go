package logdb

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/logdb-go/logdb/listing"
	"github.com/logdb-go/logdb/logdb/internal/memtable"
	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
)

// flusher is the goroutine that turns sealed memtables into tables in the
// bucket, oldest first. It may run ahead of the log: what it puts is named by
// nothing until the shipper or the installer names it.
type flusher struct {
	db    *LogDb
	kick  chan struct{}
	built chan *generation // to the installer, in order
	table atomic.Uint64    // number of the last table of this epoch
	body  []byte           // for the next table, while there is work
}

func (f *flusher) run() {
	var last *generation
	for {
		g := f.nextAfter(last)
		if g == nil {
			f.body = nil
			select {
			case <-f.db.stop.Done():
				return
			case <-f.kick:
			}
			continue
		}
		if !closed(g.uploaded) {
			if err := f.build(g); err != nil {
				f.db.fail(err)
				return
			}
			f.db.opts.hooks.at("flush: uploaded")
			close(g.uploaded)
		}
		select {
		case f.built <- g:
		case <-f.db.stop.Done():
			return
		}
		last = g
	}
}

// nextAfter returns the generation after last that the shipper has decided.
func (f *flusher) nextAfter(last *generation) *generation {
	gens := f.db.state.generations()
	if last != nil {
		for i, g := range gens {
			if g == last {
				gens = gens[i+1:]
				break
			}
		}
	}
	if len(gens) == 0 || gens[0] == last || !closed(gens[0].decided) {
		return nil
	}
	return gens[0]
}

// build puts the tables of both parts of a generation: what lies in data
// objects, and what a tables object will name.
func (f *flusher) build(g *generation) (err error) {
	mem, staged := f.db.state.source(g)
	if staged != nil {
		return f.putStaged(g, staged)
	}
	if mem == nil {
		return nil
	}
	if g.tables, err = f.put(g, mem, g.start, g.cut); err != nil {
		return err
	}
	g.late, err = f.put(g, mem, g.cut, g.end)
	return err
}

// put writes the records in [lo, hi) as one table, and puts it.
func (f *flusher) put(g *generation, mem *memtable.Table, lo, hi uint64) ([]segment.Table, error) {
	body, tables, err := f.make(g, mem, lo, hi, f.body)
	if err != nil || len(tables) == 0 {
		return nil, err
	}
	f.db.opts.hooks.at("flush: built")
	if f.db.opts.hooks.without(tablesFirst) {
		f.body = nil // this upload keeps it
		f.db.spawn(func() {
			_ = putTable(f.db.stop, f.db.bucket, f.db.store.Cache, f.db.logID, body, tables[0], f.db.retry("flush"))
		})
		return tables, nil
	}
	return tables, f.upload(body, tables[0])
}

// make builds one table of the records in [lo, hi), or none if there are none:
// listing rows first, then the entries in the same order. It may be called by
// two goroutines at once.
func (f *flusher) make(g *generation, mem *memtable.Table, lo, hi uint64, buffer []byte) ([]byte, []segment.Table, error) {
	sorted := mem.FlushRange(lo, hi)
	if !sorted.Next() {
		return nil, nil, nil
	}
	sorted.Rewind(false)
	w := segment.NewWriter(f.options(g, mem, buffer))
	err := fill(w, sorted)
	body, t, finishErr := w.Finish() // also after an error: it ends the writer's goroutine
	if err == nil {
		err = finishErr
	}
	return body, []segment.Table{t}, err
}

func fill(w *segment.Writer, sorted *memtable.Sorted) error {
	var row []byte
	for sorted.Next() {
		row = listing.Append(row[:0], sorted.Listing())
		if err := w.AddListing(sorted.Key(), row); err != nil {
			return err
		}
	}
	for sorted.Rewind(true); sorted.Next(); {
		for it := sorted.Entries(); it.Next(); {
			flags := segment.Flags(0)
			if it.LastOfBatch() {
				flags = segment.FlagLastOfBatch
			}
			if err := w.Add(sorted.Key(), it.Sequence(), it.TimeMs(), flags, it.Value()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *flusher) options(g *generation, mem *memtable.Table, buffer []byte) segment.WriterOptions {
	o := f.name(g)
	o.BaseMs, o.Compression, o.Buffer = mem.FirstMs(), segment.MinLZ, buffer
	return o
}

// name gives out the next table of this epoch.
func (f *flusher) name(g *generation) segment.WriterOptions {
	id := segment.TableID{Epoch: f.db.epoch, N: f.table.Add(1)}
	return segment.WriterOptions{Log: f.db.logID, ID: id, Nonce: objstore.NewID(), Segment: g.segment}
}

// upload puts a table. Its bytes may be overwritten by the next one if the
// first attempt went well: after one that was given up, a client may still be
// sending them.
func (f *flusher) upload(body []byte, t segment.Table) error {
	retry := f.db.retry("flush")
	err := putTable(f.db.stop, f.db.bucket, f.db.store.Cache, f.db.logID, body, t, retry)
	f.body = nil
	if retry.pauses == 0 {
		f.body = body[:0]
	}
	return err
}

// putTable puts a table under its name until it is there. Only this epoch
// gives out the name, so what else lies there is an error.
func putTable(ctx context.Context, b objstore.Bucket, cache *segment.Cache, log objstore.ID, body []byte, t segment.Table, retry *retry) error {
	for {
		err := retry.attempt(ctx, len(body), func(ctx context.Context) error {
			_, err := b.Put(ctx, t.Name(), body, objstore.IfAbsent())
			return err
		})
		if err == nil {
			return nil
		}
		if errors.Is(err, objstore.ErrPrecondition) {
			r, err := cache.Open(ctx, patientReader{b, retry.again}, log, t) // compares log, table id and nonce
			if err == nil {
				return r.Close()
			}
			if errors.Is(err, objstore.ErrCorrupt) {
				return fmt.Errorf("logdb: table name is taken by somebody else: %w", err)
			}
		}
		if err := retry.pause(ctx, t.Name(), err); err != nil {
			return err
		}
	}
}

// install is the goroutine that moves generations into the manifest: in
// sequence order, one at a time, and only when every object of them landed.
func (d *LogDb) install() {
	for {
		var g *generation
		select {
		case <-d.stop.Done():
			return
		case g = <-d.flusher.built:
		}
		select {
		case <-d.stop.Done():
			return
		case <-g.landed:
		case <-d.opts.hooks.open(landedFirst):
		}
		if err := d.installGeneration(g); err != nil {
			d.fail(err)
			return
		}
	}
}

func (d *LogDb) installGeneration(g *generation) error {
	begun := time.Now()
	m, err := d.keeper.edit(d.stop, func(m *segment.Manifest) error { return flushEdit(m, g, &d.opts.hooks) })
	if err != nil {
		return err
	}
	d.opts.hooks.at("flush: named")
	if d.opts.hooks.without(viewAtOnce) {
		d.view.Store(buildView(d.store, m, d.state.generations()))
		d.opts.hooks.at("flush: half in the view")
	}
	d.state.setManifest(m)
	d.shipper.unflushed.Add(-int64(g.objects))
	d.flushed.advance(g.end)
	d.installed.advance(d.installed.get() + 1)
	d.collector.removedWAL(m, d.epoch)
	wake(d.freed)
	wake(d.maintainer.kick)
	if err := d.trimTo(m); err != nil {
		return err
	}
	d.opts.hooks.at("flush: trimmed")
	if err := d.stager.installed(g); err != nil {
		return err
	}
	d.opts.Events.emit(d.opts.Events.Flushed, Event{
		Name: "tables", Segment: g.segment, Range: Between(g.start, g.end), Bytes: tableBytes(g.tables) + tableBytes(g.late),
		Duration: time.Since(begun),
	})
	return nil
}

// trimTo gives back the local WAL below what the manifest holds. While its last
// segment is open, a seal at flushed itself may be nowhere but here: it is no
// record, and flushed does not tell.
func (d *LogDb) trimTo(m *segment.Manifest) error {
	n := len(m.Segments)
	return d.trim(m.Flushed, n == 0 || m.Segments[n-1].Sealed)
}

func tableBytes(tables []segment.Table) (n int64) {
	for _, t := range tables {
		n += t.Size
	}
	return n
}

// flushEdit moves the manifest's flushed over one generation. Tables, flushed,
// the seal and where recovery starts move together.
func flushEdit(m *segment.Manifest, g *generation, h *hooks) error {
	if g.in(m) && !h.without(editOnce) {
		return errDone
	}
	if m.Flushed != g.start && !h.without(flushInOrder) {
		return fmt.Errorf("logdb: flush of [%d,%d) onto a manifest flushed to %d", g.start, g.end, m.Flushed)
	}
	s := segmentOf(m, g)
	for _, t := range append(append([]segment.Table(nil), g.tables...), g.late...) {
		s.Tables = append(s.Tables, t)
		s.Records += t.Records
		s.Bytes += t.KeyBytes + t.ValueBytes
		s.LastMs = max(s.LastMs, t.LastMs)
		m.LastMs = max(m.LastMs, t.LastMs)
	}
	m.Flushed = g.end
	if g.seal != nil {
		h := g.seal.Header()
		s.Sealed, s.End, s.SealedMs, s.Metadata = true, g.end, h.TimeMs, g.seal.Metadata()
		m.LastMs = max(m.LastMs, h.TimeMs)
	}
	m.ReplayEpoch, m.ReplayNumber = g.after.Epoch, g.after.Number
	m.OldestEpoch, m.OldestNumber = m.ReplayEpoch, m.ReplayNumber
	return nil
}

// segmentOf returns the manifest's entry for the generation's segment, which
// is its last, or a new one.
func segmentOf(m *segment.Manifest, g *generation) *segment.Segment {
	if n := len(m.Segments); n == 0 || m.Segments[n-1].ID < g.segment {
		m.Segments = append(m.Segments, segment.Segment{
			ID: g.segment, Start: g.segmentStart, OpenedMs: g.segmentOpenedMs, LastMs: g.segmentOpenedMs,
		})
		m.NextSegment = max(m.NextSegment, g.segment+1)
	}
	return &m.Segments[len(m.Segments)-1]
}

func sealedOrGone(m *segment.Manifest, id uint64) bool {
	for i := range m.Segments {
		if m.Segments[i].ID == id {
			return m.Segments[i].Sealed
		}
	}
	return id < m.NextSegment
}
