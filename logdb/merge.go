package logdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/logdb-go/logdb/logdb/internal/compact"
	"github.com/logdb-go/logdb/logdb/internal/view"
	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
)

// upkeep is what keeping a log in order needs of the process that does it: a
// LogDb does it beside its other work, a Compactor does nothing else.
type upkeep struct {
	bucket *objstore.Meter
	log    objstore.ID
	cache  *segment.Cache
	keeper *keeper
	retry  func(what string) *retry
	grace  time.Duration
	logger *slog.Logger
	events *EventListener
	hooks  *hooks
}

// merger replaces tables by merged ones. It belongs to one goroutine.
type merger struct {
	*upkeep
	collector *collector
	// newest is the manifest as this process knows it, publish tells the
	// process of a newer one.
	newest  func() *segment.Manifest
	publish func(*segment.Manifest)
	// before is called before each merge.
	before func(context.Context) error

	epoch      uint64      // compactor epoch, which names the tables
	table      uint64      // number of the last table in it
	keepSealed bool        // no consolidation
	store      *view.Store // with a cache of its own: a merge reads all once and would evict what readers need
}

// mergeCache is the block cache of merges, in bytes.
const mergeCache = 16 << 20

// newMerger returns a merger that waits in pace before each read of so many
// bytes.
func newMerger(u *upkeep, c *collector, epoch uint64, pace func(context.Context, int64) error) *merger {
	return &merger{
		upkeep: u, collector: c, epoch: epoch, before: func(context.Context) error { return nil },
		store: &view.Store{Log: u.log, Source: pacedReader{patientReader{u.bucket, func() *retry { return u.retry("compact") }}, pace}, Cache: segment.NewCache(mergeCache, mergeCache)},
	}
}

// pacedReader waits before each read of a table.
type pacedReader struct {
	objstore.Reader
	pace func(ctx context.Context, bytes int64) error
}

func (p pacedReader) GetRange(ctx context.Context, name string, off, n int64) ([]byte, error) {
	if err := p.pace(ctx, n); err != nil {
		return nil, err
	}
	return p.Reader.GetRange(ctx, name, off, n)
}

// errDisplaced: the compactor epoch in the manifest is another process's, which
// merges from now on.
var errDisplaced = &fencedError{"logdb: fenced by a newer compactor"}

// fencedError is an ErrFenced that speaks of no writer.
type fencedError struct{ message string }

func (e *fencedError) Error() string        { return e.message }
func (e *fencedError) Is(target error) bool { return target == ErrFenced }

// displaced is errDisplaced where the manifest has another compactor epoch.
func (t *merger) displaced(m *segment.Manifest) error {
	if m.CompactorEpoch == t.epoch || t.hooks.without(compactorEpoch) {
		return nil
	}
	return fmt.Errorf("%w: manifest has compactor epoch %d, ours is %d", errDisplaced, m.CompactorEpoch, t.epoch)
}

// due is what the plan asks for now.
func (t *merger) due() []compact.Job {
	m := t.newest()
	return compact.Plan(m.Segments, compact.Options{Flushed: m.Flushed, KeepSealed: t.keepSealed})
}

// all merges what the plan asks for, one merge at a time, oldest first. While
// segments are sealed faster than they are merged it does not return.
func (t *merger) all(ctx context.Context) error {
	for {
		if err := t.before(ctx); err != nil {
			return err
		}
		jobs := t.due()
		if len(jobs) == 0 {
			return nil
		}
		if err := t.merge(ctx, jobs[0]); err != nil {
			return err
		}
	}
}

// merge writes the tables that replace a job's inputs and names them. The
// output is kept over lost compare-and-sets; if the inputs are gone meanwhile,
// it is left to the collector.
func (t *merger) merge(ctx context.Context, job compact.Job) error {
	begun := time.Now()
	out := job.Tables
	if !job.MarkOnly {
		var err error
		if out, err = t.rewrite(ctx, job); err != nil {
			return t.reason(ctx, job, err)
		}
	}
	t.hooks.at("compact: uploaded")
	m, err := t.keeper.edit(ctx, func(m *segment.Manifest) error {
		if err := t.displaced(m); err != nil {
			return err
		}
		return mergeEdit(m, job, out, t.hooks)
	})
	if m != nil {
		t.publish(m)
	}
	if errors.Is(err, errGone) {
		if !job.MarkOnly {
			t.collector.removedTables(out)
		}
		return nil
	}
	if err != nil {
		return err
	}
	t.hooks.at("compact: named")
	if !job.MarkOnly {
		t.collector.removedTables(job.Tables)
		t.events.emit(t.events.Merged, Event{
			Name: "tables", Segment: job.Segment, Range: spanOf(job.Tables), Tables: len(job.Tables), Bytes: tableBytes(out), Duration: time.Since(begun),
		})
	}
	return nil
}

