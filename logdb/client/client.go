package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"connectrpc.com/connect"

	"github.com/logdb-go/logdb/logdb/server/logpb"
)

// Options configure a Client. The zero value has the defaults named below.
type Options struct {
	// Token is sent as a bearer token with every request; "" sends none.
	Token string
	// HTTPClient makes the requests: its transport decides about TLS, proxies
	// and connections. It must not repeat POSTs, and its Timeout must be zero,
	// since it would end followers. nil: one of this Client's own.
	HTTPClient *http.Client
	// Patience is how long a call repeats what may pass, besides what its
	// context says: 1 minute. Negative: nothing is repeated. A follower waits
	// for a server that is away without bound; Patience bounds only how long it
	// puts up with answers that are wrong.
	Patience time.Duration
	// Silence is how long the server may say nothing: 1 minute, four times the
	// heartbeat of its followers. Then the request is given up.
	Silence time.Duration
	// MessageBytes bounds one answer of the server, and one piece of a
	// follower's stream, and with them the memory of an iterator: 64 MiB. It
	// must be more than the largest record and 4 MiB.
	MessageBytes int
	// Logger is told of every repetition, at level info. nil: discards.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Patience == 0 {
		o.Patience = time.Minute
	}
	if o.Silence == 0 {
		o.Silence = time.Minute
	}
	if o.MessageBytes == 0 {
		o.MessageBytes = 64 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Client is a client of one server, or of several that serve the same log behind
// one address. All methods are safe for concurrent use. It has no goroutines but
// those of its connections.
type Client struct {
	o     Options
	rpc   logpb.LogServiceClient
	own   *http.Client // nil: the caller's
	least uint64       // reads wait until everything below it is readable

	sleep func(context.Context, time.Duration) error // tests replace it
	after func(time.Duration, func()) timer
}

type timer interface{ Stop() bool }

// New returns a client of the server at an address such as "http://host:8080".
// A path in it is put before the server's. Nothing is requested yet.
func New(address string, o Options) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("client: address: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("client: address %q: want http://host or https://host, with a path at most", u.Redacted())
	}
	if o.Silence < 0 || o.MessageBytes < 0 {
		return nil, errors.New("client: options: Silence and MessageBytes cannot be negative")
	}
	c := &Client{o: o.withDefaults(), sleep: sleep, after: func(d time.Duration, f func()) timer { return time.AfterFunc(d, f) }}
	via := o.HTTPClient
	if via == nil {
		c.own = &http.Client{Transport: transport()}
		via = c.own
	}
	c.rpc = logpb.NewLogServiceClient(&doer{client: via, token: o.Token}, u.String(),
		connect.WithReadMaxBytes(c.o.MessageBytes), connect.WithAcceptCompression("gzip", nil, nil))
	return c, nil
}

// transport is that of a Client of its own: a server closes connections that are
// idle for two minutes, and one that it closes under an append is an append of
// which nobody knows.
func transport() *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
		HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second},
	}
}

// AtLeast returns a client whose Scan, Count, ListKeys and ListSegments wait until
// every record below sequence is readable: with Appended.Next they read what was
// appended, also from another server of the log. *[BehindError] where that takes
// longer than Patience. Followers need none of it.
func (c *Client) AtLeast(sequence uint64) *Client {
	d := *c
	d.least = max(d.least, sequence)
	return &d
}

func (c *Client) minimum() *uint64 {
	if c.least == 0 {
		return nil
	}
	return &c.least
}

// Close closes connections that are idle, unless HTTPClient was given. Calls under
// way go on.
func (c *Client) Close() {
	if c.own != nil {
		c.own.CloseIdleConnections()
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
