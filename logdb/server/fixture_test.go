package server

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/logdb/server/logpb"
	"github.com/logdb-go/logdb/objstore"
)

// bench is a server over a log in memory, and a client of it.
type bench struct {
	t      testing.TB
	bucket *objstore.Mem
	db     *logdb.LogDb
	s      *Server
	url    string
	header http.Header // of every request
	client *http.Client
}

func newBench(t testing.TB, o Options) *bench {
	return newBenchOn(t, logdb.Options{Ack: logdb.Applied}, o)
}

func newBenchOn(t testing.TB, lo logdb.Options, o Options) *bench {
	t.Helper()
	f := &bench{t: t, bucket: objstore.NewMem(), header: http.Header{}, client: http.DefaultClient}
	var err error
	if f.db, err = logdb.Open(context.Background(), f.bucket, lo); err != nil {
		t.Fatal(err)
	}
	f.s = New(f.db, o)
	f.listen(f.s)
	t.Cleanup(func() {
		if err := f.db.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func (f *bench) listen(h http.Handler) {
	server := httptest.NewUnstartedServer(h)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	f.url = server.URL
	f.t.Cleanup(func() {
		f.s.Drain()
		server.Close()
	})
}

// gateway is a read-only server over the same bucket.
func (f *bench) gateway(o Options) *bench {
	f.t.Helper()
	r, err := logdb.OpenReader(context.Background(), f.bucket, logdb.ReaderOptions{RefreshInterval: 10 * time.Millisecond})
	if err != nil {
		f.t.Fatal(err)
	}
	g := &bench{t: f.t, bucket: f.bucket, s: NewReadOnly(r, o), header: http.Header{}, client: http.DefaultClient}
	g.listen(g.s)
	f.t.Cleanup(func() { _ = r.Close() })
	return g
}

// appended puts records into the log, past the server.
func (f *bench) appended(pairs ...string) logdb.Appended {
	f.t.Helper()
	var records []logdb.Record
	for i := 0; i < len(pairs); i += 2 {
		records = append(records, logdb.Record{Key: []byte(pairs[i]), Value: []byte(pairs[i+1])})
	}
	a, err := f.db.Append(context.Background(), records, logdb.AppendOptions{})
	if err != nil {
		f.t.Fatal(err)
	}
	return a
}

func (f *bench) flushed() {
	f.t.Helper()
	if err := f.db.Flush(context.Background()); err != nil {
		f.t.Fatal(err)
	}
}

func (f *bench) request(method, path, body string, header ...string) *http.Request {
	f.t.Helper()
	r, err := http.NewRequest(method, f.url+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	for name, values := range f.header {
		r.Header[name] = values
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// do returns the status, the body and the header of an answer.
func (f *bench) do(method, path, body string, header ...string) (int, []byte, http.Header) {
	f.t.Helper()
	resp, err := f.client.Do(f.request(method, path, body, header...))
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return resp.StatusCode, b, resp.Header
}

// object is decoded JSON. Numbers keep their digits.
type object map[string]any

func (o object) list(t testing.TB, name string) (list []object) {
	t.Helper()
	all, ok := o[name].([]any)
	if !ok {
		t.Fatalf("%s is %v, want a list", name, o[name])
	}
	for _, x := range all {
		list = append(list, x.(map[string]any))
	}
	return list
}

// is compares a field's JSON.
func (o object) is(t testing.TB, name string, want any) {
	t.Helper()
	if got := fmt.Sprint(o[name]); got != fmt.Sprint(want) {
		t.Errorf("%s is %s, want %v, in %v", name, got, want, o)
	}
}

func (f *bench) json(want int, method, path, body string, header ...string) object {
	f.t.Helper()
	status, b, h := f.do(method, path, body, header...)
	if status != want {
		f.t.Fatalf("%s %s: %d %s, want %d", method, path, status, b, want)
	}
	if got := h.Get("Content-Type"); got != "application/json" {
		f.t.Errorf("%s %s: content type %q", method, path, got)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	o := object{}
	if err := d.Decode(&o); err != nil {
		f.t.Fatalf("%s %s: %v in %s", method, path, err, b)
	}
	return o
}

func (f *bench) get(path string, header ...string) object {
	f.t.Helper()
	return f.json(http.StatusOK, "GET", "/api/v1/log/"+path, "", header...)
}

// protobuf asks for binary and decodes it.
func (f *bench) protobuf(m proto.Message, method, path, body string, header ...string) {
	f.t.Helper()
	status, b, h := f.do(method, "/api/v1/log/"+path, body, append(header, "Accept", "application/protobuf")...)
	if status != http.StatusOK || h.Get("Content-Type") != "application/protobuf" {
		f.t.Fatalf("%s: %d %s %s", path, status, h.Get("Content-Type"), b)
	}
	if err := proto.Unmarshal(b, m); err != nil {
		f.t.Fatal(err)
	}
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// jsonBatch is an AppendRequest in JSON.
func jsonBatch(durable bool, pairs ...string) string {
	var records []string
	for i := 0; i < len(pairs); i += 2 {
		records = append(records, fmt.Sprintf(`{"key": %q, "value": %q}`, b64(pairs[i]), b64(pairs[i+1])))
	}
	return fmt.Sprintf(`{"records": [%s], "awaitDurable": %v}`, strings.Join(records, ","), durable)
}

func protoBatch(t testing.TB, m *logpb.AppendRequest, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		m.Records = append(m.Records, &logpb.Record{Key: []byte(pairs[i]), Value: []byte(pairs[i+1])})
	}
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// eventually polls a condition, for what happens on other goroutines.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not so after 20 s", what)
		}
	}
}
