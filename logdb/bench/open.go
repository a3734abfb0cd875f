package bench

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/objstore"
)

// Open opens logs: as a writer that was killed, and as a reader of a log with many tables and WAL objects.
type Open struct {
	Workload
	Kills     int   `json:"kills"`      // of a writer process; 0: none
	KillBytes int64 `json:"kill_bytes"` // keys and values in the local WAL, or in the bucket, when it is killed

	Tables     int `json:"tables"`
	WALObjects int `json:"wal_objects"` // that are in no table, up to 100
	Opens      int `json:"opens"`       // of a reader
}

// DefaultOpen kills a writer with 64 MB three times, and opens a reader over 100 tables and 10 WAL objects.
func DefaultOpen() Open {
	w := DefaultWorkload()
	w.Keys = 100_000
	return Open{Workload: w, Kills: 3, KillBytes: 64e6, Tables: 100, WALObjects: 10, Opens: 20}
}

// Run runs the benchmark.
func (b *Open) Run(ctx context.Context, p *Place) (*Result, error) {
	if err := p.only("open"); err != nil {
		return nil, err
	}
	switch {
	case b.Kills < 0 || b.Opens < 1 || b.Tables < 0 || b.WALObjects < 0 || b.WALObjects > 100:
		return nil, fmt.Errorf("bench: open: %d kills, %d opens, %d tables, %d WAL objects; want at least 1 open, and at most 100 WAL objects", b.Kills, b.Opens, b.Tables, b.WALObjects)
	case b.Kills > 0 && (p.Child == nil || p.Bucket == "mem:"):
		return nil, fmt.Errorf("bench: open: a process to kill needs a bucket that is not in memory")
	}
	if _, err := b.corpus(); err != nil {
		return nil, err
	}
	return p.run(ctx, "open", b, func(s *site, r *Result) error {
		if err := b.writers(ctx, s, r.Metrics); err != nil {
			return err
		}
		many, err := s.part("many")
		if err != nil {
			return err
		}
		return b.readers(ctx, many, r.Metrics)
	})
}

// opened is the opens of a kind.
type opened struct {
	latency  *latencies
	requests []objstore.Counts
}

func newOpened() *opened { return &opened{latency: newLatencies()} }

func (o *opened) put(m Metrics, name string) {
	if len(o.requests) == 0 {
		return
	}
	o.latency.put(m, name)
	kinds := map[string]float64{}
	for _, c := range o.requests {
		kinds["gets"] += float64(gets(c))
		kinds["puts"] += float64(puts(c))
		kinds["lists"] += float64(c.Requests["list"])
		kinds["requests"] += float64(all(c))
	}
	for kind, n := range kinds {
		m[name+"_"+kind] = n / float64(len(o.requests))
	}
}

// writer opens the log of s as its writer, counts that, and closes it.
func (o *opened) writer(ctx context.Context, s *site) error {
	before, begun := s.store.Counts(), time.Now()
	l, err := s.library(ctx)
	if err != nil {
		return err
	}
	o.latency.record(time.Since(begun))
	o.requests = append(o.requests, since(before, s.store.Counts()))
	return l.Close()
}

// writers opens writers: of a new log, of one that was closed, and of one whose process was killed.
func (b *Open) writers(ctx context.Context, s *site, m Metrics) error {
	created, closed, killed := newOpened(), newOpened(), newOpened()
	for i := range max(b.Kills, 1) {
		each, err := s.part("kill-" + strconv.Itoa(i))
		if err != nil {
			return err
		}
		for _, o := range []*opened{created, closed} {
			if err := o.writer(ctx, each); err != nil {
				return err
			}
		}
		if b.Kills == 0 {
			break
		}
		s.say("kill %d of %d", i+1, b.Kills)
		batches, err := b.kill(ctx, each)
		if err != nil {
			return err
		}
		m["killed_batches"] = float64(batches)
		if err := killed.writer(ctx, each); err != nil {
			return err
		}
	}
	created.put(m, "writer_create")
	closed.put(m, "writer_open")
	killed.put(m, "writer_open_after_kill")
	return nil
}

// kill has another process write to the log of s, and kills it.
func (b *Open) kill(ctx context.Context, s *site) (batches int, err error) {
	o := s.order()
	o.Model = "" // the filling is not measured
	o.Fill, o.FillBytes = &b.Workload, b.KillBytes
	if s.Child == nil {
		return 0, fmt.Errorf("bench: open: no way to start a process")
	}
	c, err := s.child(ctx, o)
	if err != nil {
		return 0, err
	}
	if batches, err = strconv.Atoi(strings.TrimSpace(c.first)); err != nil {
		return 0, fmt.Errorf("bench: child answered %q: %w", c.first, err)
	}
	return batches, c.kill()
}

// readers opens readers over tables and WAL objects. The writer stays open, so that they stay as they are.
func (b *Open) readers(ctx context.Context, s *site, m Metrics) error {
	o := s.Log.writer("")
	o.FlushInterval, o.Segments.NoConsolidation = time.Hour, true
	d, err := logdb.Open(ctx, s.base, o)
	if err != nil {
		return err
	}
	err = b.litter(ctx, s, d)
	if err == nil {
		err = b.openReaders(ctx, s, m)
	}
	if closed := d.Close(); err == nil {
		err = closed
	}
	return err
}

// litter makes the tables, each a segment of one batch, and the WAL objects.
func (b *Open) litter(ctx context.Context, s *site, d *logdb.LogDb) error {
	shared, err := b.corpus()
	if err != nil {
		return err
	}
	g := b.newGenerator(shared)
	for i := range b.Tables + b.WALObjects {
		records, _ := g.batch(uint64(i))
		if _, err := d.Append(ctx, records, logdb.AppendOptions{Ack: logdb.Remote}); err != nil {
			return err
		}
		if i >= b.Tables {
			continue
		}
		if _, _, err := d.SealSegment(ctx, nil); err != nil {
			return err
		}
		if err := (&library{db: d}).tables(ctx); err != nil {
			return err
		}
		if i%100 == 99 {
			s.say("table %d of %d", i+1, b.Tables)
		}
	}
	return nil
}

func (b *Open) openReaders(ctx context.Context, s *site, m Metrics) error {
	readers, trips := newOpened(), newLatencies()
	for range b.Opens {
		t := &tally{keep: true}
		before, begun := s.store.Counts(), time.Now()
		r, err := logdb.OpenReader(t.in(ctx), s.store, once(s.Log))
		if err != nil {
			return err
		}
		readers.latency.record(time.Since(begun))
		readers.requests = append(readers.requests, since(before, s.store.Counts()))
		if err := r.Close(); err != nil {
			return err
		}
		begun = time.Now()
		if err := s.store.replay(ctx, t.reads, int(t.top.Load())); err != nil {
			return err
		}
		trips.record(time.Since(begun))
	}
	readers.put(m, "reader_open")
	trips.put(m, "baseline_reader_open_round_trips")
	m["tables"], m["wal_objects"] = float64(b.Tables), float64(b.WALObjects)
	return nil
}
