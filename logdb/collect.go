package logdb

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
	"github.com/logdb-go/logdb/wal"
)

// collector is the goroutine that deletes objects which the log no longer
// names. Collection goes by removal, never by an object's age: a name dies
// CollectGrace after it left the manifest (or the WAL that recovery reads), so
// that readers of an older view are done with it.
//
// What left by an edit of this process is known by name and costs no LIST.
// What an earlier process left behind is found by one sweep after opening and
// one per day.
type collector struct {
	db *LogDb
	mu struct {
		sync.Mutex
		doomed []doomed // by time
		walOld []wal.Position
	}
	kick chan struct{}

	// Owned by the goroutine.
	suspects map[string]time.Time // unnamed at that pass of a sweep
	fences   map[string]bool      // names known to be fences: kept for ever
}

// doomed is a name to delete, and when it left the log.
type doomed struct {
	name string
	left time.Time
}

const (
	sweepEvery      = 24 * time.Hour
	sweepTime       = 15 * time.Minute // for a LIST of everything; a pass that takes longer is begun again
	deletesAtOnce   = 8
	largestFence    = 1 << 10 // a fence is about 150 bytes; larger objects are none
	collectorTables = "seg/"
	collectorWAL    = "wal/"
)

func newCollector(d *LogDb) *collector {
	return &collector{db: d, kick: make(chan struct{}, 1), suspects: map[string]time.Time{}, fences: map[string]bool{}}
}

// removed dooms names that an edit took out of the log.
func (c *collector) removed(names []string) {
	if len(names) == 0 {
		return
	}
	now := time.Now()
	c.mu.Lock()
	for _, n := range names {
		c.mu.doomed = append(c.mu.doomed, doomed{n, now})
	}
	c.mu.Unlock()
	wake(c.kick)
}

func (c *collector) removedTables(tables []segment.Table) {
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = t.Name()
	}
	c.removed(names)
}

// recovered remembers the WAL objects that opening read, by name: they leave
// the log when recovery starts above them.
func (c *collector) recovered(objects []wal.Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.walOld = objects
}

// removedWAL dooms the WAL objects between two places where recovery starts.
// Those of earlier epochs are the ones that opening read; in our own epoch the
// numbers are dense.
func (c *collector) removedWAL(before, after *segment.Manifest) {
	from := wal.Position{Epoch: before.ReplayEpoch, Number: before.ReplayNumber}
	to := wal.Position{Epoch: after.ReplayEpoch, Number: after.ReplayNumber}
	var names []string
	c.mu.Lock()
	for len(c.mu.walOld) > 0 && c.mu.walOld[0].Less(to) {
		names = append(names, wal.ObjectName(c.mu.walOld[0].Epoch, c.mu.walOld[0].Number))
		c.mu.walOld = c.mu.walOld[1:]
	}
	c.mu.Unlock()
	if to.Epoch == c.db.epoch {
		first := uint64(0)
		if from.Epoch == to.Epoch {
			first = from.Number
		}
		for n := first; n < to.Number; n++ {
			names = append(names, wal.ObjectName(to.Epoch, n))
		}
	}
	c.removed(names)
}

func (c *collector) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	wake(c.kick)       // the first sweep is due
	next := time.Now() // of a sweep's pass
	for {
		select {
		case <-c.db.stop.Done():
			return
		case <-c.kick:
		case <-timer.C:
		}
		if !time.Now().Before(next) {
			next = time.Now().Add(c.sweep(c.db.stop))
		}
		due := c.deleteDue(c.db.stop)
		timer.Reset(min(time.Until(next), due))
	}
}

// deleteDue deletes the names whose grace is over and returns when the next
// one's will be. It need not read the manifest again: an edit of ours took the
// name out, inputs of later edits must be in their base, and no name is given
// twice, so nothing can have named it since; not even under another writer.
func (c *collector) deleteDue(ctx context.Context) time.Duration {
	now, grace := time.Now(), c.db.opts.CollectGrace
	if c.db.opts.hooks.without(graceFirst) {
		grace = 0
	}
	c.mu.Lock()
	n := 0
	for n < len(c.mu.doomed) && now.Sub(c.mu.doomed[n].left) >= grace {
		n++
	}
	due := c.mu.doomed[:n:n]
	c.mu.doomed = c.mu.doomed[n:]
	wait := sweepEvery
	if len(c.mu.doomed) > 0 {
		wait = grace - now.Sub(c.mu.doomed[0].left)
	}
	c.mu.Unlock()
	names := make([]string, n)
	for i, d := range due {
		names[i] = d.name
	}
	c.deleteAll(ctx, names)
	return wait
}

