package logdb

import (
	"time"

	"github.com/logdb-go/logdb/logdb/internal/memtable"
	"github.com/logdb-go/logdb/logdb/internal/view"
	"github.com/logdb-go/logdb/segment"
)

// kept is memtables that stay when they are in tables, so that who looks in
// every few seconds finds what is new without a request: it would lie a little in
// each of many tables that nobody has read yet. They take their memory out of
// the cache's budgets, and only while somebody asks so far back. Owned by who
// publishes views.
type kept struct {
	cache  *segment.Cache
	budget int64
	demand *view.Demand
	turned time.Time

	runs  []keptRun // ascending; with what is in no table yet they hold all from from on
	from  uint64
	bytes int64
}

type keptRun struct {
	mem *memtable.Table
	end uint64
}

// keptFor is how long a look back counts, and up to twice that.
const keptFor = 30 * time.Second

// newKept keeps up to three quarters of what a cache of data, and its quarter
// for indexes, may hold.
func newKept(cache *segment.Cache, data int64, h *hooks) *kept {
	k := &kept{cache: cache, budget: (data + data/4) / 4 * 3, demand: view.NewDemand(), turned: time.Now()}
	if h.forgets {
		k.budget = -1
	}
	return k
}

// restart forgets everything below a sequence.
func (k *kept) restart(from uint64) {
	clear(k.runs)
	k.runs, k.from, k.bytes = nil, from, 0
}

// add takes a memtable that was flushed. Its records follow those that are
// kept, and end at end.
func (k *kept) add(mem *memtable.Table, end uint64) {
	k.runs = append(k.runs, keptRun{mem, end})
	k.bytes += mem.Memory()
}

// trim lets go of what nobody wants, what there is no room for, and what
// retention has removed. It comes after the last add before a view is made.
func (k *kept) trim(trimmedBelow uint64) {
	if now := time.Now(); now.Sub(k.turned) >= keptFor {
		k.demand.Turn()
		k.turned = now
	}
	wanted := max(k.demand.From(), trimmedBelow)
	n := 0
	for ; n < len(k.runs) && (k.runs[n].end <= wanted || k.bytes > k.budget); n++ {
		k.from = k.runs[n].end
		k.bytes -= k.runs[n].mem.Memory()
	}
	if n > 0 {
		k.runs = append([]keptRun(nil), k.runs[n:]...) // the old slice would keep what has gone
	}
	k.from = max(k.from, trimmedBelow)
	k.cache.Lend(k.bytes)
}

// recent makes the newest part of a view of what is kept and what is in no
// table yet.
func (k *kept) recent(unflushed []view.Part) *view.Recent {
	if k.budget < 0 {
		return nil
	}
	parts := make([]view.Part, 0, len(k.runs)+len(unflushed))
	for _, r := range k.runs {
		parts = append(parts, view.Part{Mem: r.mem, Lo: max(r.mem.Start(), k.from), Hi: r.end})
	}
	return &view.Recent{Parts: append(parts, unflushed...), From: k.from, Demand: k.demand}
}
