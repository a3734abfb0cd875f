package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"connectrpc.com/connect"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/logdb/server/logpb"
)

// Error is a request that failed. What package logdb has an error for is wrapped:
// errors.Is(err, [logdb.ErrFenced]) and errors.As(err, &trimmed) do as with a
// log in this process.
type Error struct {
	// Status is that of the HTTP answer, as Connect has it; 0 if there was none.
	Status int
	// Code is the server's, out of its API.md; "" if the server did not say why.
	Code    string
	Message string
	// RetryAfter is what the answer asked for.
	RetryAfter time.Duration
	// MayHaveHappened, of an append: the batch may be in the log, or come into
	// it yet. Where it is not set, nothing was written.
	MayHaveHappened bool
	Err             error // nil: there is none but this one

	passes  bool // repeating may help
	away    bool // not answered by a log: nobody there, or on behalf of it
	refused bool // certainly nothing was done
}

func (e *Error) Error() string {
	s := &strings.Builder{}
	s.WriteString("client: ")
	if e.Message != "" {
		s.WriteString(e.Message)
	} else {
		fmt.Fprint(s, e.Err)
	}
	switch {
	case e.Code != "":
		fmt.Fprintf(s, " (%s)", e.Code)
	case e.Status != 0 && e.Status != http.StatusOK:
		fmt.Fprintf(s, " (HTTP %d)", e.Status)
	}
	if e.MayHaveHappened {
		s.WriteString("; the append may have happened")
	}
	return s.String()
}

// Unwrap returns the error of package logdb, or what broke the connection.
func (e *Error) Unwrap() error { return e.Err }

// BehindError: a read of AtLeast waited in vain for everything below Want; the
// server shows what is below Have.
type BehindError struct{ Want, Have uint64 }

func (e *BehindError) Error() string {
	return fmt.Sprintf("client: the server shows sequences below %d, want all below %d", e.Have, e.Want)
}

// failure says what became of an attempt.
func failure(err error, seen *answer) *Error {
	e := &Error{Status: int(seen.status.Load()), RetryAfter: time.Duration(seen.after.Load()), Err: err}
	var c *connect.Error
	if !errors.As(err, &c) {
		e.passes, e.away = true, true
		return e
	}
	if m := detail(c); m != nil {
		e.explain(m)
		if after := c.Meta().Get("Retry-After"); after != "" { // a stream's comes last
			e.RetryAfter = retryAfter(after, time.Now())
		}
		return e
	}
	e.guess(c)
	return e
}

// detail is the body that the server gives to each of its errors.
func detail(c *connect.Error) *logpb.ErrorResponse {
	if !connect.IsWireError(c) {
		return nil
	}
	for _, d := range c.Details() {
		if v, err := d.Value(); err == nil {
			if m, ok := v.(*logpb.ErrorResponse); ok && m.GetCode() != "" {
				return m
			}
		}
	}
	return nil
}

// explain takes over what the server says. By its contract an error other than
// pending means that nothing was written.
func (e *Error) explain(m *logpb.ErrorResponse) {
	e.Code, e.Message, e.Err = m.Code, m.Message, nil
	e.refused = true
	switch m.Code {
	case "pending":
		e.refused, e.MayHaveHappened = false, true
		e.Err = pending(m)
	case "queue_full":
		e.Err = logdb.ErrQueueFull
	case "disk_full":
		e.Err = logdb.ErrDiskFull
	case "closed":
		e.Err = logdb.ErrClosed
	case "fenced":
		e.Err = logdb.ErrFenced
	case "stale":
		e.Err = logdb.ErrStale
	case "behind":
		e.Err = &BehindError{Want: m.GetMinSequence(), Have: m.GetTailSequence()}
	case "trimmed":
		e.Err = &logdb.TrimmedError{Oldest: m.GetOldestSequence()}
	case "too_large":
		if m.Part != nil {
			e.Err = &logdb.LimitError{What: m.GetPart(), Record: int(m.GetRecord()), Bytes: int(m.GetSize()), Limit: int(m.GetLimit())}
		}
	}
	switch m.Code {
	case "queue_full", "disk_full", "closed", "fenced", "stale", "behind", "overloaded", "timeout":
		e.passes, e.away = true, true
	case "internal":
		e.passes = true
	}
}

func pending(m *logpb.ErrorResponse) error {
	level, err := logdb.ParseDurability(m.GetLevel())
	if err != nil {
		level = logdb.Default
	}
	return &logdb.PendingError{
		Appended: logdb.Appended{First: m.GetStartSequence(), Next: m.GetNextSequence(), Time: time.UnixMilli(m.GetTimeMs())},
		Level:    level, Err: errors.New("the server waited in vain"),
	}
}

// guess is for what the server did not explain: it may not even have seen the
// request.
func (e *Error) guess(c *connect.Error) {
	e.Err = c
	if cause := c.Unwrap(); cause != nil && !connect.IsWireError(c) {
		e.Err = cause
	}
	if errors.Is(e.Err, context.DeadlineExceeded) || errors.Is(e.Err, context.Canceled) {
		e.Err, e.Message = nil, "the server was silent for too long" // the caller's own end is looked at before
	}
	switch e.Status {
	case 0:
		e.passes, e.away, e.refused = true, true, unsent(c)
	case http.StatusTooManyRequests:
		// As Connect has it, a message that is too large is answered so, too.
		e.refused = true
		e.passes = c.Code() != connect.CodeResourceExhausted
		e.away = e.passes
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong, http.StatusUnsupportedMediaType,
		http.StatusRequestHeaderFieldsTooLarge, http.StatusNotImplemented:
		e.refused = true
	case http.StatusRequestTimeout, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		e.passes, e.away = true, true
	default:
		e.passes = c.Code() != connect.CodeResourceExhausted // an answer above MessageBytes
	}
}

// unsent tells whether an error proves that no connection came about.
func unsent(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect") ||
		errors.As(err, &dns) || errors.Is(err, syscall.ECONNREFUSED)
}
