package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/logdb-go/logdb/logdb/bench"
)

func jetbench(t *testing.T, args string) *bench.Result {
	t.Helper()
	var out bytes.Buffer
	if err := run(t.Context(), append(strings.Fields(args), "--scratch", t.TempDir()), &out); err != nil {
		t.Fatal(err)
	}
	r := &bench.Result{}
	if err := json.Unmarshal(out.Bytes(), r); err != nil {
		t.Fatal(err)
	}
	return r
}

// What is published is what is read back, in its order, whatever way it was published.
func TestVerify(t *testing.T) {
	for _, how := range []string{"", " --atomic", " --sync-always"} {
		r := jetbench(t, "verify --records 2030 --keys 50 --batch 20 --page 7"+how)
		if r.Metrics["records"] != 2030 || r.Metrics["read_records"] != 2030 {
			t.Errorf("%s: figures are %v, want 2030 records written and read", how, r.Metrics)
		}
		if !strings.HasPrefix(r.Target, "jetstream") {
			t.Errorf("target is %q", r.Target)
		}
	}
}

// The same loads run as against a LogDb.
func TestLoads(t *testing.T) {
	r := jetbench(t, "ingest --records 3000 --duration 0s --keys 100")
	if r.Metrics["records"] != 3000 || r.Metrics["cpu_seconds_per_gb"] <= 0 {
		t.Errorf("figures are %v, want 3000 records and their cost", r.Metrics)
	}
	r = jetbench(t, "followers --keys 100 --followers 200 --mb-per-second 0.5 --poll 50ms --offline-for 100ms --warm-up 100ms --measure 300ms --from-start --page 5")
	if r.Metrics["poll_count"] == 0 || r.Metrics["consumed_records_per_second"] == 0 {
		t.Errorf("figures are %v, want polls that found something", r.Metrics)
	}
}

// What JetStream cannot do is said.
func TestMistakes(t *testing.T) {
	for _, args := range []string{"", "scan", "ingest --model s3-standard", "ingest extra"} {
		if err := run(t.Context(), strings.Fields(args), &bytes.Buffer{}); err == nil {
			t.Errorf("%q ran, want an error", args)
		}
	}
}
