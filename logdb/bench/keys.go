package bench

import (
	"context"
	"fmt"
	"runtime/metrics"
	"time"

	"github.com/logdb-go/logdb/logdb"
)

// Keys lists and counts the keys of a log, and says what memory the writer holds for them.
type Keys struct {
	Workload
	Segments int `json:"segments"` // each with one record of each key
	Counts   int `json:"counts"`   // of one key over all segments
}

// DefaultKeys is 100,000 keys in one segment.
func DefaultKeys() Keys {
	w := DefaultWorkload()
	w.Keys, w.ValueBytes = 100_000, 16
	return Keys{Workload: w, Segments: 1, Counts: 10}
}

// Run runs the benchmark.
func (b *Keys) Run(ctx context.Context, p *Place) (*Result, error) {
	if err := p.only("keys"); err != nil {
		return nil, err
	}
	if b.Segments < 1 || b.Counts < 1 || b.Values == Flights {
		return nil, fmt.Errorf("bench: keys: %d segments, %d counts, values %s; want at least 1 of each and no data set", b.Segments, b.Counts, b.Values)
	}
	shared, err := b.corpus()
	if err != nil {
		return nil, err
	}
	return p.run(ctx, "keys", b, func(s *site, r *Result) error {
		if err := b.write(ctx, s, r.Metrics, shared); err != nil {
			return err
		}
		if err := b.list(ctx, s, r.Metrics); err != nil {
			return err
		}
		return b.count(ctx, s, r.Metrics)
	})
}

// write fills the log, and then looks at what the writer holds that has nothing to do.
func (b *Keys) write(ctx context.Context, s *site, m Metrics, shared *corpus) error {
	settle()
	before := rss()
	return s.build(ctx, func(l *library) error {
		for segment := range b.Segments {
			err := fill(ctx, l, b.Workload, shared, uint64(b.Keys), func(i uint64) int { return int(i) })
			if err != nil {
				return err
			}
			s.say("segment %d of %d", segment+1, b.Segments)
		}
		settle()
		held := rss()
		if held == 0 {
			return nil // this system does not say
		}
		cache := l.db.Metrics().Cache
		m["rss_at_rest_bytes"] = float64(held)
		m["rss_before_bytes"] = float64(before)
		cached := cache.DataBytes + cache.MetaBytes + cache.KeptBytes
		m["cache_at_rest_bytes"] = float64(cached)
		m["rest_bytes_per_key"] = float64(held-before-cached) / float64(b.Keys)
		return nil
	})
}

// list lists all keys twice with one reader: cold, then warm.
func (b *Keys) list(ctx context.Context, s *site, m Metrics) error {
	return s.withReader(ctx, func(r *logdb.LogDbReader) error {
		for _, name := range []string{"list_keys_cold", "list_keys_warm"} {
			settle()
			before, heap := s.store.Counts(), heapBytes()
			peak, begun, n := int64(0), time.Now(), 0
			it := r.ListKeys(ctx, logdb.KeyOptions{})
			for it.Next() {
				if n++; n%(1<<14) == 0 {
					peak = max(peak, heapBytes()-heap)
				}
			}
			err := it.Err()
			if closed := it.Close(); err == nil {
				err = closed
			}
			if err == nil && n != b.Keys {
				err = fmt.Errorf("bench: keys: %d listed, want %d", n, b.Keys)
			}
			if err != nil {
				return err
			}
			m[name+"_keys_per_second"] = float64(n) / time.Since(begun).Seconds()
			m[name+"_gets"] = float64(gets(since(before, s.store.Counts())))
			m[name+"_heap_growth_bytes"] = float64(peak)
		}
		m["cache_budget_bytes"] = float64(r.Metrics().Cache.DataBudget + r.Metrics().Cache.MetaBudget)
		return nil
	})
}

// heapBytes is what the heap holds, garbage that was not yet found included.
func heapBytes() int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

// count counts one key over all segments, each time with a new reader. With values that are large against the keys, the
// bytes received tell whether values were among them.
func (b *Keys) count(ctx context.Context, s *site, m Metrics) error {
	took := newLatencies()
	requests, bytes := 0.0, 0.0
	for i := range b.Counts {
		key := b.appendKey(nil, int(mix(b.Seed+uint64(i))%uint64(b.Keys)))
		err := s.withReader(ctx, func(r *logdb.LogDbReader) error {
			before, begun := s.store.Counts(), time.Now()
			n, err := r.Count(ctx, key, logdb.Range{})
			took.record(time.Since(begun))
			if err == nil && n != uint64(b.Segments) {
				err = fmt.Errorf("bench: keys: key %q has count %d, want %d", key, n, b.Segments)
			}
			c := since(before, s.store.Counts())
			requests += float64(gets(c))
			bytes += float64(c.Bytes["get"] + c.Bytes["get_range"])
			return err
		})
		if err != nil {
			return err
		}
	}
	took.put(m, "count")
	m["count_gets"] = requests / float64(b.Counts)
	m["count_get_bytes_per_segment"] = bytes / float64(b.Counts) / float64(b.Segments)
	m["segments"], m["keys"] = float64(b.Segments), float64(b.Keys)
	return nil
}
