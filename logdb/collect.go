package logdb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

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
	*upkeep
	juror juror // nil: sweeps are another process's
	mu    struct {
		sync.Mutex
		doomed   []doomed // by time
		walOld   []wal.Position
		replayed wal.Position // WAL objects below it are doomed, or gone
	}
	kick chan struct{}

	// Owned by the goroutine.
	suspects map[string]time.Time // unnamed at that pass of a sweep
}

// juror tells a sweep what the manifest does not.
type juror interface {
	// held returns names that the process is about to put into the manifest. It
	// is asked before the manifest is read: what is named meanwhile is in one
	// of them.
	held() map[string]bool
	// settled adds to named what the WAL names from where recovery under m
	// starts, and returns the epoch below which a writer's table that nobody
	// names is an orphan.
	settled(ctx context.Context, m *segment.Manifest, named map[string]bool) (below uint64, err error)
}

// doomed is a name to delete, and when it left the log.
type doomed struct {
	name string
	left time.Time
}

const (
	sweepEvery    = 24 * time.Hour
	sweepTime     = 15 * time.Minute // for a LIST of everything; a pass that takes longer is begun again
	deletesAtOnce = 16
	deleteTries   = 6 // then the name waits for another grace, and holds nobody up
)

func newCollector(u *upkeep) *collector {
	return &collector{upkeep: u, kick: make(chan struct{}, 1), suspects: map[string]time.Time{}}
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

// recovered remembers the WAL objects that opening read, by name, from the
// first one that recovery read: they leave the log when recovery starts above
// them.
func (c *collector) recovered(m *segment.Manifest, objects []wal.Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.walOld = objects
	c.mu.replayed = replayFrom(m)
}

func replayFrom(m *segment.Manifest) wal.Position {
	return wal.Position{Epoch: m.ReplayEpoch, Number: m.ReplayNumber}
}

// removedWAL dooms the WAL objects below where recovery starts now. Those of
// earlier epochs are the ones that opening read; in our own epoch the numbers
// are dense.
func (c *collector) removedWAL(m *segment.Manifest, own uint64) {
	to := replayFrom(m)
	var names []string
	c.mu.Lock()
	from := c.mu.replayed
	if to.Less(from) {
		to = from
	}
	c.mu.replayed = to
	for len(c.mu.walOld) > 0 && c.mu.walOld[0].Less(to) {
		names = append(names, wal.ObjectName(c.mu.walOld[0].Epoch, c.mu.walOld[0].Number))
		c.mu.walOld = c.mu.walOld[1:]
	}
	c.mu.Unlock()
	if to.Epoch == own {
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

func (c *collector) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	wake(c.kick)       // the first sweep is due
	next := time.Now() // of a sweep's pass
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.kick:
		case <-timer.C:
		}
		if !time.Now().Before(next) {
			next = time.Now().Add(c.sweep(ctx))
		}
		due := c.deleteDue(ctx)
		timer.Reset(min(time.Until(next), due))
	}
}

// deleteDue deletes the names whose grace is over and returns when the next
// one's will be. It need not read the manifest again: an edit of ours took the
// name out, inputs of later edits must be in their base, and no name is given
// twice, so nothing can have named it since; not even under another writer.
func (c *collector) deleteDue(ctx context.Context) time.Duration {
	now, grace := time.Now(), c.grace
	if c.hooks.without(graceFirst) {
		grace = 0
	}
	c.mu.Lock()
	n := 0
	for n < len(c.mu.doomed) && now.Sub(c.mu.doomed[n].left) >= grace {
		n++
	}
	due := c.mu.doomed[:n:n]
	c.mu.doomed = c.mu.doomed[n:]
	c.mu.Unlock()
	names := make([]string, n)
	for i, d := range due {
		names[i] = d.name
	}
	c.removed(c.deleteAll(ctx, names))
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.mu.doomed) == 0 {
		return sweepEvery
	}
	return grace - now.Sub(c.mu.doomed[0].left)
}

// deleteAll deletes names, many at once, and returns those that the store
// would not let go of.
func (c *collector) deleteAll(ctx context.Context, names []string) (left []string) {
	if len(names) == 0 {
		return nil
	}
	c.hooks.at("collect")
	kept := make([]bool, len(names))
	var g errgroup.Group
	g.SetLimit(deletesAtOnce)
	for i, name := range names {
		g.Go(func() error {
			kept[i] = c.delete(ctx, name) != nil
			return nil
		})
	}
	_ = g.Wait() // no function fails
	c.hooks.at("collect: deleted")
	for i, name := range names {
		if kept[i] {
			left = append(left, name)
		}
	}
	return left
}

func (c *collector) delete(ctx context.Context, name string) error {
	retry := c.retry("collect")
	retry.tries = deleteTries
	for {
		err := retry.attempt(ctx, 0, func(ctx context.Context) error { return c.bucket.Delete(ctx, name) })
		if err == nil {
			c.events.emit(c.events.Deleted, Event{Name: "object", Object: name})
			return nil
		}
		if err := retry.pause(ctx, name, err); err != nil {
			return err
		}
	}
}

// writerJuror is a LogDb's: its recovery is complete since it is open, and
// what the WAL names it has in memory.
type writerJuror struct{ db *LogDb }

func (w writerJuror) held() map[string]bool {
	named := make(map[string]bool)
	for _, g := range w.db.state.generations() {
		if closed(g.uploaded) && !w.db.opts.hooks.without(heldTables) {
			addNames(named, g.tables)
			addNames(named, g.late)
		}
	}
	return named
}

// errOthersLog ends a sweep: the log is the next writer's to judge.
var errOthersLog = errors.New("another writer has the log")

func (w writerJuror) settled(_ context.Context, m *segment.Manifest, _ map[string]bool) (uint64, error) {
	if m.Epoch != w.db.epoch {
		return 0, fmt.Errorf("%w: epoch %d", errOthersLog, m.Epoch)
	}
	return m.Epoch, nil
}

func addNames(named map[string]bool, tables []segment.Table) {
	for i := range tables {
		named[tables[i].Name()] = true
	}
}
