package logdb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/logdb-go/logdb/listing"
	"github.com/logdb-go/logdb/logdb/internal/memtable"
	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
)

// flusher turns sealed memtables into tables in the bucket. One goroutine
// builds them, oldest first; each generation's tables are then put by a
// goroutine of their own, while the next ones are built: one connection carries
// less than a bucket does. What is put is named by nothing until the shipper or
// the installer names it, so it may run ahead of the log and land in any order.
type flusher struct {
	db    *LogDb
	kick  chan struct{}
	built chan *generation // to the installer, in order
	table atomic.Uint64    // number of the last table of this epoch
	turns chan struct{}    // one for each generation that is built or put
	spare chan []byte      // buffers for tables, while there is work
}

// flushWindow is how many generations are built or put at one time: as many as
// there are sealed memtables.
const flushWindow = keptMemtables - 1

func newFlusher(d *LogDb) *flusher {
	return &flusher{
		db: d, kick: make(chan struct{}, 1), built: make(chan *generation, flushWindow),
		turns: make(chan struct{}, flushWindow), spare: make(chan []byte, flushWindow),
	}
}

func (f *flusher) run() {
	var last *generation
	for {
		g := f.nextAfter(last)
		if g == nil {
			for len(f.turns) == 0 && f.take() != nil {
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

// begin builds a generation's tables and starts their upload. False if the log
// ended.
func (f *flusher) begin(g *generation) bool {
	select {
	case f.turns <- struct{}{}:
	case <-f.db.stop.Done():
		return false
	}
	send, err := f.build(g)
	if err != nil {
		f.db.fail(err)
		return false
	}
	f.db.spawn(func() {
		if err := send(); err != nil {
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

// take returns a buffer that an upload gave back, or none.
func (f *flusher) take() []byte {
	select {
	case b := <-f.spare:
		return b
	default:
		return nil
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

// build makes the tables of both parts of a generation: what lies in data
// objects, and what a tables object will name. It returns what puts them.
func (f *flusher) build(g *generation) (send func() error, err error) {
	mem, staged := f.db.state.source(g)
	if staged != nil {
		return func() error { return f.putStaged(g, staged) }, nil
	}
	if mem == nil {
		return func() error { return nil }, nil
	}
	var bodies [][]byte
	part := func(lo, hi uint64) []segment.Table {
		if err != nil {
			return nil
		}
		body, tables, failed := f.make(g, mem, lo, hi, f.take())
		if err = failed; err == nil && len(tables) > 0 {
			bodies = append(bodies, body)
		}
		return tables
	}
	g.tables, g.late = part(g.start, g.cut), part(g.cut, g.end)
	f.db.opts.hooks.at("flush: built")
	return func() error { return f.putAll(bodies, slices.Concat(g.tables, g.late)) }, err
}

// putAll puts tables, one after the other.
func (f *flusher) putAll(bodies [][]byte, tables []segment.Table) error {
	for i, t := range tables {
		if f.db.opts.hooks.without(tablesFirst) {
			f.db.spawn(func() {
				_ = putTable(f.db.stop, f.db.bucket, f.db.store.Cache, f.db.logID, bodies[i], t, f.db.retry("flush"))
			})
			continue
		}
		if err := f.upload(bodies[i], t); err != nil {
			return err
		}
	}
	return nil
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

// upload puts a table. Its bytes may be overwritten by another one if the
// first attempt went well: after one that was given up, a client may still be
// sending them.
func (f *flusher) upload(body []byte, t segment.Table) error {
	retry := f.db.retry("flush")
	err := putTable(f.db.stop, f.db.bucket, f.db.store.Cache, f.db.logID, body, t, retry)
	if err == nil && retry.pauses == 0 {
		select {
		case f.spare <- body[:0]:
		default:
		}
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
