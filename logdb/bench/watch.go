package bench

import (
	"context"
	"time"

	"github.com/logdb-go/logdb/logdb"
)

// watch looks at a process when a window begins and when it ends.
type watch struct {
	store   *store
	metrics func() logdb.Metrics // of who reads; nil: nobody's

	cost   cost
	blocks int64 // data blocks that were not in memory
}

// window returns when the window is over, or ctx.
func (w *watch) window(ctx context.Context, from, to time.Time) {
	until := func(t time.Time) bool {
		_, ok := pace{interval: 1}.wait(ctx, t)
		return ok
	}
	misses := func() int64 {
		if w.metrics == nil {
			return 0
		}
		return w.metrics().Cache.DataMisses
	}
	if w.store == nil || !until(from) {
		return
	}
	m, before := newMeasure(w.store), misses()
	if until(to) {
		w.cost, w.blocks = m.stop(), misses()-before
	}
}

// put adds what the reader did in the window. Its requests are those of the polls: the log of a writer merges tables
// meanwhile, and reads them for that.
func (w *watch) put(m Metrics, polls *pollClass) {
	if w.metrics == nil || w.cost.seconds == 0 {
		return
	}
	m["data_blocks_per_second"] = float64(w.blocks) / w.cost.seconds
	if w.blocks > 0 {
		m["gets_per_data_block"] = float64(polls.gets.Load()) / float64(w.blocks)
	}
}
