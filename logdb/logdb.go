package logdb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/logdb-go/logdb/logdb/internal/view"
	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
	"github.com/logdb-go/logdb/wal"
)

// LogDb is the one writer of a log, and reads it too. All methods are safe for
// concurrent use.
//
// Each goroutine below owns its own struct; what they share is state (the
// manifest and the memtables above it), the watermarks, and channels.
type LogDb struct {
	opts   Options
	bucket *objstore.Meter
	pulse  *pulse
	dir    *wal.Dir // nil when diskless
	logID  objstore.ID
	epoch  uint64
	store  *view.Store
	disk   *segment.Disk // nil: none

	queue      *queue
	room       *room
	committer  *committer
	shipper    *shipper
	flusher    *flusher
	stager     *stager
	keeper     *keeper
	limits     *limiter
	maintainer *maintainer
	collector  *collector
	followers  *followers

	state state
	view  atomic.Pointer[view.View]
	freed chan struct{} // a generation was installed, or staged

	arrears *arrears
	held    atomic.Pointer[time.Time] // since when an append is held back; nil: none is
	shared  atomic.Bool               // another process edits the tables: the view grows old

	applied, local, remote watermark // sequences
	shipped                watermark // frames, over this writer's life
	flushed                watermark // sequences in tables that the manifest names
	installed              watermark // generations in the manifest, over this writer's life

	stop   context.Context // ends with the goroutines; its cause is the sticky error
	cancel context.CancelCauseFunc
	joined sync.WaitGroup
	closer sync.Once
	err    atomic.Pointer[error]     // sticky
	ended  atomic.Pointer[time.Time] // about when err was set; set before it
	closed error                     // what Close returned first
	lost   Lost
}

// Lost counts what an earlier writer from this WALDir left behind when another
// WAL directory opened the log: its files were moved below WALDir/lost and are
// never deleted. What it had not shipped is not in the log; batches that it had
// shipped and not yet flushed are counted too.
type Lost struct {
	Files  int
	Frames uint64 // batches and seals
}

// Open opens the log in a bucket as its writer: it creates the log under an
// empty prefix, fences the writer before it, and recovers what that writer put
// into the bucket or, with the same WALDir, into the local WAL.
//
// Open fails with ErrUnsafeBucket, ErrForeign, ErrLocked, ErrFenced (another
// writer opened at the same time), *BusyError, *CorruptError, or ctx's error.
// ctx bounds opening only.
func Open(ctx context.Context, b objstore.Bucket, o Options) (*LogDb, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.hooks.grace > 0 {
		o.CollectGrace = o.hooks.grace
	}
	d := &LogDb{opts: o, bucket: objstore.NewMeter(b), pulse: newPulse(o.Memory.Transfers)}
	op := &opening{opts: o, bucket: d.bucket, retry: func(what string) *retry {
		r := d.retry(what)
		r.deniedIsFinal = true
		return r
	}}
	var err error
	if d.disk, err = o.DiskCache.open(o.fs); err != nil {
		return nil, err
	}
	if err := op.run(ctx); err != nil {
		return nil, errors.Join(err, d.disk.Close())
	}
	if err := d.start(ctx, op); err != nil {
		return nil, errors.Join(err, op.close(), d.disk.Close())
	}
	return d, nil
}

// run takes the steps of opening, in the order that the protocol needs.
func (o *opening) run(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, o.close())
		}
	}()
	if err := o.lockDir(); err != nil {
		return err
	}
	o.opts.hooks.at("open: locked")
	if err := o.few(ctx, "probe", func(ctx context.Context) error { return objstore.Probe(ctx, o.bucket) }); err != nil {
		return fmt.Errorf("logdb: probe bucket: %w", err)
	}
	if err := o.claim(ctx); err != nil {
		return err
	}
	o.opts.hooks.at("open: claimed")
	o.rec.begin(o.current, o.opts.Memory.Memtable)
	if err := o.fence(ctx); err != nil {
		return err
	}
	o.opts.hooks.at("open: fenced")
	if err := o.confirm(ctx); err != nil {
		return err
	}
	o.opts.hooks.at("open: confirmed")
	o.rec.remote(wal.Position{Epoch: o.epoch})
	if err := o.replayLocal(); err != nil {
		return err
	}
	o.opts.hooks.at("open: replayed")
	return nil
}

func (o *opening) lockDir() error {
	if o.opts.WALDir == "" {
		return nil
	}
	dir, err := wal.OpenDir(o.opts.fs, o.opts.WALDir)
	if errors.Is(err, wal.ErrLocked) {
		return fmt.Errorf("%w: %w", ErrLocked, err)
	}
	if err != nil {
		return err
	}
	o.dir, o.dirID = dir, dir.ID()
	return nil
}

func (o *opening) close() error {
	if o.dir == nil {
		return nil
	}
	dir := o.dir
	o.dir = nil
	return dir.Close()
}

