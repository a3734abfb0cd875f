package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"golang.org/x/sync/semaphore"

	"github.com/logdb-go/logdb/logdb"
)

// Options configure a Server. The zero value has the defaults named below and
// lets everybody in.
type Options struct {
	// BodyLimit is the largest body of a request in bytes: 32 MiB, which holds
	// a batch of 16 MiB in base64. A larger one is answered with 413.
	BodyLimit int64
	// BodyMemory bounds the bodies of all requests together: 256 MiB. Beyond
	// it, requests with a body are answered with 503.
	BodyMemory int64
	// ResponseLimit is the size in bytes of values after which an answer of
	// scan ends early, at a nextSequence to go on from: 16 MiB.
	ResponseLimit int64
	// BodyTimeout bounds how long a body may take to arrive: 30 s.
	BodyTimeout time.Duration
	// WriteTimeout bounds how long a client may take to accept 64 KiB: 30 s.
	WriteTimeout time.Duration
	// AppendTimeout bounds how long an append waits for its level, and thereby
	// what timeout_ms may ask for: 60 s. Then it is answered as pending.
	AppendTimeout time.Duration
	// ScanTimeout bounds the reading of one answer: 60 s.
	ScanTimeout time.Duration
	// MaxWait bounds timeout_ms of requests that wait for records: 5 minutes.
	MaxWait time.Duration
	// Heartbeat is the time between two signs of life to a follower: 15 s.
	Heartbeat time.Duration
	// Followers bounds followers and waiting requests together: 50,000. Beyond
	// it they are answered with 503.
	Followers int64
	// FollowKeys bounds the keys of one follower: 10,000. A prefix has no bound.
	FollowKeys int
	// Tokens says who may do what. nil: everybody everything.
	Tokens *Tokens
	// Version is told by status.
	Version string

	Logger *slog.Logger         // nil: discards
	Tracer trace.TracerProvider // nil: traces nothing
	Meter  *Metrics             // nil: counts for nobody
}

