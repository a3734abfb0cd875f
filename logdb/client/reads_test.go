package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/logdb/server"
	"github.com/logdb-go/logdb/logdb/server/logpb"
)

// TestReadsAnswerWhatTheLogAnswers asks the same of a log and of a client of its
// server, at random.
func TestReadsAnswerWhatTheLogAnswers(t *testing.T) {
	seed := rand.Uint64()
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	rng := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(t, logdb.Options{Ack: logdb.Applied}, server.Options{})
	c := w.client(Options{}, nil)
	keys := []string{"", "a", "a\xff\x00", "b"}
	for range 60 {
		var batch []string
		for range rng.IntN(4) {
			batch = append(batch, keys[rng.IntN(len(keys))], string(make([]byte, rng.IntN(30))))
		}
		a, err := c.Append(t.Context(), records(batch...), logdb.AppendOptions{})
		if err != nil || a.Next-a.First != uint64(len(batch)/2) {
			t.Fatalf("append of %d: %+v, %v", len(batch)/2, a, err)
		}
		if rng.IntN(20) == 0 {
			if _, _, err := w.db.SealSegment(t.Context(), []byte("meta")); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 300 {
		compareScan(t, rng, w.db, c, []byte(keys[rng.IntN(len(keys))]))
		compareKeys(t, rng, w.db, c)
	}
	for range 20 {
		r := someRange(rng, 150)
		want, err := w.db.ListSegments(t.Context(), r)
		got, err2 := c.ListSegments(t.Context(), r)
		if err != nil || err2 != nil || len(got) != len(want) {
			t.Fatalf("segments of %v: %v, want %v", r, got, want)
		}
		for i := range want {
			if !bytes.Equal(got[i].Metadata, want[i].Metadata) {
				t.Errorf("metadata %q, want %q", got[i].Metadata, want[i].Metadata)
			}
			got[i].Metadata, want[i].Metadata = nil, nil
			if !reflect.DeepEqual(got[i], want[i]) {
				t.Errorf("segment %+v, want %+v", got[i], want[i])
			}
		}
	}
	if got, err := c.Frontier(t.Context()); err != nil || got != w.db.Frontier() {
		t.Errorf("frontier %d, %v, want %d", got, err, w.db.Frontier())
	}
}

func someRange(rng *rand.Rand, most uint64) logdb.Range {
	a, b := rng.Uint64N(most), rng.Uint64N(most)
	return []logdb.Range{{}, logdb.From(a), logdb.Until(a), logdb.Between(a, b)}[rng.IntN(4)]
}

func someBound(rng *rand.Rand, most uint64) logdb.Bound {
	if rng.IntN(2) == 0 {
		return logdb.Bound{}
	}
	return logdb.AtMost(rng.Uint64N(most))
}

func compareScan(t *testing.T, rng *rand.Rand, db *logdb.LogDb, c *Client, key []byte) {
	t.Helper()
	r := someRange(rng, 150)
	o := logdb.ScanOptions{Reverse: rng.IntN(2) == 0, Records: someBound(rng, 40), Bytes: someBound(rng, 300), Strict: rng.IntN(2) == 0}
	if rng.IntN(4) == 0 {
		o.FromTime = time.Now().Add(-time.Duration(rng.IntN(100)) * time.Millisecond)
	}
	want, next, err := drain(db.Scan(t.Context(), key, r, o))
	got, next2, err2 := drain(c.Scan(t.Context(), key, r, o))
	if fmt.Sprint(got, err2) != fmt.Sprint(want, err) {
		t.Fatalf("scan of %q in %v with %+v:\n%v, %v\nwant\n%v, %v", key, r, o, got, err2, want, err)
	}
	// Where a limit was drawn that ends before anything is read, an open range in
	// reverse has no number for its end but the largest.
	if next2 != next && !(o.Reverse && len(got) == 0) {
		t.Fatalf("scan of %q in %v with %+v goes on at %d, want %d", key, r, o, next2, next)
	}
	n, err := db.Count(t.Context(), key, r)
	m, err2 := c.Count(t.Context(), key, r)
	if n != m || err != nil || err2 != nil {
		t.Fatalf("count of %q in %v: %d, %v, want %d, %v", key, r, m, err2, n, err)
	}
}

func compareKeys(t *testing.T, rng *rand.Rand, db *logdb.LogDb, c *Client) {
	t.Helper()
	o := logdb.KeyOptions{Segments: someRange(rng, 4), Limit: someBound(rng, 5)}
	o.Prefix = [][]byte{nil, []byte("a"), []byte("a\xff")}[rng.IntN(3)]
	o.After = [][]byte{nil, {}, []byte("a")}[rng.IntN(3)]
	var want, got []string
	for k, err := range db.ListKeys(t.Context(), o).All() {
		want = append(want, fmt.Sprintf("%+v %v", k, err))
	}
	for k, err := range c.ListKeys(t.Context(), o).All() {
		got = append(got, fmt.Sprintf("%+v %v", k, err))
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("keys of %+v:\n%v\nwant\n%v", o, got, want)
	}
}

// TestRequestsOfReads: a page is 4,096 entries or keys, or what the server gives,
// and a scan that ends where the log ends asks once.
func TestRequestsOfReads(t *testing.T) {
	w := newWorld(t, logdb.Options{Ack: logdb.Applied}, server.Options{})
	c := w.client(Options{}, nil)
	var many []string
	for i := range pageRecords + 10 {
		many = append(many, fmt.Sprintf("key-%05d", i), "v")
	}
	w.appended(many...)
	for i := 1; i < len(many); i += 2 {
		many[i-1] = "many"
	}
	w.appended(many...)
	w.appended("few", "1", "few", "2", "idle", "", "few", "3")
	w.appended("large", string(make([]byte, 2<<20)), "large", string(make([]byte, 2<<20)), "large", string(make([]byte, 2<<20)))
	scan := func(key string, r logdb.Range, o logdb.ScanOptions) func() int {
		return func() int {
			list, _, err := drain(c.Scan(t.Context(), []byte(key), r, o))
			if err != nil {
				t.Error(err)
			}
			return len(list)
		}
	}
	if err := w.db.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	tail := logdb.From(w.db.Frontier())
	for _, row := range []struct {
		name string
		f    func() int
		n    int
		want string
	}{
		{"a few entries", scan("few", logdb.Range{}, logdb.ScanOptions{}), 3, "Scan:1"},
		{"the first of them", scan("few", logdb.Range{}, logdb.ScanOptions{Records: logdb.AtMost(1)}), 1, "Scan:1"},
		{"the last of them", scan("few", logdb.Range{}, logdb.ScanOptions{Records: logdb.AtMost(1), Reverse: true}), 1, "Scan:1"},
		{"none of them", scan("few", logdb.Range{}, logdb.ScanOptions{Records: logdb.AtMost(0)}), 0, ""},
		{"no bytes of them", scan("few", logdb.Range{}, logdb.ScanOptions{Bytes: logdb.AtMost(0)}), 0, ""},
		{"an empty range", scan("few", logdb.Between(7, 7), logdb.ScanOptions{}), 0, ""},
		{"an unknown key", scan("unknown", logdb.Range{}, logdb.ScanOptions{}), 0, "Scan:1"},
		{"behind the end", scan("few", tail, logdb.ScanOptions{}), 0, "Scan:1"},
		{"two pages", scan("many", logdb.Range{}, logdb.ScanOptions{}), pageRecords + 10, "Scan:2"},
		{"two pages in reverse", scan("many", logdb.Range{}, logdb.ScanOptions{Reverse: true}), pageRecords + 10, "Scan:2"},
		{"what the server cuts after 3 MiB", scan("large", logdb.Range{}, logdb.ScanOptions{}), 3, "Scan:2"},
		{"what is in the bucket", scan("few", logdb.Range{}, logdb.ScanOptions{Visibility: logdb.Remote}), 3, "Scan:1"},
		{"keys", func() (n int) {
			for _, err := range c.ListKeys(t.Context(), logdb.KeyOptions{}).All() {
				if n++; err != nil {
					t.Error(err)
				}
			}
			return n
		}, pageRecords + 14, "ListKeys:2"},
	} {
		n := 0
		if got := w.requests(func() { n = row.f() }); n != row.n || got != row.want {
			t.Errorf("%s: %d with %q, want %d with %q", row.name, n, got, row.n, row.want)
		}
	}
}

// TestScanEndsWhileTheLogGrows: what comes after its first answer is not of a
// scan, so that it ends under a writer that is faster than it.
func TestScanEndsWhileTheLogGrows(t *testing.T) {
	w := newWorld(t, logdb.Options{Ack: logdb.Applied}, server.Options{})
	c := w.client(Options{}, nil)
	var many []string
	for range pageRecords {
		many = append(many, "k", "v")
	}
	w.appended(many...)
	w.appended(many...)
	it := c.Scan(t.Context(), []byte("k"), logdb.Range{}, logdb.ScanOptions{})
	n := 0
	for _, err := range it.All() {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n%pageRecords == 1 {
			w.appended(many...)
		}
	}
	if n != 2*pageRecords {
		t.Errorf("%d entries, want the %d that were there when it began", n, 2*pageRecords)
	}
}

// TestReadYourWrites: a gateway that has not seen an append yet is waited for, or
// says how far it is.
func TestReadYourWrites(t *testing.T) {
	w := newWorld(t, logdb.Options{Ack: logdb.Applied}, server.Options{})
	a := w.appended("k", "1")
	c := w.client(Options{Patience: time.Nanosecond}, nil)
	if n, err := c.AtLeast(a.Next).Count(t.Context(), []byte("k"), logdb.Range{}); n != 1 || err != nil {
		t.Errorf("%d, %v, want what was appended", n, err)
	}
	w.so.MaxWait = time.Millisecond
	w.restart()
	var behind *BehindError
	later := w.db.Frontier() + 1
	for what, err := range map[string]error{
		"count":    second(c.AtLeast(later).Count(t.Context(), []byte("k"), logdb.Range{})),
		"segments": second(c.AtLeast(later).ListSegments(t.Context(), logdb.Range{})),
		"keys":     first(c.AtLeast(later).ListKeys(t.Context(), logdb.KeyOptions{}).All()),
		"scan":     first(c.AtLeast(later).Scan(t.Context(), []byte("k"), logdb.Range{}, logdb.ScanOptions{}).All()),
	} {
		if !errors.As(err, &behind) || behind.Want != later || behind.Have != later-1 {
			t.Errorf("%s: %v, want that %d is not readable yet", what, err, later)
		}
	}
}

func second[A any](_ A, err error) error { return err }

func first[A any](seq func(func(A, error) bool)) (first error) {
	for _, err := range seq {
		return err
	}
	return nil
}

// TestContextErrorsAreBare: a caller that gave up is told its own error.
func TestContextErrorsAreBare(t *testing.T) {
	w := newWorld(t, logdb.Options{Ack: logdb.Applied}, server.Options{})
	c := w.client(Options{}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for what, err := range map[string]error{
		"append":   second(c.Append(ctx, records("k", "v"), logdb.AppendOptions{})),
		"count":    second(c.Count(ctx, []byte("k"), logdb.Range{})),
		"segments": second(c.ListSegments(ctx, logdb.Range{})),
		"keys":     first(c.ListKeys(ctx, logdb.KeyOptions{}).All()),
		"scan":     first(c.Scan(ctx, []byte("k"), logdb.Range{}, logdb.ScanOptions{}).All()),
	} {
		if err != context.Canceled {
			t.Errorf("%s: %v, want %v", what, err, context.Canceled)
		}
	}
	if n := w.db.Frontier(); n != 0 {
		t.Errorf("%d records were appended", n)
	}
}

// canned answers scans with what it is told to, and notes what it was asked.
type canned struct {
	logpb.LogServiceClient
	pages []*logpb.ScanResponse
	keys  []*logpb.KeysResponse
	asked []*logpb.ScanRequest
}

func (s *canned) Scan(_ context.Context, r *connect.Request[logpb.ScanRequest]) (*connect.Response[logpb.ScanResponse], error) {
	s.asked = append(s.asked, proto.Clone(r.Msg).(*logpb.ScanRequest))
	if len(s.pages) == 0 {
		return connect.NewResponse(&logpb.ScanResponse{}), nil
	}
	page := s.pages[0]
	s.pages = s.pages[1:]
	return connect.NewResponse(page), nil
}

func (s *canned) ListKeys(context.Context, *connect.Request[logpb.ListKeysRequest]) (*connect.Response[logpb.KeysResponse], error) {
	page := s.keys[0]
	if len(s.keys) > 1 {
		s.keys = s.keys[1:]
	}
	return connect.NewResponse(page), nil
}

// TestLaterPagesShowAsMuchAsTheFirst: behind a balancer the next page may be
// another server's, that has not seen as much yet: it has to wait, or the scan
// would end early without a word.
func TestLaterPagesShowAsMuchAsTheFirst(t *testing.T) {
	s := &canned{pages: []*logpb.ScanResponse{
		{Values: []*logpb.Value{{Sequence: 3}}, NextSequence: 4, TailSequence: 50},
		{Values: []*logpb.Value{{Sequence: 7}}, NextSequence: 8, TailSequence: 60},
	}}
	c := &Client{o: Options{}.withDefaults(), rpc: s}
	list, next, err := drain(c.AtLeast(2).Scan(t.Context(), []byte("k"), logdb.Range{}, logdb.ScanOptions{}))
	if fmt.Sprint(list) != "[3:k= 7:k=]" || next != 8 || err != nil {
		t.Errorf("%v, next %d, %v", list, next, err)
	}
	var asked []string
	for _, q := range s.asked {
		asked = append(asked, fmt.Sprintf("[%d,%d) of %d", q.StartSequence, q.GetEndSequence(), q.GetMinSequence()))
	}
	if want := "[[0,0) of 2 [4,50) of 50 [8,50) of 50]"; fmt.Sprint(asked) != want {
		t.Errorf("asked for %v, want %v", asked, want)
	}
	s.keys = []*logpb.KeysResponse{{Keys: []*logpb.Key{{Key: []byte("a")}}, NextAfter: []byte("a")}}
	if _, err := lastOf(c.ListKeys(t.Context(), logdb.KeyOptions{}).All()); err == nil {
		t.Error("keys that go on where they were are listed without end")
	}
}

func lastOf[A any](seq func(func(A, error) bool)) (last A, err error) {
	for last, err = range seq {
	}
	return last, err
}
