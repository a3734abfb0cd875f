package logdb

import (
	"context"
	"errors"
	"fmt"
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
	told   func(what, object string, err error, wait time.Duration)
	pauses int // attempts that failed
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
	// attemptTime and attemptRate bound one attempt: a store that accepts and
	// never answers must not hold a name for ever.
	attemptTime = 30 * time.Second
	attemptRate = 1 << 20 // bytes per second on top
)

func newRetry(what string, told func(what, object string, err error, wait time.Duration)) *retry {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = retryFirst, retryLongest
	b.Reset()
	return &retry{what: what, delay: b, told: told}
}

// attempt runs f with the time that one request of that many bytes may take.
func (r *retry) attempt(ctx context.Context, bytes int, f func(context.Context) error) error {
	limit := attemptTime + time.Duration(bytes/attemptRate)*time.Second
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return f(ctx)
}

// patientReader gives each read of a table the time of one attempt: a store
// that accepts and never answers must not hold a flush or a merge for ever.
type patientReader struct{ objstore.Reader }

func (p patientReader) GetRange(ctx context.Context, name string, off, n int64) (data []byte, err error) {
	err = (&retry{}).attempt(ctx, int(n), func(ctx context.Context) (err error) {
		data, err = p.Reader.GetRange(ctx, name, off, n)
		return err
	})
	return data, err
}

// again returns a retry of the same kind for another operation.
func (r *retry) again() *retry {
	n := newRetry(r.what, r.told)
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
	wait := r.delay.NextBackOff()
	if r.told != nil {
		r.told(r.what, object, err, wait)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return gaveUp(ctx, err)
	case <-timer.C:
		return nil
	}
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
		err := r.attempt(ctx, 0, func(ctx context.Context) (err error) {
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
