package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/logdb/server/logpb"
	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

func TestLongPollReturnsEmptyAtItsTimeout(t *testing.T) {
	f := newBench(t, Options{})
	f.appended("other", "x")
	for _, query := range []string{"timeout_ms=30", "timeout_ms=0"} {
		o := f.get("scan?key=cold&follow=true&" + query)
		o.is(t, "values", "[]")
		o.is(t, "nextSequence", 1)
	}
	o := f.get("scan?key=cold&follow=true&end_seq=1&timeout_ms=60000") // nothing can come: it does not wait
	o.is(t, "nextSequence", 1)
	f.get("scan?key=cold&follow=true&limit=0&timeout_ms=60000")
}

// An empty answer moves the cursor over what other keys got meanwhile.
func TestAnIdlePollMovesWithTheLog(t *testing.T) {
	f := newBench(t, Options{})
	got := make(chan object, 2)
	go func() { got <- f.get("scan?key=idle&follow=true&timeout_ms=60000") }()
	go func() { got <- f.get("scan?key=idle&follow=true&timeout_ms=60000&end_seq=2") }()
	eventually(t, "waiting scans", func() bool { return f.metric("logdb_waiting_requests") == "2" })
	f.appended("busy", "1")
	f.appended("busy", "2", "busy", "3")
	f.flushed() // the commit has told whoever watches: that follows its answer
	f.s.Drain() // ends a wait as its timeout does
	nexts := map[string]bool{}
	for range 2 {
		o := <-got
		o.is(t, "values", "[]")
		nexts[fmt.Sprint(o["nextSequence"])] = true
	}
	if !nexts["3"] || !nexts["2"] {
		t.Errorf("the cursors are %v, want 3, and 2 where the range ends", nexts)
	}
}

// A waiting scan is woken by the record, and not by records of other keys.
func TestLongPollIsWokenByItsKey(t *testing.T) {
	f := newBench(t, Options{})
	f.appended("other", "x")
	for _, b := range []*bench{f, func() *bench { f.flushed(); return f.gateway(Options{}) }()} {
		start := f.db.Frontier()
		got := make(chan object, 1)
		go func() { got <- b.get(fmt.Sprintf("scan?key=k&start_seq=%d&follow=true&timeout_ms=60000", start)) }()
		eventually(t, "a waiting scan", func() bool { return b.metric("logdb_waiting_requests") == "1" })
		f.appended("other", "y")
		f.appended("k", "now")
		f.flushed()
		o := <-got
		if v := o.list(t, "values"); len(v) != 1 || v[0]["value"] != b64("now") {
			t.Errorf("got %v", o)
		}
		o.is(t, "nextSequence", start+2)
	}
}

func TestWaitingScansEndWithADrain(t *testing.T) {
	f := newBench(t, Options{})
	got := make(chan object, 2)
	go func() { got <- f.get("scan?key=k&follow=true&timeout_ms=60000") }()
	go func() { got <- f.json(409, "GET", "/api/v1/log/scan?key=k&min_seq=5&timeout_ms=60000", "") }()
	eventually(t, "a waiting scan", func() bool { return f.metric("logdb_waiting_requests") == "1" })
	f.s.Drain()
	<-got
	<-got
}

// metric is a figure of the server's own metrics.
func (f *bench) metric(name string) string {
	w := &recorder{header: http.Header{}}
	r, _ := http.NewRequest("GET", "/metrics", nil)
	f.s.o.Meter.Handler().ServeHTTP(w, r)
	for line := range strings.SplitSeq(w.body.String(), "\n") {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			return rest
		}
	}
	return ""
}

