package server

import (
	"slices"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/logdb-go/logdb/logdb"
)

// Appends and scans are spans of the client's trace; shipments and flushes are
// their own, with the time that they took.
func TestSpans(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	tracer := sdk.NewTracerProvider(sdk.WithSpanProcessor(spans))
	f := newBenchOn(t, logdb.Options{Events: Listener(nil, tracer, nil)}, Options{Tracer: tracer})
	const client = "0af7651916cd43dd8448eb211c80319c"
	header := []string{"Traceparent", "00-" + client + "-b7ad6b7169203331-01"}
	f.json(200, "POST", "/api/v1/log/append?ack=remote", jsonBatch(false, "secret", "v"), header...)
	f.get("scan?key=secret", header...)
	if _, _, err := f.db.SealSegment(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	seen := func() (names []string) {
		for _, s := range spans.Ended() {
			names = append(names, s.Name())
		}
		return names
	}
	for _, name := range []string{"logdb.append", "logdb.scan", "logdb.shipment", "logdb.flush"} {
		eventually(t, name, func() bool { return slices.Contains(seen(), name) })
	}
	for _, s := range spans.Ended() {
		ours := s.SpanContext().TraceID().String() == client
		if want := s.Name() == "logdb.append" || s.Name() == "logdb.scan"; ours != want {
			t.Errorf("%s is in the trace %s", s.Name(), s.SpanContext().TraceID())
		}
		for _, a := range s.Attributes() {
			if a.Value.String() == "secret" {
				t.Errorf("%s tells the key", s.Name())
			}
		}
		if s.EndTime().Before(s.StartTime()) {
			t.Errorf("%s ends before it begins", s.Name())
		}
	}
}
