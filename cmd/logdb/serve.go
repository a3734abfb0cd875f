package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"runtime/debug"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/spf13/cobra"
	"go.opentelemetry.io/otel/trace"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/logdb/doctor"
	"github.com/logdb-go/logdb/logdb/server"
	"github.com/logdb-go/logdb/objstore"
)

// serving is the settings of serve.
type serving struct {
	app           *app
	config        string
	listen, admin string
	readOnly      bool
	ack, visible  string
	tokens        string
	level, format string
	log           logdb.Options
	reader        logdb.ReaderOptions
	server        server.Options
	run           server.RunOptions
	prices        doctor.Prices
	settled       func() // the settings have their values

	logger *slog.Logger
	levels *slog.LevelVar
	tracer trace.TracerProvider
}

func (a *app) serveCommand() *cobra.Command {
	s := &serving{app: a}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the log over HTTP, Connect and gRPC",
		Long: `Serve the log over HTTP, Connect and gRPC, until interrupted.

As the writer of the log or, with --read-only, as one of any number of gateways
that read it from the bucket. Every flag is also a variable LOGDB_... of the
environment and a line of the YAML file given with --config; flags go first, then
the environment. It listens on this machine alone unless told otherwise.

Where its control group, such as a container's, has a memory limit, Go's collector
keeps to nine tenths of it; GOMEMLIMIT goes before that. A limit below what the
budgets add up to, 1.4 GiB unless told otherwise, is warned of.

SIGTERM and an interrupt drain: readiness fails, followers are sent away, requests
under way are answered, everything is put into the bucket. A second one kills.`,
		Example: `  logdb serve --bucket 's3://bucket/log?region=eu-central-1' --wal /var/lib/logdb
  logdb serve --bucket 's3://bucket/log?region=eu-central-1' --read-only --listen :8080 --tokens /etc/logdb/tokens
  curl 'localhost:8080/api/v1/log/scan?key=LAX-JFK&limit=3'`,
		Args: wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := settle(cmd.Flags(), os.LookupEnv, s.config); err != nil {
				return err
			}
			return s.serve(cmd.Context())
		},
	}
	a.writerFlags(cmd)
	s.flags(cmd)
	return cmd
}

func (s *serving) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	size := func(p *int64, name string, value int64, usage string) {
		*p = value
		f.Var((*sizeFlag)(p), name, usage)
	}
	f.StringVar(&s.config, "config", "", "YAML `file` with settings")
	f.StringVar(&s.listen, "listen", "127.0.0.1:8080", "`address` to serve on; :8080 is every network")
	f.StringVar(&s.admin, "admin", "127.0.0.1:8081", "`address` of /metrics, /debug/pprof/ and /loglevel; empty: none")
	f.BoolVar(&s.readOnly, "read-only", false, "serve reads alone, beside a writer elsewhere")
	f.StringVar(&s.ack, "ack", "", "`level` at which appends are acknowledged that do not say: applied, local or remote; default: local with a WAL directory, else remote")
	f.StringVar(&s.visible, "visibility", "applied", "`level` of records that reads see at a writer: applied or remote")
	f.DurationVar(&s.log.ShipInterval, "ship-interval", 250*time.Millisecond, "time between two WAL objects while nobody waits for remote: each costs a PUT")
	f.DurationVar(&s.log.FlushInterval, "flush-interval", time.Minute, "time after which records are put into tables")
	f.DurationVar(&s.log.Segments.Interval, "segment-interval", time.Hour, "age at which a segment is sealed")
	size(&s.log.Segments.Bytes, "segment-bytes", 1<<30, "`size` at which a segment is sealed")
	f.DurationVar(&s.log.Retention.Age, "retention-age", 0, "age of its last record at which a segment is dropped; 0: never")
	retention := new(int64)
	size(retention, "retention-bytes", 0, "`size` of the log above which its oldest segments are dropped; 0: none")
	f.Uint64Var(&s.log.Retention.Records, "retention-records", 0, "`number` of records above which the oldest segments are dropped; 0: none")
	size(&s.log.Memory.Memtable, "memtable-bytes", 64<<20, "`size` of a memtable; there are up to four")
	size(&s.log.Memory.Queue, "queue-bytes", 64<<20, "`size` of what is admitted and not yet applied; above it appends get 429")
	size(&s.log.Memory.Cache, "cache-bytes", 256<<20, "`size` of the block cache, and a quarter of it again for indexes")
	size(&s.log.LocalBytes, "local-bytes", 8<<30, "`size` that the WAL directory may have; used up while the bucket is away, appends fail")
	values, batch := new(int64), new(int64)
	size(values, "value-bytes", 16<<20, "largest `size` of a value")
	size(batch, "batch-bytes", 16<<20, "largest `size` of a batch")
	f.DurationVar(&s.reader.RefreshInterval, "refresh-interval", time.Second, "time between two looks of a read-only server for new records: each costs a GET")
	s.serverFlags(cmd, size)
	s.settled = func() {
		s.log.Retention.Bytes = uint64(*retention)
		s.log.Limits = logdb.Limits{ValueBytes: int(*values), BatchBytes: int(*batch)}
		s.reader.Cache = s.log.Memory.Cache
	}
}

