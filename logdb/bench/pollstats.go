package bench

import (
	"sync/atomic"
	"time"
)

// polled is one poll.
type polled struct {
	due, begun, ended time.Time
	lag               int64 // records that its key had and it had not read, when it began
	level             bool  // the poll before left nothing, one interval ago
	records           int
	gets, bytes       int64
}

// pollStats are the polls of the measured window.
type pollStats struct {
	from, to time.Time
	all      *pollClass
	level    *pollClass
	byLag    []*pollClass
	service  *latencies // from begin to end
	lag      *latencies // from due to begin
	records  atomic.Int64
	bytes    atomic.Int64
	late     atomic.Int64 // ended after the window
}

// pollClass is polls with something in common.
type pollClass struct {
	name    string
	upTo    int64 // lag below
	latency *latencies
	gets    atomic.Int64
}

func newPollStats() *pollStats {
	class := func(name string, upTo int64) *pollClass {
		return &pollClass{name: name, upTo: upTo, latency: newLatencies()}
	}
	return &pollStats{
		all: class("poll", 0), level: class("caught_up", 0), service: newLatencies(), lag: newLatencies(),
		byLag: []*pollClass{
			class("lag_0", 1), class("lag_1_to_9", 10), class("lag_10_to_99", 100),
			class("lag_100_to_999", 1000), class("lag_1000_up", 1<<62),
		},
	}
}

// take counts a poll if it was due in the window.
func (s *pollStats) take(p polled) {
	if p.due.Before(s.from) || !p.due.Before(s.to) {
		return
	}
	add := func(c *pollClass) {
		c.latency.record(p.ended.Sub(p.due))
		c.gets.Add(p.gets)
	}
	add(s.all)
	if p.level {
		add(s.level)
	}
	for _, c := range s.byLag {
		if p.lag < c.upTo {
			add(c)
			break
		}
	}
	s.service.record(p.ended.Sub(p.begun))
	s.lag.record(p.begun.Sub(p.due))
	s.records.Add(int64(p.records))
	s.bytes.Add(p.bytes)
	if p.ended.After(s.to) {
		s.late.Add(1)
	}
}

func (s *pollStats) metrics(window time.Duration) Metrics {
	m := Metrics{}
	polls := float64(s.all.latency.count())
	m["polls_per_second"] = (polls - float64(s.late.Load())) / window.Seconds()
	m["polls_due_per_second"] = polls / window.Seconds()
	m["consumed_records_per_second"] = float64(s.records.Load()) / window.Seconds()
	if polls > 0 {
		m["polls_in_time_share"] = 1 - float64(s.late.Load())/polls
		m["gets_per_poll"] = float64(s.all.gets.Load()) / polls
		m["get_bytes_per_poll"] = float64(s.bytes.Load()) / polls
	}
	s.all.latency.put(m, "poll")
	s.service.put(m, "poll_service")
	s.lag.put(m, "poll_schedule_lag")
	for _, c := range append([]*pollClass{s.level}, s.byLag...) {
		if n := c.latency.count(); n > 0 {
			c.latency.put(m, c.name+"_poll")
			m[c.name+"_gets_per_poll"] = float64(c.gets.Load()) / float64(n)
		}
	}
	return m
}
