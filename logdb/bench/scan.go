package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/logdb-go/logdb/logdb"
)

// Scan reads one key of a sealed segment, cold and warm, and one long key.
type Scan struct {
	Workload
	Records   int   `json:"records_per_key"`
	Scans     int   `json:"scans"`        // of one key each
	LongBytes int64 `json:"long_bytes"`   // values of the long key; 0: none
	AtOnce    int   `json:"gets_at_once"` // of the long scan's baseline
}

// DefaultScan is 1,000 keys of 100 records.
func DefaultScan() Scan {
	w := DefaultWorkload()
	w.Keys = 1000
	return Scan{Workload: w, Records: 100, Scans: 100, AtOnce: 16}
}

// Run runs the benchmark.
func (b *Scan) Run(ctx context.Context, p *Place) (*Result, error) {
	if err := p.only("scan"); err != nil {
		return nil, err
	}
	if b.Records < 1 || b.Scans < 1 || b.AtOnce < 1 || b.LongBytes < 0 || b.Values == Flights {
		return nil, fmt.Errorf("bench: scan: %d records, %d scans, values %s; want at least 1 of each and no data set", b.Records, b.Scans, b.Values)
	}
	shared, err := b.corpus()
	if err != nil {
		return nil, err
	}
	return p.run(ctx, "scan", b, func(s *site, r *Result) error {
		if err := b.short(ctx, s, r.Metrics, shared); err != nil {
			return err
		}
		if b.LongBytes == 0 {
			return nil
		}
		long, err := s.part("long")
		if err != nil {
			return err
		}
		return b.long(ctx, long, r.Metrics, shared)
	})
}

// fill appends count records, number i under key pick(i), seals, and merges.
func fill(ctx context.Context, l *library, w Workload, shared *corpus, count uint64, pick func(i uint64) int) error {
	load := Ingest{Workload: w.bulk(), Writers: 1, Records: count}
	g := newIngestion(&load, l, shared, []share{{logdb.Applied, 1, 1}})
	g.pick = func(n uint64, j int) int { return pick(n*uint64(load.Batch) + uint64(j)) }
	g.say = func(string, ...any) {}
	if err := g.run(ctx); err != nil {
		return err
	}
	return l.Drain(ctx)
}

// once opens readers that look for nothing new.
func once(o LogOptions) logdb.ReaderOptions {
	r := o.reader()
	r.RefreshInterval = -1
	return r
}

// scanned is the outcome of one scan.
type scanOutcome struct {
	records, bytes int64
	took           time.Duration
	cpu            time.Duration
	tally          *tally
}

func scanKey(ctx context.Context, from logdb.LogRead, key []byte, reverse bool) (o scanOutcome, err error) {
	o.tally = &tally{keep: true}
	begun, cpu := time.Now(), cpuTime()
	it := from.Scan(o.tally.in(ctx), key, logdb.Range{}, logdb.ScanOptions{Reverse: reverse})
	for it.Next() {
		o.records++
		o.bytes += int64(len(it.Entry().Value))
	}
	err = it.Err()
	if closed := it.Close(); err == nil {
		err = closed
	}
	o.took, o.cpu = time.Since(begun), cpuTime()-cpu
	return o, err
}

// oneKey are the scans of a kind.
type oneKey struct {
	latency    *latencies
	gets, most int64
}

func (k *oneKey) take(o scanOutcome, want int) error {
	if o.records != int64(want) {
		return fmt.Errorf("bench: scan: %d records of a key, want %d", o.records, want)
	}
	k.latency.record(o.took)
	k.gets += o.tally.gets.Load()
	k.most = max(k.most, o.tally.gets.Load())
	return nil
}

func (k *oneKey) put(m Metrics, name string, scans int) {
	k.latency.put(m, name)
	m[name+"_gets"] = float64(k.gets) / float64(scans)
	m[name+"_gets_max"] = float64(k.most)
}

