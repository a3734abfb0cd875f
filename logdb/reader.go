package logdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/logdb-go/logdb/logdb/internal/view"
	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
)

// ReaderOptions configure a LogDbReader. The zero value has the defaults named
// below.
type ReaderOptions struct {
	// RefreshInterval is the time between two looks for new records: 1 s. A
	// look costs one request for the whole process, however many keys are
	// followed. Negative: only on Refresh.
	RefreshInterval time.Duration
	// Cache is the block cache in bytes: 256 MiB of table data, and a quarter
	// of that again for indexes and filters. Polls use it as Memory.Cache tells.
	Cache int64
	// Transfers bounds what is on its way from the bucket, as Memory.Transfers
	// does.
	Transfers *objstore.Budget
	// DiskCache keeps copies of tables on this machine, of this process alone.
	DiskCache DiskCache

	Logger *slog.Logger     // as in Options
	Clock  func() time.Time // nil: time.Now
	Events EventListener    // Retried

	hooks hooks // tests
}

// Budget is what a reader with these options may hold, in bytes, as Memory.Budget
// tells of a writer: both caches, the transfers and, of what is in no table yet,
// four memtables of the size that a writer has by default, with their indexes.
func (o ReaderOptions) Budget() int64 {
	return Options{Memory: Memory{Cache: o.Cache, Transfers: o.Transfers}}.withDefaults().Memory.readers()
}

// LogDbReader reads a log from its bucket alone. It needs permission to read
// and to list, writes nothing, and sees what is Remote at the latest one
// shipment and one refresh after it was appended. All methods are safe for
// concurrent use.
type LogDbReader struct {
	opts      ReaderOptions
	bucket    *objstore.ReaderMeter
	pulse     *pulse
	store     *view.Store
	disk      *segment.Disk // nil: none
	followers *followers
	refresher *refresher
	snapshot  atomic.Pointer[snapshot]
	frontier  watermark
	looked    atomic.Pointer[looked]

	stop   context.Context
	cancel context.CancelCauseFunc
	joined sync.WaitGroup
	closer sync.Once
	closed error
	ended  atomic.Pointer[time.Time] // when stop ended; set before
}

// snapshot is what the reader shows: a view and the frontier below which it is
// complete. The two are published together.
type snapshot struct {
	view     *view.View
	frontier uint64
	flushed  uint64    // of the manifest
	version  uint64    // of the manifest
	asOf     time.Time // start of the manifest's last GET
}

