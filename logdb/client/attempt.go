package client

import (
	"context"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"

	"github.com/cenkalti/backoff/v5"
)

const (
	firstDelay   = 50 * time.Millisecond
	longestDelay = 5 * time.Second
	// afterMost is the longest that a server is obeyed when it asks to wait.
	afterMost = time.Minute
)

// answer is what was seen of one attempt besides what Connect tells.
type answer struct {
	status atomic.Int64 // of HTTP; 0: none came
	after  atomic.Int64 // what Retry-After says, in nanoseconds
}

type answerKey struct{}

// doer gives every request its token, and notes how it was answered.
type doer struct {
	client *http.Client
	token  string
}

func (d *doer) Do(r *http.Request) (*http.Response, error) {
	if d.token != "" {
		r.Header.Set("Authorization", "Bearer "+d.token)
	}
	resp, err := d.client.Do(r)
	if a, _ := r.Context().Value(answerKey{}).(*answer); a != nil && resp != nil {
		a.status.Store(int64(resp.StatusCode))
		a.after.Store(int64(retryAfter(resp.Header.Get("Retry-After"), time.Now())))
	}
	return resp, err
}

// retryAfter reads a header: seconds, or a date. What it does not understand is
// no wish.
func retryAfter(value string, now time.Time) time.Duration {
	var d time.Duration
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		d = time.Duration(seconds) * time.Second
	} else if date, err := http.ParseTime(value); err == nil {
		d = date.Sub(now)
	}
	return min(max(d, 0), afterMost)
}

// procedure is one of the service that answers once.
type procedure[Q, A any] func(context.Context, *connect.Request[Q]) (*connect.Response[A], error)

// attempt makes one request and waits so long for its answer. Its error is an
// *Error.
func attempt[Q, A any](ctx context.Context, wait time.Duration, f procedure[Q, A], q *Q) (*A, *Error) {
	seen := &answer{}
	one, cancel := context.WithTimeout(context.WithValue(ctx, answerKey{}, seen), wait)
	defer cancel()
	a, err := f(one, connect.NewRequest(q))
	if err != nil {
		return nil, failure(err, seen)
	}
	return a.Msg, nil
}

// read repeats a request that changes nothing. The context's own error is
// returned as it is.
func read[Q, A any](ctx context.Context, c *Client, what string, f procedure[Q, A], q *Q) (*A, error) {
	for p := c.pauses(what); ; {
		a, failed := attempt(ctx, c.o.Silence, f, q)
		if failed == nil {
			return a, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !failed.passes {
			return nil, failed
		}
		if err := p.pause(ctx, failed); err != nil {
			return nil, err
		}
	}
}

// pauses are those between the attempts of one call.
type pauses struct {
	c     *Client
	what  string
	delay *backoff.ExponentialBackOff
	until time.Time // no attempt after it
}

func (c *Client) pauses(what string) *pauses {
	p := &pauses{c: c, what: what, delay: backoff.NewExponentialBackOff()}
	p.delay.InitialInterval, p.delay.MaxInterval = firstDelay, longestDelay
	p.delay.Reset()
	p.extend()
	return p
}

// extend gives the call all of its patience again.
func (p *pauses) extend() { p.until = time.Now().Add(max(p.c.o.Patience, 0)) }

// pause waits before the attempt after one that failed. It returns why there is
// none: the context's error, or the failure where patience is at its end.
func (p *pauses) pause(ctx context.Context, failed *Error) error {
	wait := p.wait(failed)
	if p.c.o.Patience < 0 || time.Now().Add(wait).After(p.until) {
		return failed
	}
	return p.rest(ctx, failed, wait)
}

// wait is a delay that grows and has jitter, on top of what the server asks for.
func (p *pauses) wait(failed *Error) time.Duration {
	return failed.RetryAfter + p.delay.NextBackOff()
}

func (p *pauses) rest(ctx context.Context, failed *Error, wait time.Duration) error {
	p.c.o.Logger.Info("client: trying again", "what", p.what, "wait", wait, "err", failed)
	return p.c.sleep(ctx, wait)
}
