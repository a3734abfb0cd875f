package logdb

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"sync"
	"time"

	"github.com/logdb-go/logdb/objstore"
)

// pulse is what all operations of one log share about its store: how many
// retries they may make together, how many they made, and how long the store
// has not answered.
//
// The budget is a bucket of tokens. A retry takes one; an answered request adds
// retryRatio of one, time adds retryFloor a second, and retryBurst is the most
// it holds. A retry that finds none is not refused, it waits until its token is
// there: twenty operations that repeat for ever ask a sick store no more often
// than a few times a second.
type pulse struct {
	budget *objstore.Budget // of transfers
	mu     struct {
		sync.Mutex
		tokens  float64 // below 0 while retries wait for theirs
		filled  time.Time
		retries map[string]uint64

		pending   int       // operations that wait to repeat
		answered  time.Time // when the store last did
		begun     time.Time // of what failed first since then; zero: nothing did
		failed    time.Time // when the newest failure was known
		err       error     // of it
		recovered time.Time // when the last outage ended
	}
}

const (
	retryRatio = 0.1
	retryFloor = 4.0
	retryBurst = 20.0
)

func newPulse(budget *objstore.Budget) *pulse {
	if budget == nil {
		budget = objstore.NewBudget(transferBytes)
	}
	p := &pulse{budget: budget}
	p.mu.tokens, p.mu.filled = retryBurst, time.Now()
	p.mu.retries, p.mu.recovered = map[string]uint64{}, time.Now()
	return p
}

// transferBytes is the budget of a log that was given none.
const transferBytes = 256 << 20

// room waits until bodies of so many bytes may be on their way.
func (p *pulse) room(ctx context.Context, bytes int) (release func(), err error) {
	if p == nil {
		return func() {}, nil
	}
	return p.budget.Acquire(ctx, int64(bytes))
}

// retry counts a retry and returns how long it waits for its token.
func (p *pulse) retry(what string) time.Duration {
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.retries[what]++
	now := time.Now()
	p.mu.tokens = min(p.mu.tokens+retryFloor*now.Sub(p.mu.filled).Seconds(), retryBurst) - 1
	p.mu.filled = now
	return time.Duration(max(-p.mu.tokens, 0) / retryFloor * float64(time.Second))
}

// wait counts who waits to repeat; it is called again with -1.
func (p *pulse) wait(n int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.pending += n
}

// counts returns the retries so far, by what was repeated.
func (p *pulse) counts() map[string]uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.mu.retries)
}

// attempted takes in how one attempt ended that its caller's ctx allowed.
func (p *pulse) attempted(ctx context.Context, begun time.Time, err error) {
	if p == nil {
		return
	}
	answer := isAnswer(err)
	if !answer && ctx.Err() != nil {
		return // the caller gave up: that tells nothing about the store
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if answer {
		if p.outage(now) {
			p.mu.recovered = now
		}
		p.mu.answered, p.mu.begun, p.mu.err = now, time.Time{}, nil
		p.mu.tokens = min(p.mu.tokens+retryRatio, retryBurst)
		return
	}
	if p.mu.begun.IsZero() || p.forgotten(now) {
		p.mu.begun = begun
		if begun.Before(p.mu.answered) { // a slow one, while others were answered
			p.mu.begun = p.mu.answered
		}
	}
	p.mu.failed, p.mu.err = now, err
}

const (
	// unreachableAfter is how long a store fails without an answer in between
	// before it counts as unreachable.
	unreachableAfter = 10 * time.Second
	// evidenceAge is how long a failure says something about the store. Whoever
	// must repeat has repeated by then; a failure that nobody repeats is over.
	evidenceAge = retryAfterMost + attemptTime + 30*time.Second
)

// outage reports whether the store has failed for long enough: up to now where
// somebody is about to ask again, else up to the newest failure. Called with the
// lock held.
func (p *pulse) outage(now time.Time) bool {
	if p.mu.begun.IsZero() || p.forgotten(now) {
		return false
	}
	upTo := p.mu.failed
	if p.mu.pending > 0 {
		upTo = now
	}
	return upTo.Sub(p.mu.begun) >= unreachableAfter
}

// health returns since when the store is unreachable, zero if it is not; since
// when it is not, and what it said last if that was a failure.
func (p *pulse) health(now time.Time) (down, recovered time.Time, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.outage(now):
		return p.mu.begun, p.mu.recovered, p.mu.err
	case !p.mu.begun.IsZero() && p.forgotten(now) && p.mu.failed.Sub(p.mu.begun) >= unreachableAfter:
		return time.Time{}, p.mu.failed.Add(evidenceAge), nil
	case p.forgotten(now):
		return time.Time{}, p.mu.recovered, nil
	}
	return time.Time{}, p.mu.recovered, p.mu.err
}

// silent returns how long the store has failed without an answer; 0 if it has
// not.
func (p *pulse) silent() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.mu.begun.IsZero() || p.forgotten(now) {
		return 0
	}
	return now.Sub(p.mu.begun)
}

func (p *pulse) forgotten(now time.Time) bool { return now.Sub(p.mu.failed) > evidenceAge }

// isAnswer reports whether the store has answered what was asked of it.
func isAnswer(err error) bool {
	for _, answer := range []error{
		nil, objstore.ErrNotFound, objstore.ErrPrecondition, objstore.ErrNotModified, objstore.ErrUnsafe,
		objstore.ErrCorrupt, io.ErrUnexpectedEOF, fs.ErrInvalid,
	} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}
