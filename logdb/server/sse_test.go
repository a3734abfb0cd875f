package server

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// event is one server-sent event.
type event struct {
	id, name, data string
}

// sequence and text are those of an entry.
func (e event) sequence(t testing.TB) uint64 {
	t.Helper()
	var x struct{ Sequence uint64 }
	if err := json.Unmarshal([]byte(e.data), &x); err != nil {
		t.Fatalf("%v: %v", e, err)
	}
	return x.Sequence
}

func (e event) text(t testing.TB) string {
	t.Helper()
	var x struct{ Key, Value []byte }
	if err := json.Unmarshal([]byte(e.data), &x); err != nil {
		t.Fatalf("%v: %v", e, err)
	}
	return string(x.Key) + "=" + string(x.Value)
}

// source is an open stream of events.
type source struct {
	t      testing.TB
	resp   *http.Response
	in     *bufio.Reader
	cancel context.CancelFunc
	last   string // id of the last event
}

func (f *bench) follow(query string, header ...string) *source {
	f.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	resp, err := f.client.Do(f.request("GET", "/api/v1/log/follow?"+query, "", header...).WithContext(ctx))
	if err != nil {
		f.t.Fatal(err)
	}
	s := &source{t: f.t, resp: resp, in: bufio.NewReader(resp.Body), cancel: cancel}
	f.t.Cleanup(s.close)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		f.t.Fatalf("follow %s: %d %s", query, resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	return s
}

func (s *source) close() {
	s.cancel()
	_ = s.resp.Body.Close()
}

// next waits for the next event; ok is false at the end of the stream.
func (s *source) next() (e event, ok bool) {
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			return event{}, false
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch name {
		case "id":
			e.id, s.last = value, value
		case "event":
			e.name = value
		case "data":
			e.data = value
		case "":
			if e != (event{}) {
				return e, true
			}
		}
	}
}

// entries waits for n entries, past heartbeats.
func (s *source) entries(n int) (list []event) {
	s.t.Helper()
	for len(list) < n {
		e, ok := s.next()
		if !ok {
			s.t.Fatalf("the stream ended after %d entries, want %d", len(list), n)
		}
		if e.name == "" {
			list = append(list, e)
		} else if e.name != "heartbeat" {
			s.t.Fatalf("got %+v", e)
		}
	}
	return list
}

// until waits for an event of a name.
func (s *source) until(name string) event {
	s.t.Helper()
	for {
		e, ok := s.next()
		if !ok {
			s.t.Fatalf("the stream ended without %s", name)
		}
		if e.name == name {
			return e
		}
	}
}

func TestFollowPushesHistoryThenWhatComes(t *testing.T) {
	f := newBench(t, Options{})
	f.appended("a", "1", "b", "2", "a", "3")
	s := f.follow("key=a")
	for i, want := range []string{"a=1", "a=3"} {
		if e := s.entries(1)[0]; e.text(t) != want || e.id != fmt.Sprint(2*i+1) {
			t.Errorf("got %+v, want %s", e, want)
		}
	}
	if e := s.until("heartbeat"); e.id != "3" || e.data != `{"nextSequence":3,"tailSequence":3}` {
		t.Errorf("after history: %+v", e)
	}
	f.appended("b", "x")
	f.appended("a", "5")
	if e := s.entries(1)[0]; e.text(t) != "a=5" || e.id != "5" {
		t.Errorf("got %+v", e)
	}
	if n := f.s.o.Meter; n == nil {
		t.Fatal("no metrics")
	}
}

// A client that comes back with the id of the last event, whatever event that
// was, gets each entry once.
func TestFollowResumesWhereItWasLeft(t *testing.T) {
	f := newBench(t, Options{})
	for i := range 50 {
		f.appended([]string{"a", "b", "c"}[i%3], fmt.Sprint(i))
	}
	for _, query := range []string{"key=a", "key=a&key=b", "prefix="} {
		var got []uint64
		last := "0"
		for rest := true; rest; {
			s := f.follow(query, "Last-Event-ID", last)
			for range 7 {
				e, ok := s.next()
				if !ok {
					t.Fatal("the stream ended")
				}
				if e.name == "heartbeat" {
					rest = false
					break
				}
				got = append(got, e.sequence(t))
			}
			last = s.last
			s.close()
		}
		want := map[string]int{"key=a": 17, "key=a&key=b": 34, "prefix=": 50}[query]
		if len(got) != want || last != "50" {
			t.Errorf("%s: %d entries, want %d; last id %s", query, len(got), want, last)
		}
		for i := 1; i < len(got); i++ {
			if got[i] <= got[i-1] {
				t.Fatalf("%s: %d after %d", query, got[i], got[i-1])
			}
		}
	}
}