// short scans one key after the other, each with a new reader, then once more, then backward with another reader. The
// requests of the cold scan are repeated bare, one after the other: its round trips.
func (b *Scan) short(ctx context.Context, s *site, m Metrics, shared *corpus) error {
	count := uint64(b.Keys) * uint64(b.Records)
	err := s.build(ctx, func(l *library) error {
		return fill(ctx, l, b.Workload, shared, count, func(i uint64) int { return int(i % uint64(b.Keys)) })
	})
	if err != nil {
		return err
	}
	cold, warm, reverse := oneKey{latency: newLatencies()}, oneKey{latency: newLatencies()}, oneKey{latency: newLatencies()}
	trips := newLatencies()
	for i := range b.Scans {
		key := b.appendKey(nil, int(mix(b.Seed+uint64(i))%uint64(b.Keys)))
		err := s.withReader(ctx, func(r *logdb.LogDbReader) error {
			first, err := scanKey(ctx, r, key, false)
			if err == nil {
				err = cold.take(first, b.Records)
			}
			if err != nil {
				return err
			}
			again, err := scanKey(ctx, r, key, false)
			if err == nil {
				err = warm.take(again, b.Records)
			}
			if err != nil {
				return err
			}
			begun := time.Now()
			err = s.store.replay(ctx, first.tally.reads, 1)
			trips.record(time.Since(begun))
			return err
		})
		if err == nil {
			err = s.withReader(ctx, func(r *logdb.LogDbReader) error {
				o, err := scanKey(ctx, r, key, true)
				if err == nil {
					err = reverse.take(o, b.Records)
				}
				return err
			})
		}
		if err != nil {
			return err
		}
		s.say("scan %d of %d", i+1, b.Scans)
	}
	cold.put(m, "cold_scan", b.Scans)
	warm.put(m, "warm_scan", b.Scans)
	reverse.put(m, "reverse_scan", b.Scans)
	trips.put(m, "baseline_round_trips")
	return nil
}

// withReader runs f with a new reader, whose memory is empty.
func (s *site) withReader(ctx context.Context, f func(*logdb.LogDbReader) error) error {
	r, err := logdb.OpenReader(ctx, s.store, once(s.Log))
	if err != nil {
		return err
	}
	err = f(r)
	if closed := r.Close(); err == nil {
		err = closed
	}
	return err
}

// long scans one key that has much, cold and warm, and backward. The baselines are the same requests, bare: as many at once
// as the scan had, and AtOnce.
func (b *Scan) long(ctx context.Context, s *site, m Metrics, shared *corpus) error {
	w := b.Workload
	w.Keys = 1
	count := uint64(b.LongBytes) / uint64(max(w.ValueBytes, 1))
	key := w.appendKey(nil, 0)
	err := s.build(ctx, func(l *library) error {
		return fill(ctx, l, w, shared, count, func(uint64) int { return 0 })
	})
	if err != nil {
		return err
	}
	speed := func(name string, o scanOutcome) error {
		if o.records != int64(count) {
			return fmt.Errorf("bench: %s: %d records, want %d", name, o.records, count)
		}
		m[name+"_megabytes_per_second"] = float64(o.bytes) / 1e6 / o.took.Seconds()
		m.set(name+"_megabytes_per_cpu_second", float64(o.bytes)/1e6/max(o.cpu.Seconds(), 1e-9))
		m[name+"_gets"] = float64(o.tally.gets.Load())
		m[name+"_gets_at_once"] = float64(o.tally.top.Load())
		return nil
	}
	err = s.withReader(ctx, func(r *logdb.LogDbReader) error {
		for _, name := range []string{"long_cold", "long_warm"} {
			s.say("%s", name)
			o, err := scanKey(ctx, r, key, false)
			if err == nil {
				err = speed(name, o)
			}
			if err != nil {
				return err
			}
			if name == "long_warm" {
				break
			}
			for name, atOnce := range map[string]int{"same": int(o.tally.top.Load()), "ranged": b.AtOnce} {
				begun := time.Now()
				if err := s.store.replay(ctx, o.tally.reads, atOnce); err != nil {
					return err
				}
				bare := time.Since(begun)
				m["baseline_"+name+"_gets_megabytes_per_second"] = float64(o.bytes) / 1e6 / bare.Seconds()
				m["long_cold_share_of_"+name+"_gets"] = bare.Seconds() / o.took.Seconds()
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.withReader(ctx, func(r *logdb.LogDbReader) error {
		o, err := scanKey(ctx, r, key, true)
		if err == nil {
			err = speed("long_reverse", o)
		}
		return err
	})
}
