package logdb

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/logdb-go/logdb/listing"
	"github.com/logdb-go/logdb/logdb/internal/memtable"
	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
)

// flusher turns sealed memtables into tables in the bucket. One goroutine takes
// them, oldest first; each is built and put by a goroutine of its own: one core
// builds less than comes in, and one connection carries less than a bucket
// takes. What is put is named by nothing until the shipper or the installer
// names it, so it may run ahead of the log and land in any order.
type flusher struct {
	db    *LogDb
	kick  chan struct{}
	built chan *generation // to the installer, in order
	table atomic.Uint64    // number of the last table of this epoch
	turns chan struct{}    // one for each generation that is built or put
	spare bodies           // all while there is work, one until nothing is left to flush
}

// flushWindow is how many generations are built or put at one time: as many as
// there are sealed memtables.
const flushWindow = keptMemtables - 1

func newFlusher(d *LogDb) *flusher {
	return &flusher{
		db: d, kick: make(chan struct{}, 1), built: make(chan *generation, flushWindow),
		turns: make(chan struct{}, flushWindow), spare: make(bodies, flushWindow),
	}
}

func (f *flusher) run() {
	var last *generation
	for {
		g := f.nextAfter(last)
		if g == nil {
			if len(f.turns) == 0 {
				f.spare.keep(f.db.state.unflushed())
			}
			select {
			case <-f.db.stop.Done():
				return
			case <-f.kick:
			}
			continue
		}
		if !closed(g.uploaded) && !f.begin(g) {
			return
		}
		select {
		case f.built <- g:
		case <-f.db.stop.Done():
			return
		}
		last = g
	}
}

// begin starts to build and put a generation's tables. False if the log ended.
func (f *flusher) begin(g *generation) bool {
	select {
	case f.turns <- struct{}{}:
	case <-f.db.stop.Done():
		return false
	}
	mem, staged := f.db.state.source(g)
	put := func() error { return f.putStaged(g, staged) }
	if staged == nil {
		parts := f.parts(g, mem) // here: names go up with the sequences
		put = func() error { return f.put(g, parts) }
	}
	f.db.spawn(func() {
		if err := put(); err != nil {
			f.db.fail(err)
			return
		}
		f.db.opts.hooks.at("flush: uploaded")
		close(g.uploaded)
		<-f.turns
		wake(f.kick)
	})
	return true
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

// part is what becomes one table: the records of a memtable in [lo, hi).
type part struct {
	mem    *memtable.Table
	lo, hi uint64
	name   segment.WriterOptions
}

// parts names the tables of a generation: of what lies in data objects, and of
// what a tables object will name. A generation without a memtable has none.
func (f *flusher) parts(g *generation, mem *memtable.Table) (parts []part) {
	if mem == nil {
		return nil
	}
	for _, p := range [][2]uint64{{g.start, g.cut}, {g.cut, g.end}} {
		if p[0] < p[1] {
			parts = append(parts, part{mem, p[0], p[1], f.name(g)})
		}
	}
	return parts
}

// put builds and puts the tables of a generation.
func (f *flusher) put(g *generation, parts []part) error {
	for _, p := range parts {
		body, tables, err := p.build(f.spare.take())
		if err != nil {
			return err
		}
		if len(tables) == 0 {
			continue
		}
		if p.hi <= g.cut {
			g.tables = tables
		} else {
			g.late = tables
		}
		f.db.opts.hooks.at("flush: built")
		if f.db.opts.hooks.without(tablesFirst) {
			f.db.spawn(func() {
				_ = putTable(f.db.stop, f.db.bucket, f.db.store.Cache, f.db.logID, body, tables[0], f.db.retry("flush"))
			})
			continue
		}
		if err := f.upload(body, tables[0]); err != nil {
			return err
		}
	}
	return nil
}

// build makes one table, or none if there are no records: listing rows first,
// then the entries in the same order. Two goroutines may build of one memtable
// at once.
func (p *part) build(buffer []byte) ([]byte, []segment.Table, error) {
	sorted := p.mem.FlushRange(p.lo, p.hi)
	if !sorted.Next() {
		return nil, nil, nil
	}
	sorted.Rewind(false)
	o := p.name
	o.BaseMs, o.Buffer = p.mem.FirstMs(), buffer
	w := segment.NewWriter(o)
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

// name gives out the next table of this epoch.
func (f *flusher) name(g *generation) segment.WriterOptions {
	id := segment.TableID{Epoch: f.db.epoch, N: f.table.Add(1)}
	return segment.WriterOptions{Log: f.db.logID, ID: id, Nonce: objstore.NewID(), Segment: g.segment}
}

// upload puts a table and takes its buffer.
func (f *flusher) upload(body []byte, t segment.Table) error {
	retry := f.db.retry("flush")
	err := putTable(f.db.stop, f.db.bucket, f.db.store.Cache, f.db.logID, body, t, retry)
	if err == nil {
		f.spare.give(body, retry)
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
