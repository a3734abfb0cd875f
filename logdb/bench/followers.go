package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/logdb-go/logdb/logdb"
)

// Who reads, in Followers.Reader.
const (
	ByWriter  = "writer"  // the writer itself
	ByReader  = "reader"  // a LogDbReader in the writer's process
	ByProcess = "process" // a LogDbReader in a process of its own
)

// Followers is a population of mailboxes: records arrive under many keys, and each follower looks now and then for what
// is new in one of them. Arrivals and polls come when they are due, whatever happened to those before them.
type Followers struct {
	Scenario string `json:"-"` // of [Scenarios]; Run does not look at it
	Workload
	MegabytesPerSecond float64 `json:"megabytes_per_second"` // of arrivals, keys and values
	Writers            int     `json:"writers"`              // appends under way at once, at most
	Acks               string  `json:"acks"`

	Followers   int     `json:"followers"` // spread evenly over the keys
	Reader      string  `json:"reader"`
	Page        int     `json:"page_records"`  // most records of one poll
	AtOnce      int     `json:"polls_at_once"` // polls under way at once, at most; others wait, and their latency counts that
	Interval    Span    `json:"poll_seconds"`  // the median of a log-normal distribution over followers and polls
	Spread      float64 `json:"poll_sigma"`    // its sigma
	Offline     float64 `json:"offline_share"` // of followers, at any moment
	OfflineFor  Span    `json:"offline_seconds"`
	DrainAtOnce bool    `json:"drain_at_once,omitempty"` // after a full page the next is read at once, and is due then

	Prefill   int  `json:"prefill_records_per_key"`
	FromStart bool `json:"from_start,omitempty"` // followers have read nothing of the pre-fill, instead of all of it
	WarmUp    Span `json:"warm_up_seconds"`
	Measure   Span `json:"measure_seconds"`
}

// DefaultFollowers is 1,000 keys with a follower each, polling about every ten seconds.
func DefaultFollowers() Followers {
	w := DefaultWorkload()
	w.Keys = 1000
	return Followers{
		Workload: w, MegabytesPerSecond: 1, Writers: 64, Acks: "applied",
		Followers: 1000, Reader: ByWriter, Page: 100, AtOnce: 64, Interval: Span(10 * time.Second), Spread: 0.5,
		Offline: 0.02, OfflineFor: Span(time.Minute), Prefill: 10, WarmUp: Span(10 * time.Second), Measure: Span(30 * time.Second),
	}
}

// Scenario is a variant of the benchmark, to be compared with the others of its letter.
type Scenario struct {
	Name      string
	Followers Followers
	SealBytes int64 // 0: the library's default
}

// Scenarios returns the variants of a letter, derived from f: A is 1,000, 100,000 and 1,000,000 keys, each key with the
// arrivals and the follower that it has in f; B is followers that are all caught up, some of them offline, and all far
// behind; C is segments of 64 MiB, 256 MiB and 1 GiB under the followers that are far behind.
func Scenarios(letter string, f Followers) ([]Scenario, error) {
	behind := f
	behind.Offline, behind.FromStart = 0.2, true
	behind.Prefill = max(f.Prefill, 5*f.Page)
	switch letter {
	case "A":
		var all []Scenario
		for _, keys := range []int{1000, 100_000, 1_000_000} {
			s := f
			s.Keys, s.Followers = keys, max(1, f.Followers*keys/f.Keys)
			s.MegabytesPerSecond = f.MegabytesPerSecond * float64(keys) / float64(f.Keys)
			all = append(all, Scenario{Name: fmt.Sprintf("A: %d keys", keys), Followers: s})
		}
		return all, nil
	case "B":
		caught, some := f, f
		caught.Offline = 0
		some.Offline = max(f.Offline, 0.02)
		return []Scenario{{"B: caught up", caught, 0}, {"B: some offline", some, 0}, {"B: far behind", behind, 0}}, nil
	case "C":
		var all []Scenario
		for _, mib := range []int64{64, 256, 1024} {
			all = append(all, Scenario{fmt.Sprintf("C: segments of %d MiB", mib), behind, mib << 20})
		}
		return all, nil
	}
	return nil, fmt.Errorf("bench: scenario %q, want A, B or C", letter)
}

func (b *Followers) check(p *Place) error {
	switch {
	case b.Values == Flights:
		return fmt.Errorf("bench: followers: the data set decides its keys; want values %s or %s", Random, Text)
	case b.Followers < 1 || b.Page < 1 || b.AtOnce < 1 || b.Writers < 1:
		return fmt.Errorf("bench: followers: %d followers, pages of %d records, %d polls and %d appends at once, want at least 1 of each", b.Followers, b.Page, b.AtOnce, b.Writers)
	case b.MegabytesPerSecond <= 0 || b.Interval <= 0 || b.Spread < 0 || b.Measure <= 0 || b.WarmUp < 0 || b.Prefill < 0:
		return fmt.Errorf("bench: followers: want a rate, an interval and a window above 0")
	case b.Offline < 0 || b.Offline > 0.9 || b.Offline > 0 && b.OfflineFor <= 0:
		return fmt.Errorf("bench: followers: %g of them offline for %v, want a share up to 0.9 and a time", b.Offline, time.Duration(b.OfflineFor))
	}
	switch b.Reader {
	case ByWriter:
		return nil
	case ByReader:
		return p.only("a reader beside the writer")
	case ByProcess:
		if p.Child == nil || p.Bucket == "mem:" {
			return fmt.Errorf("bench: followers: a reader process needs a bucket that is not in memory")
		}
		return p.only("a reader process")
	}
	return fmt.Errorf("bench: followers: reader %q, want %s, %s or %s", b.Reader, ByWriter, ByReader, ByProcess)
}