func spanOf(tables []segment.Table) Range {
	lo, hi := tables[0].Start, tables[0].End
	for _, t := range tables {
		lo, hi = min(lo, t.Start), max(hi, t.End)
	}
	return Between(lo, hi)
}

// reason says what became of a merge that could not read an input: another
// process may have taken that, or the log.
func (t *merger) reason(ctx context.Context, job compact.Job, err error) error {
	if !vanished(err) {
		return err
	}
	m, renewed := t.keeper.refresh(ctx)
	if renewed != nil {
		return renewed
	}
	t.publish(m)
	if err := t.displaced(m); err != nil {
		return err
	}
	if errors.Is(mergeEdit(m.Clone(), job, []segment.Table{{}}, t.hooks), errGone) {
		return nil
	}
	return err
}

// rewrite puts the merge of a job's tables into the bucket.
func (t *merger) rewrite(ctx context.Context, job compact.Job) (out []segment.Table, err error) {
	options := func() segment.WriterOptions {
		t.table++
		return segment.WriterOptions{
			Log: t.log, ID: segment.TableID{Compacted: true, Epoch: t.epoch, N: t.table}, Nonce: objstore.NewID(),
			Segment: job.Segment,
		}
	}
	puts, ctx := errgroup.WithContext(ctx)
	puts.SetLimit(mergePuts)
	err = compact.Merge(ctx, t.store, job.Tables, options, compact.DefaultTableBytes, func(body []byte, table segment.Table) error {
		out = append(out, table)
		t.hooks.at("compact: merged")
		puts.Go(func() error {
			err := putTable(ctx, t.bucket, t.store.Cache, t.log, body, table, t.retry("compact"))
			t.hooks.at("compact: put")
			return err
		})
		return nil
	})
	if failed := puts.Wait(); failed != nil { // then Merge only says that it was cancelled
		err = failed
	}
	return out, err
}

// mergePuts is how many outputs of a merge are on their way while the next one
// is written.
const mergePuts = 2

// errGone says that an edit's inputs are no longer in the manifest.
var errGone = errors.New("inputs are gone from the manifest")

// mergeEdit replaces a run of adjacent tables by its merge, in place.
func mergeEdit(m *segment.Manifest, job compact.Job, out []segment.Table, h *hooks) error {
	for i := range m.Segments {
		s := &m.Segments[i]
		if s.ID != job.Segment {
			continue
		}
		if job.MarkOnly && s.Consolidated || !job.MarkOnly && indexOf(s.Tables, out[0].ID) >= 0 {
			return errDone
		}
		if len(job.Tables) == 0 {
			s.Consolidated = true
			return nil
		}
		at := runOf(s.Tables, job.Tables)
		if at < 0 && !h.without(inputsThere) {
			return errGone
		}
		from := max(at, 0)
		rest := s.Tables[min(from+len(job.Tables), len(s.Tables)):]
		s.Tables = append(append(s.Tables[:from:from], out...), rest...)
		s.Consolidated = s.Consolidated || job.Consolidates
		return nil
	}
	return errGone
}

// runOf returns where tables holds the run, -1 if it does not.
func runOf(tables, run []segment.Table) int {
	at := indexOf(tables, run[0].ID)
	if at < 0 || at+len(run) > len(tables) {
		return -1
	}
	for i := range run {
		if tables[at+i].ID != run[i].ID {
			return -1
		}
	}
	return at
}

func indexOf(tables []segment.Table, id segment.TableID) int {
	for i := range tables {
		if tables[i].ID == id {
			return i
		}
	}
	return -1
}
