package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/logdb-go/logdb/logdb/server/logpb"
)

// What clients of OpenData Log's server rely on, as that behaves: what is
// checked here in JSON and in protobuf are its tests' behaviours.

func TestAppendJSON(t *testing.T) {
	f := newBench(t, Options{})
	o := f.json(200, "POST", "/api/v1/log/append", jsonBatch(false, "test-key", "test-value"), "Content-Type", "application/protobuf+json")
	o.is(t, "status", "success")
	o.is(t, "recordsAppended", 1)
	o.is(t, "startSequence", 0)
	o = f.json(200, "POST", "/api/v1/log/append", jsonBatch(true, "key-1", "value-1", "key-2", "value-2"), "Content-Type", "application/json")
	o.is(t, "recordsAppended", 2)
	o.is(t, "startSequence", 1)
	o.is(t, "nextSequence", 3)
	if r := f.db.Metrics().Remote; r != 3 {
		t.Errorf("awaitDurable was answered with remote at %d", r)
	}
	o = f.json(200, "POST", "/api/v1/log/append", `{"records": []}`)
	o.is(t, "recordsAppended", 0)
}

func TestAppendProtobuf(t *testing.T) {
	f := newBench(t, Options{})
	body := protoBatch(t, &logpb.AppendRequest{AwaitDurable: true}, "k", "v", "", "")
	var m logpb.AppendResponse
	f.protobuf(&m, "POST", "append", body, "Content-Type", "application/protobuf")
	if m.Status != "success" || m.RecordsAppended != 2 || m.StartSequence != 0 || m.NextSequence != 2 || m.TimeMs == 0 {
		t.Errorf("got %v", &m)
	}
	o := f.json(200, "POST", "/api/v1/log/append", body, "Content-Type", "application/protobuf")
	o.is(t, "startSequence", 2)
	empty := f.get("scan?key=")
	if v := empty.list(t, "values"); len(v) != 2 || v[0]["value"] != "" {
		t.Errorf("the empty key has %v", v)
	}
}

func TestWhatCannotBeAppendedIsRefused(t *testing.T) {
	f := newBench(t, Options{})
	for body, message := range map[string]string{
		"not valid json":                       "Invalid JSON",
		`{}`:                                   "missing field `records`",
		`{"records":[{"value":"dg=="}]}`:       "record[0]: key is required",
		`{"records":[{"key":"aw=="}]}`:         "record[0]: value is required",
		`{"records":[],"ack":"sometime"}`:      "ack",
		`{"records":[{"key":"!","value":""}]}`: "Invalid JSON",
		`{"records":[],"timeoutMs":-1}`:        "timeoutMs",
	} {
		o := f.json(400, "POST", "/api/v1/log/append", body)
		o.is(t, "status", "error")
		if got := o["message"].(string); !strings.Contains(got, message) {
			t.Errorf("%s: %q, want %q", body, got, message)
		}
	}
	o := f.json(400, "POST", "/api/v1/log/append", "\xff\xff\xff", "Content-Type", "application/protobuf", "Accept", "application/protobuf")
	if got := o["message"].(string); !strings.Contains(got, "Invalid protobuf") {
		t.Errorf("got %q", got)
	}
	f.json(413, "POST", "/api/v1/log/append", jsonBatch(false, strings.Repeat("k", 64<<10+1), "v"))
	if n := f.db.Frontier(); n != 0 {
		t.Errorf("%d records were appended", n)
	}
}

func TestScan(t *testing.T) {
	f := newBench(t, Options{})
	f.appended("events", "event-1", "events", "event-2", "other", "x")
	f.flushed()
	o := f.get("scan?key=events", "Accept", "application/protobuf+json")
	o.is(t, "status", "success")
	o.is(t, "key", b64("events"))
	o.is(t, "nextSequence", 3)
	v := o.list(t, "values")
	if len(v) != 2 {
		t.Fatalf("got %v", v)
	}
	v[0].is(t, "sequence", 0)
	v[0].is(t, "value", b64("event-1"))
	v[1].is(t, "sequence", 1)

	var m logpb.ScanResponse
	f.protobuf(&m, "GET", "scan?key=events&start_seq=1&end_seq=2", "")
	if string(m.Key) != "events" || len(m.Values) != 1 || string(m.Values[0].Value) != "event-2" || m.Values[0].Sequence != 1 || m.NextSequence != 2 || m.TailSequence != 3 {
		t.Errorf("got %v", &m)
	}
	o = f.get("scan?key=events&limit=1")
	if v := o.list(t, "values"); len(v) != 1 {
		t.Errorf("limit=1 gave %v", v)
	}
	o.is(t, "nextSequence", 1)
	o = f.get("scan?key=events&limit=0") // there it returns one
	if v := o.list(t, "values"); len(v) != 0 {
		t.Errorf("limit=0 gave %v", v)
	}
	o.is(t, "nextSequence", 0)
	o = f.get("scan?key=cold")
	if v := o.list(t, "values"); len(v) != 0 {
		t.Errorf("an idle key has %v", v)
	}
	o.is(t, "nextSequence", 3)
}

func TestScanIsLimitedTo32(t *testing.T) {
	f := newBench(t, Options{})
	for range 40 {
		f.appended("k", "v")
	}
	o := f.get("scan?key=k")
	if v := o.list(t, "values"); len(v) != 32 {
		t.Errorf("got %d values", len(v))
	}
	o.is(t, "nextSequence", 32)
}

