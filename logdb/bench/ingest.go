package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/objstore"
)

// Ingest appends a workload and says what that took.
type Ingest struct {
	Workload
	Writers int `json:"writers"` // appends under way at once, at most
	// MegabytesPerSecond is the rate of the open loop, of keys and values. 0 is a closed loop: each writer appends again
	// as soon as its last append has returned.
	MegabytesPerSecond float64 `json:"megabytes_per_second,omitempty"`
	// The window ends after Duration or Records, whichever is first; 0 is no limit, and one of them is needed.
	Duration Span   `json:"duration_seconds,omitempty"`
	Records  uint64 `json:"records,omitempty"`
	// Acks is the level of the appends: "applied", "local", "remote", or shares such as "applied=90,remote=10".
	Acks string `json:"acks"`
	// Baseline measures bare PUTs to the same bucket afterwards.
	Baseline bool `json:"baseline,omitempty"`
}

// DefaultIngest is a closed loop of one writer at applied, for five seconds.
func DefaultIngest() Ingest {
	return Ingest{Workload: DefaultWorkload(), Writers: 1, Duration: Span(5 * time.Second), Acks: "applied"}
}

// Run runs the benchmark.
func (b *Ingest) Run(ctx context.Context, p *Place) (*Result, error) {
	if b.Writers < 1 || b.Duration <= 0 && b.Records == 0 {
		return nil, fmt.Errorf("bench: ingest: %d writers for %v, want at least 1, and an end", b.Writers, time.Duration(b.Duration))
	}
	mix, err := parseAcks(b.Acks)
	if err != nil {
		return nil, err
	}
	shared, err := b.corpus()
	if err != nil {
		return nil, err
	}
	return p.run(ctx, "ingest", b, func(s *site, r *Result) error { return b.run(ctx, s, r, shared, mix) })
}

func (b *Ingest) run(ctx context.Context, s *site, r *Result, shared *corpus, mix []share) error {
	t, err := s.open(ctx)
	if err != nil {
		return err
	}
	dryRun(r.Metrics, &b.Workload, shared)
	g := newIngestion(b, t, shared, mix)
	g.say = s.say
	g.pace = newPace(time.Now(), g.MegabytesPerSecond, g.Batch, g.recordBytes())
	m := newMeasure(s.store)
	err = g.run(ctx)
	window := m.stop()
	if err == nil {
		err = g.finish(ctx, r, m, window)
	}
	if closed := t.Close(); err == nil {
		err = closed
	}
	if err == nil && b.Baseline {
		err = s.bareWrites(ctx, r.Metrics)
	}
	return err
}

// finish puts what is left where it will stay, and takes down the figures.
func (g *ingestion) finish(ctx context.Context, r *Result, m *measure, window cost) error {
	records, bytes := float64(g.records.Load()), float64(g.bytes.Load())
	r.Metrics["records"] = records
	r.Metrics["record_bytes"] = bytes
	r.Metrics["window_seconds"] = window.seconds
	r.Metrics["records_per_second"] = records / window.seconds
	r.Metrics["megabytes_per_second"] = bytes / 1e6 / window.seconds
	r.Metrics.set("cpu_seconds_per_gb", window.cpu/(bytes/1e9))
	for level, l := range g.latency {
		l.put(r.Metrics, "ack_"+level.String())
	}
	g.lag.put(r.Metrics, "schedule_lag")
	left, drains := g.target.(Backlogger)
	if drains {
		r.Metrics["backlog_records"] = float64(left.Backlog())
		g.say("window over after %.1f s; draining", window.seconds)
		if err := left.Drain(ctx); err != nil {
			return fmt.Errorf("bench: drain: %w", err)
		}
		whole := m.stop()
		r.Metrics["drain_seconds"] = whole.seconds - window.seconds
		r.Metrics["drained_records_per_second"] = records / whole.seconds
		r.Metrics.set("drained_cpu_seconds_per_gb", whole.cpu/(bytes/1e9))
	}
	if _, ours := g.target.(*library); ours {
		written(r.Metrics, "window_", window.counts, bytes)
		r.Metrics["request_dollars_per_month"] = Dollars(window.counts) / window.seconds * secondsPerMonth
		written(r.Metrics, "", m.stop().counts, bytes)
	}
	return nil
}

// written says what records cost the bucket.
func written(m Metrics, name string, c objstore.Counts, recordBytes float64) {
	m[name+"put_bytes_per_record_byte"] = float64(c.Bytes["put"]) / recordBytes
	m[name+"put_bytes_per_gb"] = float64(c.Bytes["put"]) / (recordBytes / 1e9)
	m[name+"puts_per_gb"] = float64(puts(c)) / (recordBytes / 1e9)
	m[name+"puts"] = float64(puts(c))
	m[name+"gets"] = float64(gets(c))
	m[name+"lists"] = float64(c.Requests["list"])
	m[name+"deletes"] = float64(c.Requests["delete"])
	m[name+"request_dollars_per_gb"] = Dollars(c) / (recordBytes / 1e9)
}

