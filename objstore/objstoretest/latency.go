package objstoretest

import (
	"context"
	"iter"
	"math"
	"math/rand/v2"
	"time"

	"github.com/logdb-go/logdb/objstore"
)

// Quantiles describe the time to the first byte of a small request.
type Quantiles struct{ P50, P99 time.Duration }

// LatencyModel says how long requests take. A request that moves b bytes takes
//
//	exp(ln P50 + sigma*z) + b/BytesPerSecond     with sigma = ln(P99/P50) / 2.3263
//
// where z is a standard normal number drawn from the seed and the kind, name and attempt of the request, and from
// nothing else. Requests do not slow each other down.
type LatencyModel struct {
	Seed uint64
	// Put is for Put and Delete; Get is for all reads. A List takes one of it for every 1000 names begun.
	Put, Get Quantiles
	// BytesPerSecond of one request; 0 is without end.
	BytesPerSecond float64
}

// S3Standard is Amazon S3 Standard as seen from a machine in its region: PUT of 4 KiB 28 ms at the median and 67 ms at
// p99, GET 24 and 77 ms, 29 MB/s a request. Times of DELETE and LIST are assumed to be those of PUT and GET.
func S3Standard(seed uint64) LatencyModel {
	return LatencyModel{
		Seed:           seed,
		Put:            Quantiles{P50: 28 * time.Millisecond, P99: 67 * time.Millisecond},
		Get:            Quantiles{P50: 24 * time.Millisecond, P99: 77 * time.Millisecond},
		BytesPerSecond: 29e6,
	}
}

// z99 is the 99th percentile of the standard normal distribution.
const z99 = 2.3263478740408408

func (q Quantiles) draw(rng *rand.Rand) time.Duration {
	if q.P50 <= 0 {
		return 0
	}
	sigma := math.Log(float64(max(q.P99, q.P50))/float64(q.P50)) / z99
	return time.Duration(float64(q.P50) * math.Exp(sigma*rng.NormFloat64()))
}

func (m *LatencyModel) transfer(bytes int) time.Duration {
	if m.BytesPerSecond <= 0 {
		return 0
	}
	return time.Duration(float64(bytes) / m.BytesPerSecond * float64(time.Second))
}

// Latency is a bucket that takes its time. A write is applied in the middle of its time, so that concurrent ones
// overtake each other and a context that ends leaves some of them applied; a read sees the bucket at half its time.
type Latency struct {
	bucket   objstore.Bucket
	model    LatencyModel
	attempts attempts
}

// NewLatency returns b, as slow as model says.
func NewLatency(b objstore.Bucket, model LatencyModel) *Latency {
	return &Latency{bucket: b, model: model}
}

// run asks at half of the drawn time and answers at its end, later by the transfer of what was read.
func (l *Latency) run(ctx context.Context, kind Kind, name string, sent int, ask func() (received int, err error)) error {
	q := l.model.Get
	if kind == Put || kind == Delete {
		q = l.model.Put
	}
	total := q.draw(seeded(l.model.Seed, Op{Kind: kind, Name: name, Attempt: l.attempts.next(kind, name)}))
	if err := sleep(ctx, total/2+l.model.transfer(sent)); err != nil {
		return err
	}
	received, err := ask()
	if late := sleep(ctx, total-total/2+l.model.transfer(received)); late != nil {
		return late
	}
	return err
}

// Get implements objstore.Reader.
func (l *Latency) Get(ctx context.Context, name string) (o objstore.Object, err error) {
	err = l.run(ctx, Get, name, 0, func() (_ int, err error) {
		o, err = l.bucket.Get(ctx, name)
		return len(o.Data), err
	})
	return keep(o, err), err
}

// GetIfChanged implements objstore.Reader.
func (l *Latency) GetIfChanged(ctx context.Context, name, etag string) (o objstore.Object, err error) {
	err = l.run(ctx, GetIfChanged, name, 0, func() (_ int, err error) {
		o, err = l.bucket.GetIfChanged(ctx, name, etag)
		return len(o.Data), err
	})
	return keep(o, err), err
}

// keep drops the bytes of an answer that came too late.
func keep(o objstore.Object, err error) objstore.Object {
	if err != nil {
		o.Data = nil
	}
	return o
}

// GetRange implements objstore.Reader.
func (l *Latency) GetRange(ctx context.Context, name string, off, n int64) (data []byte, err error) {
	err = l.run(ctx, GetRange, name, 0, func() (_ int, err error) {
		data, err = l.bucket.GetRange(ctx, name, off, n)
		return len(data), err
	})
	if err != nil {
		return nil, err
	}
	return data, nil
}

// List implements objstore.Reader.
func (l *Latency) List(ctx context.Context, prefix, after string) iter.Seq2[objstore.Info, error] {
	page := func() error {
		return l.run(ctx, List, prefix, 0, func() (int, error) { return 0, nil })
	}
	return func(yield func(objstore.Info, error) bool) {
		err := page()
		names := 0
		for info, listed := range l.bucket.List(ctx, prefix, after) {
			if names++; err == nil && names > 1 && names%1000 == 1 {
				err = page()
			}
			if err != nil {
				break
			}
			if !yield(info, listed) {
				return
			}
		}
		if err != nil {
			yield(objstore.Info{}, err)
		}
	}
}

// Put implements objstore.Bucket.
func (l *Latency) Put(ctx context.Context, name string, data []byte, c objstore.Condition) (etag string, err error) {
	err = l.run(ctx, Put, name, len(data), func() (_ int, err error) {
		etag, err = l.bucket.Put(ctx, name, data, c)
		return 0, err
	})
	if err != nil {
		return "", err
	}
	return etag, nil
}

// Delete implements objstore.Bucket.
func (l *Latency) Delete(ctx context.Context, name string) error {
	return l.run(ctx, Delete, name, 0, func() (int, error) { return 0, l.bucket.Delete(ctx, name) })
}
