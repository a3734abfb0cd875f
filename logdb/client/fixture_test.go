package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/logdb/server"
	"github.com/logdb-go/logdb/objstore"
)

// world is a log in memory, a server of it that can be started again, and what its
// clients have asked it.
type world struct {
	t      testing.TB
	bucket objstore.Bucket
	lo     logdb.Options
	so     server.Options
	db     *logdb.LogDb

	mu      sync.Mutex
	web     *httptest.Server
	served  *server.Server
	down    bool           // connections are refused
	asked   map[string]int // requests that reached the network, by procedure
	waited  []time.Duration
	headers http.Header // of the last request
}

func newWorld(t testing.TB, lo logdb.Options, so server.Options) *world {
	t.Helper()
	return newWorldOn(t, objstore.NewMem(), lo, so)
}

func newWorldOn(t testing.TB, b objstore.Bucket, lo logdb.Options, so server.Options) *world {
	t.Helper()
	w := &world{t: t, bucket: b, lo: lo, so: so, asked: map[string]int{}}
	w.open()
	t.Cleanup(w.stop)
	return w
}

// open opens the log and serves it at another port.
func (w *world) open() {
	w.t.Helper()
	db, err := logdb.Open(context.Background(), w.bucket, w.lo)
	if err != nil {
		w.t.Fatal(err)
	}
	s := server.New(db, w.so)
	web := httptest.NewServer(s)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.db, w.served, w.web, w.down = db, s, web, false
}

// cut breaks every connection and refuses new ones, as a process that is killed.
func (w *world) cut() {
	w.mu.Lock()
	web, served := w.web, w.served
	w.down = true
	w.mu.Unlock()
	web.CloseClientConnections()
	served.Drain()
	web.Close()
}

func (w *world) stop() {
	w.t.Helper()
	w.cut()
	if err := w.db.Close(); err != nil && !errors.Is(err, logdb.ErrFenced) {
		w.t.Error(err)
	}
}

// restart is a server that dies and comes back with the log of its bucket.
func (w *world) restart() {
	w.t.Helper()
	w.stop()
	w.open()
}

// RoundTrip sends a request to the server that is there now, under the one address
// that clients know.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	web, down := w.web, w.down
	w.asked[path.Base(r.URL.Path)]++
	w.headers = r.Header.Clone()
	w.mu.Unlock()
	if down {
		r = r.Clone(r.Context())
		r.URL.Host = "127.0.0.1:1" // nobody listens there
		return http.DefaultTransport.RoundTrip(r)
	}
	r = r.Clone(r.Context())
	r.URL.Host = strings.TrimPrefix(web.URL, "http://")
	return web.Client().Transport.RoundTrip(r)
}

// requests tells how many requests f makes, by procedure.
func (w *world) requests(f func()) string {
	w.mu.Lock()
	clear(w.asked)
	w.mu.Unlock()
	f()
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.TrimPrefix(strings.TrimSuffix(fmt.Sprint(w.asked), "]"), "map[")
}

// client is one that does not wait between attempts, and remembers how long it
// would have. via stands between it and the network; nil is nothing.
func (w *world) client(o Options, via func(http.RoundTripper) http.RoundTripper) *Client {
	w.t.Helper()
	var transport http.RoundTripper = w
	if via != nil {
		transport = via(w)
	}
	o.HTTPClient = &http.Client{Transport: transport}
	c, err := New("http://log.test", o)
	if err != nil {
		w.t.Fatal(err)
	}
	c.sleep = func(ctx context.Context, d time.Duration) error {
		w.mu.Lock()
		w.waited = append(w.waited, d)
		w.mu.Unlock()
		return sleep(ctx, min(d, time.Millisecond))
	}
	return c
}

// appended puts records into the log, past the server.
func (w *world) appended(pairs ...string) logdb.Appended {
	w.t.Helper()
	a, err := w.db.Append(context.Background(), records(pairs...), logdb.AppendOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func records(pairs ...string) (list []logdb.Record) {
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, logdb.Record{Key: []byte(pairs[i]), Value: []byte(pairs[i+1])})
	}
	return list
}

// text is an entry in a few characters.
func text(e logdb.Entry) string { return fmt.Sprintf("%d:%s=%s", e.Sequence, e.Key, e.Value) }

// drain returns what an iterator has left, where it would go on, and its error.
func drain(it interface {
	Next() bool
	Entry() logdb.Entry
	NextSequence() uint64
	Err() error
	Close() error
}) (list []string, next uint64, err error) {
	for it.Next() {
		list = append(list, text(it.Entry()))
	}
	next, err = it.NextSequence(), it.Err()
	return list, next, errors.Join(err, it.Close())
}

// eventually polls a condition, for what happens on other goroutines.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not so after a minute", what)
		}
	}
}