// ingestion is one run's appends.
type ingestion struct {
	*Ingest
	target  Target
	shared  *corpus
	acks    []share
	say     func(string, ...any)
	pace    pace
	latency map[logdb.Durability]*latencies
	lag     *latencies                // of the open loop: how long after its time an append was begun
	from    time.Time                 // latencies before are not taken down
	done    func(n uint64)            // told of each batch that was appended
	pick    func(n uint64, j int) int // nil: the workload's

	next, records atomic.Uint64
	bytes         atomic.Int64
}

func newIngestion(b *Ingest, t Target, shared *corpus, acks []share) *ingestion {
	g := &ingestion{Ingest: b, target: t, shared: shared, acks: acks, latency: map[logdb.Durability]*latencies{}, lag: newLatencies()}
	for _, a := range acks {
		g.latency[a.level] = newLatencies()
	}
	return g
}

// run appends until the window is over, and returns when every append has.
func (g *ingestion) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := ticking(func(passed time.Duration) {
		g.say("%.0f s: %s records, %s/s", passed.Seconds(), number(float64(g.records.Load())), number(float64(g.records.Load())/passed.Seconds()))
	})
	defer stop()
	var writers sync.WaitGroup
	for range g.Writers {
		writers.Go(func() {
			if err := g.writer(ctx); err != nil {
				cancel(err)
			}
		})
	}
	writers.Wait()
	return context.Cause(ctx)
}

// recordBytes is the mean size of a record, for the open loop.
func (g *ingestion) recordBytes() float64 {
	_, n := g.newGenerator(g.shared).batch(0)
	return float64(n) / float64(g.Batch)
}

func (g *ingestion) writer(ctx context.Context) error {
	generator := g.newGenerator(g.shared)
	if g.pick != nil {
		generator.pick = g.pick
	}
	for {
		n := g.next.Add(1) - 1
		due := g.pace.due(n)
		end := g.pace.start.Add(time.Duration(g.Duration))
		if g.Records > 0 && n*uint64(g.Batch) >= g.Records || g.Duration > 0 && (time.Now().After(end) || due.After(end)) {
			return nil
		}
		records, bytes := generator.batch(n)
		if g.Records > 0 {
			if left := g.Records - n*uint64(g.Batch); left < uint64(len(records)) {
				records, bytes = cutTo(records, int(left))
			}
		}
		begun, ok := g.pace.wait(ctx, due)
		if !ok {
			return nil // the cause is known to who cancelled
		}
		if g.pace.interval == 0 {
			due = begun
		} else if !due.Before(g.from) {
			g.lag.record(begun.Sub(due))
		}
		level := pick(g.acks, mix(g.Seed^n))
		if err := g.target.Append(ctx, records, level); err != nil {
			return fmt.Errorf("bench: append batch %d: %w", n, err)
		}
		if !due.Before(g.from) {
			g.latency[level].record(time.Since(due))
		}
		if g.done != nil {
			g.done(n)
		}
		g.records.Add(uint64(len(records)))
		g.bytes.Add(bytes)
	}
}

// cutTo keeps the first n records.
func cutTo(records []logdb.Record, n int) (kept []logdb.Record, bytes int64) {
	for _, r := range records[:n] {
		bytes += int64(len(r.Key) + len(r.Value))
	}
	return records[:n], bytes
}

// dryRun says what the generator takes by itself.
func dryRun(m Metrics, w *Workload, shared *corpus) {
	g := w.newGenerator(shared)
	begun, cpu, bytes := time.Now(), cpuTime(), int64(0)
	for n := uint64(0); time.Since(begun) < 200*time.Millisecond; n++ {
		_, b := g.batch(n)
		bytes += b
	}
	m.set("generator_cpu_seconds_per_gb", (cpuTime()-cpu).Seconds()/(float64(bytes)/1e9))
}

// bareWrites measures PUTs without a log: 200 of 4 KiB, then 16 of 16 MiB, 8 at once.
func (s *site) bareWrites(ctx context.Context, m Metrics) error {
	const small, large, atOnce = 200, 16, 8
	l := newLatencies()
	put := func(count, size int, l *latencies) error {
		data := make([]byte, size)
		r := rng{1}
		r.fill(data)
		var next atomic.Int64
		var writers sync.WaitGroup
		errs := make([]error, atOnce)
		for w := range errs {
			writers.Go(func() {
				for i := next.Add(1); i <= int64(count) && errs[w] == nil; i = next.Add(1) {
					begun := time.Now()
					_, errs[w] = s.store.bucket.Put(ctx, fmt.Sprintf("baseline-%d-%d", size, i), data, objstore.Always())
					l.record(time.Since(begun))
				}
			})
		}
		writers.Wait()
		return errors.Join(errs...)
	}
	if err := put(small, 4<<10, l); err != nil {
		return fmt.Errorf("bench: baseline: %w", err)
	}
	l.put(m, "baseline_put")
	begun := time.Now()
	if err := put(large, 16<<20, newLatencies()); err != nil {
		return fmt.Errorf("bench: baseline: %w", err)
	}
	m["baseline_put_megabytes_per_second"] = large * (16 << 20) / 1e6 / time.Since(begun).Seconds()
	return nil
}