func (s *serving) serverFlags(cmd *cobra.Command, size func(p *int64, name string, value int64, usage string)) {
	f := cmd.Flags()
	f.StringVar(&s.tokens, "tokens", "", "`file` of bearer tokens with scopes, read again when it changes; empty: everybody may do everything")
	f.StringVar(&s.run.TLSCert, "tls-cert", "", "PEM `file` of the certificate, read again when it changes; with it only TLS is spoken")
	f.StringVar(&s.run.TLSKey, "tls-key", "", "PEM `file` of its key")
	f.StringVar(&s.run.ClientCA, "tls-client-ca", "", "PEM `file` of authorities, one of which every client's certificate must be of")
	size(&s.server.BodyLimit, "body-bytes", 32<<20, "largest `size` of a request's body")
	size(&s.server.BodyMemory, "body-memory", 256<<20, "`size` of all bodies together; above it requests get 503")
	size(&s.server.ResponseLimit, "response-bytes", 16<<20, "`size` of values at which a scan's answer ends early")
	f.DurationVar(&s.server.BodyTimeout, "body-timeout", 30*time.Second, "time that a body may take to arrive")
	f.DurationVar(&s.server.WriteTimeout, "write-timeout", 30*time.Second, "time that a client may take to accept 64 KiB")
	f.DurationVar(&s.server.AppendTimeout, "append-timeout", time.Minute, "time that an append may wait for its level; then it is answered as pending")
	f.DurationVar(&s.server.ScanTimeout, "scan-timeout", time.Minute, "time that the reading of one answer may take")
	f.DurationVar(&s.server.MaxWait, "max-wait", 5*time.Minute, "most that timeout_ms may ask for")
	f.DurationVar(&s.server.Heartbeat, "heartbeat", 15*time.Second, "time between two signs of life to a follower")
	f.Int64Var(&s.server.Followers, "followers", 50_000, "most `followers` and waiting requests at once")
	f.IntVar(&s.run.Connections, "connections", 60_000, "most `connections` at once; more wait")
	f.IntVar(&s.run.HeaderBytes, "header-bytes", 80<<10, "largest head of a request, in `bytes`")
	f.DurationVar(&s.run.HeaderTimeout, "header-timeout", 10*time.Second, "time that a request's head may take to arrive")
	f.DurationVar(&s.run.IdleTimeout, "idle-timeout", 2*time.Minute, "time after which a connection without a request is closed")
	f.DurationVar(&s.run.DrainDelay, "drain-delay", 0, "time between failing readiness and refusing connections")
	f.DurationVar(&s.run.DrainTimeout, "drain-timeout", 20*time.Second, "time that requests under way get when draining")
	f.StringVar(&s.level, "log-level", "info", "debug, info, warn or error; PUT /loglevel on the admin address changes it")
	f.StringVar(&s.format, "log-format", "text", "text or json")
	f.Float64Var(&s.prices.Put, "price-put", doctor.S3Standard.Put, "`dollars` for 1,000 PUT or LIST requests, for the estimate in the metrics")
	f.Float64Var(&s.prices.Get, "price-get", doctor.S3Standard.Get, "`dollars` for 1,000 GET requests")
}

// serve runs until ctx ends.
func (s *serving) serve(ctx context.Context) error {
	s.settled()
	if err := s.parse(); err != nil {
		return err
	}
	s.limitMemory()
	tracer, flushTraces, err := tracing(ctx, version())
	if err != nil {
		return err
	}
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = flushTraces(last) // a collector that is away must not hold up the end
	}()
	s.tracer = tracer
	bucket, err := s.app.bucket(ctx)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", s.listen)
	if err != nil {
		return err
	}
	defer l.Close()
	meter := server.NewMetrics()
	meter.Price(func(requests map[string]uint64) float64 { return s.prices.Of(objstore.Counts{Requests: requests}) })
	s.server.Meter, s.server.Tracer, s.server.Logger, s.server.Version = meter, tracer, s.logger, version()
	if s.readOnly {
		return s.serveReader(ctx, l, bucket)
	}
	return s.serveWriter(ctx, l, bucket)
}