func (o Options) withDefaults() Options {
	def := func(p *int64, v int64) {
		if *p == 0 {
			*p = v
		}
	}
	def(&o.BodyLimit, 32<<20)
	def(&o.BodyMemory, 256<<20)
	def(&o.ResponseLimit, 16<<20)
	def((*int64)(&o.BodyTimeout), int64(30*time.Second))
	def((*int64)(&o.WriteTimeout), int64(30*time.Second))
	def((*int64)(&o.AppendTimeout), int64(time.Minute))
	def((*int64)(&o.ScanTimeout), int64(time.Minute))
	def((*int64)(&o.MaxWait), int64(5*time.Minute))
	def((*int64)(&o.Heartbeat), int64(15*time.Second))
	def(&o.Followers, 50_000)
	if o.FollowKeys == 0 {
		o.FollowKeys = 10_000
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Tracer == nil {
		o.Tracer = noop.NewTracerProvider()
	}
	if o.Meter == nil {
		o.Meter = NewMetrics()
	}
	return o
}

// face is what both kinds of log have.
type face interface {
	logdb.LogRead
	Watch(logdb.WatchOptions) *logdb.Watch
	WaitFrontier(ctx context.Context, sequence uint64, visibility logdb.Durability) error
	Metrics() logdb.Metrics
	Health() logdb.Health
}

// Server answers requests. Its methods are safe for concurrent use.
type Server struct {
	o      Options
	log    face
	db     *logdb.LogDb // nil: read-only
	mux    *http.ServeMux
	bodies *semaphore.Weighted
	crowd  *semaphore.Weighted // followers
	heart  *heart
	tracer trace.Tracer

	started time.Time

	// Done when draining: followers end, and nobody is told to come.
	lifetime context.Context
	end      context.CancelFunc
	drain    <-chan struct{}
}

// New serves a log to be read and appended to. The log stays the caller's, who
// closes it after the Server.
func New(db *logdb.LogDb, o Options) *Server {
	s := build(db, o)
	s.db = db
	s.routes()
	return s
}

// NewReadOnly serves a log to be read. There is no route to append.
func NewReadOnly(r *logdb.LogDbReader, o Options) *Server {
	s := build(r, o)
	s.routes()
	return s
}

func build(log face, o Options) *Server {
	o = o.withDefaults()
	s := &Server{
		o: o, log: log, started: time.Now(), mux: http.NewServeMux(),
		bodies: semaphore.NewWeighted(o.BodyMemory), crowd: semaphore.NewWeighted(o.Followers),
		tracer: o.Tracer.Tracer("github.com/logdb-go/logdb/logdb/server"),
	}
	s.lifetime, s.end = context.WithCancel(context.Background())
	s.drain = s.lifetime.Done()
	s.heart = newHeart(o.Heartbeat, s.drain)
	o.Meter.attach(s)
	return s
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Drain ends all followers and waiting requests, which their clients take for a
// reason to connect again, and answers readiness with 503 from now on. Other
// requests are still answered. It also ends the server's one goroutine: who
// mounts a Server instead of running it drains it when done.
func (s *Server) Drain() { s.end() }

func (s *Server) drained() bool { return s.lifetime.Err() != nil }

// handler answers a request or fails. It has not begun to answer if it fails.
type handler func(w http.ResponseWriter, r *http.Request, p *params) error

// route is one operation of the API. Its name is a label of metrics.
type route struct {
	method, path, name string
	params             []string
	handle             handler
}

// api lists the operations below /api/v1/log/.
func (s *Server) api() []route {
	wait := []string{"min_seq", "timeout_ms", "u64"}
	list := []route{
		{"GET", "/api/v1/log/scan", "scan", append([]string{"key", "key_b64", "start_seq", "end_seq", "limit", "follow", "reverse", "from_time", "visibility", "strict"}, wait...), s.scan},
		{"GET", "/api/v1/log/follow", "follow", []string{"key", "key_b64", "prefix", "prefix_b64", "start_seq", "visibility", "strict", "u64"}, s.follow},
		{"GET", "/api/v1/log/keys", "keys", append([]string{"start_segment", "end_segment", "limit", "prefix", "prefix_b64", "after", "after_b64"}, wait...), s.keys},
		{"GET", "/api/v1/log/segments", "segments", append([]string{"start_seq", "end_seq"}, wait...), s.segments},
		{"GET", "/api/v1/log/count", "count", append([]string{"key", "key_b64", "start_seq", "end_seq"}, wait...), s.count},
		{"GET", "/api/v1/log/status", "status", []string{"u64"}, s.status},
	}
	if s.db != nil {
		list = append(list, route{"POST", "/api/v1/log/append", "append", []string{"ack", "timeout_ms", "u64"}, s.append})
	}
	return list
}

func (s *Server) routes() {
	for _, r := range s.api() {
		s.mux.Handle(r.method+" "+r.path, s.serve(r))
	}
	for path, f := range map[string]http.HandlerFunc{
		"/-/healthy": s.healthy, "/healthz": s.healthy,
		"/-/ready": s.ready, "/readyz": s.ready,
	} {
		s.mux.Handle("GET "+path, s.o.Meter.count("health", f))
	}
	s.mux.Handle("GET /metrics", s.o.Tokens.Require(s.o.Meter.count("metrics", s.o.Meter.Handler().ServeHTTP)))
	s.mux.Handle("/api/", s.serve(route{name: "unknown", handle: func(_ http.ResponseWriter, r *http.Request, _ *params) error {
		return &apiError{status: http.StatusNotFound, code: "not_found", message: "no such route: " + r.Method + " " + r.URL.Path}
	}}))
	s.documents()
	s.page()
	s.services()
}

// serve runs a handler with its parameters, and answers what it fails with.
func (s *Server) serve(rt route) http.Handler {
	return s.o.Meter.count(rt.name, func(w http.ResponseWriter, r *http.Request) {
		r = traced(r)
		p, err := parseParams(r, rt.params)
		if err == nil {
			err = rt.handle(w, r, p)
		}
		if err != nil && !errors.Is(err, errAnswered) {
			s.fail(w, r, err)
		}
	})
}

// traced puts the client's trace into the context, so that it goes on here.
func traced(r *http.Request) *http.Request {
	if r.Header.Get("Traceparent") == "" {
		return r
	}
	return r.WithContext(propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header)))
}

// healthy tells that the process answers.
func (s *Server) healthy(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "OK") }

// ready tells whether requests are welcome: not while draining, and not while
// the log cannot do what it promises, such as when a bucket that appends wait for
// is away.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if s.drained() || !s.log.Health().Ready {
		text(w, http.StatusServiceUnavailable, "Not Ready")
		return
	}
	text(w, http.StatusOK, "OK")
}

// standing is why the log takes no requests any more.
func (s *Server) standing() error {
	switch h := s.log.Health(); h.State {
	case logdb.Fenced, logdb.Poisoned, logdb.Closed:
		return h.Err
	}
	return nil
}

func text(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body)) // a probe that has gone needs no answer
}
