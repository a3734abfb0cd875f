package objstoretest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// say answers in the words of S3, with the request read to its end as a server does.
func (t *Transport) say(r *http.Request, fault Fault) (*http.Response, error) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	status, code := http.StatusInternalServerError, "InternalError"
	switch fault.Kind {
	case SlowDown:
		status, code = http.StatusServiceUnavailable, "SlowDown"
	case Denied:
		status, code = http.StatusForbidden, "ExpiredToken"
	case NotFound:
		status, code = http.StatusNotFound, "NoSuchKey"
	}
	body := fmt.Appendf(nil, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>injected fault: %v</Message></Error>", code, fault.Kind)
	header := http.Header{}
	header.Set("Content-Type", "application/xml")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	if fault.Kind == SlowDown && fault.Delay > 0 {
		header.Set("Retry-After", strconv.Itoa(int(wholeSeconds(fault.Delay)/time.Second)))
	}
	if r.Method == http.MethodHead {
		body = nil
	}
	return &http.Response{
		Status: strconv.Itoa(status) + " " + http.StatusText(status), StatusCode: status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Request: r,
	}, nil
}

// harm replaces the body of an answer by a slow, a short or a damaged one. Its headers stay.
func (t *Transport) harm(ctx context.Context, response *http.Response, op Op, fault Fault) error {
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		return err
	}
	whole := len(body)
	if fault.Kind != SlowAnswer {
		body = damage(t.plan.Seed, op, fault, body)
	}
	b := &harmed{Reader: bytes.NewReader(body), end: io.EOF}
	switch {
	case len(body) < whole:
		b.end = io.ErrUnexpectedEOF
	case fault.Kind == SlowAnswer:
		rest := bytes.NewReader(body[whole/2:])
		b.Reader = io.MultiReader(bytes.NewReader(body[:whole/2]), &waiting{Reader: rest, wait: func() error { return t.gates.wait(ctx, fault) }})
	}
	response.Body = b
	return nil
}

// harmed is a body that ends with an error of its own.
type harmed struct {
	io.Reader
	end error
}

func (h *harmed) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	if err == io.EOF {
		err = h.end
	}
	return n, err
}

func (h *harmed) Close() error { return nil }

// waiting is a reader that waits before its first byte.
type waiting struct {
	io.Reader
	wait   func() error
	waited bool
}

func (w *waiting) Read(p []byte) (int, error) {
	if !w.waited {
		w.waited = true
		if err := w.wait(); err != nil {
			return 0, err
		}
	}
	return w.Reader.Read(p)
}
