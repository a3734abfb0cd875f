package logdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
	"github.com/logdb-go/logdb/wal"
)

// CompactorOptions configure a Compactor. The zero value has the defaults named
// below.
type CompactorOptions struct {
	// NoConsolidation leaves the tables of sealed segments as they were
	// flushed; small tables are merged all the same.
	NoConsolidation bool
	// Interval is the time between two looks for work: 30 s. A look costs one
	// request.
	Interval time.Duration
	// BytesPerSecond bounds what merges read, and with it what they write,
	// which is about as much. 0: no bound.
	BytesPerSecond int64
	// CollectGrace is how long an object that the log no longer names is kept
	// for readers of an older view: 2 minutes, at least 1 minute.
	CollectGrace time.Duration

	Logger *slog.Logger  // as in Options
	Events EventListener // Merged, Deleted, Retried

	hooks hooks // tests
}

// Compactor merges the tables of a log from a process of its own, beside the
// log's writer and its readers or without them, and deletes what nothing names
// any more. It keeps nothing but what is in the bucket: killed at any moment,
// the next one goes on. Its methods are for one goroutine at a time.
//
// A log has one compactor. The younger one fences the older; so does a writer
// that opens the log without Options.ExternalCompactor. A writer that was open
// already leaves the merging to the Compactor, and takes it back when merges
// have been due for 15 minutes and nobody did them.
type Compactor struct {
	opts      CompactorOptions
	pulse     *pulse
	up        *upkeep
	merger    *merger
	collector *collector
	epoch     uint64
	manifest  *segment.Manifest
}

// OpenCompactor opens a log for compaction. It fails with ErrNoLog where the
// bucket holds none, ErrUnsafeBucket, ErrForeign, *CorruptError, or ctx's error.
// ctx bounds opening only.
func OpenCompactor(ctx context.Context, b objstore.Bucket, o CompactorOptions) (*Compactor, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Compactor{opts: o, pulse: newPulse(nil)}
	meter := objstore.NewMeter(b)
	op := &opening{opts: Options{hooks: o.hooks}, bucket: meter, retry: func(what string) *retry {
		r := c.retry(what)
		r.deniedIsFinal = true
		return r
	}}
	if err := op.few(ctx, "probe", func(ctx context.Context) error { return objstore.Probe(ctx, meter) }); err != nil {
		return nil, fmt.Errorf("logdb: probe bucket: %w", err)
	}
	if err := op.claimCompaction(ctx); err != nil {
		return nil, fmt.Errorf("logdb: open compactor: %w", err)
	}
	c.start(meter, op.current, op.etag)
	return c, nil
}

