package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/logdb-go/logdb/logdb"
)

// Idle counts what a log asks of the bucket that nobody writes to.
type Idle struct {
	Workload
	Settle    Span `json:"settle_seconds"` // until the collector has done its work: its grace period, and some
	Window    Span `json:"window_seconds"` // in which the writer's requests are counted
	Refreshes int  `json:"refreshes"`      // of a reader, one after the other
}

// DefaultIdle waits for the collector and then for a minute.
func DefaultIdle() Idle {
	return Idle{Workload: DefaultWorkload(), Settle: Span(150 * time.Second), Window: Span(time.Minute), Refreshes: 100}
}

// Run runs the benchmark.
func (b *Idle) Run(ctx context.Context, p *Place) (*Result, error) {
	if err := p.only("idle"); err != nil {
		return nil, err
	}
	if b.Settle < 0 || b.Window <= 0 || b.Refreshes < 1 {
		return nil, fmt.Errorf("bench: idle: want a window and at least 1 refresh")
	}
	shared, err := b.corpus()
	if err != nil {
		return nil, err
	}
	return p.run(ctx, "idle", b, func(s *site, r *Result) error {
		l, err := s.library(ctx)
		if err != nil {
			return err
		}
		err = fill(ctx, l, b.Workload, shared, 10_000, func(i uint64) int { return b.key(i, 0) })
		if err == nil {
			err = b.rest(ctx, s, r.Metrics)
		}
		if err == nil {
			err = b.refresh(ctx, s, r.Metrics)
		}
		if closed := l.Close(); err == nil {
			err = closed
		}
		return err
	})
}

// rest counts the writer's requests while nothing happens.
func (b *Idle) rest(ctx context.Context, s *site, m Metrics) error {
	s.say("waiting for the collector, and then for %v", time.Duration(b.Window))
	sleep := pace{interval: 1}
	if _, ok := sleep.wait(ctx, time.Now().Add(time.Duration(b.Settle))); !ok {
		return context.Cause(ctx)
	}
	before := s.store.Counts()
	if _, ok := sleep.wait(ctx, time.Now().Add(time.Duration(b.Window))); !ok {
		return context.Cause(ctx)
	}
	c := since(before, s.store.Counts())
	m["writer_idle_requests_per_minute"] = float64(all(c)) / time.Duration(b.Window).Minutes()
	return nil
}

// refresh counts what a reader asks for that finds nothing new.
func (b *Idle) refresh(ctx context.Context, s *site, m Metrics) error {
	return s.withReader(ctx, func(r *logdb.LogDbReader) error {
		before := s.store.Counts()
		for range b.Refreshes {
			if err := r.Refresh(ctx); err != nil {
				return err
			}
		}
		c := since(before, s.store.Counts())
		m["reader_requests_per_refresh"] = float64(all(c)) / float64(b.Refreshes)
		m["reader_idle_dollars_per_month"] = Dollars(c) / float64(b.Refreshes) * secondsPerMonth
		return nil
	})
}
