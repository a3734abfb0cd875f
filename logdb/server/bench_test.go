package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/logdb/server/logpb"
)

// cpu is what the process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

const benchRecords = 100

// appendBench runs f for batches of 100 records of 256 B, and reports CPU for
// each record, of all goroutines of the process.
func appendBench(b *testing.B, f func(s *Server, records []logdb.Record) func()) {
	db := newBenchOn(b, logdb.Options{Ack: logdb.Applied}, Options{})
	records := make([]logdb.Record, benchRecords)
	for i := range records {
		records[i] = logdb.Record{Key: []byte("some/key/" + string(rune('a'+i%26))), Value: []byte(strings.Repeat("v", 256))}
	}
	once := f(db.s, records)
	b.ReportAllocs()
	b.ResetTimer()
	begun := cpu(b)
	for range b.N {
		once()
	}
	b.ReportMetric(float64(cpu(b)-begun)/float64(b.N*benchRecords), "cpu-ns/record")
}

// What the library costs, and what the handler adds, without a connection: in
// protobuf and in JSON. A connection and net/http come on top, the same for
// every batch.
func BenchmarkAppend(b *testing.B) {
	b.Run("library", func(b *testing.B) {
		appendBench(b, func(s *Server, records []logdb.Record) func() {
			return func() {
				if _, err := s.db.Append(context.Background(), records, logdb.AppendOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
	message := func(records []logdb.Record) *logpb.AppendRequest {
		m := &logpb.AppendRequest{}
		for _, r := range records {
			m.Records = append(m.Records, &logpb.Record{Key: r.Key, Value: r.Value})
		}
		return m
	}
	handler := func(kind string) func(s *Server, records []logdb.Record) func() {
		return func(s *Server, records []logdb.Record) func() {
			m := message(records)
			text := string(appendJSON(nil, m.ProtoReflect(), false))
			if kind == typeProtobuf {
				raw, err := proto.Marshal(m)
				if err != nil {
					b.Fatal(err)
				}
				text = string(raw)
			}
			return func() {
				r := httptest.NewRequest("POST", "/api/v1/log/append", strings.NewReader(text))
				r.Header.Set("Content-Type", kind)
				w := &recorder{header: http.Header{}}
				if s.ServeHTTP(w, r); w.status != 0 && w.status != 200 {
					b.Fatal(w.body.String())
				}
			}
		}
	}
	b.Run("protobuf", func(b *testing.B) { appendBench(b, handler(typeProtobuf)) })
	b.Run("json", func(b *testing.B) { appendBench(b, handler(typeJSON)) })
}

// The whole way of a protobuf append over a connection, client included.
func BenchmarkAppendOverHTTP(b *testing.B) {
	f := newBenchOn(b, logdb.Options{Ack: logdb.Applied}, Options{})
	var pairs []string
	for range benchRecords {
		pairs = append(pairs, "some/key", strings.Repeat("v", 256))
	}
	m := &logpb.AppendRequest{}
	for i := 0; i < len(pairs); i += 2 {
		m.Records = append(m.Records, &logpb.Record{Key: []byte(pairs[i]), Value: []byte(pairs[i+1])})
	}
	raw, err := proto.Marshal(m)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	begun := cpu(b)
	for range b.N {
		if status, body, _ := f.do("POST", "/api/v1/log/append", string(raw), "Content-Type", typeProtobuf); status != 200 {
			b.Fatalf("%d %s", status, body)
		}
	}
	b.ReportMetric(float64(cpu(b)-begun)/float64(b.N*benchRecords), "cpu-ns/record")
}