func (o CompactorOptions) withDefaults() (CompactorOptions, error) {
	if o.Interval == 0 {
		o.Interval = 30 * time.Second
	}
	if o.CollectGrace == 0 {
		o.CollectGrace = 2 * time.Minute
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	var errs []error
	if o.Interval < time.Second {
		errs = append(errs, fmt.Errorf("logdb: Interval is %v, want at least %v", o.Interval, time.Second))
	}
	if o.BytesPerSecond < 0 {
		errs = append(errs, fmt.Errorf("logdb: BytesPerSecond is %d, want at least 0", o.BytesPerSecond))
	}
	if o.CollectGrace < time.Minute {
		errs = append(errs, fmt.Errorf("logdb: CollectGrace is %v, want at least %v", o.CollectGrace, time.Minute))
	}
	return o, errors.Join(errs...)
}

// claimCompaction takes the next compactor epoch by compare-and-set. It is ours
// only if our own nonce is seen; if another write hid it, the next one is taken.
func (o *opening) claimCompaction(ctx context.Context) error {
	for {
		var got objstore.Object
		err := o.few(ctx, segment.ManifestName, func(ctx context.Context) (err error) {
			got, err = o.bucket.Get(ctx, segment.ManifestName)
			return err
		})
		if errors.Is(err, objstore.ErrNotFound) {
			return ErrNoLog
		}
		if err != nil {
			return err
		}
		base, err := segment.DecodeManifest(got.Data)
		if err != nil {
			return err
		}
		m := base.Clone()
		m.Version++
		m.Nonce = objstore.NewID()
		m.CompactorEpoch++
		if ours, err := o.swap(ctx, m, got.ETag); ours || err != nil {
			return err
		}
	}
}

func (c *Compactor) start(b *objstore.Meter, m *segment.Manifest, etag string) {
	c.epoch, c.manifest = m.CompactorEpoch, m
	k := newKeeper(b, m, etag, c.retry)
	k.holds = c.holds
	c.up = &upkeep{
		bucket: b, log: m.Log, keeper: k, retry: c.retry, grace: c.opts.CollectGrace,
		logger: c.opts.Logger, events: &c.opts.Events, hooks: &c.opts.hooks,
	}
	c.collector = newCollector(c.up)
	c.collector.juror = strangerJuror{c.up}
	c.merger = newMerger(c.up, c.collector, c.epoch, c.pacer())
	c.up.cache = c.merger.store.Cache
	c.merger.keepSealed = c.opts.NoConsolidation
	c.merger.newest = func() *segment.Manifest { return c.manifest }
	c.merger.publish = func(m *segment.Manifest) { c.manifest = m }
}

func (c *Compactor) holds(m *segment.Manifest) error {
	if m.CompactorEpoch == c.epoch || c.opts.hooks.without(compactorEpoch) {
		return nil
	}
	return fmt.Errorf("%w: manifest has compactor epoch %d, ours is %d", errDisplaced, m.CompactorEpoch, c.epoch)
}

// pacer returns what keeps reads below the bound.
func (c *Compactor) pacer() func(context.Context, int64) error {
	if c.opts.BytesPerSecond == 0 {
		return func(context.Context, int64) error { return nil }
	}
	burst := int(min(c.opts.BytesPerSecond, 1<<30))
	limit := rate.NewLimiter(rate.Limit(c.opts.BytesPerSecond), burst)
	return func(ctx context.Context, n int64) error {
		for n > 0 {
			some := min(int(n), burst)
			if err := limit.WaitN(ctx, some); err != nil {
				return err
			}
			n -= int64(some)
		}
		return nil
	}
}

func (c *Compactor) retry(what string) *retry {
	r := newRetry(what, func(r *retry, object string, err error, wait time.Duration) {
		r.log(c.opts.Logger, object, err, wait)
		c.opts.Events.emit(c.opts.Events.Retried, Event{Name: r.what, Object: object, Duration: wait, Err: err})
	})
	r.pulse = c.pulse
	c.opts.hooks.calm(r)
	return r
}

// Compact merges everything that is due now and returns when it is done. What
// the merges replaced stays in the bucket until Run or Collect deletes it.
//
// ErrFenced is final: another compactor, or a writer that merges itself, has
// the log. After any other error, and ctx's end, calling again goes on.
func (c *Compactor) Compact(ctx context.Context) error {
	m, err := c.up.keeper.refresh(ctx)
	if err != nil {
		return err
	}
	c.manifest = m
	return c.merger.all(ctx)
}

// Collect finds what crashed processes left in the bucket and deletes it, and
// what Compact replaced too. It takes CollectGrace: nothing dies before it was
// seen unnamed for so long.
func (c *Compactor) Collect(ctx context.Context) error {
	for {
		pending, err := c.collector.pass(ctx)
		if err != nil {
			return err
		}
		due := c.collector.deleteDue(ctx)
		if pending == 0 && due == sweepEvery {
			return nil
		}
		timer := time.NewTimer(max(min(due, c.opts.CollectGrace), time.Millisecond))
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		}
	}
}

// Run merges what becomes due and deletes what nothing names any more, until
// ctx ends or the Compactor is fenced, and returns ctx's error or ErrFenced.
// While the store is away it waits.
func (c *Compactor) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		c.collector.run(ctx)
		return context.Cause(ctx)
	})
	g.Go(func() error { return c.run(ctx) })
	return g.Wait()
}

func (c *Compactor) run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		err := c.Compact(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case isFinal(err):
			return err
		case err != nil:
			c.opts.Logger.Info("logdb: merge failed, will repeat", "err", err)
		}
		timer.Reset(c.opts.Interval)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
		}
	}
}

// Close gives back the memory that the Compactor holds. Nothing in the bucket
// waits for it.
func (c *Compactor) Close() error { return c.merger.store.Cache.Close() }

// strangerJuror is that of a process that is not the writer: it reads what
// recovery would.
type strangerJuror struct{ *upkeep }

func (w strangerJuror) held() map[string]bool { return make(map[string]bool) }

// settled walks the WAL from where recovery starts. Only when it has passed
// fences into the writer's epoch is that writer's recovery complete: before, an
// older writer's object may still land below the fence to come, and name tables
// that were put long ago.
func (w strangerJuror) settled(ctx context.Context, m *segment.Manifest, named map[string]bool) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, refreshBound) // past it the objects to be read may be collected
	defer cancel()
	end, err := walk(ctx, w.bucket, replayFrom(m), 1, w.retry("collect"), func(obj wal.Object) error {
		if obj.Log != m.Log {
			return fmt.Errorf("%w: %s is of log %v, ours is %v", ErrForeign, wal.ObjectName(obj.At.Epoch, obj.At.Number), obj.Log, m.Log)
		}
		if obj.Kind != wal.Tables || w.hooks.without(walNames) {
			return nil
		}
		tables, err := segment.DecodeTables(obj.Body)
		if err != nil {
			return &CorruptError{Object: wal.ObjectName(obj.At.Epoch, obj.At.Number), Err: err}
		}
		addNames(named, tables)
		return nil
	})
	switch {
	case err != nil:
		return 0, err
	case end.Epoch < m.Epoch && !w.hooks.without(recoveryComplete):
		return 0, nil
	}
	return m.Epoch, nil
}
