package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/logdb-go/logdb/objstore"
)

// Latency is how long requests of one kind took, one at a time.
type Latency struct {
	Request       string // "put" or "get"
	Bytes         int
	Count         int // that were answered
	P50, P90, P99 time.Duration
}

const (
	smallBytes = 4 << 10
	largeBytes = 4 << 20
	// largeTime is when no further large request is begun.
	largeTime = 30 * time.Second

	slowSmall = time.Second
	slowLarge = 5 * time.Second

	// maxClockOffset is half of the silence after which a polite writer, judging by its own clock, takes a log over.
	maxClockOffset = 30 * time.Second
)

// noise is bytes that no store can compress.
func noise(n int) []byte {
	data := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(data)
	return data
}

func clock(ctx context.Context, e *examiner) (string, error) {
	name := e.name("clock")
	if _, err := e.bucket.Put(ctx, name, []byte("x"), objstore.Always()); err != nil {
		return "", err
	}
	before := time.Now()
	o, err := e.bucket.Get(ctx, name)
	took := time.Since(before)
	if err != nil {
		return "", err
	}
	if o.Date.IsZero() {
		return "", fmt.Errorf("this kind of bucket does not tell the time: %w", errors.ErrUnsupported)
	}
	offset := before.Add(took / 2).Sub(o.Date).Round(time.Millisecond)
	if offset.Abs() > maxClockOffset {
		return "", &violation{Warning, fmt.Sprintf("this machine's clock is %v off the store's: times of records will be wrong, --takeover may not be asked for where it should be, and S3 refuses requests from 15 minutes on", offset)}
	}
	return fmt.Sprintf("%v off, to the second", offset.Round(time.Second)), nil
}

// latency measures small and large requests. One that fails is counted out; when most do there is no verdict.
func latency(ctx context.Context, e *examiner) (string, error) {
	e.latencies = nil
	for _, size := range []int{smallBytes, largeBytes} {
		if err := e.measure(ctx, size); err != nil {
			return "", err
		}
	}
	var slow, seen []string
	for _, l := range e.latencies {
		limit := slowSmall
		at := l.P90
		if l.Bytes == largeBytes {
			limit, at = slowLarge, l.P50
		}
		line := fmt.Sprintf("%s of %d KiB %v", l.Request, l.Bytes>>10, short(l.P50))
		seen = append(seen, line)
		if at > limit {
			slow = append(slow, line)
		}
	}
	if len(slow) > 0 {
		return "", &violation{Slow, "slow, at the median: " + strings.Join(slow, ", ")}
	}
	return "at the median: " + strings.Join(seen, ", "), nil
}

func (e *examiner) measure(ctx context.Context, size int) error {
	data := noise(size)
	var puts, gets []time.Duration
	var failed error
	begun := time.Now()
	name := e.name("timed") // one name: what is measured need not be kept
	for range e.o.Samples {
		if ctx.Err() != nil || size == largeBytes && len(gets) > 0 && time.Since(begun) > largeTime {
			break
		}
		start := time.Now()
		if _, err := e.bucket.Put(ctx, name, data, objstore.Always()); err != nil {
			failed = err
			continue
		}
		puts = append(puts, time.Since(start))
		start = time.Now()
		o, err := e.bucket.Get(ctx, name)
		if err != nil {
			failed = err
			continue
		}
		if !bytes.Equal(o.Data, data) {
			return unsafe("a read of %d KiB returned other bytes than were written", size>>10)
		}
		gets = append(gets, time.Since(start))
	}
	if len(gets) == 0 || len(gets) < len(puts)/2 {
		return fmt.Errorf("most requests of %d KiB failed: %w", size>>10, failed)
	}
	e.latencies = append(e.latencies, summary("put", size, puts), summary("get", size, gets))
	return nil
}

// summary takes the nearest rank: with few samples p99 is the worst of them.
func summary(request string, size int, took []time.Duration) Latency {
	slices.Sort(took)
	rank := func(percent int) time.Duration { return took[(len(took)*percent+99)/100-1] }
	return Latency{Request: request, Bytes: size, Count: len(took), P50: rank(50), P90: rank(90), P99: rank(99)}
}

// short is a duration for people: three digits of it matter.
func short(d time.Duration) time.Duration {
	unit := time.Nanosecond
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}
