package logdb

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// HealthState is what a log, or a reader of one, can do at the moment. The
// states are ordered: of several that hold, the greatest is told.
type HealthState uint8

const (
	// Healthy: everything goes on as promised.
	Healthy HealthState = iota
	// Behind: the store answers, and yet does not keep up. A writer has an
	// applied record that is not Remote after 20 times ShipInterval and at least
	// 5 s, or holds appends back until the bucket has taken more. A reader's last
	// look that went well began 5 times RefreshInterval, and at least 10 s, ago;
	// one that looks only on Refresh is never behind. It passes by itself.
	Behind
	// Unreachable: for at least 10 s requests have been made and none was
	// answered: no connection, no answer within the time of an attempt, an error
	// of the store's own (5xx, 429), or a refusal of our credentials. That a
	// request got no answer is known when its time is over, 30 s and more for
	// large objects; a writer is Behind before. It passes by itself, with the
	// first answer, and is forgotten when nobody has asked for 2 minutes.
	Unreachable
	// Fenced: a newer writer has the log. This one never writes again.
	Fenced
	// Poisoned: a failed local write, or damage, has stopped the writer for good;
	// Err tells. What was acknowledged is not lost by it: open the log again.
	Poisoned
	// Closed: Close was called.
	Closed
)

// String is the state in one word.
func (s HealthState) String() string {
	names := [...]string{"healthy", "behind", "unreachable", "fenced", "poisoned", "closed"}
	if int(s) >= len(names) {
		return fmt.Sprintf("HealthState(%d)", uint8(s))
	}
	return names[s]
}

// Health is how a LogDb or a LogDbReader stands at one moment. Asking costs no
// request and takes no lock for long.
type Health struct {
	State HealthState
	// Since is when that of which State tells began, about: the first request
	// that failed, the oldest record that is late, the end of the writer. Of
	// Healthy it is the Open, or the end of the last trouble.
	Since time.Time
	// Err is the reason: the sticky error of [LogDb.Err], or what the store said
	// last, with ErrDiskFull where it applies. nil where there is none.
	Err error
	// Ready, of a writer: an append at Options.Ack can be expected to be
	// acknowledged. While the store is unreachable that is so where Ack is Local
	// or Applied, until the log holds appends back or refuses them with
	// ErrDiskFull. Of a reader: what it shows is as fresh as promised. What is in
	// memory can be read in either case.
	Ready bool
	Lag   Lag
}

// Lag is how far the bucket, or a reader, is behind.
type Lag struct {
	// Records and Bytes are what is applied here and not known to be in the
	// bucket, in whole groups of appends, so a little too much; 0 only where
	// nothing is. Bytes are those of the local WAL.
	Records, Bytes uint64
	// Age is how long ago the oldest of them was applied; one that an earlier
	// process had applied counts from Open.
	Age time.Duration
	// WALObjects is how many objects the next Open would have to read. Appends
	// are held back at 1,024.
	WALObjects int
	// Refresh, of a reader, is how long ago its last look that went well began.
	Refresh time.Duration
}

const (
	behindShips     = 20              // ShipIntervals
	behindLeast     = 5 * time.Second // of a writer
	behindRefreshes = 5               // RefreshIntervals
	staleLeast      = 10 * time.Second
)

// Health tells what this log can do, and for how long it has been so.
func (d *LogDb) Health() Health {
	now := time.Now()
	h := Health{Lag: d.arrears.lag(now)}
	h.Lag.WALObjects = int(d.shipper.unflushed.Load())
	if err := d.Err(); err != nil {
		h.State, h.Since, h.Err = stoppedState(err), *d.ended.Load(), err
		return h
	}
	down, recovered, storeErr := d.pulse.health(now)
	held, short := d.held.Load(), d.stager.short()
	h.Err = storeErr
	if short {
		h.Err = errors.Join(ErrDiskFull, storeErr)
	}
	h.Ready = held == nil && !short
	switch {
	case !down.IsZero():
		h.State, h.Since = Unreachable, down
		h.Ready = h.Ready && d.level(Default) != Remote
	case d.arrears.late(h.Lag.Age):
		h.State, h.Since = Behind, now.Add(-h.Lag.Age)
	case held != nil:
		h.State, h.Since = Behind, *held
	default:
		h.Since = latest(recovered, d.arrears.recoveredAt())
		h.Err = nil
	}
	return h
}

func stoppedState(err error) HealthState {
	switch {
	case errors.Is(err, ErrClosed):
		return Closed
	case errors.Is(err, ErrFenced):
		return Fenced
	}
	return Poisoned
}

// Health tells how fresh this reader is, and for how long it has been so.
func (r *LogDbReader) Health() Health {
	now := time.Now()
	last := r.looked.Load()
	h := Health{Lag: Lag{Refresh: now.Sub(last.begun)}}
	if r.stop.Err() != nil {
		h.State, h.Since, h.Err = Closed, *r.ended.Load(), context.Cause(r.stop)
		return h
	}
	down, recovered, storeErr := r.pulse.health(now)
	h.Err = last.err
	switch {
	case !down.IsZero():
		h.State, h.Since, h.Err = Unreachable, down, storeErr
	case r.opts.RefreshInterval > 0 && h.Lag.Refresh >= r.staleAfter():
		h.State, h.Since = Behind, last.begun
	default:
		h.Since, h.Err, h.Ready = latest(recovered, last.recovered), nil, true
	}
	return h
}

// staleAfter is how old a reader's last look may be.
func (r *LogDbReader) staleAfter() time.Duration {
	return max(behindRefreshes*r.opts.RefreshInterval, staleLeast)
}

// looked is what a reader's last looks came to.
type looked struct {
	begun     time.Time // the last one that went well
	recovered time.Time // the end of the last one that came late
	err       error     // of the newest one
}

// note takes in a look.
func (r *LogDbReader) note(begun time.Time, err error) {
	now, next := time.Now(), looked{begun: begun, recovered: time.Now()}
	if last := r.looked.Load(); last != nil {
		next.recovered = last.recovered
		if err == nil && r.opts.RefreshInterval > 0 && now.Sub(last.begun) >= r.staleAfter() {
			next.recovered = now
		}
		if next.err = err; err != nil {
			next.begun = last.begun
		}
	}
	r.looked.Store(&next)
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
