package browsertest

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/logdb/server"
	"github.com/logdb-go/logdb/objstore"
)

// world is a log in memory, and the servers in front of it.
type world struct {
	t      *testing.T
	bucket objstore.Bucket
	db     *logdb.LogDb
	url    string
	stop   func() // the server at url
}

func newWorld(t *testing.T, o server.Options) *world {
	return newWorldOn(t, objstore.NewMem(), logdb.Options{Ack: logdb.Applied}, o)
}

func newWorldOn(t *testing.T, bucket objstore.Bucket, lo logdb.Options, o server.Options) *world {
	t.Helper()
	w := &world{t: t, bucket: bucket}
	var err error
	if w.db, err = logdb.Open(context.Background(), bucket, lo); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.db.Close() })
	o = priced(o)
	w.url, w.stop = listen(t, server.New(w.db, o), "127.0.0.1:0")
	return w
}

// priced is what serve does with its price list.
func priced(o server.Options) server.Options {
	o.Version = "v0-test"
	o.Meter = server.NewMetrics()
	o.Meter.Price(func(n map[string]uint64) float64 {
		return (float64(n["put"]+n["list"])*0.005 + float64(n["get"]+n["get_range"])*0.0004) / 1000
	})
	return o
}

// listen serves on an address until the test ends, or the returned function is
// called.
func listen(t *testing.T, s *server.Server, address string) (url string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	h := &http.Server{Handler: s}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = h.Serve(l)
	}()
	stop = func() {
		s.Drain()
		_ = h.Close()
		<-ended
	}
	t.Cleanup(stop)
	return "http://" + l.Addr().String(), stop
}

// gateway is a read-only server over the same bucket.
func (w *world) gateway(o server.Options) string {
	w.t.Helper()
	r, err := logdb.OpenReader(context.Background(), w.bucket, logdb.ReaderOptions{RefreshInterval: 20 * time.Millisecond})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = r.Close() })
	url, _ := listen(w.t, server.NewReadOnly(r, priced(o)), "127.0.0.1:0")
	return url
}

// appended puts a batch of keys and values, taking turns, into the log.
func (w *world) appended(pairs ...string) logdb.Appended {
	w.t.Helper()
	var records []logdb.Record
	for i := 0; i < len(pairs); i += 2 {
		records = append(records, logdb.Record{Key: []byte(pairs[i]), Value: []byte(pairs[i+1])})
	}
	a, err := w.db.Append(context.Background(), records, logdb.AppendOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) sealed() {
	w.t.Helper()
	if _, _, err := w.db.SealSegment(context.Background(), nil); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) flushed() {
	w.t.Helper()
	if err := w.db.Flush(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

// flights loads part of the sample data, each flight under its route, into
// segments of uneven sizes.
func (w *world) flights(n int) {
	w.t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "testdata", "flights", "flights-20k.json"))
	if err != nil {
		w.t.Fatal(err)
	}
	var flights []struct{ Origin, Destination string }
	var raw []json.RawMessage
	if err := json.Unmarshal(data, &flights); err != nil {
		w.t.Fatal(err)
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		w.t.Fatal(err)
	}
	for i, f := range flights[:n] {
		w.appended(fmt.Sprintf("%s-%s", f.Origin, f.Destination), string(raw[i]))
		if i%(n/5) == n/5-1-i/7%90 {
			w.sealed()
		}
	}
}