// replayLocal takes back the frames that only this directory has. They count
// only if the directory held the log, without a break, up to the manifest that
// we replaced; else they are kept aside.
func (o *opening) replayLocal() error {
	if o.dir == nil {
		return nil
	}
	from, to := uint64(1), uint64(0)
	if o.base.Dir == o.dirID {
		from, to = o.base.DirSince, o.base.Epoch
	}
	if from <= to {
		if err := o.replayStaged(from, to); err != nil {
			return err
		}
		_, err := o.dir.Replay(from, to, func(_ uint64, f wal.Frame) error {
			if o.opts.hooks.without(replayFromEnd) {
				return o.rec.localFrame(o.current.Flushed, f)
			}
			return o.rec.localFrame(o.end, f)
		})
		if err != nil {
			return err
		}
		o.rec.close()
	}
	files, frames, err := o.dir.MoveToLost(o.current.Log, from, to)
	if err != nil {
		return err
	}
	for _, s := range o.rec.obsolete {
		if err := o.dir.Unstage(s); err != nil {
			return err
		}
	}
	o.lost = Lost{Files: files, Frames: frames}
	if frames > 0 {
		o.opts.Logger.Warn("logdb: local records were not in the log when another directory opened it; kept aside",
			"files", files, "batches", frames, "dir", o.opts.WALDir)
	}
	return nil
}

// start builds the writer from what opening found and starts its goroutines.
func (d *LogDb) start(ctx context.Context, op *opening) error {
	d.dir, d.logID, d.epoch, d.lost = op.dir, op.current.Log, op.epoch, op.lost
	d.stop, d.cancel = context.WithCancelCause(context.Background())
	d.freed = make(chan struct{}, 1)
	d.queue, d.room = newQueue(), newRoom(d.stop, d.opts.Memory)
	d.stager = newStager(d)
	d.store = &view.Store{Log: d.logID, Source: d.stager.local, Cache: segment.NewCache(d.opts.Memory.Cache, d.opts.Memory.Cache/4)}
	d.store.Cache.UseDisk(d.disk)
	d.store.Cache.ReadAhead(d.pulse.budget)
	d.state.store, d.state.publish = d.store, d.view.Store
	d.state.mu.kept = newKept(d.store.Cache, d.opts.Memory.Cache, &d.opts.hooks)
	d.state.mu.kept.restart(op.current.Flushed)
	d.keeper = newKeeper(d.bucket, op.current, op.etag, d.retry)
	d.keeper.holds = d.holds
	d.keeper.sign = func(m *segment.Manifest) { m.WrittenMs = d.opts.Clock().UnixMilli() }
	d.followers = newFollowers()
	d.arrears = newArrears(&d.opts)
	if op.rec.end > op.end {
		d.arrears.applied(op.rec.end, op.rec.localRecords, op.rec.localBytes)
	}
	d.shipper = &shipper{db: d, kick: make(chan struct{}, 1), done: make(chan *shipment), spare: make(bodies, spareObjects), end: op.end}
	d.flusher = newFlusher(d)
	d.limits = &limiter{db: d, kick: make(chan struct{}, 1), raised: make(chan struct{}, 1), manifest: op.current.Limit}
	u := d.upkeep()
	d.collector = newCollector(u)
	if !d.opts.ExternalCompactor {
		d.collector.juror = writerJuror{d}
	}
	d.committer = op.committer(d)
	for _, g := range op.rec.gens {
		d.shipper.unflushed.Add(int64(g.objects))
		if g.staged != nil {
			d.stager.local.add(g.staged.file, g.staged.tables)
		}
	}
	d.state.setManifest(op.current)
	d.state.add(op.rec.gens...)
	d.collector.recovered(op.current, op.rec.objects)
	d.maintainer = newMaintainer(d, u, op.compactor, op.today())
	d.opts.hooks.found(op.end, op.rec.end)
	d.remote.advance(op.end)
	d.local.advance(op.rec.end)
	d.applied.advance(op.rec.end)
	d.flushed.advance(op.current.Flushed)
	if err := d.openLocal(ctx); err != nil {
		return err
	}
	d.spawn(d.committer.run)
	d.spawn(d.shipper.run)
	d.spawn(d.flusher.run)
	d.spawn(d.stager.run)
	d.spawn(d.install)
	d.spawn(d.limits.run)
	d.spawn(d.maintainer.run)
	d.spawn(func() { d.collector.run(d.stop) })
	return nil
}

// openLocal makes the limits durable and starts this epoch's local WAL.
func (d *LogDb) openLocal(ctx context.Context) error {
	if err := d.limits.raise(ctx, d.committer.next); err != nil {
		return err
	}
	d.opts.hooks.at("open: limited")
	if d.dir == nil {
		return nil
	}
	log, err := d.dir.NewLog(d.epoch, func(end uint64, err error) {
		if err != nil {
			d.fail(fmt.Errorf("logdb: local WAL: %w", err))
			return
		}
		d.opts.hooks.at("append: synced")
		d.local.advance(end)
	})
	d.committer.log = log
	return err
}

