package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

// RunOptions are the limits that a listener has and a handler cannot have. The
// zero value has the defaults named below, without TLS.
type RunOptions struct {
	// TLSCert and TLSKey are PEM files. With them, nothing but TLS is spoken. They
	// and ClientCA are looked at again, at most every 5 s, while clients connect;
	// files that do not fit together leave those of before in force, and are logged.
	TLSCert, TLSKey string
	// ClientCA is a PEM file of authorities. With it, only clients that show a
	// certificate of one of them are let in, before any token is looked at.
	ClientCA string
	// Connections bounds open connections: 60,000. More wait to be accepted.
	Connections int
	// HeaderBytes bounds the head of a request: 80 KiB, room for a key of
	// 16 KiB in a query. HeaderTimeout bounds how long it may take: 10 s.
	HeaderBytes   int
	HeaderTimeout time.Duration
	// IdleTimeout ends connections without a request: 2 minutes.
	IdleTimeout time.Duration
	// DrainDelay is the time between answering readiness with 503 and refusing
	// connections, for balancers to notice. Default none.
	DrainDelay time.Duration
	// DrainTimeout bounds how long requests under way may go on: 20 s.
	DrainTimeout time.Duration
}

func (o RunOptions) withDefaults() RunOptions {
	if o.Connections == 0 {
		o.Connections = 60_000
	}
	if o.HeaderBytes == 0 {
		o.HeaderBytes = 80 << 10
	}
	for _, d := range []struct {
		p *time.Duration
		v time.Duration
	}{{&o.HeaderTimeout, 10 * time.Second}, {&o.IdleTimeout, 2 * time.Minute}, {&o.DrainTimeout, 20 * time.Second}} {
		if *d.p == 0 {
			*d.p = d.v
		}
	}
	return o
}

// Run serves HTTP/1.1 and HTTP/2 on l, which it closes, until ctx ends. Then it
// drains: readiness fails, followers end, requests under way are answered. The
// log stays open, so that what was acknowledged can be put into the bucket.
func (s *Server) Run(ctx context.Context, l net.Listener, o RunOptions) error {
	return Run(ctx, l, s, s.Drain, s.o.Logger, o)
}

// Run serves a handler that is, or wraps, a Server, as Server.Run does; drain is
// that server's Drain.
func Run(ctx context.Context, l net.Listener, h http.Handler, drain func(), logger *slog.Logger, o RunOptions) error {
	o = o.withDefaults()
	defer l.Close()
	server, err := o.server(h, logger)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		limited := netutil.LimitListener(l, o.Connections)
		if server.TLSConfig != nil {
			ended <- server.ServeTLS(limited, "", "")
		} else {
			ended <- server.Serve(limited)
		}
	}()
	select {
	case err := <-ended:
		drain()
		return fmt.Errorf("server: %w", err)
	case <-ctx.Done():
	}
	logger.Info("server: draining")
	drain()
	delay := time.NewTimer(o.DrainDelay)
	defer delay.Stop()
	<-delay.C
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.DrainTimeout)
	defer cancel()
	if err := server.Shutdown(last); err != nil {
		logger.Warn("server: requests were cut off", "after", o.DrainTimeout)
		_ = server.Close()
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("server: %w", err)
	}
	return nil
}

func (o RunOptions) server(h http.Handler, logger *slog.Logger) (*http.Server, error) {
	config, err := o.tls(logger)
	if err != nil {
		return nil, err
	}
	server := &http.Server{
		Handler: h, TLSConfig: config, Protocols: new(http.Protocols),
		ReadHeaderTimeout: o.HeaderTimeout, IdleTimeout: o.IdleTimeout, MaxHeaderBytes: o.HeaderBytes,
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		HTTP2:    &http.HTTP2Config{MaxConcurrentStreams: 250, SendPingTimeout: time.Minute, WriteByteTimeout: time.Minute},
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetHTTP2(config != nil)
	server.Protocols.SetUnencryptedHTTP2(config == nil)
	return server, nil
}
