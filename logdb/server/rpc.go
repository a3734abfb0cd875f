package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/logdb/server/logpb"
)

// rpcBytes bounds the values of one message: clients of gRPC refuse messages of
// more than 4 MiB unless told otherwise.
const rpcBytes = 3 << 20

// rpc is the service of the proto, over the same operations as the routes.
type rpc struct{ s *Server }

// services mounts Connect, gRPC and gRPC-Web. A compressed request is refused:
// what it unpacks to could not be counted before it is there.
func (s *Server) services() {
	path, h := logpb.NewLogServiceHandler(&rpc{s}, connect.WithReadMaxBytes(int(s.o.BodyLimit)), connect.WithCompression("gzip", nil, nil))
	s.mux.Handle(path, s.o.Meter.count("rpc", func(w http.ResponseWriter, r *http.Request) {
		b := &countedBody{ReadCloser: r.Body, s: s}
		defer func() { s.bodies.Release(b.held) }()
		r.Body = b
		h.ServeHTTP(&patient{ResponseWriter: w, timeout: s.o.WriteTimeout}, traced(r))
	}))
}

// countedBody takes what is read from the memory of all bodies.
type countedBody struct {
	io.ReadCloser
	s    *Server
	held int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if !b.s.bodies.TryAcquire(2 * int64(n)) { // the bytes, and the message made of them
		return 0, errors.New("too much is being received") // not n: a reader that has enough would not look at the error
	}
	b.held += 2 * int64(n)
	return n, err
}

// patient gives a client so long to accept what is written, each time.
type patient struct {
	http.ResponseWriter
	timeout time.Duration
}

func (w *patient) within(f func() error) error {
	control := http.NewResponseController(w.ResponseWriter)
	_ = control.SetWriteDeadline(time.Now().Add(w.timeout))
	err := f()
	if err == nil {
		_ = control.SetWriteDeadline(time.Time{})
	}
	return err
}

func (w *patient) Write(b []byte) (n int, err error) {
	err = w.within(func() error {
		n, err = w.ResponseWriter.Write(b)
		return err
	})
	return n, err
}

// Flush has no way to say that it failed: the next write will.
func (w *patient) Flush() {
	_ = w.within(http.NewResponseController(w.ResponseWriter).Flush)
}

// Unwrap gives http.ResponseController what is below.
func (w *patient) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// fail says err in the terms of Connect and gRPC, with the numbers as
// a detail.
func (p *rpc) fail(err error) error {
	e := translate(err)
	code := map[int]connect.Code{
		http.StatusBadRequest:            connect.CodeInvalidArgument,
		http.StatusUnauthorized:          connect.CodeUnauthenticated,
		http.StatusForbidden:             connect.CodePermissionDenied,
		http.StatusNotFound:              connect.CodeNotFound,
		http.StatusRequestTimeout:        connect.CodeDeadlineExceeded,
		http.StatusConflict:              connect.CodeFailedPrecondition,
		http.StatusGone:                  connect.CodeOutOfRange,
		http.StatusRequestEntityTooLarge: connect.CodeInvalidArgument,
		http.StatusTooManyRequests:       connect.CodeResourceExhausted,
		http.StatusServiceUnavailable:    connect.CodeUnavailable,
		http.StatusGatewayTimeout:        connect.CodeAborted, // pending: no client may repeat it by itself
	}[e.status]
	if code == 0 {
		code = connect.CodeInternal
		p.s.o.Logger.Warn("server: call failed", "code", e.code, "err", err)
	}
	c := connect.NewError(code, errors.New(e.message))
	if e.retry {
		c.Meta().Set("Retry-After", "1")
	}
	if d, err := connect.NewErrorDetail(e.response()); err == nil {
		c.AddDetail(d)
	}
	return c
}

func (p *rpc) Append(ctx context.Context, req *connect.Request[logpb.AppendRequest]) (*connect.Response[logpb.AppendResponse], error) {
	g, err := p.s.o.Tokens.grant(req.Header())
	if err != nil {
		return nil, p.fail(err)
	}
	if p.s.db == nil {
		return nil, connect.NewError(connect.CodeUnimplemented, errors.New("this server is read-only"))
	}
	m := req.Msg
	b := body{s: p.s} // for its checks
	defer func() { p.s.bodies.Release(b.held) }()
	for _, r := range m.Records {
		if err := b.add(r.Key, r.Value); err != nil {
			return nil, p.fail(err)
		}
	}
	b.batch.durable = m.AwaitDurable
	if err := b.batch.set(16, uint64(m.Ack)); err != nil {
		return nil, p.fail(err)
	}
	if m.TimeoutMs != nil {
		_ = b.batch.set(17, *m.TimeoutMs)
	}
	out, err := p.s.appendBatch(ctx, g, &b.batch)
	if err != nil {
		return nil, p.fail(err)
	}
	return connect.NewResponse(out), nil
}