func (c *collector) deleteAll(ctx context.Context, names []string) {
	if len(names) == 0 {
		return
	}
	c.db.opts.hooks.at("collect")
	var g errgroup.Group
	g.SetLimit(deletesAtOnce)
	for _, name := range names {
		g.Go(func() error {
			retry := c.db.retry("collect")
			for {
				err := retry.attempt(ctx, 0, func(ctx context.Context) error { return c.db.bucket.Delete(ctx, name) })
				if err == nil {
					c.db.opts.Events.emit(c.db.opts.Events.Deleted, Event{Name: "object", Object: name})
					return nil
				}
				if retry.pause(ctx, name, err) != nil {
					return nil // the next sweep finds it
				}
			}
		})
	}
	_ = g.Wait() // no function fails
	c.db.opts.hooks.at("collect: deleted")
}

// sweep is one of two passes over a LIST of the bucket. What both passes, a
// grace apart and each against its own manifest, find unnamed is deleted. It
// returns when the next pass is due. A failed pass is repeated by the next.
func (c *collector) sweep(ctx context.Context) time.Duration {
	names, err := c.unnamed(ctx)
	if err != nil {
		c.db.opts.Logger.Info("logdb: sweep failed, will repeat", "err", err)
		return c.db.opts.CollectGrace
	}
	now := time.Now()
	var dead []string
	again := make(map[string]time.Time)
	for _, name := range names {
		first, known := c.suspects[name]
		if known && now.Sub(first) >= c.db.opts.CollectGrace {
			dead = append(dead, name)
			continue
		}
		if !known {
			first = now
		}
		again[name] = first
	}
	c.suspects = again
	c.deleteAll(ctx, dead)
	if len(again) > 0 {
		return c.db.opts.CollectGrace
	}
	return sweepEvery
}

// unnamed lists what neither the manifest nor the WAL names and nobody may
// still be about to name.
func (c *collector) unnamed(ctx context.Context) ([]string, error) {
	named := c.held() // before the manifest: what is installed meanwhile is in one of them
	m, _, err := readManifest(ctx, c.db.bucket, c.db.retry("collect"))
	if err != nil {
		return nil, err
	}
	if m.Epoch != c.db.epoch { // the next writer's business
		return nil, errors.New("another writer has the log")
	}
	for i := range m.Segments {
		addNames(named, m.Segments[i].Tables)
	}
	var out []string
	ctx, cancel := context.WithTimeout(ctx, sweepTime)
	defer cancel()
	for info, err := range c.db.bucket.List(ctx, "", "") {
		if err != nil {
			return nil, err
		}
		dead, err := c.dead(ctx, m, named, info)
		if err != nil {
			return nil, err
		}
		if dead {
			out = append(out, info.Name)
		}
	}
	return out, nil
}

// held collects the names that this process is about to put into the manifest
// or to delete anyway.
func (c *collector) held() map[string]bool {
	named := make(map[string]bool)
	for _, g := range c.db.state.generations() {
		if closed(g.uploaded) && !c.db.opts.hooks.without(heldTables) {
			addNames(named, g.tables)
			addNames(named, g.late)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.mu.doomed {
		named[d.name] = true
	}
	return named
}

func addNames(named map[string]bool, tables []segment.Table) {
	for i := range tables {
		named[tables[i].Name()] = true
	}
}

// dead judges one object of a LIST. Tables of the running epochs may be on
// their way into the log; fences are never deleted.
func (c *collector) dead(ctx context.Context, m *segment.Manifest, named map[string]bool, info objstore.Info) (bool, error) {
	switch {
	case named[info.Name]:
		return false, nil
	case strings.HasPrefix(info.Name, collectorTables):
		_, id, ok := segment.ParseTableName(info.Name)
		epoch := m.Epoch
		if id.Compacted {
			epoch = m.CompactorEpoch
		}
		return ok && (id.Epoch < epoch || c.db.opts.hooks.without(orphanEpoch)), nil
	case strings.HasPrefix(info.Name, collectorWAL):
		epoch, number, ok := wal.ParseObjectName(info.Name)
		at := wal.Position{Epoch: epoch, Number: number}
		if !ok || !at.Less(wal.Position{Epoch: m.ReplayEpoch, Number: m.ReplayNumber}) {
			return false, nil
		}
		fence, err := c.isFence(ctx, info)
		return !fence, err
	}
	return false, nil
}

func (c *collector) isFence(ctx context.Context, info objstore.Info) (bool, error) {
	if c.fences[info.Name] {
		return true, nil
	}
	if info.Size > largestFence {
		return false, nil
	}
	obj, err := readObject(ctx, c.db.bucket, info.Name, c.db.retry("collect"))
	switch {
	case errors.Is(err, objstore.ErrNotFound):
		return true, nil // gone: nothing to do
	case err != nil:
		return false, err
	}
	if c.db.opts.hooks.without(fencesStay) {
		return false, nil
	}
	if obj.Kind == wal.Fence {
		c.fences[info.Name] = true
	}
	return obj.Kind == wal.Fence, nil
}
