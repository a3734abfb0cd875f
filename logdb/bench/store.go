package bench

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// store is the bucket of a run. It counts all requests, and those of one read under the context of that read.
type store struct {
	*objstore.Meter
	bucket objstore.Bucket // below the meter, the model included
}

// newStore puts the named model around b; "" is none.
func newStore(b objstore.Bucket, model string) (*store, error) {
	m, err := parseModel(model)
	if err != nil {
		return nil, err
	}
	if m != nil {
		b = objstoretest.NewLatency(b, *m)
	}
	return &store{Meter: objstore.NewMeter(b), bucket: b}, nil
}

// parseModel reads "s3-standard" or "s3-standard:SEED"; nil for "".
func parseModel(s string) (*objstoretest.LatencyModel, error) {
	if s == "" {
		return nil, nil
	}
	name, seed, seeded := strings.Cut(s, ":")
	n := uint64(1)
	if seeded {
		var err error
		if n, err = strconv.ParseUint(seed, 10, 64); err != nil {
			return nil, fmt.Errorf("bench: model %q: want a seed behind the colon: %w", s, err)
		}
	}
	if name != "s3-standard" {
		return nil, fmt.Errorf("bench: model %q, want s3-standard or s3-standard:SEED", s)
	}
	m := objstoretest.S3Standard(n)
	return &m, nil
}

// ModelFormula says in one line how long requests of a model take; "" for no model.
func ModelFormula(model string) (string, error) {
	m, err := parseModel(model)
	if m == nil {
		return "", err
	}
	return fmt.Sprintf("time of a request = lognormal(p50, p99) + bytes / (%.0f MB/s): PUT and DELETE %.0f/%.0f ms, GET and LIST %.0f/%.0f ms, seed %d",
		m.BytesPerSecond/1e6, milliseconds(m.Put.P50), milliseconds(m.Put.P99), milliseconds(m.Get.P50), milliseconds(m.Get.P99), m.Seed), nil
}

// tally counts the reads that one operation asked for, its context having been made by [tally.in].
type tally struct {
	gets, bytes atomic.Int64
	flying, top atomic.Int64 // under way at once, and the most there were

	keep  bool // the requests themselves
	mu    sync.Mutex
	reads []read
}

// read is one request of a tally.
type read struct {
	name   string
	off, n int64 // n is -1 for a whole object
}

type tallyKey struct{}

func (t *tally) in(ctx context.Context) context.Context {
	return context.WithValue(ctx, tallyKey{}, t)
}

// begin counts a request under the tally of ctx, if it has one; the function it returns ends it.
func begin(ctx context.Context, r read) func(bytes int) {
	t, _ := ctx.Value(tallyKey{}).(*tally)
	if t == nil {
		return func(int) {}
	}
	t.gets.Add(1)
	if n := t.flying.Add(1); n > t.top.Load() {
		t.top.Store(n) // near enough: two that rise at once differ by one
	}
	if t.keep {
		t.mu.Lock()
		t.reads = append(t.reads, r)
		t.mu.Unlock()
	}
	return func(bytes int) {
		t.flying.Add(-1)
		t.bytes.Add(int64(bytes))
	}
}

// Get implements objstore.Reader.
func (s *store) Get(ctx context.Context, name string) (objstore.Object, error) {
	end := begin(ctx, read{name, 0, -1})
	o, err := s.Meter.Get(ctx, name)
	end(len(o.Data))
	return o, err
}

// GetIfChanged implements objstore.Reader.
func (s *store) GetIfChanged(ctx context.Context, name, etag string) (objstore.Object, error) {
	end := begin(ctx, read{name, 0, -1})
	o, err := s.Meter.GetIfChanged(ctx, name, etag)
	end(len(o.Data))
	return o, err
}

// GetRange implements objstore.Reader.
func (s *store) GetRange(ctx context.Context, name string, off, n int64) ([]byte, error) {
	end := begin(ctx, read{name, off, n})
	data, err := s.Meter.GetRange(ctx, name, off, n)
	end(len(data))
	return data, err
}

// List implements objstore.Reader.
func (s *store) List(ctx context.Context, prefix, after string) iter.Seq2[objstore.Info, error] {
	return s.Meter.List(ctx, prefix, after)
}

// replay asks for the reads of a tally again, at most parallel at once, around caches and counters.
func (s *store) replay(ctx context.Context, reads []read, parallel int) error {
	next := atomic.Int64{}
	var g sync.WaitGroup
	errs := make([]error, max(parallel, 1))
	for w := range errs {
		g.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= int64(len(reads)) || errs[w] != nil {
					return
				}
				r := reads[i]
				if r.n < 0 {
					_, errs[w] = s.bucket.Get(ctx, r.name)
				} else {
					_, errs[w] = s.bucket.GetRange(ctx, r.name, r.off, r.n)
				}
				if errors.Is(errs[w], objstore.ErrNotFound) { // the answer that a look for something new gets
					errs[w] = nil
				}
			}
		})
	}
	g.Wait()
	return errors.Join(errs...)
}

// requests of a meter, as they are billed.
func gets(c objstore.Counts) uint64 { return c.Requests["get"] + c.Requests["get_range"] }
func puts(c objstore.Counts) uint64 { return c.Requests["put"] }
func all(c objstore.Counts) (n uint64) {
	for _, x := range c.Requests {
		n += x
	}
	return n
}

// since returns what was counted between two looks. Errors are left out.
func since(from, to objstore.Counts) objstore.Counts {
	d := objstore.Counts{Requests: map[string]uint64{}, Bytes: map[string]uint64{}}
	for kind, n := range to.Requests {
		d.Requests[kind] = n - from.Requests[kind]
		d.Bytes[kind] = to.Bytes[kind] - from.Bytes[kind]
	}
	return d
}