func (p *rpc) Scan(ctx context.Context, req *connect.Request[logpb.ScanRequest]) (*connect.Response[logpb.ScanResponse], error) {
	m := req.Msg
	g, err := p.s.o.Tokens.grant(req.Header())
	if err == nil {
		err = g.key(mayRead, m.Key)
	}
	if err != nil {
		return nil, p.fail(err)
	}
	q := &scanQuery{key: m.Key, r: between(m.StartSequence, m.EndSequence), limit: defaultLimit, follow: m.Follow, reverse: m.Reverse,
		min: m.GetMinSequence(), wait: p.wait(m.TimeoutMs)}
	if m.Limit != nil {
		q.limit = *m.Limit
	}
	q.o.Strict = m.Strict
	if q.o.Visibility, err = visibility(m.Visibility); err != nil {
		return nil, p.fail(err)
	}
	if m.FromTimeMs != nil {
		q.o.FromTime = time.UnixMilli(*m.FromTimeMs)
	}
	q.most = rpcBytes
	out := &logpb.ScanResponse{Status: "success", Key: m.Key}
	if out.Key == nil {
		out.Key = []byte{}
	}
	out.NextSequence, err = p.s.runScan(ctx, q, func(e logdb.Entry) error {
		out.Values = append(out.Values, &logpb.Value{Sequence: e.Sequence, Value: append([]byte(nil), e.Value...), TimeMs: e.Time.UnixMilli()})
		return nil
	})
	if err != nil {
		return nil, p.fail(err)
	}
	out.TailSequence = p.s.log.Frontier()
	return connect.NewResponse(out), nil
}

func between(start uint64, end *uint64) logdb.Range {
	if end == nil {
		return logdb.From(start)
	}
	return logdb.Between(start, *end)
}

func (p *rpc) wait(ms *uint64) time.Duration {
	if ms == nil {
		return min(defaultWait, p.s.o.MaxWait)
	}
	return time.Duration(min(*ms, uint64(p.s.o.MaxWait/time.Millisecond))) * time.Millisecond
}

// visibility is a level that reads know.
func visibility(d logpb.Durability) (logdb.Durability, error) {
	l, err := durability(d)
	if err == nil && l == logdb.Local {
		err = invalid("visibility: want applied or remote")
	}
	return l, err
}

// fresh checks the token and waits for what a request wants to see.
func (p *rpc) fresh(ctx context.Context, h http.Header, check func(*grant) error, minimum, timeout *uint64) error {
	g, err := p.s.o.Tokens.grant(h)
	if err == nil {
		err = check(g)
	}
	if err == nil && minimum != nil {
		err = p.s.await(ctx, *minimum, logdb.Default, p.wait(timeout))
	}
	return err
}

func (p *rpc) Count(ctx context.Context, req *connect.Request[logpb.CountRequest]) (*connect.Response[logpb.CountResponse], error) {
	m := req.Msg
	err := p.fresh(ctx, req.Header(), func(g *grant) error { return g.key(mayRead, m.Key) }, m.MinSequence, m.TimeoutMs)
	if err != nil {
		return nil, p.fail(err)
	}
	out, err := p.s.countKey(ctx, m.Key, between(m.StartSequence, m.EndSequence))
	if err != nil {
		return nil, p.fail(err)
	}
	return connect.NewResponse(out), nil
}

func (p *rpc) ListKeys(ctx context.Context, req *connect.Request[logpb.ListKeysRequest]) (*connect.Response[logpb.KeysResponse], error) {
	m := req.Msg
	err := p.fresh(ctx, req.Header(), func(g *grant) error { return g.prefix(mayRead, m.Prefix) }, m.MinSequence, m.TimeoutMs)
	if err != nil {
		return nil, p.fail(err)
	}
	limit := uint64(defaultLimit)
	if m.Limit != nil {
		limit = *m.Limit
	}
	out := &logpb.KeysResponse{Status: "success"}
	o := logdb.KeyOptions{Segments: between(m.StartSegment, m.EndSegment), Prefix: m.Prefix, After: m.After}
	after, more, err := p.s.listKeys(ctx, o, limit, rpcBytes, func(k *logpb.Key) error { out.Keys = append(out.Keys, k); return nil })
	if err != nil {
		return nil, p.fail(err)
	}
	if more {
		out.NextAfter = append([]byte{}, after...)
	}
	return connect.NewResponse(out), nil
}

func (p *rpc) ListSegments(ctx context.Context, req *connect.Request[logpb.ListSegmentsRequest]) (*connect.Response[logpb.SegmentsResponse], error) {
	m := req.Msg
	err := p.fresh(ctx, req.Header(), func(g *grant) error { return g.whole(mayRead) }, m.MinSequence, m.TimeoutMs)
	if err != nil {
		return nil, p.fail(err)
	}
	out, err := p.s.listSegments(ctx, between(m.StartSequence, m.EndSequence))
	if err != nil {
		return nil, p.fail(err)
	}
	return connect.NewResponse(out), nil
}

func (p *rpc) Status(ctx context.Context, req *connect.Request[logpb.StatusRequest]) (*connect.Response[logpb.StatusResponse], error) {
	if err := p.fresh(ctx, req.Header(), func(g *grant) error { return g.any(mayRead) }, nil, nil); err != nil {
		return nil, p.fail(err)
	}
	return connect.NewResponse(p.s.statusMessage()), nil
}
