package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"
	"google.golang.org/protobuf/proto"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/logdb/server/logpb"
)

// newBody is a body that has been read.
func newBody(s *Server, b []byte) *body { return &body{s: s, bytes: b} }

// What the hand-written decoder takes, the generated one takes with the same
// result; it may refuse more, and then as the client's mistake.
func FuzzDecodeAppend(f *testing.F) {
	for _, m := range []*logpb.AppendRequest{
		{}, {AwaitDurable: true, Ack: logpb.Durability_DURABILITY_LOCAL, TimeoutMs: proto.Uint64(7)},
		{Records: []*logpb.Record{{Key: []byte("k"), Value: []byte{}}, {Key: []byte{}, Value: []byte("v")}}},
		{Records: []*logpb.Record{{Key: []byte("k")}}},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{0x0a, 0x06, 0x0a, 0x01, 'a', 0x0a, 0x01, 'b'}) // a field twice: the last counts
	f.Add([]byte{0x10, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0x88, 0x01, 0x01})
	s := &Server{bodies: semaphore.NewWeighted(1 << 30)}
	f.Fuzz(func(t *testing.T, in []byte) {
		b := newBody(s, in)
		err := b.decode(true)
		var want logpb.AppendRequest
		theirs := proto.Unmarshal(in, &want)
		if err != nil {
			var e *apiError
			if !errors.As(err, &e) || e.status != http.StatusBadRequest {
				t.Fatalf("%v is not the client's mistake", err)
			}
			return
		}
		if theirs != nil {
			t.Fatalf("taken, but %v", theirs)
		}
		if len(b.batch.records) != len(want.Records) || b.batch.durable != want.AwaitDurable || b.batch.timed != (want.TimeoutMs != nil) {
			t.Fatalf("got %+v, want %v", b.batch, &want)
		}
		for i, r := range b.batch.records {
			if !bytes.Equal(r.Key, want.Records[i].Key) || !bytes.Equal(r.Value, want.Records[i].Value) || want.Records[i].Key == nil || want.Records[i].Value == nil {
				t.Fatalf("record %d: %q, want %v", i, r, want.Records[i])
			}
		}
	})
}

// JSON that is read by hand is what encoding/json makes of it, and what is
// refused by hand is refused by it, too.
func FuzzDecodeAppendJSON(f *testing.F) {
	for _, text := range []string{
		`{"records":[{"key":"aw==","value":"dg=="},{"value":"","key":""}],"awaitDurable":true}`,
		" {\n\"ack\" : \"remote\" ,\"awaitDurable\":false,\t\"records\" : [ ] } \r\n", `{"records":[{"key":"a2s","value":"dg=="}]}`,
		`{"records":[{"key":"aw==","value":"dg==","key":"bA=="}]}`, `{"Records":[{"KEY":"aw==","value":"dg=="}]}`,
		`{"records":[{"key":"aw\u003d=","value":"dg\/\n=="}],"timeoutMs":7}`, `{"records":[{"key":null,"value":"dg=="}]}`,
		`{"records":[{"key":"aw==","value":"dg=="}]}{}`, `{"records":[{"key":"aw==","value":"dg=="},]}`, `{"records":[],"records":[{"key":"","value":""}]}`,
		`{"records":null}`, `{"awaitDurable":true}`, `{"records":[{"key":"aw==","value":"dg=="}],"ack":"all"}`, "{\"records\":[{\"key\":\"a\nw==\",\"value\":\"dg==\"}]}",
		`{"records":[{"key":"YWJjZGVmZ2hpamtsbW5vcA==","value":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}]}`, `{"records":[{"key":"YWJjZGVmZ2hpamtsbW5vcA==","value":"AAECAwQFBgcICQoLDA0OD!AREhMU"}]}`,
		`{"records":[{"key":"aw==","value":"dg=="}],"awaitDurable":truefalse}`, `{,}`, `{"records":[{}]}`, `{"records":[{"key":"aw==","value":"dg==","more":1}],"ack":""}`,
	} {
		f.Add([]byte(text))
	}
	s := &Server{bodies: semaphore.NewWeighted(1 << 40)}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, want := newBody(s, bytes.Clone(in)), newBody(s, bytes.Clone(in))
		err, theirs := got.decode(false), want.decodeAnyJSON()
		if (err == nil) != (theirs == nil) {
			t.Fatalf("%v, but encoding/json says %v", err, theirs)
		}
		if err != nil {
			if e := (*apiError)(nil); !errors.As(err, &e) || e.status != http.StatusBadRequest {
				t.Fatalf("%v is not the client's mistake", err)
			}
			return
		}
		if !slices.EqualFunc(got.batch.records, want.batch.records, func(a, b logdb.Record) bool {
			return bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value) && (a.Key == nil) == (b.Key == nil) && (a.Value == nil) == (b.Value == nil)
		}) {
			t.Fatalf("got %q, want %q", got.batch.records, want.batch.records)
		}
		got.batch.records, want.batch.records = nil, nil
		if !reflect.DeepEqual(got.batch, want.batch) {
			t.Fatalf("got %+v, want %+v", got.batch, want.batch)
		}
	})
}

