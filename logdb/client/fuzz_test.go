package client

import (
	"context"
	"io"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/logdb/server/logpb"
)

// anything is the feed of a server that sends anything.
type anything struct{ data []byte }

func (a *anything) next(context.Context, uint64) (piece, error) {
	if len(a.data) == 0 {
		return piece{}, io.EOF
	}
	n := min(int(a.data[0])+1, len(a.data))
	m := &logpb.FollowResponse{}
	_ = proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(a.data[1:n], m) // what could be read of it
	a.data = a.data[n:]
	return pieceOf(m), nil
}

func (a *anything) close() {}

// FuzzFollow: whatever a server sends, sequences grow and the cursor does not go
// back.
func FuzzFollow(f *testing.F) {
	m, _ := proto.Marshal(&logpb.FollowResponse{Entries: []*logpb.Entry{{Sequence: 3}, {Sequence: 2}, {Sequence: 1 << 63}}, NextSequence: 2})
	f.Add(append([]byte{byte(len(m))}, m...), uint64(1), false)
	f.Add([]byte{0, 1, 2}, uint64(0), true)
	f.Fuzz(func(t *testing.T, data []byte, from uint64, reverse bool) {
		it := newIterator(t.Context(), &anything{data}, from, logdb.ScanOptions{Reverse: reverse})
		cursor := from
		for it.Next() {
			e, next := it.Entry().Sequence, it.NextSequence()
			if !reverse && (e < cursor || next < cursor) || reverse && (e >= cursor || next > cursor) {
				t.Fatalf("%d, going on at %d, behind %d", e, next, cursor)
			}
			cursor = next
		}
	})
}

// FuzzScan: a scan of a server that answers anything ends.
func FuzzScan(f *testing.F) {
	page, _ := proto.Marshal(&logpb.ScanResponse{Values: []*logpb.Value{{Sequence: 5}}, NextSequence: 6, TailSequence: 9})
	f.Add(page, uint64(0), uint64(9), false)
	f.Add(page, uint64(5), uint64(2), true)
	f.Fuzz(func(t *testing.T, data []byte, start, end uint64, reverse bool) {
		m := &logpb.ScanResponse{}
		if proto.Unmarshal(data, m) != nil {
			t.Skip()
		}
		c := &Client{o: Options{}.withDefaults(), rpc: &repeating{m: m}}
		it := c.Scan(t.Context(), nil, logdb.Between(start, end), logdb.ScanOptions{Reverse: reverse})
		for n := 0; it.Next(); n++ {
			if n > len(m.Values) {
				t.Fatalf("%d entries out of %d", n, len(m.Values))
			}
		}
	})
}

// repeating gives the same answer again and again.
type repeating struct {
	logpb.LogServiceClient
	m *logpb.ScanResponse
}

func (r *repeating) Scan(context.Context, *connect.Request[logpb.ScanRequest]) (*connect.Response[logpb.ScanResponse], error) {
	return connect.NewResponse(r.m), nil
}

// FuzzErrors: no error that a server sends is both certain and uncertain, and
// waiting has a bound.
func FuzzErrors(f *testing.F) {
	m, _ := proto.Marshal(&logpb.ErrorResponse{Code: "pending", Level: new(string)})
	f.Add(m, uint16(504), "1")
	f.Add([]byte{}, uint16(429), "Mon, 02 Jan 2106 15:04:05 GMT")
	f.Add([]byte{}, uint16(0), "-1")
	f.Fuzz(func(t *testing.T, data []byte, status uint16, header string) {
		m := &logpb.ErrorResponse{}
		if proto.Unmarshal(data, m) != nil {
			t.Skip()
		}
		e := &Error{Status: int(status), RetryAfter: retryAfter(header, time.Now())}
		if m.Code != "" {
			e.explain(m)
		} else {
			e.guess(connect.NewError(connect.CodeUnknown, io.EOF))
		}
		if e.refused && e.MayHaveHappened || e.RetryAfter < 0 || e.RetryAfter > afterMost || e.Error() == "" {
			t.Errorf("%#v", e)
		}
	})
}

// TestRetryAfter: what headers ask for.
func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, "-7": 0, "1.5": 0, "soon": 0, "99999999999": 0, "3600": afterMost,
		"Fri, 02 Jan 2026 03:04:15 GMT": 10 * time.Second, "Fri, 02 Jan 2026 03:04:00 GMT": 0, "Sat, 02 Jan 2027 03:04:15 GMT": afterMost,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}
