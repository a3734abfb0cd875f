package logdb

import (
	"context"
	"errors"
	"time"

	"github.com/logdb-go/logdb/logdb/internal/compact"
	"github.com/logdb-go/logdb/logdb/internal/view"
	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
)

// maintainer is the goroutine that drops expired segments and merges tables.
// It looks when a flush changed something, and when a segment's age is due:
// an idle log costs it nothing.
type maintainer struct {
	db    *LogDb
	kick  chan struct{}
	asked chan chan error
	table uint64 // number of the next merged table of this compactor epoch
	ages  *ages
	store *view.Store // with a cache of its own: a merge reads all once and would evict what readers need
}

// mergeCache is the block cache of merges, in bytes.
const mergeCache = 16 << 20

func newMaintainer(d *LogDb, today time.Time) *maintainer {
	return &maintainer{
		db: d, kick: make(chan struct{}, 1), asked: make(chan chan error), ages: newAges(today),
		store: &view.Store{Log: d.logID, Source: patientReader{d.bucket}, Cache: segment.NewCache(mergeCache, mergeCache)},
	}
}

func (t *maintainer) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	wake(t.kick) // what the last writer left is due
	var asker chan error
	for {
		select {
		case <-t.db.stop.Done():
			return
		case asker = <-t.asked:
		case <-t.kick:
		case <-timer.C:
		}
		wait, err := t.expire(t.db.stop)
		if err == nil {
			err = t.mergeAll(t.db.stop)
		}
		if asker != nil {
			asker <- err
			asker = nil
		}
		switch {
		case err == nil:
			timer.Reset(wait)
		case isFinal(err):
			t.db.fail(err)
			return
		default: // the store is away; what was merged is lost, nothing else
			t.db.opts.Logger.Info("logdb: merge failed, will repeat", "err", err)
			timer.Reset(retryLongest)
		}
	}
}

// isFinal tells an error that no repetition mends.
func isFinal(err error) bool {
	for _, final := range []error{objstore.ErrCorrupt, objstore.ErrUnsupported, ErrFenced, ErrForeign, ErrClosed, context.Canceled} {
		if errors.Is(err, final) {
			return true
		}
	}
	return false
}

// expire drops the segments that retention no longer keeps and returns when
// the next will be due by age.
func (t *maintainer) expire(ctx context.Context) (time.Duration, error) {
	d := t.db
	m := d.state.manifest()
	t.ages.note(m)
	n := expired(m, d.opts.Retention, t.ages)
	if n == 0 {
		return untilExpiry(m, d.opts.Retention, t.ages), nil
	}
	d.opts.hooks.at("expire: due")
	dropped := m.Segments[:n]
	below := dropped[n-1].End
	m, err := d.keeper.edit(ctx, func(m *segment.Manifest) error { return dropEdit(m, below) })
	if err != nil {
		return 0, err
	}
	d.opts.hooks.at("expire")
	d.state.setManifest(m)
	for _, s := range dropped {
		d.collector.removedTables(s.Tables)
		d.opts.Events.emit(d.opts.Events.Dropped, Event{Name: "segment", Segment: s.ID, Range: Between(s.Start, s.End), Bytes: int64(s.Bytes)})
	}
	return untilExpiry(m, d.opts.Retention, t.ages), nil
}

// dropEdit removes the sealed segments that end at or below a sequence.
func dropEdit(m *segment.Manifest, below uint64) error {
	if m.TrimmedBelow >= below {
		return errDone
	}
	n := 0
	for n < len(m.Segments) && m.Segments[n].Sealed && m.Segments[n].End <= below && m.Segments[n].End <= m.Flushed {
		n++
	}
	m.Segments = m.Segments[n:]
	m.TrimmedBelow = below
	return nil
}

// expired returns how many of the oldest segments some rule lets go.
func expired(m *segment.Manifest, r Retention, a *ages) int {
	var records, bytes uint64
	for i := range m.Segments {
		records += m.Segments[i].Records
		bytes += m.Segments[i].Bytes
	}
	n := 0
	for n < len(m.Segments) {
		s := &m.Segments[n]
		over := r.Records > 0 && records > r.Records || r.Bytes > 0 && bytes > r.Bytes
		if !s.Sealed || s.End > m.Flushed || !over && s.End > r.Before && !tooOld(s, r, a) {
			break
		}
		records -= s.Records
		bytes -= s.Bytes
		n++
	}
	return n
}

func tooOld(s *segment.Segment, r Retention, a *ages) bool {
	return r.Age > 0 && a.of(s) >= r.Age
}

// untilExpiry returns when the oldest sealed segment will be too old.
func untilExpiry(m *segment.Manifest, r Retention, a *ages) time.Duration {
	const never = 1000 * time.Hour
	if r.Age == 0 || len(m.Segments) == 0 || !m.Segments[0].Sealed {
		return never
	}
	return max(r.Age-a.of(&m.Segments[0]), time.Second)
}

