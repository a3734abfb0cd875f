package bench

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// latencies is a histogram of durations from a microsecond to ten minutes, to three digits. Safe for concurrent use.
type latencies struct {
	mu        sync.Mutex
	histogram *hdrhistogram.Histogram
}

const longest = 10 * time.Minute

func newLatencies() *latencies {
	return &latencies{histogram: hdrhistogram.New(int64(time.Microsecond), int64(longest), 3)}
}

func (l *latencies) record(d time.Duration) {
	d = min(max(d, time.Microsecond), longest)
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.histogram.RecordValue(int64(d)) // in range by the line above
}

func (l *latencies) count() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.histogram.TotalCount()
}

// put adds the percentiles under name to m; nothing where nothing was recorded.
func (l *latencies) put(m Metrics, name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.histogram.TotalCount() == 0 {
		return
	}
	for _, q := range []struct {
		name  string
		value float64
	}{{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99_9", 99.9}} {
		m[name+"_"+q.name+"_ms"] = milliseconds(time.Duration(l.histogram.ValueAtPercentile(q.value)))
	}
	m[name+"_max_ms"] = milliseconds(time.Duration(l.histogram.Max()))
	m[name+"_count"] = float64(l.histogram.TotalCount())
}

func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
