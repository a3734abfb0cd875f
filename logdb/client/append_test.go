package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/logdb/server"
	"github.com/logdb-go/logdb/logdb/server/logpb"
	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// TestAppendsUnderFaults breaks the first attempt of an append in every way, and
// looks into the log for how often it is there: what is repeated is there once,
// and where it is not known the caller is told so.
func TestAppendsUnderFaults(t *testing.T) {
	for _, row := range []struct {
		fault    objstoretest.FaultKind
		want     string // what the caller is told
		in       uint64 // how often the batch is in the log then
		requests string
	}{
		{objstoretest.None, "appended", 1, "Append:1"},
		{objstoretest.Refuse, "appended", 1, "Append:1"},
		{objstoretest.Slow, "appended", 1, "Append:1"},
		{objstoretest.ApplyThenError, "may have happened, status 500", 1, "Append:1"},
		{objstoretest.ApplyLater, "may have happened, status 500", 1, "Append:1"},
		{objstoretest.Fail, "may have happened, status 500", 0, ""},
		{objstoretest.SlowDown, "may have happened, status 503", 0, ""}, // somebody said so, who may have sent it on
		{objstoretest.Denied, "did not happen, status 403", 0, ""},
		{objstoretest.Cut, "may have happened, status 0", 1, "Append:1"},
	} {
		t.Run(row.fault.String(), func(t *testing.T) {
			w := newWorld(t, logdb.Options{Ack: logdb.Applied}, server.Options{})
			var faulty *objstoretest.Transport
			c := w.client(Options{}, func(next http.RoundTripper) http.RoundTripper {
				faulty = objstoretest.NewTransport(next, "/logdb.v1.LogService/", objstoretest.Plan{Hook: func(op objstoretest.Op) objstoretest.Fault {
					if op.Attempt == 1 {
						return objstoretest.Fault{Kind: row.fault, Delay: time.Millisecond}
					}
					return objstoretest.Fault{Kind: objstoretest.None}
				}})
				return faulty
			})
			got := w.requests(func() {
				if got := outcome(c.Append(t.Context(), records("k", "v"), logdb.AppendOptions{})); got != row.want {
					t.Errorf("%s, want %s", got, row.want)
				}
				faulty.Wait()
			})
			if got != row.requests {
				t.Errorf("requests %q, want %q", got, row.requests)
			}
			if n, err := w.db.Count(t.Context(), []byte("k"), logdb.Range{}); n != row.in || err != nil {
				t.Errorf("the batch is in the log %d times, want %d (%v)", n, row.in, err)
			}
		})
	}
}

// outcome is what a caller can tell from an append.
func outcome(_ logdb.Appended, err error) string {
	var e *Error
	switch {
	case err == nil:
		return "appended"
	case !errors.As(err, &e):
		return err.Error()
	}
	what := "did not happen"
	if e.MayHaveHappened {
		what = "may have happened"
	}
	if e.Code != "" {
		return what + ", code " + e.Code
	}
	return fmt.Sprintf("%s, status %d", what, e.Status)
}