type recorder struct {
	header http.Header
	body   strings.Builder
	status int
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
func (r *recorder) WriteHeader(status int)      { r.status = status }

// A read with min_seq of an append's nextSequence sees that append, on a gateway
// too; one that cannot in time says what it wanted and what there is.
func TestMinSeqSeesTheAppend(t *testing.T) {
	f := newBench(t, Options{})
	f.appended("first", "x")
	f.flushed()
	g := f.gateway(Options{})
	for i := range 4 {
		o := f.json(200, "POST", "/api/v1/log/append?ack=applied", jsonBatch(false, "k", fmt.Sprint(i)))
		next := o["nextSequence"].(interface{ String() string }).String()
		for _, b := range []*bench{f, g} {
			if v := b.get("scan?key=k&limit=100&min_seq="+next).list(t, "values"); len(v) != i+1 {
				t.Fatalf("after %d appends: %d", i+1, len(v))
			}
			b.get("count?key=k&min_seq="+next).is(t, "count", i+1)
		}
	}
	for _, b := range []*bench{f, g} {
		for _, path := range []string{"scan?key=k&", "count?key=k&", "keys?", "segments?"} {
			o := b.json(409, "GET", "/api/v1/log/"+path+"min_seq=1000&timeout_ms=20", "")
			o.is(t, "code", "behind")
			o.is(t, "minSequence", 1000)
			o.is(t, "tailSequence", 5)
		}
	}
}

func TestReverseTimeAndVisibility(t *testing.T) {
	f := newBenchOn(t, logdb.Options{Ack: logdb.Applied, ShipInterval: time.Hour, FlushInterval: time.Hour}, Options{})
	f.appended("k", "0", "k", "1", "x", "2")
	f.flushed()
	time.Sleep(2 * time.Millisecond) // times are milliseconds
	a := f.appended("k", "3")
	o := f.get("scan?key=k&reverse=true&limit=2")
	v := o.list(t, "values")
	if len(v) != 2 || v[0]["value"] != b64("3") || v[1]["value"] != b64("1") {
		t.Errorf("in reverse: %v", v)
	}
	o.is(t, "nextSequence", 1)
	v = f.get("scan?key=k&reverse=true&end_seq=1").list(t, "values")
	if len(v) != 1 || v[0]["value"] != b64("0") {
		t.Errorf("in reverse, gone on: %v", v)
	}
	for _, since := range []string{fmt.Sprint(a.Time.UnixMilli()), a.Time.UTC().Format("2006-01-02T15:04:05.000Z")} {
		if v := f.get("scan?key=k&from_time="+since).list(t, "values"); len(v) != 1 || v[0]["value"] != b64("3") {
			t.Errorf("since %s: %v", since, v)
		}
	}
	if v := f.get("scan?key=k&visibility=remote").list(t, "values"); len(v) != 2 {
		t.Errorf("remote: %v", v)
	}
}

func TestKeysByPrefixAndPage(t *testing.T) {
	f := newBench(t, Options{})
	var pairs []string
	for i := range 10 {
		pairs = append(pairs, fmt.Sprintf("t/%d", i), "value")
	}
	f.appended(append(pairs, "u\xff", "", "t/3", "again")...)
	var got []string
	for after := ""; ; {
		o := f.get("keys?prefix=t/&limit=4" + after)
		for _, k := range o.list(t, "keys") {
			got = append(got, k["key"].(string))
			if k["key"] == b64("t/3") {
				k.is(t, "count", 2)
				k.is(t, "valueBytes", 10)
				k.is(t, "firstSequence", 3)
				k.is(t, "lastSequence", 11)
			}
		}
		next, more := o["nextAfter"].(string)
		if !more {
			break
		}
		after = "&after_b64=" + strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(next)
	}
	if len(got) != 10 {
		t.Errorf("got %v", got)
	}
	var k logpb.KeysResponse
	f.protobuf(&k, "GET", "keys?limit=11", "")
	if len(k.Keys) != 11 || k.NextAfter != nil {
		t.Errorf("all: %v", &k)
	}
	f.protobuf(&k, "GET", "keys?limit=10", "")
	if string(k.NextAfter) != "t/9" {
		t.Errorf("a page ends at %q", k.NextAfter)
	}
	if n := len(f.get("keys?limit=18446744073709551615").list(t, "keys")); n != 11 {
		t.Errorf("no limit: %d", n)
	}
}

// An append that cannot be seen to be durable in time is told as pending, with
// where it lies; it must not be repeated.
func TestPendingAppendsGet504(t *testing.T) {
	b := objstoretest.NewFaulty(objstore.NewMem(), objstoretest.Plan{})
	db, err := logdb.Open(t.Context(), b, logdb.Options{Ack: logdb.Applied})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	f := &bench{t: t, db: db, s: New(db, Options{}), header: http.Header{}, client: http.DefaultClient}
	f.listen(f.s)
	f.appended("k", "0")
	f.flushed()
	b.Down(true)
	defer b.Down(false)
	for _, header := range []string{"application/json", "application/protobuf"} {
		o := f.json(504, "POST", "/api/v1/log/append?ack=remote&timeout_ms=500", jsonBatch(false, "k", "1", "k", "2"), "Accept", header)
		o.is(t, "code", "pending")
		o.is(t, "level", "remote")
		first := o["startSequence"].(interface{ String() string }).String()
		if v := f.get("scan?key=k&limit=2&start_seq="+first).list(t, "values"); len(v) != 2 || v[0]["value"] != b64("1") {
			t.Errorf("at %s there is %v", first, v)
		}
	}
}

func TestBodyLimits(t *testing.T) {
	f := newBench(t, Options{BodyLimit: 1000, BodyMemory: 100 << 10})
	o := f.json(413, "POST", "/api/v1/log/append", strings.Repeat(" ", 1001))
	if !strings.Contains(o["message"].(string), "1000 bytes") {
		t.Errorf("got %v", o)
	}
	r := f.request("POST", "/api/v1/log/append", "")
	r.Body, r.ContentLength = io.NopCloser(io.MultiReader(strings.NewReader(strings.Repeat(" ", 1001)), forever{})), -1
	resp, err := http.DefaultClient.Do(r)
	if err != nil || resp.StatusCode != 413 {
		t.Fatalf("a body without end: %v, %v", resp, err)
	}
	resp.Body.Close()
	if !f.s.bodies.TryAcquire(100 << 10) {
		t.Error("memory of bodies was not given back")
	}
	f.json(503, "POST", "/api/v1/log/append", jsonBatch(false, "k", "v")).is(t, "code", "overloaded")
	f.s.bodies.Release(100 << 10)
	f.json(200, "POST", "/api/v1/log/append", jsonBatch(false, "k", "v"))
}

// forever is a body that goes on.
type forever struct{}

func (forever) Read(p []byte) (int, error) { return len(p), nil }

// A body that does not come is not waited for.
func TestABodyThatDoesNotCome(t *testing.T) {
	f := newBench(t, Options{BodyTimeout: 20 * time.Millisecond})
	r := f.request("POST", "/api/v1/log/append", "")
	pipe, w := io.Pipe()
	defer w.Close()
	r.Body, r.ContentLength = pipe, 100
	resp, err := http.DefaultClient.Do(r)
	if err == nil {
		defer resp.Body.Close()
		if resp.StatusCode != 408 {
			t.Errorf("got %d", resp.StatusCode)
		}
	}
	f.json(200, "POST", "/api/v1/log/append", jsonBatch(false, "k", "v"))
}

// The answers of a scan are cut at the response limit and go on from there.
func TestLongAnswersEndEarlyAndGoOn(t *testing.T) {
	f := newBench(t, Options{ResponseLimit: 100 << 10})
	value := strings.Repeat("v", 10<<10)
	for range 50 {
		f.appended("k", value)
	}
	n, next, answers := 0, uint64(0), 0
	for ; next < 50; answers++ {
		var m logpb.ScanResponse
		f.protobuf(&m, "GET", fmt.Sprintf("scan?key=k&limit=1000&start_seq=%d", next), "")
		n, next = n+len(m.Values), m.NextSequence
	}
	if n != 50 || answers != 5 {
		t.Errorf("%d values in %d answers", n, answers)
	}
}

func TestWhatErrorsTell(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{&logdb.PendingError{Err: context.DeadlineExceeded}, 504, "pending"},
		{&logdb.PendingError{Err: logdb.ErrFenced}, 504, "pending"},
		{logdb.ErrQueueFull, 429, "queue_full"},
		{logdb.ErrDiskFull, 503, "disk_full"},
		{logdb.ErrFenced, 503, "fenced"},
		{logdb.ErrClosed, 503, "closed"},
		{&logdb.TrimmedError{Oldest: 7}, 410, "trimmed"},
		{&logdb.LimitError{What: "key"}, 413, "too_large"},
		{fmt.Errorf("x: %w", logdb.ErrStale), 503, "stale"},
		{&logdb.CorruptError{Object: "secret", Err: errors.New("secret")}, 500, "internal"},
	} {
		e := translate(c.err)
		if e.status != c.status || e.code != c.code || strings.Contains(e.message, "secret") {
			t.Errorf("%v: %d %s %q", c.err, e.status, e.code, e.message)
		}
	}
}