// committer returns the committer that goes on where the log ended.
func (o *opening) committer(d *LogDb) *committer {
	now := o.opts.Clock()
	c := &committer{
		db: d, seg: o.rec.seg, nextSegment: o.rec.nextID, genEnd: o.rec.end, ordinal: o.rec.ordinal,
		next: max(o.rec.end, limitInForce(o.base, o.dir, &o.opts.hooks)),
		last: max(now.UnixMilli(), o.rec.last, o.current.LastMs),
	}
	if o.opts.hooks.without(timesGoOn) {
		c.last = 0
	}
	c.timer = time.NewTimer(time.Hour)
	if c.seg.open {
		c.sealIn(o.opts.Segments.Interval - now.Sub(c.seg.opened))
	} else {
		c.timer.Stop()
	}
	return c
}

// holds is ErrFenced where a manifest has another writer.
func (d *LogDb) holds(m *segment.Manifest) error {
	if m.Epoch != d.epoch {
		return fmt.Errorf("%w: manifest has epoch %d, ours is %d", ErrFenced, m.Epoch, d.epoch)
	}
	return nil
}

func (d *LogDb) upkeep() *upkeep {
	return &upkeep{
		bucket: d.bucket, log: d.logID, cache: d.store.Cache, keeper: d.keeper, retry: d.retry, grace: d.opts.CollectGrace,
		logger: d.opts.Logger, events: &d.opts.Events, hooks: &d.opts.hooks,
	}
}

func (d *LogDb) spawn(f func()) {
	d.joined.Add(1)
	go func() {
		defer d.joined.Done()
		f()
	}()
}

// retry starts the repetition of one operation, told to the log's listener.
func (d *LogDb) retry(what string) *retry {
	r := newRetry(what, func(r *retry, object string, err error, wait time.Duration) {
		r.log(d.opts.Logger, object, err, wait)
		d.opts.Events.emit(d.opts.Events.Retried, Event{Name: r.what, Object: object, Duration: wait, Err: err})
	})
	r.pulse = d.pulse
	d.opts.hooks.calm(r)
	return r
}

// readRetry is the repetition of a read of a table.
func (d *LogDb) readRetry() *retry { return d.retry("read") }

// control runs f in the commit goroutine, after what was appended before. It
// does not wait; the channel gets f's error, which is final for the log.
func (d *LogDb) control(f func(*committer) error) <-chan error { return d.request(f).done }

func (d *LogDb) request(f func(*committer) error) *request {
	r := &request{placed: make(chan struct{}, 1), done: make(chan error, 1)}
	r.control = func() error { return f(d.committer) }
	if err := d.queue.put(r); err != nil {
		r.done <- err
	}
	return r
}

// ask is control for somebody who waits: while the committer has not taken it,
// the end of ctx withdraws it, and f never runs.
func (d *LogDb) ask(ctx context.Context, f func(*committer) error) error {
	r := d.request(f)
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		if r.withdraw() {
			return ctx.Err()
		}
		return <-r.done
	}
}

// mark returns the watermark of a level.
func (d *LogDb) mark(l Durability) *watermark {
	switch d.level(l) {
	case Remote:
		return &d.remote
	case Local:
		if d.opts.hooks.without(syncedFirst) {
			return &d.applied
		}
		return &d.local
	default:
		return &d.applied
	}
}

// fail stops the writer for good. The first cause stays.
func (d *LogDb) fail(err error) {
	if !errors.Is(err, ErrFenced) && !errors.Is(err, ErrClosed) {
		err = &poisonedError{err}
	}
	now := time.Now()
	d.ended.CompareAndSwap(nil, &now)
	if !d.err.CompareAndSwap(nil, &err) {
		return
	}
	if !errors.Is(err, ErrClosed) {
		d.opts.Logger.Error("logdb: writer stopped", "err", err)
		d.opts.Events.emit(d.opts.Events.Fenced, Event{Name: "stopped", Err: err})
	}
	d.cancel(err)
	for _, w := range []*watermark{&d.applied, &d.local, &d.remote, &d.shipped, &d.flushed, &d.installed} {
		w.fail(err)
	}
	d.followers.wakeAll(0)
}

// Err returns the sticky error: nil while the log takes appends, ErrClosed
// after Close, ErrFenced after a takeover, else what stopped the writer.
func (d *LogDb) Err() error {
	if p := d.err.Load(); p != nil {
		return *p
	}
	return nil
}

// Lost says which local records of this WALDir were found not to be in the
// log when it was opened.
func (d *LogDb) Lost() Lost { return d.lost }

// DurableSequence returns the watermark of a level: every record below it is
// applied, local or remote. It is exclusive and never falls.
func (d *LogDb) DurableSequence(l Durability) uint64 { return d.mark(l).get() }

// SubscribeDurable returns a channel with the newest watermark of a level
// after each advance; values that nobody took are replaced. It is closed when
// ctx ends or the log is closed or stopped.
func (d *LogDb) SubscribeDurable(ctx context.Context, l Durability) <-chan uint64 {
	return d.mark(l).subscribe(ctx)
}