// Run runs the benchmark.
func (b *Followers) Run(ctx context.Context, p *Place) (*Result, error) {
	if err := b.check(p); err != nil {
		return nil, err
	}
	mix, err := parseAcks(b.Acks)
	if err != nil {
		return nil, err
	}
	shared, err := b.corpus()
	if err != nil {
		return nil, err
	}
	return p.run(ctx, "followers", b, func(s *site, r *Result) error {
		dryRun(r.Metrics, &b.Workload, shared)
		if p.target() == "library" { // at the speed of the bucket without its model
			if err := s.build(ctx, func(l *library) error { return b.prefill(ctx, s, l, shared, r.Metrics) }); err != nil {
				return err
			}
		}
		t, err := s.open(ctx)
		if err != nil {
			return err
		}
		if p.target() != "library" {
			err = b.prefill(ctx, s, t, shared, r.Metrics)
		}
		tail := Cursor(0)
		if err == nil {
			tail, err = t.Tail(ctx)
		}
		if err == nil {
			err = b.follow(ctx, s, r, &following{target: t, tail: tail, shared: shared, acks: mix})
		}
		if closed := t.Close(); err == nil {
			err = closed
		}
		return err
	})
}

// prefill gives every key a history.
func (b *Followers) prefill(ctx context.Context, s *site, t Target, shared *corpus, m Metrics) error {
	history := b.bulk()
	history.Seed = mix(b.Seed)
	records := uint64(b.Keys) * uint64(b.Prefill)
	if records == 0 {
		return nil
	}
	load := Ingest{Workload: history, Writers: 4, Records: records}
	g := newIngestion(&load, t, shared, []share{{logdb.Applied, 1, 1}})
	g.pick = func(n uint64, j int) int { return int((n*uint64(history.Batch) + uint64(j)) % uint64(b.Keys)) }
	g.say = func(format string, args ...any) { s.say("pre-fill, "+format, args...) }
	begun := time.Now()
	if err := g.run(ctx); err != nil {
		return fmt.Errorf("bench: pre-fill: %w", err)
	}
	if left, ok := t.(Backlogger); ok {
		if err := left.Drain(ctx); err != nil {
			return fmt.Errorf("bench: pre-fill: drain: %w", err)
		}
	}
	m["prefill_records_per_second"] = float64(records) / time.Since(begun).Seconds()
	return nil
}

// following is what the measured part of a run needs.
type following struct {
	target Target
	tail   Cursor
	shared *corpus
	acks   []share

	reader Metrics // of the crowd
	window cost
}

// follow runs arrivals and polls beside each other.
func (b *Followers) follow(ctx context.Context, s *site, r *Result, f *following) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	crowd, err := b.gather(ctx, s, f)
	if err != nil {
		return err
	}
	defer crowd.dismiss()
	load := Ingest{Workload: b.Workload, Writers: b.Writers, MegabytesPerSecond: b.MegabytesPerSecond, Duration: b.WarmUp + b.Measure}
	arrivals := newIngestion(&load, f.target, f.shared, f.acks)
	start := time.Now().Add(50 * time.Millisecond)
	arrivals.pace = newPace(start, b.MegabytesPerSecond, b.Batch, arrivals.recordBytes())
	arrivals.from = start.Add(time.Duration(b.WarmUp))
	arrivals.done = crowd.appended
	arrivals.say = s.say
	var parts sync.WaitGroup
	part := func(f func() error) {
		parts.Go(func() {
			if err := f(); err != nil {
				cancel(err)
			}
		})
	}
	part(func() error { return arrivals.run(ctx) })
	part(func() (err error) {
		f.reader, err = crowd.poll(ctx, start)
		return err
	})
	whole := watch{store: s.store}
	parts.Go(func() {
		whole.window(ctx, arrivals.from, arrivals.from.Add(time.Duration(b.Measure)))
		f.window = whole.cost
	})
	parts.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	b.report(r.Metrics, f, arrivals)
	return nil
}

func (b *Followers) report(m Metrics, f *following, arrivals *ingestion) {
	for name, v := range f.reader {
		m[name] = v
	}
	for level, l := range arrivals.latency {
		l.put(m, "ack_"+level.String())
	}
	arrivals.lag.put(m, "schedule_lag")
	seconds := (b.WarmUp + b.Measure)
	m["arrival_records_per_second"] = float64(arrivals.records.Load()) / time.Duration(seconds).Seconds()
	m["arrival_megabytes_per_second"] = float64(arrivals.bytes.Load()) / 1e6 / time.Duration(seconds).Seconds()
	m.set("cpu_cores", f.window.cpu/f.window.seconds)
	if _, ours := f.target.(*library); ours {
		m["puts_per_second"] = float64(puts(f.window.counts)) / f.window.seconds
		m["gets_per_second"] = float64(gets(f.window.counts)) / f.window.seconds
		m["request_dollars_per_month"] = Dollars(f.window.counts) / f.window.seconds * secondsPerMonth
	}
}

const secondsPerMonth = 30 * 24 * 3600