// TestAppendThatIsNotAnswered: a deadline is the only way out of a server that took
// the batch and says nothing, and it does not say that nothing happened.
func TestAppendThatIsNotAnswered(t *testing.T) {
	w := newWorld(t, logdb.Options{Ack: logdb.Applied}, server.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	c := w.client(Options{}, func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
			cancel()
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
	})
	_, err := c.Append(ctx, records("k", "v"), logdb.AppendOptions{})
	if got := outcome(logdb.Appended{}, err); got != "may have happened, status 0" || !errors.Is(err, context.Canceled) {
		t.Errorf("%v (%s), want that it may have happened, and that the context ended", err, got)
	}
	if n, _ := w.db.Count(t.Context(), []byte("k"), logdb.Range{}); n != 1 {
		t.Errorf("in the log %d times, want once", n)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// refusals is a service that refuses what it is told to refuse, and then answers.
type refusals struct {
	logpb.UnimplementedLogServiceHandler
	answers []error
	seen    []*logpb.AppendRequest
}

func (s *refusals) Append(_ context.Context, r *connect.Request[logpb.AppendRequest]) (*connect.Response[logpb.AppendResponse], error) {
	s.seen = append(s.seen, r.Msg)
	if len(s.answers) > 0 {
		err := s.answers[0]
		s.answers = s.answers[1:]
		return nil, err
	}
	return connect.NewResponse(&logpb.AppendResponse{StartSequence: 5, NextSequence: 6, TimeMs: 7}), nil
}

func answered(code connect.Code, m *logpb.ErrorResponse) error {
	err := connect.NewError(code, errors.New(m.Message))
	d, _ := connect.NewErrorDetail(m)
	err.AddDetail(d)
	err.Meta().Set("Retry-After", "3")
	return err
}

// serving is a client of a service that is made up.
func serving(t *testing.T, s logpb.LogServiceHandler, o Options) (*Client, *world) {
	t.Helper()
	w := newWorld(t, logdb.Options{Ack: logdb.Applied}, server.Options{})
	mux := http.NewServeMux()
	mux.Handle(logpb.NewLogServiceHandler(s))
	w.web.Config.Handler = mux
	return w.client(o, nil), w
}

// TestRefusals: what a server says about an append, and what becomes of it.
func TestRefusals(t *testing.T) {
	trimmed, record, size, limit, part := uint64(7), int32(1), uint64(9), uint64(8), "value"
	for _, row := range []struct {
		code    connect.Code
		m       *logpb.ErrorResponse
		want    string
		is      error
		message string
	}{
		{connect.CodeResourceExhausted, &logpb.ErrorResponse{Code: "queue_full"}, "appended", logdb.ErrQueueFull, ""},
		{connect.CodeUnavailable, &logpb.ErrorResponse{Code: "overloaded"}, "appended", nil, ""},
		{connect.CodeUnavailable, &logpb.ErrorResponse{Code: "disk_full"}, "appended", logdb.ErrDiskFull, ""},
		{connect.CodeUnavailable, &logpb.ErrorResponse{Code: "closed"}, "appended", logdb.ErrClosed, ""},
		{connect.CodeUnavailable, &logpb.ErrorResponse{Code: "fenced"}, "appended", logdb.ErrFenced, ""},
		{connect.CodeUnavailable, &logpb.ErrorResponse{Code: "stale"}, "appended", logdb.ErrStale, ""},
		{connect.CodeUnavailable, &logpb.ErrorResponse{Code: "timeout"}, "appended", nil, ""},
		{connect.CodeInternal, &logpb.ErrorResponse{Code: "internal"}, "appended", nil, ""},
		{connect.CodeInvalidArgument, &logpb.ErrorResponse{Code: "invalid_argument", Message: "no"}, "did not happen, code invalid_argument", nil, "client: no (invalid_argument)"},
		{connect.CodeUnauthenticated, &logpb.ErrorResponse{Code: "unauthenticated"}, "did not happen, code unauthenticated", nil, ""},
		{connect.CodePermissionDenied, &logpb.ErrorResponse{Code: "permission_denied"}, "did not happen, code permission_denied", nil, ""},
		{connect.CodeOutOfRange, &logpb.ErrorResponse{Code: "trimmed", OldestSequence: &trimmed}, "did not happen, code trimmed", nil, ""},
		{connect.CodeInvalidArgument, &logpb.ErrorResponse{Code: "too_large", Message: "large", Part: &part, Record: &record, Size: &size, Limit: &limit},
			"did not happen, code too_large", nil, "client: large (too_large)"},
		{connect.CodeAborted, &logpb.ErrorResponse{Code: "pending", Message: "late", StartSequence: &size, NextSequence: &size, Level: new(string)},
			"may have happened, code pending", nil, "client: late (pending); the append may have happened"},
		{connect.CodeInternal, &logpb.ErrorResponse{Code: ""}, "may have happened, status 500", nil, ""}, // not of the server's making
		{connect.CodeUnimplemented, &logpb.ErrorResponse{Code: ""}, "did not happen, status 501", nil, ""},
		{connect.CodeResourceExhausted, &logpb.ErrorResponse{Code: ""}, "did not happen, status 429", nil, ""},
		{connect.CodeUnavailable, &logpb.ErrorResponse{Code: ""}, "may have happened, status 503", nil, ""},
	} {
		t.Run(row.code.String()+" "+row.m.Code, func(t *testing.T) {
			s := &refusals{answers: []error{answered(row.code, row.m)}}
			c, w := serving(t, s, Options{})
			a, err := c.Append(t.Context(), records("", ""), logdb.AppendOptions{Ack: logdb.Remote})
			if got := outcome(a, err); got != row.want {
				t.Fatalf("%s (%v), want %s", got, err, row.want)
			}
			if row.want == "appended" {
				if a.First != 5 || a.Next != 6 || a.Time.UnixMilli() != 7 || len(s.seen) != 2 {
					t.Errorf("%+v after %d requests", a, len(s.seen))
				}
				if len(w.waited) != 1 || w.waited[0] < 3*time.Second || w.waited[0] > 4*time.Second {
					t.Errorf("waited %v, want a little more than the 3 s that the server asked for", w.waited)
				}
				s.answers, c.o.Patience = []error{answered(row.code, row.m)}, -1
				_, err = c.Append(t.Context(), records("", ""), logdb.AppendOptions{})
			} else if len(s.seen) != 1 {
				t.Errorf("%d requests, want one", len(s.seen))
			}
			var e *Error
			if !errors.As(err, &e) || e.RetryAfter != 3*time.Second || row.is != nil && !errors.Is(err, row.is) {
				t.Errorf("without patience: %#v, want %v", err, row.is)
			}
			if row.message != "" && err.Error() != row.message {
				t.Errorf("%q, want %q", err, row.message)
			}
		})
	}
}

// TestErrorsHaveTheNumbersOfTheLog: what the library tells with an error is not
// lost on the way.
func TestErrorsHaveTheNumbersOfTheLog(t *testing.T) {
	w := newWorld(t, logdb.Options{Ack: logdb.Applied, Limits: logdb.Limits{ValueBytes: 4}}, server.Options{})
	c := w.client(Options{}, nil)
	_, err := c.Append(t.Context(), records("k", "v", "k", "large"), logdb.AppendOptions{})
	var limit *logdb.LimitError
	if !errors.As(err, &limit) || *limit != (logdb.LimitError{What: "value", Record: 1, Bytes: 5, Limit: 4}) {
		t.Errorf("%#v, want what the log says", err)
	}
	if _, err = c.Append(t.Context(), records("k", "v"), logdb.AppendOptions{Ack: 99}); outcome(logdb.Appended{}, err) != "did not happen, code invalid_argument" {
		t.Errorf("level 99: %v", err)
	}
	if a, err := c.Append(t.Context(), nil, logdb.AppendOptions{}); a.First != 0 || a.Next != 0 || err != nil {
		t.Errorf("an empty batch: %+v, %v, want [0,0)", a, err)
	}
}

// TestPendingAppendSaysWhereItLies: a level that was not reached in time is not an
// append that failed, and it is not tried again.
func TestPendingAppendSaysWhereItLies(t *testing.T) {
	b := objstoretest.NewFaulty(objstore.NewMem(), objstoretest.Plan{})
	w := newWorldOn(t, b, logdb.Options{Ack: logdb.Applied}, server.Options{AppendTimeout: time.Second})
	w.appended("k", "0")
	if err := w.db.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.Down(true)
	defer b.Down(false)
	c := w.client(Options{}, nil)
	var err error
	if got := w.requests(func() {
		_, err = c.Append(t.Context(), records("k", "1", "k", "2"), logdb.AppendOptions{Ack: logdb.Remote})
	}); got != "Append:1" {
		t.Errorf("requests %q", got)
	}
	var pending *logdb.PendingError
	if !errors.As(err, &pending) || pending.Appended.First != 1 || pending.Appended.Next != 3 || pending.Level != logdb.Remote {
		t.Fatalf("%v, want that [1,3) is pending", err)
	}
	if list, _, err := drain(c.Scan(t.Context(), []byte("k"), logdb.From(1), logdb.ScanOptions{})); fmt.Sprint(list) != "[1:k=1 2:k=2]" || err != nil {
		t.Errorf("there lie %v, %v", list, err)
	}
}

// TestDeadlinesReachTheServerEarly: so that it can say how far the batch came.
func TestDeadlinesReachTheServerEarly(t *testing.T) {
	s := &refusals{}
	c, _ := serving(t, s, Options{})
	for _, row := range []struct{ left, most time.Duration }{{time.Hour, appendWait}, {40 * time.Second, 39 * time.Second}, {2 * time.Second, 1500 * time.Millisecond}} {
		ctx, cancel := context.WithTimeout(t.Context(), row.left)
		_, _ = c.Append(ctx, records("k", "v"), logdb.AppendOptions{})
		cancel()
		if len(s.seen) == 0 {
			continue // a machine that took two seconds for it
		}
		if got := time.Duration(s.seen[len(s.seen)-1].GetTimeoutMs()) * time.Millisecond; got > row.most {
			t.Errorf("with %v left the server may wait %v, want at most %v", row.left, got, row.most)
		}
	}
}

// TestTokenAndPath: the token is in every request, and an address may have a path.
func TestTokenAndPath(t *testing.T) {
	w := newWorld(t, logdb.Options{Ack: logdb.Applied}, server.Options{})
	inner := w.web.Config.Handler
	w.web.Config.Handler = http.StripPrefix("/logs/main", inner)
	o := Options{Token: "secret", HTTPClient: &http.Client{Transport: w}}
	c, err := New("http://log.test/logs/main/", o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Append(t.Context(), records("k", "v"), logdb.AppendOptions{}); err != nil {
		t.Error(err)
	}
	if got := w.headers.Get("Authorization"); got != "Bearer secret" {
		t.Errorf("authorization %q", got)
	}
	for _, address := range []string{"", "host:1", "ftp://host", "http://", "http://h?x", "http://h#x", "http://h:port", "\x7f"} {
		if _, err := New(address, Options{}); err == nil || strings.Contains(address, "@") {
			t.Errorf("address %q is taken", address)
		}
	}
	if _, err := New("http://h", Options{Silence: -1}); err == nil {
		t.Error("a negative silence is taken")
	}
	own, err := New("http://h", Options{})
	if err != nil {
		t.Fatal(err)
	}
	own.Close()
}
