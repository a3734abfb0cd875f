package logdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/logdb-go/logdb/objstore"
)

// retry repeats one operation on the bucket for as long as its context lives:
// a store that is away for an hour is an ordinary day. What is final is for
// the caller to tell. Only where somebody waits for an Open does it give up
// before.
type retry struct {
	what   string
	delay  *backoff.ExponentialBackOff
	told   func(r *retry, object string, err error, wait time.Duration)
	pulse  *pulse // of the log; nil: a retry on its own
	pauses int    // attempts that failed
	// tries ends the repetition after that many: where somebody waits who may
	// have given a wrong address. 0 is without end.
	tries int
	// deniedIsFinal ends the repetition at a refusal: right where somebody
	// waits for an answer, wrong for a writer whose credentials are renewed.
	deniedIsFinal bool
}

const (
	retryFirst   = 50 * time.Millisecond
	retryLongest = 5 * time.Second
	// retryQuiet is how many failures of one operation pass without a warning: half a minute of them.
	retryQuiet = 16
	// retryAfterMost is the longest that a store is obeyed when it asks to wait.
	retryAfterMost = time.Minute
	// attemptTime and attemptRate bound one attempt: a store that accepts and
	// never answers must not hold a name for ever.
	attemptTime = 30 * time.Second
	attemptRate = 1 << 20 // bytes per second on top
	// getBytes is what a whole object is taken for, whose size nobody knows: a
	// WAL object is seldom larger, and at most four times as large.
	getBytes = 4 << 20
)

func newRetry(what string, told func(r *retry, object string, err error, wait time.Duration)) *retry {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = retryFirst, retryLongest
	b.Reset()
	return &retry{what: what, delay: b, told: told}
}

// attempt runs f with the time that one request of that many bytes may take,
// once the process has room for them: to wait for that takes none of the time.
// It is the one way to the bucket.
func (r *retry) attempt(ctx context.Context, bytes int, f func(context.Context) error) error {
	release, err := r.pulse.room(ctx, bytes)
	if err != nil {
		return err
	}
	defer release()
	limit := attemptTime + time.Duration(bytes/attemptRate)*time.Second
	one, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	begun := time.Now()
	err = f(one)
	r.pulse.attempted(ctx, begun, err)
	return err
}

// patientReader gives each read of a table the time of one attempt, and reads
// again for as long as its caller waits: a store that accepts and never answers
// must hold up neither a flush nor somebody who reads.
type patientReader struct {
	objstore.Reader
	retry func() *retry
}

func (p patientReader) GetRange(ctx context.Context, name string, off, n int64) (data []byte, err error) {
	retry := p.retry()
	for {
		err = retry.attempt(ctx, int(n), func(ctx context.Context) (err error) {
			data, err = p.Reader.GetRange(ctx, name, off, n)
			return err
		})
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return data, err
		}
		if err := retry.pause(ctx, name, err); err != nil {
			return nil, err
		}
	}
}

// again returns a retry of the same kind for another operation.
func (r *retry) again() *retry {
	n := newRetry(r.what, r.told)
	n.pulse = r.pulse
	n.deniedIsFinal = r.deniedIsFinal
	n.delay.RandomizationFactor = r.delay.RandomizationFactor
	return n
}

// pause waits before the next attempt after one that failed with err. It
// returns why there is none: ctx's cause, or err.
func (r *retry) pause(ctx context.Context, object string, err error) error {
	if ctx.Err() != nil {
		return gaveUp(ctx, err)
	}
	if r.deniedIsFinal && errors.Is(err, objstore.ErrAccessDenied) || r.tries > 0 && r.pauses >= r.tries {
		return err
	}
	r.pauses++
	wait := r.wait(err)
	if r.told != nil {
		r.told(r, object, err, wait)
	}
	r.pulse.wait(1)
	defer r.pulse.wait(-1)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return gaveUp(ctx, err)
	case <-timer.C:
		return nil
	}
}

// log notes a failure. What passes soon is an ordinary day; of what does not,
// each warning comes after twice as many as the one before.
func (r *retry) log(to *slog.Logger, object string, err error, wait time.Duration) {
	level := slog.LevelInfo
	if r.pauses >= retryQuiet && r.pauses&(r.pauses-1) == 0 {
		level = slog.LevelWarn
	}
	to.Log(context.Background(), level, "logdb: request failed, will repeat",
		"what", r.what, "object", object, "attempts", r.pauses, "err", err, "wait", wait)
}

// wait returns how long the next attempt is put off: by a delay that grows and
// has jitter, by what the store has asked for, and by the budget of the log.
func (r *retry) wait(err error) time.Duration {
	wait := r.delay.NextBackOff()
	var busy *objstore.RetryAfterError
	if errors.As(err, &busy) {
		wait += min(max(busy.After, 0), retryAfterMost)
	}
	return max(wait, r.pulse.retry(r.what))
}

// gaveUp says what ended the repetition, and what it was that failed.
func gaveUp(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	if err == nil || errors.Is(err, cause) || errors.Is(err, ctx.Err()) {
		return cause
	}
	return fmt.Errorf("%w; the last attempt: %v", cause, err)
}

// get reads an object, repeating what may pass. ErrNotFound and
// ErrNotModified are answers.
func (r *retry) get(ctx context.Context, b objstore.Reader, name, etag string) (objstore.Object, error) {
	for {
		var got objstore.Object
		err := r.attempt(ctx, getBytes, func(ctx context.Context) (err error) {
			if etag != "" {
				got, err = b.GetIfChanged(ctx, name, etag)
			} else {
				got, err = b.Get(ctx, name)
			}
			return err
		})
		if err == nil || errors.Is(err, objstore.ErrNotFound) || errors.Is(err, objstore.ErrNotModified) {
			return got, err
		}
		if err := r.pause(ctx, name, err); err != nil {
			return got, err
		}
	}
}
