package bench

import (
	"container/heap"
	"context"
	"maps"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// crowd is the followers of a run, in whatever process.
type crowd interface {
	appended(batch uint64) // a batch of arrivals has been acknowledged
	poll(ctx context.Context, start time.Time) (Metrics, error)
	dismiss()
}

// pager is the part of a Target that followers need.
type pager interface {
	Page(ctx context.Context, key []byte, cursor Cursor, limit int, visit func([]byte)) (int, Cursor, error)
}

// audience is a crowd in this process. What it knows of lag it knows from the arrivals and from what its followers have
// read, and not from the target.
type audience struct {
	*Followers
	from      pager
	arrived   []atomic.Uint32 // by key, without the pre-fill
	followers []follower
	stats     *pollStats
	due       chan duePoll
	watch     watch
}

// follower is one reader's place. Its polls are one after the other.
type follower struct {
	mu     sync.Mutex
	cursor Cursor
	read   uint32 // records, of its key
	level  bool   // its last poll left nothing
}

// duePoll is a poll whose time has come.
type duePoll struct {
	follower int
	due      time.Time
	away     bool // it was offline before
}

func newAudience(b *Followers, from pager, tail Cursor, w watch) *audience {
	a := &audience{
		Followers: b, from: from, arrived: make([]atomic.Uint32, b.Keys), followers: make([]follower, b.Followers),
		stats: newPollStats(), due: make(chan duePoll, 4*b.AtOnce), watch: w,
	}
	for i := range a.followers {
		if f := &a.followers[i]; !b.FromStart {
			f.cursor, f.read, f.level = tail, uint32(b.Prefill), true
		}
	}
	return a
}

func (a *audience) appended(batch uint64) {
	for j := range a.Batch {
		a.arrived[a.key(batch, j)].Add(1)
	}
}

func (a *audience) dismiss() {}

// keyOf spreads the followers over the keys.
func (a *audience) keyOf(follower int) int {
	if a.Followers.Followers <= a.Keys {
		return int(int64(follower) * int64(a.Keys) / int64(a.Followers.Followers))
	}
	return follower % a.Keys
}

// poll runs the followers through warm-up and window, and returns when the last poll that was due has ended.
func (a *audience) poll(ctx context.Context, start time.Time) (Metrics, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	a.stats.from = start.Add(time.Duration(a.WarmUp))
	a.stats.to = a.stats.from.Add(time.Duration(a.Measure))
	const shards = 4
	var schedulers, workers sync.WaitGroup
	schedulers.Go(func() { a.watch.window(ctx, a.stats.from, a.stats.to) })
	for shard := range shards {
		schedulers.Go(func() { a.schedule(ctx, start, shard, shards) })
	}
	for range a.AtOnce {
		workers.Go(func() {
			var key []byte
			for p := range a.due {
				key = a.appendKey(key[:0], a.keyOf(p.follower))
				if err := a.serve(ctx, key, p); err != nil {
					cancel(err)
				}
			}
		})
	}
	schedulers.Wait()
	close(a.due)
	workers.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	m := a.stats.metrics(time.Duration(a.Measure))
	if a.watch.store == nil { // a target whose requests nobody sees
		maps.DeleteFunc(m, func(name string, _ float64) bool { return strings.Contains(name, "get") })
	}
	a.watch.put(m, a.stats.all)
	return m, nil
}

// serve does one poll, and those at once after it.
func (a *audience) serve(ctx context.Context, key []byte, p duePoll) error {
	f := &a.followers[p.follower]
	f.mu.Lock()
	defer f.mu.Unlock()
	for ctx.Err() == nil {
		t := tally{}
		lag := int64(a.Prefill) + int64(a.arrived[a.keyOf(p.follower)].Load()) - int64(f.read)
		begun := time.Now()
		n, next, err := a.from.Page(t.in(ctx), key, f.cursor, a.Page, nil)
		if err != nil {
			return err
		}
		a.stats.take(polled{
			due: p.due, begun: begun, ended: time.Now(), lag: max(lag, 0), level: f.level && !p.away,
			records: n, gets: t.gets.Load(), bytes: t.bytes.Load(),
		})
		f.cursor, f.read, f.level = next, f.read+uint32(n), n < a.Page
		if f.level || !a.DrainAtOnce {
			return nil
		}
		p.due, p.away = time.Now(), false
	}
	return nil
}

// timetable is when the followers of one shard poll next.
type timetable []appointment

type appointment struct {
	due      time.Time
	follower int
	away     bool
	cadence  time.Duration
	rng      rng
}

// Len implements heap.Interface.
func (t timetable) Len() int { return len(t) }

// Less implements heap.Interface.
func (t timetable) Less(i, j int) bool { return t[i].due.Before(t[j].due) }

// Swap implements heap.Interface.
func (t timetable) Swap(i, j int) { t[i], t[j] = t[j], t[i] }

// Push implements heap.Interface.
func (t *timetable) Push(x any) { *t = append(*t, x.(appointment)) }

// Pop implements heap.Interface.
func (t *timetable) Pop() any {
	last := (*t)[len(*t)-1]
	*t = (*t)[:len(*t)-1]
	return last
}

// schedule hands out the polls of every shards-th follower when they are due. A poll that has to wait for a place keeps
// its time.
func (a *audience) schedule(ctx context.Context, start time.Time, shard, shards int) {
	t := make(timetable, 0, a.Followers.Followers/shards+1)
	for i := shard; i < a.Followers.Followers; i += shards {
		x := appointment{follower: i, rng: rng{mix(a.Seed ^ mix(uint64(i)+1<<40))}}
		x.cadence = time.Duration(float64(a.Interval) * math.Exp(a.Spread*x.rng.normal()))
		x.due = start.Add(time.Duration(x.rng.float() * float64(x.cadence)))
		t = append(t, x)
	}
	heap.Init(&t)
	for len(t) > 0 && t[0].due.Before(a.stats.to) {
		x := &t[0]
		if _, ok := (pace{interval: 1}).wait(ctx, x.due); !ok {
			return
		}
		select {
		case a.due <- duePoll{x.follower, x.due, x.away}:
		case <-ctx.Done():
			return
		}
		a.reschedule(x)
		heap.Fix(&t, 0)
	}
}

// reschedule draws the next poll: most often after about the follower's own cadence, and sometimes after a time offline,
// so often that Offline of the followers are it at any moment.
func (a *audience) reschedule(x *appointment) {
	away := 0.0
	if a.Offline > 0 {
		away = a.Offline * float64(x.cadence) / (float64(a.OfflineFor) * (1 - a.Offline))
	}
	if x.away = x.rng.float() < away; x.away {
		x.due = x.due.Add(time.Duration(a.OfflineFor))
		return
	}
	x.due = x.due.Add(time.Duration(float64(x.cadence) * math.Exp(0.25*x.rng.normal())))
}

// normal draws from the standard normal distribution.
func (r *rng) normal() float64 {
	return math.Sqrt(-2*math.Log(1-r.float())) * math.Cos(2*math.Pi*r.float())
}