// mergeAll merges what the plan asks for, one merge at a time, oldest first.
func (t *maintainer) mergeAll(ctx context.Context) error {
	for {
		m := t.db.state.manifest()
		jobs := compact.Plan(m.Segments, compact.Options{Flushed: m.Flushed, KeepSealed: t.db.opts.Segments.NoConsolidation})
		if len(jobs) == 0 {
			return nil
		}
		if err := t.merge(ctx, m, jobs[0]); err != nil {
			return err
		}
	}
}

// merge writes the tables that replace a job's inputs and names them. The
// output is kept over lost compare-and-sets; if the inputs are gone meanwhile,
// it is left to the collector.
func (t *maintainer) merge(ctx context.Context, m *segment.Manifest, job compact.Job) error {
	d := t.db
	begun := time.Now()
	out := job.Tables
	if !job.MarkOnly {
		var err error
		if out, err = t.rewrite(ctx, m.CompactorEpoch, job); err != nil {
			return t.fenced(ctx, err)
		}
	}
	d.opts.hooks.at("compact: uploaded")
	m, err := d.keeper.edit(ctx, func(m *segment.Manifest) error { return mergeEdit(m, job, out) })
	if errors.Is(err, errGone) {
		if !job.MarkOnly {
			d.collector.removedTables(out)
		}
		return nil
	}
	if err != nil {
		return err
	}
	d.state.setManifest(m)
	d.opts.hooks.at("compact: named")
	if !job.MarkOnly {
		d.collector.removedTables(job.Tables)
		d.opts.Events.emit(d.opts.Events.Merged, Event{Name: "tables", Segment: job.Segment, Bytes: tableBytes(out), Duration: time.Since(begun)})
	}
	return nil
}

// fenced gives a merge whose input is gone the reason, if it is that the next
// writer took it out of the log.
func (t *maintainer) fenced(ctx context.Context, err error) error {
	if vanished(err) {
		if renewed := t.db.renew(ctx, t.db.view.Load()); errors.Is(renewed, ErrFenced) {
			return renewed
		}
	}
	return err
}

// rewrite puts the merge of a job's tables into the bucket.
func (t *maintainer) rewrite(ctx context.Context, epoch uint64, job compact.Job) (out []segment.Table, err error) {
	d := t.db
	base := job.Tables[0].FirstMs
	for _, in := range job.Tables {
		base = min(base, in.FirstMs)
	}
	options := func() segment.WriterOptions {
		t.table++
		return segment.WriterOptions{
			Log: d.logID, ID: segment.TableID{Compacted: true, Epoch: epoch, N: t.table}, Nonce: objstore.NewID(),
			Segment: job.Segment, BaseMs: base, Compression: segment.Zstd,
		}
	}
	err = compact.Merge(ctx, t.store, job.Tables, options, compact.DefaultTableBytes, func(body []byte, table segment.Table) error {
		out = append(out, table)
		d.opts.hooks.at("compact: merged")
		return putTable(ctx, d.bucket, d.store.Cache, d.logID, body, table, d.retry("compact"))
	})
	return out, err
}

// errGone says that an edit's inputs are no longer in the manifest.
var errGone = errors.New("inputs are gone from the manifest")

// mergeEdit replaces a run of adjacent tables by its merge, in place.
func mergeEdit(m *segment.Manifest, job compact.Job, out []segment.Table) error {
	for i := range m.Segments {
		s := &m.Segments[i]
		if s.ID != job.Segment {
			continue
		}
		if s.Consolidated || !job.MarkOnly && indexOf(s.Tables, out[0].ID) >= 0 {
			return errDone
		}
		if len(job.Tables) == 0 {
			s.Consolidated = true
			return nil
		}
		at := indexOf(s.Tables, job.Tables[0].ID)
		if at < 0 || at+len(job.Tables) > len(s.Tables) {
			return errGone
		}
		for j, in := range job.Tables {
			if s.Tables[at+j].ID != in.ID {
				return errGone
			}
		}
		rest := s.Tables[at+len(job.Tables):]
		s.Tables = append(append(s.Tables[:at:at], out...), rest...)
		s.Consolidated = s.Consolidated || job.Consolidates
		return nil
	}
	return errGone
}

func indexOf(tables []segment.Table, id segment.TableID) int {
	for i := range tables {
		if tables[i].ID == id {
			return i
		}
	}
	return -1
}

// Compact merges everything that is due now and returns when it is done. The
// log does the same by itself in the background.
func (d *LogDb) Compact(ctx context.Context) error {
	if err := d.Err(); err != nil {
		return err
	}
	asker := make(chan error, 1)
	select {
	case d.maintainer.asked <- asker:
	case <-ctx.Done():
		return ctx.Err()
	case <-d.stop.Done():
		return d.Err()
	}
	select {
	case err := <-asker:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-d.stop.Done():
		return d.Err()
	}
}
