package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/logdb/server/logpb"
	"github.com/logdb-go/logdb/objstore"
)

// api answers the two requests that a load needs, from a log in memory. Its messages are made by other code than those
// of the client. Its sequences in JSON are numbers, or text as in the canonical mapping of protobuf.
type api struct {
	db     *logdb.LogDb
	quoted bool

	mu   sync.Mutex
	acks map[string]int // by what the address says, and whether the message waits
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/api/v1/log/append":
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = a.append(w, r, body)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	case "/api/v1/log/scan":
		a.scan(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (a *api) append(w http.ResponseWriter, r *http.Request, body []byte) error {
	m := &logpb.AppendRequest{}
	if r.Header.Get("Content-Type") == "application/protobuf" {
		if err := proto.Unmarshal(body, m); err != nil {
			return err
		}
	} else {
		var plain struct {
			Records []struct{ Key, Value []byte }
			Await   bool `json:"awaitDurable"`
		}
		if err := json.Unmarshal(body, &plain); err != nil {
			return err
		}
		m.AwaitDurable = plain.Await
		for _, p := range plain.Records {
			m.Records = append(m.Records, &logpb.Record{Key: p.Key, Value: p.Value})
		}
	}
	a.mu.Lock()
	a.acks[fmt.Sprint(r.URL.Query().Get("ack"), " ", m.AwaitDurable)]++
	a.mu.Unlock()
	var records []logdb.Record
	for _, x := range m.Records {
		records = append(records, logdb.Record{Key: x.Key, Value: x.Value})
	}
	done, err := a.db.Append(r.Context(), records, logdb.AppendOptions{Ack: logdb.Applied})
	if err != nil {
		return err
	}
	a.answer(w, r, &logpb.AppendResponse{Status: "success", RecordsAppended: int32(len(records)), StartSequence: done.First},
		map[string]any{"status": "success", "recordsAppended": len(records), "startSequence": a.number(done.First)})
	return nil
}

func (a *api) number(n uint64) any {
	if a.quoted {
		return strconv.FormatUint(n, 10)
	}
	return n
}

func (a *api) scan(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	from, _ := strconv.ParseUint(q.Get("start_seq"), 10, 64)
	limit, _ := strconv.ParseUint(q.Get("limit"), 10, 64)
	it := a.db.Scan(r.Context(), []byte(q.Get("key")), logdb.From(from), logdb.ScanOptions{Records: logdb.AtMost(limit)})
	defer it.Close()
	m := &logpb.ScanResponse{Status: "success", Key: []byte(q.Get("key"))}
	values := []any{}
	for it.Next() {
		e := it.Entry()
		m.Values = append(m.Values, &logpb.Value{Sequence: e.Sequence, Value: append([]byte{}, e.Value...)})
		values = append(values, map[string]any{"sequence": a.number(e.Sequence), "value": append([]byte{}, e.Value...)})
	}
	m.NextSequence = it.NextSequence()
	a.answer(w, r, m, map[string]any{"status": "success", "values": values, "nextSequence": a.number(m.NextSequence)})
}

func (a *api) answer(w http.ResponseWriter, r *http.Request, m proto.Message, plain any) {
	if r.Header.Get("Accept") != "application/protobuf" {
		_ = json.NewEncoder(w).Encode(plain)
		return
	}
	body, _ := proto.Marshal(m)
	_, _ = w.Write(body)
}

// Loads run against a server, in both formats, as against the library.
func TestServer(t *testing.T) {
	for name, quoted := range map[string]bool{"protobuf": false, "json": false, "json quoted": true} {
		t.Run(name, func(t *testing.T) {
			db, err := logdb.Open(t.Context(), objstore.NewMem(), logdb.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			a := &api{db: db, quoted: quoted, acks: map[string]int{}}
			s := httptest.NewServer(a)
			defer s.Close()
			place := &Place{Bucket: "mem:", Server: s.URL, JSON: name != "protobuf"}
			b := DefaultVerify()
			b.Records, b.Keys, b.Batch, b.Writers, b.Acks, b.Page = 1_010, 20, 50, 1, "applied=3,remote=1", 7
			run(t, &b, place)
			m := run(t, &b, place) // in a log that holds what the first has written
			m.want(t, "read_records", 1_010)
			if n := a.acks["applied false"] + a.acks["remote true"]; n != 2*22 || a.acks["remote true"] == 0 {
				t.Errorf("levels asked for: %v, want 44, applied and remote", a.acks)
			}
			if _, counted := m["read_gets"]; counted {
				t.Error("requests of a server to its bucket were reported, which nobody sees")
			}
			f := small()
			f.WarmUp, f.Measure, f.Writers, f.Followers, f.Prefill = 0, Span(200*time.Millisecond), 2, 50, 2
			m = run(t, &f, place)
			m.within(t, "poll_count", 10, 10_000)
			if _, counted := m["gets_per_poll"]; counted {
				t.Error("GETs of polls were reported, which nobody sees")
			}
		})
	}
}

// What a server refuses is told in its own words, and ends the run.
func TestServerRefuses(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "read only", http.StatusForbidden)
	}))
	defer s.Close()
	b := DefaultIngest()
	if _, err := b.Run(t.Context(), &Place{Bucket: "mem:", Server: s.URL}); err == nil || !strings.Contains(err.Error(), "403 Forbidden: read only") {
		t.Fatalf("error is %v, want what the server said", err)
	}
}

// Bytes that are no answer are an error.
func TestAnswersThatAreNone(t *testing.T) {
	for _, body := range []string{"\xff", "\x1a\xff", "\x1a\x02\x12\x7f", "\x0a"} {
		if _, err := decodeScanned([]byte(body)); err == nil {
			t.Errorf("%q was taken for a scan", body)
		}
	}
	if _, _, err := decodeAppended([]byte{0x18}); err == nil {
		t.Error("half a number was taken for an append")
	}
}