// limitMemory keeps Go's collector below what the kernel would kill for, and says so where that is not enough.
func (s *serving) limitMemory() {
	if _, err := memlimit.Set(); err != nil { // there are no control groups here
		s.logger.Debug("memory limit", "error", err)
	}
	limit := debug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 {
		return
	}
	s.logger.Info("memory limit", "bytes", limit)
	if budgets := s.budgets(); limit < budgets {
		s.logger.Warn("memory limit is below what the budgets add up to, and under load the collector will take the processors; "+
			"lower --cache-bytes, --memtable-bytes or --body-memory", "bytes", limit, "budgets", budgets)
	}
}

// budgets is what the log and the bodies of appends may hold.
func (s *serving) budgets() int64 {
	if s.readOnly {
		return s.reader.Budget() // it takes no appends, and other bodies are small
	}
	return s.log.Memory.Budget() + s.server.BodyMemory
}

// parse makes what the settings name.
func (s *serving) parse() (err error) {
	s.levels = new(slog.LevelVar)
	if err := s.levels.UnmarshalText([]byte(s.level)); err != nil {
		return badUsage("log level %q, want debug, info, warn or error", s.level)
	}
	o := &slog.HandlerOptions{Level: s.levels}
	switch s.format {
	case "text":
		s.logger = slog.New(slog.NewTextHandler(s.app.stderr, o))
	case "json":
		s.logger = slog.New(slog.NewJSONHandler(s.app.stderr, o))
	default:
		return badUsage("log format %q, want text or json", s.format)
	}
	if s.log.Ack, err = parseAck(s.ack); err != nil {
		return err
	}
	if s.log.Visibility, err = parseAck(s.visible); err != nil || s.log.Visibility == logdb.Local {
		return badUsage("visibility %q, want applied or remote", s.visible)
	}
	if s.tokens != "" {
		s.server.Tokens, err = server.OpenTokens(s.tokens, s.logger)
	}
	return err
}

func (s *serving) serveReader(ctx context.Context, l net.Listener, b objstore.Bucket) error {
	s.reader.Logger = s.logger
	s.reader.Events = server.Listener(s.server.Meter, s.tracer, s.logger)
	r, err := logdb.OpenReader(ctx, b, s.reader)
	if err != nil {
		return s.app.unreadable(err)
	}
	return errors.Join(s.listenOn(ctx, l, server.NewReadOnly(r, s.server)), r.Close())
}

func (s *serving) serveWriter(ctx context.Context, l net.Listener, b objstore.Bucket) error {
	s.log.WALDir, s.log.Polite, s.log.Logger, s.log.ExternalCompactor = s.app.walDir(), !s.app.takeover, s.logger, s.app.external
	s.log.Events = server.Listener(s.server.Meter, s.tracer, s.logger)
	d, err := s.app.open(ctx, b, s.log)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	watched := make(chan struct{})
	go func() { // a writer that was fenced, or whose disk failed, serves nobody: who runs it must know
		defer close(watched)
		for range d.SubscribeDurable(ctx, logdb.Applied) {
		}
		if err := d.Err(); err != nil {
			stop(err)
		}
	}()
	err = s.listenOn(ctx, l, server.New(d, s.server))
	stop(nil)
	<-watched
	return errors.Join(err, d.Close())
}

// listenOn serves, and the admin address beside it, which ends last.
func (s *serving) listenOn(ctx context.Context, l net.Listener, h *server.Server) error {
	beside, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	admin := ""
	if s.admin != "" {
		al, err := net.Listen("tcp", s.admin)
		if err != nil {
			stop()
			return fmt.Errorf("admin address: %w", err)
		}
		admin = al.Addr().String()
		go func() {
			ended <- server.Run(beside, al, server.Admin(h, s.levels), func() {}, s.logger, server.RunOptions{DrainTimeout: time.Second, Connections: 64})
		}()
	} else {
		ended <- nil
	}
	s.logger.Info("serving", "address", l.Addr().String(), "admin", admin, "bucket", s.app.bucketURL, "read_only", s.readOnly, "tls", s.run.TLSCert != "", "tokens", s.tokens != "")
	err := h.Run(ctx, l, s.run)
	stop()
	return errors.Join(err, <-ended)
}