func TestKeysSegmentsAndCount(t *testing.T) {
	f := newBench(t, Options{})
	f.get("keys").is(t, "keys", "[]")
	f.get("segments").is(t, "segments", "[]")
	f.appended("orders", "order-1", "events", "event-1")
	if _, _, err := f.db.SealSegment(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	f.appended("later", "x")
	f.flushed()
	keys := f.get("keys").list(t, "keys")
	if len(keys) != 3 || keys[0]["key"] != b64("events") || keys[1]["key"] != b64("later") || keys[2]["key"] != b64("orders") {
		t.Errorf("got %v", keys)
	}
	segments := f.get("segments").list(t, "segments")
	if len(segments) != 2 {
		t.Fatalf("got %v", segments)
	}
	segments[0].is(t, "startSeq", 0)
	segments[0].is(t, "endSeq", 2)
	segments[1].is(t, "startSeq", 2)
	if segments[0]["startTimeMs"].(interface{ String() string }).String() == "0" {
		t.Error("no start time")
	}
	first := segments[1]["id"].(interface{ String() string }).String()
	if keys := f.get("keys?start_segment="+first).list(t, "keys"); len(keys) != 1 || keys[0]["key"] != b64("later") {
		t.Errorf("in segment %s: %v", first, keys)
	}
	if keys := f.get("keys?end_segment="+first).list(t, "keys"); len(keys) != 2 {
		t.Errorf("before segment %s: %v", first, keys)
	}
	if s := f.get("segments?start_seq=2").list(t, "segments"); len(s) != 1 {
		t.Errorf("from 2: %v", s)
	}
	f.get("count?key=orders").is(t, "count", 1)
	f.get("count?key=orders&start_seq=1").is(t, "count", 0)
	var k logpb.KeysResponse
	f.protobuf(&k, "GET", "keys", "")
	var s logpb.SegmentsResponse
	f.protobuf(&s, "GET", "segments", "")
	var c logpb.CountResponse
	f.protobuf(&c, "GET", "count?key=orders", "")
	if len(k.Keys) != 3 || len(s.Segments) != 2 || s.Segments[1].StartSeq != 2 || c.Count != 1 || c.Status != "success" {
		t.Errorf("got %v, %v, %v", &k, &s, &c)
	}
}

func TestReadOnlyGateway(t *testing.T) {
	f := newBench(t, Options{})
	f.appended("k", "v")
	f.flushed()
	g := f.gateway(Options{})
	if v := g.get("scan?key=k&min_seq=1").list(t, "values"); len(v) != 1 {
		t.Errorf("got %v", v)
	}
	g.get("count?key=k").is(t, "count", 1)
	g.get("status").is(t, "readOnly", true)
	g.json(404, "POST", "/api/v1/log/append", jsonBatch(false, "k", "v"))
	f.json(200, "POST", "/api/v1/log/append", jsonBatch(false, "k", "v"))
}

func TestHealth(t *testing.T) {
	f := newBench(t, Options{})
	f.appended("k", "v")
	f.flushed()
	g := f.gateway(Options{})
	for _, b := range []*bench{f, g} {
		for _, path := range []string{"/-/healthy", "/healthz", "/-/ready", "/readyz"} {
			if status, body, _ := b.do("GET", path, ""); status != 200 || string(body) != "OK" {
				t.Errorf("%s: %d %s", path, status, body)
			}
		}
		b.s.Drain()
		if status, body, _ := b.do("GET", "/-/ready", ""); status != 503 || string(body) != "Not Ready" {
			t.Errorf("draining: %d %s", status, body)
		}
		if status, _, _ := b.do("GET", "/-/healthy", ""); status != 200 {
			t.Errorf("draining is not unhealthy: %d", status)
		}
	}
	f.json(200, "POST", "/api/v1/log/append", jsonBatch(false, "k", "v")) // those who are there are served
}

func TestQueriesThatAreWrong(t *testing.T) {
	f := newBench(t, Options{})
	for _, path := range []string{
		"scan", "scan?key=a&key=b", "scan?key=a&key_b64=YQ==", "scan?key_b64=!", "scan?key=a&limit=-1", "scan?key=a&limit=x",
		"scan?key=a&start_seq=18446744073709551616", "scan?key=a&follow=maybe", "scan?key=a&from_time=yesterday", "scan?key=a&visibility=local",
		"scan?key=a&reverse=true&follow=true", "scan?key=%zz", "scan?key=a&u64=roman", "count", "keys?limit=x", "segments?start_seq=x",
		"follow", "follow?key=a&prefix=b", "follow?key=a&start_seq=head", "scan?key=" + strings.Repeat("k", 64<<10+1),
	} {
		o := f.json(400, "GET", "/api/v1/log/"+path, "")
		o.is(t, "status", "error")
		o.is(t, "code", "invalid_argument")
	}
	f.json(400, "POST", "/api/v1/log/append?ack=never", jsonBatch(false, "k", "v"))
	f.json(404, "GET", "/api/v1/log/nothing", "").is(t, "code", "not_found")
	if status, _, h := f.do("DELETE", "/api/v1/log/scan", ""); status != http.StatusMethodNotAllowed && status != 404 {
		t.Errorf("DELETE: %d, %v", status, h)
	}
	f.get("scan?key=a&colour=blue") // as there, what is not known is ignored
}
