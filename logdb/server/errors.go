package server

import (
	"context"
	"errors"
	"net/http"

	"google.golang.org/protobuf/proto"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/logdb/server/logpb"
)

// apiError is a failed request as its client sees it.
type apiError struct {
	status  int
	code    string
	message string
	details logpb.ErrorResponse // the numbers of some codes
	retry   bool                // the same request may succeed a moment later
	cause   error               // for the server's log only
}

func (e *apiError) Error() string { return e.message }
func (e *apiError) Unwrap() error { return e.cause }

// errAnswered: the answer has begun, so nothing can be said about the error any
// more; the connection was cut where the client would take a part for the whole.
var errAnswered = errors.New("server: answered")

func invalid(message string) error {
	return &apiError{status: http.StatusBadRequest, code: "invalid_argument", message: message}
}

// overloaded: there is no room for this request now.
func overloaded(message string) error {
	return &apiError{status: http.StatusServiceUnavailable, code: "overloaded", message: message, retry: true}
}

// behind: what min_seq asked for did not become readable in time.
func behind(want, have uint64) error {
	return &apiError{
		status: http.StatusConflict, code: "behind", retry: true,
		message: "not yet readable up to min_seq",
		details: logpb.ErrorResponse{MinSequence: &want, TailSequence: &have},
	}
}

// translate makes an apiError of any error. What a client cannot have caused is
// not described to it: only the server's log names objects and causes.
func translate(err error) *apiError {
	var api *apiError
	var pending *logdb.PendingError
	var limit *logdb.LimitError
	var trimmed *logdb.TrimmedError
	switch {
	case errors.As(err, &api):
		return api
	case errors.As(err, &pending):
		a, level, ms := pending.Appended, pending.Level.String(), pending.Appended.Time.UnixMilli()
		return &apiError{
			status: http.StatusGatewayTimeout, code: "pending", cause: err,
			message: "the batch is in the log, but was not seen to reach level " + level + "; do not append it again",
			details: logpb.ErrorResponse{StartSequence: &a.First, NextSequence: &a.Next, TimeMs: &ms, Level: &level},
		}
	case errors.As(err, &limit):
		record, size, most := int32(limit.Record), uint64(limit.Bytes), uint64(limit.Limit)
		return &apiError{
			status: http.StatusRequestEntityTooLarge, code: "too_large", message: limit.Error(),
			details: logpb.ErrorResponse{Part: &limit.What, Record: &record, Size: &size, Limit: &most},
		}
	case errors.As(err, &trimmed):
		return &apiError{status: http.StatusGone, code: "trimmed", message: trimmed.Error(), details: logpb.ErrorResponse{OldestSequence: &trimmed.Oldest}}
	case errors.Is(err, logdb.ErrQueueFull):
		return &apiError{status: http.StatusTooManyRequests, code: "queue_full", message: "the append queue is full; nothing was written", retry: true}
	case errors.Is(err, logdb.ErrDiskFull):
		return &apiError{status: http.StatusServiceUnavailable, code: "disk_full", message: "the writer's disk is full while the bucket is away; nothing was written", retry: true, cause: err}
	case errors.Is(err, logdb.ErrFenced):
		return &apiError{status: http.StatusServiceUnavailable, code: "fenced", message: "another writer has the log; nothing was written", retry: true, cause: err}
	case errors.Is(err, logdb.ErrClosed):
		return &apiError{status: http.StatusServiceUnavailable, code: "closed", message: "this server's log is closed; nothing was written", retry: true, cause: err}
	case errors.Is(err, logdb.ErrStale):
		return &apiError{status: http.StatusServiceUnavailable, code: "stale", message: "the log moved on while it was read", retry: true, cause: err}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &apiError{status: http.StatusServiceUnavailable, code: "timeout", message: "the request took too long; nothing was written", retry: true, cause: err}
	}
	return &apiError{status: http.StatusInternalServerError, code: "internal", message: "internal error; the server's log says more", cause: err}
}

// response is the body of the error.
func (e *apiError) response() *logpb.ErrorResponse {
	m := proto.Clone(&e.details).(*logpb.ErrorResponse)
	m.Status, m.Message, m.Code = "error", e.message, e.code
	return m
}

// fail answers an error. The body is JSON whatever the client accepts.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := translate(err)
	if e.status >= http.StatusInternalServerError && r.Context().Err() == nil {
		s.o.Logger.Warn("server: request failed", "path", r.URL.Path, "status", e.status, "code", e.code, "err", err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if e.retry {
		h.Set("Retry-After", "1")
	}
	if e.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if e.status == http.StatusRequestEntityTooLarge {
		h.Set("Connection", "close") // the rest of the body is not read
	}
	w.WriteHeader(e.status)
	_, _ = w.Write(append(appendJSON(nil, e.response().ProtoReflect(), u64AsString(r)), '\n')) // who has gone needs no answer
}
