package objstoretest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
)

// Transport is an http.RoundTripper whose requests to an S3 server break as a Plan says: what Faulty is to a bucket, for
// tests of what lies between a bucket and its server, a client's own retries for one. objstore.S3Options takes it, and
// NewProxy puts it in front of other processes.
//
// A request is an Op as Faulty has it, by method, query and headers. Errors of the connection wrap ErrInjected;
// what the server is made to say does not, since it is an answer like any other.
type Transport struct {
	// Resign, if set, signs a request again whose headers were changed. IgnoreCondition takes headers away that
	// clients sign, and servers that check signatures refuse the request without it. To be set before the first request.
	Resign func(*http.Request) error

	next http.RoundTripper
	root string
	faults
}

// NewTransport returns next with the faults of plan. root is what stands before the names of objects in the path of a URL,
// "/bucket/folder/" for one, and is not part of the names that the plan sees. A next of nil is a transport of its own.
func NewTransport(next http.RoundTripper, root string, plan Plan) *Transport {
	if next == nil {
		next = &http.Transport{DisableCompression: true}
	}
	t := &Transport{next: next, root: root}
	t.init(plan)
	return t
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	defer closeRequest(r)
	op := t.op(r)
	if t.down.Load() {
		return nil, broken(op, "server is down", syscall.ECONNREFUSED)
	}
	fault := t.choose(&op)
	switch fault.Kind {
	case Refuse:
		return nil, broken(op, "refused", syscall.ECONNREFUSED)
	case Fail, SlowDown, Denied:
		return t.say(r, fault)
	case Stall:
		return nil, t.stall(r, op, fault)
	case NotFound:
		if byName(op.Kind) {
			return t.say(r, fault)
		}
	case Slow:
		if err := t.gates.wait(r.Context(), fault); err != nil {
			return nil, err
		}
	}
	if isRead(r) {
		return t.read(r, op, fault)
	}
	return t.write(r, op, fault)
}

func isRead(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// closeRequest does what a RoundTripper owes its caller, also where it sends nothing.
func closeRequest(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}

// broken is what a client sees of a connection.
func broken(op Op, what string, errno syscall.Errno) error {
	return &net.OpError{Op: "faulty", Net: "tcp", Err: fmt.Errorf("%w: %w", injected(op, what), errno)}
}

// stall takes the request and answers nothing until the context or the fault's own wait ends.
func (t *Transport) stall(r *http.Request, op Op, fault Fault) error {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	if fault.Delay > 0 || fault.Gate != "" {
		if err := t.gates.wait(r.Context(), fault); err == nil {
			return broken(op, "no answer", syscall.ECONNRESET)
		}
	}
	<-r.Context().Done()
	return fmt.Errorf("%s %q, attempt %d: no answer: %w", op.Kind, op.Name, op.Attempt, r.Context().Err())
}

func (t *Transport) read(r *http.Request, op Op, fault Fault) (*http.Response, error) {
	switch fault.Kind {
	case ApplyThenError, ApplyLater:
		return t.say(r, Fault{Kind: Fail})
	case Cut:
		return nil, broken(op, "connection broke", syscall.ECONNRESET)
	case LoseResponse:
		return nil, t.stall(r, op, Fault{})
	}
	response, err := t.next.RoundTrip(r)
	if err != nil || response.StatusCode >= 300 {
		return response, err
	}
	switch fault.Kind {
	case SlowAnswer, Truncate, FlipBit:
		err = t.harm(r.Context(), response, op, fault)
	}
	return response, err
}

func (t *Transport) write(r *http.Request, op Op, fault Fault) (*http.Response, error) {
	switch fault.Kind {
	case ApplyLater:
		return t.applyLater(r, op, fault)
	case IgnoreCondition:
		var err error
		if r, err = t.unconditional(r); err != nil {
			return nil, err
		}
	}
	response, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if response.StatusCode < 300 {
		t.wrote(op)
	}
	switch fault.Kind {
	case ApplyThenError:
		discard(response)
		return t.say(r, Fault{Kind: Fail})
	case Cut:
		discard(response)
		return nil, broken(op, "connection broke", syscall.ECONNRESET)
	case LoseResponse:
		discard(response)
		return nil, t.stall(r, op, Fault{})
	case SlowAnswer:
		if err := t.gates.wait(r.Context(), fault); err != nil {
			discard(response)
			return nil, err
		}
	}
	return response, nil
}

func discard(response *http.Response) {
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
}

// applyLater keeps the request and sends it when the fault's wait is over, whatever has become of the caller.
func (t *Transport) applyLater(r *http.Request, op Op, fault Fault) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	late := r.Clone(context.WithoutCancel(r.Context()))
	late.Body = io.NopCloser(bytes.NewReader(body))
	t.late.Go(func() {
		if t.gates.wait(late.Context(), fault) != nil {
			return
		}
		if response, err := t.next.RoundTrip(late); err == nil {
			if response.StatusCode < 300 {
				t.wrote(op)
			}
			discard(response)
		}
	})
	return t.say(r, Fault{Kind: Fail})
}

// unconditional is the request without its conditions.
func (t *Transport) unconditional(r *http.Request) (*http.Request, error) {
	r = r.Clone(r.Context())
	r.Header.Del("If-Match")
	r.Header.Del("If-None-Match")
	if t.Resign == nil {
		return r, nil
	}
	if err := t.Resign(r); err != nil {
		return nil, fmt.Errorf("objstoretest: sign a request without its conditions: %w", err)
	}
	return r, nil
}
