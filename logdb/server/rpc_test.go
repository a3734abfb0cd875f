package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"connectrpc.com/connect"

	"github.com/logdb-go/logdb/logdb/server/logpb"
)

// clients speak the three protocols of the service; gRPC needs HTTP/2, here
// without TLS.
func (f *bench) clients() map[string]logpb.LogServiceClient {
	h2 := &http.Transport{Protocols: new(http.Protocols)}
	h2.Protocols.SetUnencryptedHTTP2(true)
	f.t.Cleanup(h2.CloseIdleConnections)
	two := &http.Client{Transport: h2}
	return map[string]logpb.LogServiceClient{
		"connect":      logpb.NewLogServiceClient(http.DefaultClient, f.url),
		"connect json": logpb.NewLogServiceClient(http.DefaultClient, f.url, connect.WithProtoJSON()),
		"connect get":  logpb.NewLogServiceClient(http.DefaultClient, f.url, connect.WithHTTPGet()),
		"grpc":         logpb.NewLogServiceClient(two, f.url, connect.WithGRPC()),
		"grpc-web":     logpb.NewLogServiceClient(http.DefaultClient, f.url, connect.WithGRPCWeb()),
	}
}

func call[T any, R any](t *testing.T, f func(context.Context, *connect.Request[T]) (*connect.Response[R], error), m *T) *R {
	t.Helper()
	resp, err := f(t.Context(), connect.NewRequest(m))
	if err != nil {
		t.Fatal(err)
	}
	return resp.Msg
}

// detail is the code and the body of an error.
func detail(t *testing.T, err error) (connect.Code, *logpb.ErrorResponse) {
	t.Helper()
	var e *connect.Error
	if !errors.As(err, &e) || len(e.Details()) != 1 {
		t.Fatalf("got %v, want an error with a detail", err)
	}
	m, err := e.Details()[0].Value()
	if err != nil {
		t.Fatal(err)
	}
	return e.Code(), m.(*logpb.ErrorResponse)
}

// The same operations over Connect, gRPC and gRPC-Web give what the routes give.
func TestTheServiceInEveryProtocol(t *testing.T) {
	for _, name := range []string{"connect", "connect json", "connect get", "grpc", "grpc-web"} {
		t.Run(name, func(t *testing.T) {
			f := newBench(t, Options{})
			c := f.clients()[name]
			a := call(t, c.Append, &logpb.AppendRequest{Ack: logpb.Durability_DURABILITY_REMOTE, Records: []*logpb.Record{
				{Key: []byte("k\xff"), Value: []byte("1")}, {Key: []byte("l"), Value: []byte{}}, {Key: []byte("k\xff"), Value: []byte("2")}}})
			if a.StartSequence != 0 || a.NextSequence != 3 || a.RecordsAppended != 3 {
				t.Errorf("append: %v", a)
			}
			limit := uint64(1)
			s := call(t, c.Scan, &logpb.ScanRequest{Key: []byte("k\xff"), Reverse: true, Limit: &limit, MinSequence: &a.NextSequence})
			if len(s.Values) != 1 || string(s.Values[0].Value) != "2" || s.NextSequence != 2 || s.TailSequence != 3 {
				t.Errorf("scan: %v", s)
			}
			if n := call(t, c.Count, &logpb.CountRequest{Key: []byte("k\xff")}); n.Count != 2 {
				t.Errorf("count: %v", n)
			}
			if k := call(t, c.ListKeys, &logpb.ListKeysRequest{Limit: &limit}); len(k.Keys) != 1 || string(k.NextAfter) != "k\xff" || k.Keys[0].Count != 2 {
				t.Errorf("keys: %v", k)
			}
			if s := call(t, c.ListSegments, &logpb.ListSegmentsRequest{}); len(s.Segments) != 1 || s.Segments[0].Records != 3 {
				t.Errorf("segments: %v", s)
			}
			if s := call(t, c.Status, &logpb.StatusRequest{}); s.Frontier != 3 || s.Remote != 3 || s.ReadOnly {
				t.Errorf("status: %v", s)
			}
			far, soon := uint64(100), uint64(1)
			_, err := c.Scan(t.Context(), connect.NewRequest(&logpb.ScanRequest{MinSequence: &far, TimeoutMs: &soon}))
			if code, d := detail(t, err); code != connect.CodeFailedPrecondition || d.Code != "behind" || d.GetMinSequence() != 100 || d.GetTailSequence() != 3 {
				t.Errorf("behind: %v %v", code, d)
			}
			_, err = c.Append(t.Context(), connect.NewRequest(&logpb.AppendRequest{Records: []*logpb.Record{{Key: []byte("k")}}}))
			if code, d := detail(t, err); code != connect.CodeInvalidArgument || d.Message != "record[0]: value is required" {
				t.Errorf("no value: %v %v", code, d)
			}
		})
	}
}