// OpenReader opens a log for reading. It fails with ErrNoLog where the bucket
// holds none, objstore.ErrAccessDenied, *CorruptError, or ctx's error. ctx
// bounds opening only.
func OpenReader(ctx context.Context, b objstore.Reader, o ReaderOptions) (*LogDbReader, error) {
	if o.RefreshInterval == 0 {
		o.RefreshInterval = time.Second
	}
	if o.Cache == 0 {
		o.Cache = 256 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	r := &LogDbReader{opts: o, bucket: objstore.NewReaderMeter(b), pulse: newPulse(o.Transfers), followers: newFollowers()}
	r.stop, r.cancel = context.WithCancelCause(context.Background())
	r.store = &view.Store{Source: patientReader{r.bucket, func() *retry { return r.retry("read") }}, Cache: segment.NewCache(o.Cache, o.Cache/4)}
	r.store.Cache.ReadAhead(r.pulse.budget)
	r.refresher = &refresher{reader: r, asked: make(chan ask), tail: tail{kept: newKept(r.store.Cache, o.Cache, &o.hooks)}}
	disk, err := o.DiskCache.open(vfs.Default)
	if err == nil {
		r.disk = disk
		r.store.Cache.UseDisk(disk)
		err = r.refresher.refresh(ctx, true)
	}
	if err != nil {
		r.cancel(ErrClosed)
		return nil, errors.Join(fmt.Errorf("logdb: open reader: %w", err), r.store.Cache.Close(), disk.Close())
	}
	r.joined.Add(1)
	go func() {
		defer r.joined.Done()
		r.refresher.run()
	}()
	return r, nil
}

// Refresh looks for new records now and returns when they are readable.
func (r *LogDbReader) Refresh(ctx context.Context) error {
	return r.ask(ctx, false)
}

func (r *LogDbReader) ask(ctx context.Context, manifest bool) error {
	a := ask{manifest: manifest, done: make(chan error, 1)}
	select {
	case r.refresher.asked <- a:
	case <-ctx.Done():
		return ctx.Err()
	case <-r.stop.Done():
		return context.Cause(r.stop)
	}
	select {
	case err := <-a.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-r.stop.Done():
		return context.Cause(r.stop)
	}
}

// Close ends the refresh and every follower. It can be called more than once.
func (r *LogDbReader) Close() error {
	r.closer.Do(func() {
		now := time.Now()
		r.ended.Store(&now)
		r.cancel(ErrClosed)
		r.joined.Wait()
		r.followers.wakeAll(0)
		r.frontier.fail(ErrClosed)
		r.closed = errors.Join(r.store.Cache.Close(), r.disk.Close())
	})
	return r.closed
}

// Scan reads the retained entries of key in r, in sequence order. The iterator
// reports errors; ctx bounds its whole life.
func (r *LogDbReader) Scan(ctx context.Context, key []byte, rng Range, o ScanOptions) *Iterator {
	return r.source().scan(ctx, key, rng, o)
}

// Follow reads the entries of key from a sequence on and then waits for more,
// without gap or repeat. Next returns false when ctx ends or the reader is
// closed. All followers of a process share its one refresh.
func (r *LogDbReader) Follow(ctx context.Context, key []byte, from uint64, o ScanOptions) *Iterator {
	return r.source().follow(ctx, key, from, o)
}

// Get returns one entry with bytes of its own. ErrNotFound if the key has no
// record with that sequence, *TrimmedError if retention removed it.
func (r *LogDbReader) Get(ctx context.Context, key []byte, sequence uint64) (Entry, error) {
	return r.source().get(ctx, key, sequence)
}

// Count returns exactly how many entries of key lie in rng.
func (r *LogDbReader) Count(ctx context.Context, key []byte, rng Range) (uint64, error) {
	return r.source().count(ctx, key, rng)
}

// ListKeys streams keys in byte order, each once. Memory is one row per table,
// whatever the number of keys.
func (r *LogDbReader) ListKeys(ctx context.Context, o KeyOptions) *KeyIterator {
	return r.source().keys(ctx, o)
}

// ListSegments returns the retained segments whose sequences overlap rng,
// oldest first.
func (r *LogDbReader) ListSegments(ctx context.Context, rng Range) ([]Segment, error) {
	return r.source().segments(ctx, rng)
}

// Inspect says how the entries of key in rng lie over tables, and what a scan
// of them would cost now.
func (r *LogDbReader) Inspect(ctx context.Context, key []byte, rng Range) (Inspection, error) {
	return r.source().inspect(ctx, key, rng)
}

// Frontier is exclusive: every retained record below it is readable here.
func (r *LogDbReader) Frontier() uint64 { return r.snapshot.Load().frontier }

func (r *LogDbReader) source() *source {
	return &source{
		current:   r.current,
		renew:     r.renew,
		live:      func(*view.View, []view.SegmentInfo) {}, // a reader's views count their tail
		followers: r.followers,
		advanced:  func(context.Context, Durability) <-chan uint64 { return nil },
		lags:      func(Durability) bool { return false },
	}
}

func (r *LogDbReader) current(Durability) (*view.View, uint64, error) {
	if r.stop.Err() != nil {
		return nil, 0, ErrClosed
	}
	s := r.snapshot.Load()
	return s.view, s.frontier, nil
}

func (r *LogDbReader) renew(ctx context.Context, v *view.View) error {
	before := r.snapshot.Load()
	if before.view != v {
		return nil
	}
	if err := r.ask(ctx, true); err != nil {
		return err
	}
	if r.snapshot.Load().version == before.version {
		return errUnchanged
	}
	return nil
}
