package server

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/logdb-go/logdb/logdb/server/logpb"
)

// What the tests of OpenData Log's own server hold it to, over the routes that
// both have: 12 of its server, 21 of its formats, 5 of its gateway. The names
// are those of the behaviours there; what is not here has a test of its own
// elsewhere in this package (long polls in wait_test.go, metrics in
// metrics_test.go), which asks for more.
func TestOpenDataBehaviours(t *testing.T) {
	const binary = "application/protobuf"
	for name, behaves := range map[string]func(t *testing.T, f *bench){
		"append json multiple records": func(t *testing.T, f *bench) {
			o := f.json(200, "POST", "/api/v1/log/append", jsonBatch(false, "a", "1", "b", "2", "a", "3"))
			o.is(t, "status", "success")
			o.is(t, "recordsAppended", 3)
			o.is(t, "startSequence", 0)
		},
		"append protobuf request json response": func(t *testing.T, f *bench) {
			body := protoBatch(t, &logpb.AppendRequest{AwaitDurable: true}, "k", "v")
			f.json(200, "POST", "/api/v1/log/append", body, "Content-Type", binary).is(t, "recordsAppended", 1)
		},
		"append protobuf error on invalid body is json": func(t *testing.T, f *bench) {
			o := f.json(400, "POST", "/api/v1/log/append", "\xff\xff\xff", "Content-Type", binary, "Accept", binary)
			o.is(t, "status", "error")
		},
		"error response json format": func(t *testing.T, f *bench) {
			o := f.json(400, "POST", "/api/v1/log/append", `{"records":[{"value":"dg=="}]}`)
			o.is(t, "status", "error")
			if !strings.Contains(fmt.Sprint(o["message"]), "key") {
				t.Errorf("the message does not name what is missing: %v", o)
			}
		},
		"json append then scan roundtrip": func(t *testing.T, f *bench) {
			f.json(200, "POST", "/api/v1/log/append", jsonBatch(true, "k", "\x00\xff", "k", ""))
			v := f.get("scan?key=k").list(t, "values")
			if len(v) != 2 || v[0]["value"] != b64("\x00\xff") || v[1]["value"] != "" {
				t.Errorf("got %v", v)
			}
		},
		"protobuf append then scan roundtrip": func(t *testing.T, f *bench) {
			var a logpb.AppendResponse
			f.protobuf(&a, "POST", "append", protoBatch(t, &logpb.AppendRequest{}, "k", "\x00\xff", "k", ""), "Content-Type", binary)
			var s logpb.ScanResponse
			f.protobuf(&s, "GET", "scan?key=k", "")
			if a.RecordsAppended != 2 || a.StartSequence != 0 || len(s.Values) != 2 || string(s.Values[0].Value) != "\x00\xff" || len(s.Values[1].Value) != 0 {
				t.Errorf("got %v, then %v", &a, &s)
			}
		},
		"default response format is json": func(t *testing.T, f *bench) {
			for _, accept := range []string{"", "*/*", "text/html", "application/json", "application/protobuf+json"} {
				f.get("scan?key=k", "Accept", accept).is(t, "status", "success")
			}
		},
		"scan with sequence range": func(t *testing.T, f *bench) {
			f.appended("k", "0", "k", "1", "k", "2", "k", "3")
			v := f.get("scan?key=k&start_seq=1&end_seq=3").list(t, "values")
			if len(v) != 2 || v[0]["value"] != b64("1") || v[1]["value"] != b64("2") {
				t.Errorf("got %v", v)
			}
		},
		"scan idle key resumes at frontier": func(t *testing.T, f *bench) {
			f.appended("busy", "1", "busy", "2")
			f.get("scan?key=idle").is(t, "nextSequence", 2)
			f.get("scan?key=idle&start_seq=2").is(t, "nextSequence", 2)
		},
		"scan rejects missing key": func(t *testing.T, f *bench) {
			f.json(400, "GET", "/api/v1/log/scan", "").is(t, "status", "error")
			f.json(400, "GET", "/api/v1/log/count", "").is(t, "status", "error")
		},
		"keys and segments of an empty log": func(t *testing.T, f *bench) {
			f.get("segments").is(t, "segments", "[]")
			f.get("keys").is(t, "keys", "[]")
			var k logpb.KeysResponse
			f.protobuf(&k, "GET", "keys?start_segment=100&end_segment=200", "")
			if len(k.Keys) != 0 {
				t.Errorf("got %v", &k)
			}
		},
		"keys in segments, by the ids that segments has": func(t *testing.T, f *bench) {
			inSegments(t, f)
		},
		"segments filters by sequence range": func(t *testing.T, f *bench) {
			threeSegments(t, f)
			for query, want := range map[string]int{"": 3, "?start_seq=2": 2, "?end_seq=2": 1, "?start_seq=1&end_seq=3": 2, "?start_seq=2&end_seq=4": 1} {
				if s := f.get("segments"+query).list(t, "segments"); len(s) != want {
					t.Errorf("segments%s: %v, want %d", query, s, want)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) { behaves(t, newBench(t, Options{})) })
	}
}

// threeSegments are [0, 2) with a and b, [2, 4) with b and c, [4, 5) with d.
func threeSegments(t *testing.T, f *bench) {
	t.Helper()
	for _, keys := range []string{"ab", "bc"} {
		f.appended(keys[:1], "v", keys[1:], "v")
		if _, _, err := f.db.SealSegment(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	f.appended("d", "v")
	f.flushed()
}

// inSegments goes from segments to the keys in them, as a client would.
func inSegments(t *testing.T, f *bench) {
	t.Helper()
	threeSegments(t, f)
	var segments logpb.SegmentsResponse
	f.protobuf(&segments, "GET", "segments", "")
	if len(segments.Segments) != 3 {
		t.Fatalf("got %v", &segments)
	}
	for i, want := range []string{"ab", "bc", "d"} {
		id := segments.Segments[i].Id
		var in logpb.KeysResponse
		f.protobuf(&in, "GET", fmt.Sprintf("keys?start_segment=%d&end_segment=%d", id, id+1), "")
		if got := joined(&in); got != want {
			t.Errorf("in segment %d: %s, want %s: %v", id, got, want, proto.Message(&in))
		}
	}
	var all logpb.KeysResponse
	f.protobuf(&all, "GET", "keys", "")
	if got := joined(&all); got != "abcd" {
		t.Errorf("over all segments: %s", got)
	}
}

func joined(m *logpb.KeysResponse) (keys string) {
	for _, k := range m.Keys {
		keys += string(k.Key)
	}
	return keys
}
