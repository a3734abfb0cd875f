package logdb

import (
	"fmt"
	"time"

	"github.com/logdb-go/logdb/segment"
)

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
		select {
		case <-d.stop.Done():
			return
		case <-g.uploaded:
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
	wake(d.flusher.kick) // it may have nothing left to do
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
