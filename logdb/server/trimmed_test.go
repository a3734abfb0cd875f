package server

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/logdb/server/logpb"
)

// trimmed is a log of which retention has dropped the first records.
func trimmed(t *testing.T) (f *bench, oldest uint64) {
	f = newBenchOn(t, logdb.Options{Ack: logdb.Remote, Retention: logdb.Retention{Records: 4}}, Options{})
	for range 5 {
		f.appended("k", "v", "l", "w")
		if _, _, err := f.db.SealSegment(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "retention", func() bool {
		list, err := f.db.ListSegments(t.Context(), logdb.Range{})
		if err != nil || len(list) == 0 {
			t.Fatal(len(list), err)
		}
		oldest = list[0].Sequences.Start()
		return oldest == 6
	})
	return f, oldest
}

// A cursor below what retention kept is never taken over a hole in silence.
func TestRetentionIsTold(t *testing.T) {
	f, oldest := trimmed(t)
	o := f.json(410, "GET", "/api/v1/log/scan?key=k&strict=true&start_seq=2", "")
	o.is(t, "code", "trimmed")
	o.is(t, "oldestSequence", oldest)
	if v := f.get("scan?key=k&start_seq=2").list(t, "values"); len(v) != 2 {
		t.Errorf("not strict: %v", v)
	}
	for _, query := range []string{"key=k", "key=k&key=l", "prefix="} {
		s := f.follow(query+"&u64=string", "Last-Event-ID", "2")
		e, _ := s.next()
		if e.name != "trimmed" || e.id != fmt.Sprint(oldest) || e.data != fmt.Sprintf(`{"oldestSequence":"%d"}`, oldest) {
			t.Errorf("%s: got %+v", query, e)
		}
		if e := s.entries(1)[0]; e.id != fmt.Sprint(oldest+1) {
			t.Errorf("%s: goes on with %+v", query, e)
		}
		s.close()
		s = f.follow(query+"&strict=true", "Last-Event-ID", "2")
		if e := s.until("error"); !strings.Contains(e.data, fmt.Sprintf(`"oldestSequence":%d`, oldest)) {
			t.Errorf("%s, strict: got %+v", query, e)
		}
		s.close()
	}
	for name, c := range f.clients() {
		ctx, cancel := context.WithCancel(t.Context())
		s, err := c.Follow(ctx, connect.NewRequest(&logpb.FollowRequest{Keys: [][]byte{[]byte("k")}, StartSequence: 1}))
		if err != nil || !s.Receive() {
			t.Fatal(name, err, s.Err())
		}
		if m := s.Msg(); m.TrimmedBelow == nil || *m.TrimmedBelow != oldest || len(m.Entries) != 2 || m.Entries[0].Sequence < oldest {
			t.Errorf("%s: got %v", name, m)
		}
		cancel()
		s.Close()
		s, err = c.Follow(t.Context(), connect.NewRequest(&logpb.FollowRequest{Prefix: []byte{}, StartSequence: 1, Strict: true}))
		if err == nil {
			s.Receive()
			err = s.Err()
			s.Close()
		}
		if code, d := detail(t, err); code != connect.CodeOutOfRange || d.GetOldestSequence() != oldest {
			t.Errorf("%s, strict: %v %v", name, code, d)
		}
	}
}

// Events are pushed over HTTP/2, too, many streams to a connection.
func TestFollowOverHTTP2(t *testing.T) {
	f := newBench(t, Options{})
	h2 := &http.Transport{Protocols: new(http.Protocols)}
	h2.Protocols.SetUnencryptedHTTP2(true)
	defer h2.CloseIdleConnections()
	f.client = &http.Client{Transport: h2}
	var sources []*source
	for i := range 10 {
		s := f.follow(fmt.Sprintf("key=k%d", i))
		s.until("heartbeat")
		if s.resp.ProtoMajor != 2 {
			t.Fatalf("spoke %s", s.resp.Proto)
		}
		sources = append(sources, s)
	}
	for i := range sources {
		f.appended(fmt.Sprintf("k%d", i), "v")
	}
	for i, s := range sources {
		if e := s.entries(1)[0]; e.text(t) != fmt.Sprintf("k%d=v", i) {
			t.Errorf("stream %d: %+v", i, e)
		}
	}
	if status, body, h := f.do("HEAD", "/api/v1/log/follow?key=k", ""); status != 200 || len(body) != 0 || h.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD: %d %q %v", status, body, h)
	}
}
