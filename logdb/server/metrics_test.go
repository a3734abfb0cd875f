package server

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace/noop"

	"github.com/logdb-go/logdb/logdb"
)

// families returns the metrics that a server exports, with their kinds.
func families(t *testing.T, f *bench) map[string]string {
	t.Helper()
	got, err := f.s.o.Meter.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{}
	for _, m := range got {
		kinds[m.GetName()] = strings.ToLower(m.GetType().String())
		for _, x := range m.GetMetric() {
			for _, l := range x.GetLabel() {
				if strings.Contains(l.GetValue(), "secret") {
					t.Errorf("%s has the label %v", m.GetName(), l)
				}
			}
		}
	}
	return kinds
}

// The table lists what there is, no more and no less, and no label is a
// client's: keys, paths and methods that clients make up do not show.
func TestMetricsAreDocumented(t *testing.T) {
	meter := NewMetrics()
	meter.Price(func(map[string]uint64) float64 { return 1 })
	f := newBenchOn(t, logdb.Options{Ack: logdb.Applied, Events: Listener(meter, noop.NewTracerProvider(), nil)}, Options{Meter: meter})
	f.json(200, "POST", "/api/v1/log/append?ack=remote", jsonBatch(false, "secret", "v"))
	f.json(400, "POST", "/api/v1/log/append", "{}")
	f.json(413, "POST", "/api/v1/log/append", jsonBatch(false, strings.Repeat("k", 64<<10+1), "v"))
	f.get("scan?key=secret")
	f.json(404, "GET", "/api/v1/log/secret", "")
	f.do("SECRET", "/api/v1/log/scan", "")
	if _, _, err := f.db.SealSegment(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*`) \\| (\\w+) \\|").FindAllStringSubmatch(string(page), -1) {
		for _, name := range strings.Split(row[1], ", ") {
			documented[strings.Trim(name, "`")] = row[2]
		}
	}
	kinds := families(t, f)
	optional := []string{"logdb_store_retries_total", "logdb_store_errors_total", "logdb_background_seconds", "logdb_background_bytes_total"} // appear with the first
	for name, kind := range kinds {
		if !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") && documented[name] != kind {
			t.Errorf("%s is a %s, and documented as %q", name, kind, documented[name])
		}
	}
	for name := range documented {
		if kinds[name] == "" && !slices.Contains(optional, name) {
			t.Errorf("%s is documented and not there", name)
		}
	}
}

// The requests to the store and their price are those that the log counted.
func TestTheBillIsTheLogs(t *testing.T) {
	meter := NewMetrics()
	meter.Price(func(requests map[string]uint64) float64 { return float64(requests["put"]) / 8 })
	f := newBenchOn(t, logdb.Options{}, Options{Meter: meter})
	f.appended("k", "v")
	f.flushed()
	if puts := f.metric(`logdb_store_requests_total{kind="put"}`); puts == "" || puts == "0" {
		t.Errorf("%q puts", puts)
	}
	if f.metric(`logdb_watermark_sequence{level="remote"}`) != "1" || f.metric("logdb_up") != "1" || f.metric("logdb_retained_records") != "1" {
		t.Error("the log's figures are not there")
	}
	if f.metric("logdb_store_cost_dollars_total") == "" {
		t.Error("no price")
	}
}

// The admin address has metrics, profiles and the log level, which changes.
func TestAdmin(t *testing.T) {
	level := new(slog.LevelVar)
	f := newBench(t, Options{})
	h := Admin(f.s, level)
	ask := func(method, path, body string) (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
		return w.Code, w.Body.String()
	}
	if code, body := ask("GET", "/metrics", ""); code != 200 || !strings.Contains(body, "logdb_up 1") {
		t.Errorf("metrics: %d", code)
	}
	if code, body := ask("GET", "/loglevel", ""); code != 200 || body != "info\n" {
		t.Errorf("level: %d %q", code, body)
	}
	if code, body := ask("PUT", "/loglevel", "debug\n"); code != 200 || body != "debug\n" || level.Level() != slog.LevelDebug {
		t.Errorf("level: %d %q, %v", code, body, level)
	}
	if code, _ := ask("PUT", "/loglevel", "loud"); code != http.StatusBadRequest || level.Level() != slog.LevelDebug {
		t.Errorf("a level that is none: %d", code)
	}
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/goroutine?debug=1", "/healthz", "/readyz"} {
		if code, _ := ask("GET", path, ""); code != 200 {
			t.Errorf("%s: %d", path, code)
		}
	}
	tk, _ := tokens(t, "a one read\n")
	h = Admin(newBench(t, Options{Tokens: tk}).s, level)
	if code, _ := ask("GET", "/metrics", ""); code != 401 {
		t.Errorf("metrics without a token: %d", code)
	}
	if code, _ := ask("GET", "/readyz", ""); code != 200 {
		t.Errorf("health wants a token: %d", code)
	}
}