// No query, header or body makes a handler panic, answer without JSON, or fail
// as if it were the server's fault.
func FuzzRequests(f *testing.F) {
	for _, x := range []struct{ path, query, body string }{
		{"scan", "key=k&limit=2&start_seq=1&end_seq=3", ""}, {"scan", "key_b64=/w%3d%3d&reverse=1&from_time=2020-01-01T00:00:00Z", ""},
		{"scan", "key=k&follow=true&timeout_ms=0&strict=true&visibility=remote&u64=string", ""}, {"keys", "prefix=k&after_b64=aw&limit=1", ""},
		{"segments", "start_seq=18446744073709551615&end_seq=0", ""}, {"count", "key=%ff&min_seq=1", ""}, {"status", "", ""},
		{"append", "ack=remote", `{"records":[{"key":"aw==","value":"dg=="}]}`}, {"append", "", "\x0a\x06\x0a\x01k\x12\x01v"}, {"follow", "key=k&prefix=l", ""},
	} {
		f.Add(x.path, x.query, []byte(x.body), "application/protobuf", "application/protobuf", "5")
		f.Add(x.path, x.query, []byte(x.body), "", "", "")
	}
	b := newBench(f, Options{MaxWait: 1e6, AppendTimeout: 1e9})
	b.appended("k", "v", "\xff", "w", "k", "x")
	f.Fuzz(func(t *testing.T, path, query string, body []byte, kind, accept, id string) {
		method := "GET"
		if path == "append" {
			method = "POST"
		}
		r := httptest.NewRequest(method, "/api/v1/log/", bytes.NewReader(body))
		r.URL.Path, r.URL.RawQuery = "/api/v1/log/"+path, query
		r.Header = http.Header{"Content-Type": {kind}, "Accept": {accept}, "Last-Event-Id": {id}}
		if path == "follow" {
			if p, err := parseParams(r, []string{"key", "key_b64", "prefix", "prefix_b64", "start_seq", "visibility", "strict", "u64"}); err == nil {
				_, _ = followParams(r, p) // the stream would not end
			}
			return
		}
		w := httptest.NewRecorder()
		b.s.ServeHTTP(w, r)
		if w.Code >= 500 && w.Code != http.StatusServiceUnavailable && w.Code != http.StatusGatewayTimeout {
			t.Fatalf("%s?%s: %d %s", path, query, w.Code, w.Body)
		}
		if strings.HasPrefix(w.Header().Get("Content-Type"), typeJSON) && !json.Valid(w.Body.Bytes()) {
			t.Fatalf("%s?%s: %s", path, query, w.Body)
		}
	})
}

// The writers of entries by hand write what the messages would.
func FuzzValues(f *testing.F) {
	f.Add(uint64(0), []byte{}, int64(0), true)
	f.Add(uint64(1<<63), []byte("value"), int64(1_760_000_000_000), false)
	f.Fuzz(func(t *testing.T, sequence uint64, value []byte, ms int64, asString bool) {
		e := logdb.Entry{Key: []byte("key"), Value: value, Sequence: sequence, Time: time.UnixMilli(ms)}
		m := &logpb.ScanResponse{Status: "success", Key: e.Key, NextSequence: sequence, TailSequence: 7,
			Values: []*logpb.Value{{Sequence: sequence, Value: value, TimeMs: ms}, {Sequence: sequence, Value: value, TimeMs: ms}}}
		for _, protobuf := range []bool{true, false} {
			w := httptest.NewRecorder()
			a := &answer{w: w, protobuf: protobuf, strings: asString}
			a.beginScan(e.Key)
			for range 2 {
				if err := a.value(e); err != nil {
					t.Fatal(err)
				}
			}
			if err := a.endScan(sequence, 7); err != nil {
				t.Fatal(err)
			}
			if protobuf {
				var got logpb.ScanResponse
				if err := proto.Unmarshal(w.Body.Bytes(), &got); err != nil || !proto.Equal(&got, m) {
					t.Fatalf("%v: got %v, want %v", err, &got, m)
				}
			} else if want := appendJSON(nil, m.ProtoReflect(), asString); w.Body.String() != string(want) {
				t.Fatalf("got %s, want %s", w.Body, want)
			}
		}
	})
}