// A follower over each protocol gets history, what comes, and heartbeats that
// move its cursor.
func TestFollowOverTheService(t *testing.T) {
	for _, name := range []string{"connect", "connect json", "grpc", "grpc-web"} {
		t.Run(name, func(t *testing.T) {
			f := newBench(t, Options{})
			f.appended("a/1", "0", "b", "1", "a/2", "2")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s, err := f.clients()[name].Follow(ctx, connect.NewRequest(&logpb.FollowRequest{Prefix: []byte("a/")}))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			var got []string
			receive := func(n int) (next uint64) {
				for len(got) < n {
					if !s.Receive() {
						t.Fatal(s.Err())
					}
					for _, e := range s.Msg().Entries {
						got = append(got, fmt.Sprintf("%d %s %s", e.Sequence, e.Key, e.Value))
					}
					next = s.Msg().NextSequence
				}
				return next
			}
			if next := receive(2); next != 3 {
				t.Errorf("next is %d", next)
			}
			f.appended("b", "x", "a/1", "4")
			if next := receive(3); next != 5 || fmt.Sprint(got) != "[0 a/1 0 2 a/2 2 4 a/1 4]" {
				t.Errorf("got %v, next %d", got, next)
			}
			f.s.Drain()
			for s.Receive() {
			}
			if err := s.Err(); err != nil {
				t.Errorf("after a drain: %v", err)
			}
		})
	}
}

func TestAReadOnlyServiceDoesNotAppend(t *testing.T) {
	f := newBench(t, Options{})
	f.flushed()
	_, err := f.gateway(Options{}).clients()["grpc"].Append(t.Context(), connect.NewRequest(&logpb.AppendRequest{}))
	if connect.CodeOf(err) != connect.CodeUnimplemented {
		t.Errorf("got %v", err)
	}
}

// The memory of bodies is taken by messages too, and given back.
func TestMessagesAreBounded(t *testing.T) {
	f := newBench(t, Options{BodyLimit: 64 << 10, BodyMemory: 100 << 10})
	c := f.clients()["grpc"]
	big := &logpb.AppendRequest{Records: []*logpb.Record{{Key: []byte("k"), Value: make([]byte, 70<<10)}}}
	if _, err := c.Append(t.Context(), connect.NewRequest(big)); connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("above the limit of one: %v", err)
	}
	big.Records[0].Value = make([]byte, 60<<10)
	if _, err := c.Append(t.Context(), connect.NewRequest(big)); err == nil {
		t.Error("above the memory of all: no error")
	}
	eventually(t, "memory given back", func() bool {
		if f.s.bodies.TryAcquire(100 << 10) {
			f.s.bodies.Release(100 << 10)
			return true
		}
		return false
	})
	big.Records[0].Value = make([]byte, 20<<10)
	call(t, c.Append, big)
}

// Over the service, too, an error that may pass says when to come again.
func TestTheServiceSaysWhenToComeAgain(t *testing.T) {
	f := newBench(t, Options{})
	far, wait := uint64(1000), uint64(1)
	for name, c := range f.clients() {
		_, err := c.Count(t.Context(), connect.NewRequest(&logpb.CountRequest{MinSequence: &far, TimeoutMs: &wait}))
		var e *connect.Error
		if !errors.As(err, &e) || e.Meta().Get("Retry-After") != "1" {
			t.Errorf("%s: %v, want one with Retry-After", name, err)
		}
		_, err = c.Scan(t.Context(), connect.NewRequest(&logpb.ScanRequest{Reverse: true, Follow: true}))
		if !errors.As(err, &e) || e.Meta().Get("Retry-After") != "" {
			t.Errorf("%s: %v, want one without Retry-After", name, err)
		}
	}
}