func TestAKeyNamedTwiceIsFollowedOnce(t *testing.T) {
	f := newBench(t, Options{})
	f.appended("a", "1", "b", "2")
	s := f.follow("key=a&key=b&key=a&key_b64=YQ")
	f.appended("a", "3")
	for i, want := range []string{"a=1", "b=2", "a=3"} {
		if e := s.entries(1)[0]; e.text(t) != want {
			t.Errorf("entry %d is %+v, want %s", i, e, want)
		}
	}
}

func TestFollowFromTheTail(t *testing.T) {
	f := newBench(t, Options{})
	f.appended("a", "old")
	s := f.follow("prefix=&start_seq=tail")
	if e, _ := s.next(); e.name != "heartbeat" || e.id != "1" {
		t.Fatalf("got %+v", e)
	}
	f.appended("a", "new")
	if e := s.entries(1)[0]; e.text(t) != "a=new" {
		t.Errorf("got %+v", e)
	}
}

// Keys that are no text are followed by their base64; numbers beyond 2^53 come
// as strings to those who ask.
func TestFollowBinaryKeysAndStrings(t *testing.T) {
	f := newBench(t, Options{})
	key := "\xff\x00/"
	f.appended(key, "v")
	s := f.follow("key_b64=" + base64.RawURLEncoding.EncodeToString([]byte(key)) + "&u64=string")
	e, _ := s.next()
	if !strings.Contains(e.data, `"sequence":"0"`) || !strings.Contains(e.data, `"key":"`+b64(key)+`"`) {
		t.Errorf("got %+v", e)
	}
}

// Every key of a prefix is merged into one order, also where there is far more
// history than a follower may gather at once.
func TestFollowMergesALongHistory(t *testing.T) {
	f := newBench(t, Options{})
	const keys, rounds = 60, 40
	value := strings.Repeat("v", 1000) // 2.4 MB in all: many windows
	want := 0
	for r := range rounds {
		var pairs []string
		for k := range keys {
			pairs = append(pairs, fmt.Sprintf("p/%02d", k), value)
		}
		f.appended(append(pairs, "q", value)...)
		want += keys
		if r == rounds/2 {
			f.flushed()
			if _, _, err := f.db.SealSegment(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	f.flushed()
	for _, b := range []*bench{f, f.gateway(Options{})} {
		s := b.follow("prefix=p/")
		last := uint64(0)
		for i, e := range s.entries(want) {
			n := e.sequence(t)
			if i > 0 && n <= last {
				t.Fatalf("%d after %d", n, last)
			}
			if e.id != strconv.FormatUint(n+1, 10) {
				t.Fatalf("entry %d has id %s", n, e.id)
			}
			last = n
		}
		if last != rounds*(keys+1)-2 {
			t.Errorf("the last sequence is %d", last)
		}
		s.close()
	}
}

// An open stream ends when the server drains, and when the log does it says so.
func TestFollowersEndWithTheServer(t *testing.T) {
	f := newBench(t, Options{})
	s := f.follow("key=a")
	s.until("heartbeat")
	f.s.Drain()
	if e, ok := s.next(); ok {
		t.Errorf("after the drain: %+v", e)
	}
	f.json(503, "GET", "/api/v1/log/follow?key=a", "").is(t, "code", "overloaded")

	g := newBench(t, Options{})
	s = g.follow("key=a")
	s.until("heartbeat")
	if err := g.db.Close(); err != nil {
		t.Fatal(err)
	}
	if e := s.until("error"); !strings.Contains(e.data, `"code":"closed"`) {
		t.Errorf("got %+v", e)
	}
	if _, ok := s.next(); ok {
		t.Error("it goes on after an error")
	}
	g.json(503, "GET", "/api/v1/log/scan?key=a", "").is(t, "code", "closed")
	g.json(503, "POST", "/api/v1/log/append", jsonBatch(false, "k", "v")).is(t, "code", "closed")
	if status, _, _ := g.do("GET", "/readyz", ""); status != 503 {
		t.Errorf("ready with a closed log: %d", status)
	}
}

// Followers are counted, and only so many are let in.
func TestFollowersAreBounded(t *testing.T) {
	f := newBench(t, Options{Followers: 2, FollowKeys: 3})
	a, b := f.follow("key=a"), f.follow("prefix=a")
	a.until("heartbeat")
	b.until("heartbeat")
	status, _, h := f.do("GET", "/api/v1/log/follow?key=a", "")
	if status != 503 || h.Get("Retry-After") == "" {
		t.Errorf("the third got %d, %v", status, h)
	}
	f.json(400, "GET", "/api/v1/log/follow?key=a&key=b&key=c&key=d", "")
	f.json(503, "GET", "/api/v1/log/scan?key=a&follow=true", "")
	a.close()
	eventually(t, "room again", func() bool {
		status, _, _ := f.do("GET", "/api/v1/log/scan?key=a&follow=true&timeout_ms=1", "")
		return status == 200
	})
}
