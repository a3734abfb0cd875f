package bench

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/logdb-go/logdb/logdb"
)

// Verify writes records and reads all of them back. Each key has a chain: the hash of the chain before it and the value.
// A record that is lost, doubled, damaged or out of its order breaks the chain of its key.
type Verify struct {
	Workload
	Writers int    `json:"writers"` // each has keys of its own
	Records uint64 `json:"records"`
	Acks    string `json:"acks"`
	Page    int    `json:"page_records"`
	AtOnce  int    `json:"reads_at_once"`
}

// DefaultVerify is 100,000 records under 1,000 keys.
func DefaultVerify() Verify {
	w := DefaultWorkload()
	w.Keys = 1000
	return Verify{Workload: w, Writers: 4, Records: 100_000, Acks: "applied", Page: 1000, AtOnce: 8}
}

// chain is what is known of the records of a key, in order.
type chain struct {
	sum   [16]byte
	count uint64
}

func (c *chain) add(value []byte) {
	h := sha256.New()
	_, _ = h.Write(c.sum[:]) // a hash takes everything
	_, _ = h.Write(value)
	copy(c.sum[:], h.Sum(nil))
	c.count++
}

// BrokenChainError is a key that was not read as it was written.
type BrokenChainError struct {
	Key                  []byte
	Records, WantRecords uint64
	Chain, WantChain     [16]byte
	Reader               string
}

func (e *BrokenChainError) Error() string {
	return fmt.Sprintf("bench: %s read key %q as %d records with chain %x, want %d with %x", e.Reader, e.Key, e.Records, e.Chain, e.WantRecords, e.WantChain)
}

// Run runs the benchmark; a broken chain is a *BrokenChainError.
func (b *Verify) Run(ctx context.Context, p *Place) (*Result, error) {
	if b.Writers < 1 || b.AtOnce < 1 || b.Page < 1 || b.Records == 0 || b.Values == Flights || b.Writers > b.Keys {
		return nil, fmt.Errorf("bench: verify: %d writers, %d reads at once, pages of %d, %d records; want at least 1 of each, no more writers than keys, and no data set", b.Writers, b.AtOnce, b.Page, b.Records)
	}
	mix, err := parseAcks(b.Acks)
	if err != nil {
		return nil, err
	}
	shared, err := b.corpus()
	if err != nil {
		return nil, err
	}
	return p.run(ctx, "verify", b, func(s *site, r *Result) error {
		t, err := s.open(ctx)
		if err != nil {
			return err
		}
		v := &verification{Verify: b, site: s, chains: make([]chain, b.Keys)}
		err = v.begin(ctx, t)
		if err == nil {
			err = v.write(ctx, r, t, shared, mix)
		}
		if err == nil {
			err = v.read(ctx, r, t, "read")
		}
		if closed := t.Close(); err == nil {
			err = closed
		}
		if _, ours := t.(*library); ours && err == nil {
			err = s.withReader(ctx, func(d *logdb.LogDbReader) error {
				return v.read(ctx, r, readerOnly{d}, "bucket_read")
			})
		}
		return err
	})
}

// verification is one run.
type verification struct {
	*Verify
	site   *site
	start  Cursor  // what lies before it is none of this run's
	chains []chain // by key: of what was appended. Each key belongs to one writer
}

// begin finds out where the run begins in a log that may have had others: behind a record of its own.
func (v *verification) begin(ctx context.Context, t Target) (err error) {
	if v.site.target() == "library" {
		return nil // its log is new
	}
	if err := t.Append(ctx, []logdb.Record{{Key: []byte("bench-verify"), Value: []byte("begin")}}, logdb.Applied); err != nil {
		return fmt.Errorf("bench: append the first record: %w", err)
	}
	v.start, err = t.Tail(ctx)
	return err
}

// write has every writer append its share, and remembers the chains.
func (v *verification) write(ctx context.Context, r *Result, t Target, shared *corpus, acks []share) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	m := newMeasure(v.site.store)
	var bytes, records atomic.Int64
	var writers sync.WaitGroup
	for w := range v.Writers {
		writers.Go(func() {
			if err := v.writer(ctx, w, t, shared, acks, &records, &bytes); err != nil {
				cancel(err)
			}
		})
	}
	writers.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	c := m.stop()
	r.Metrics["records"] = float64(records.Load())
	r.Metrics["record_bytes"] = float64(bytes.Load())
	r.Metrics["records_per_second"] = float64(records.Load()) / c.seconds
	if _, ours := t.(*library); ours {
		r.Metrics["write_requests"] = float64(all(c.counts))
	}
	whole := sha256.New()
	for i := range v.chains {
		_, _ = whole.Write(v.chains[i].sum[:])
	}
	r.note("the chains of %d keys: %s", v.Keys, hex.EncodeToString(whole.Sum(nil)[:16]))
	return nil
}

func (v *verification) writer(ctx context.Context, writer int, t Target, shared *corpus, acks []share, records, bytes *atomic.Int64) error {
	g := v.newGenerator(shared)
	index := make([]int, v.Batch)
	owned := v.owned(writer, v.Writers)
	g.pick = func(n uint64, j int) int {
		index[j] = owned(n, j)
		return index[j]
	}
	for n := uint64(writer); n*uint64(v.Batch) < v.Records && ctx.Err() == nil; n += uint64(v.Writers) {
		batch, size := g.batch(n)
		if left := v.Records - n*uint64(v.Batch); left < uint64(len(batch)) {
			batch, size = cutTo(batch, int(left))
		}
		if err := t.Append(ctx, batch, pick(acks, mix(v.Seed^n))); err != nil {
			return fmt.Errorf("bench: append batch %d: %w", n, err)
		}
		for j, r := range batch {
			v.chains[index[j]].add(r.Value)
		}
		records.Add(int64(len(batch)))
		bytes.Add(size)
	}
	return nil
}

// read pages through every key and compares.
func (v *verification) read(ctx context.Context, r *Result, from pager, name string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	before, begun := v.site.store.Counts(), time.Now()
	var next, records atomic.Int64
	var readers sync.WaitGroup
	for range v.AtOnce {
		readers.Go(func() {
			for i := next.Add(1) - 1; i < int64(v.Keys) && ctx.Err() == nil; i = next.Add(1) - 1 {
				n, err := v.verifyKey(ctx, from, int(i), name)
				if err != nil {
					cancel(err)
				}
				records.Add(n)
			}
		})
	}
	readers.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	r.Metrics[name+"_records"] = float64(records.Load())
	r.Metrics[name+"_records_per_second"] = float64(records.Load()) / time.Since(begun).Seconds()
	if v.site.target() == "library" {
		c := since(before, v.site.store.Counts())
		r.Metrics[name+"_gets"], r.Metrics[name+"_requests"] = float64(gets(c)), float64(all(c))
	}
	return nil
}

// verifyKey reads one key from where the run began until it has as many records as were written, and then until nothing more comes.
func (v *verification) verifyKey(ctx context.Context, from pager, i int, reader string) (int64, error) {
	key := v.appendKey(nil, i)
	var got chain
	for cursor := v.start; ; {
		n, next, err := from.Page(ctx, key, cursor, v.Page, got.add)
		if err != nil {
			return 0, fmt.Errorf("bench: read key %q at %d: %w", key, cursor, err)
		}
		if n == 0 || got.count > v.chains[i].count {
			break
		}
		cursor = next
	}
	if want := v.chains[i]; got != want {
		return 0, &BrokenChainError{Key: key, Records: got.count, WantRecords: want.count, Chain: got.sum, WantChain: want.sum, Reader: reader}
	}
	return int64(got.count), nil
}
