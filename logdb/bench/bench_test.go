package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"testing/synctest"
	"time"
)

// TestMain lets the tests start this binary as a child.
func TestMain(m *testing.M) {
	if os.Getenv("LOGDB_BENCH_CHILD") != "" {
		if err := RunChild(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func memory() *Place { return &Place{Bucket: "mem:"} }

// files is a place with processes.
func files(t *testing.T) *Place {
	return &Place{Scratch: t.TempDir(), Log: LogOptions{WAL: true}, Child: func(ctx context.Context) *exec.Cmd {
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Env = append(os.Environ(), "LOGDB_BENCH_CHILD=1")
		return cmd
	}}
}

// run runs a benchmark whose result must be whole: no metric without a meaning.
func run(t *testing.T, b Benchmark, p *Place) Metrics {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	r, err := b.Run(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	for name := range r.Metrics {
		if Meaning(name) == "" {
			t.Errorf("metric %s has no meaning", name)
		}
	}
	if len(r.Digest) != 16 || r.Environment.CPUs == 0 || r.Seconds <= 0 || len(r.Parameters) < 10 {
		t.Errorf("result is not whole: %+v", r)
	}
	return r.Metrics
}

func (m Metrics) want(t *testing.T, name string, want float64) {
	t.Helper()
	if got, ok := m[name]; !ok || got != want {
		t.Errorf("%s is %v (known: %t), want %v", name, got, ok, want)
	}
}

func (m Metrics) within(t *testing.T, name string, low, high float64) {
	t.Helper()
	if got, ok := m[name]; !ok || got < low || got > high {
		t.Errorf("%s is %v (known: %t), want %v to %v", name, got, ok, low, high)
	}
}

// A scan of one key of a sealed segment costs two requests with nothing in memory, and none after that.
func TestScanCountsItsRequests(t *testing.T) {
	b := DefaultScan()
	b.Keys, b.Scans, b.LongBytes = 200, 5, 1<<20
	m := run(t, &b, memory())
	m.want(t, "cold_scan_gets", 2)
	m.want(t, "cold_scan_gets_max", 2)
	m.want(t, "warm_scan_gets", 0)
	m.want(t, "reverse_scan_gets", 2)
	m.want(t, "cold_scan_count", 5)
	m.want(t, "long_warm_gets", 0)
	m.within(t, "long_cold_gets", 2, 20)
	m.within(t, "long_reverse_gets", 2, 40)
}

// A reader opens with two requests and one for each WAL object, however many tables there are; a writer that was killed
// comes back with as many requests as one that was closed, if its records are in the local WAL.
func TestOpenCountsItsRequests(t *testing.T) {
	b := DefaultOpen()
	b.Kills, b.Tables, b.WALObjects, b.Opens = 0, 5, 3, 3
	m := run(t, &b, memory())
	m.want(t, "reader_open_requests", 2+3)
	m.want(t, "reader_open_count", 3)

	b.Kills, b.KillBytes, b.Batch = 2, 1<<20, 10
	m = run(t, &b, files(t))
	m.want(t, "reader_open_requests", 2+3)
	m.want(t, "writer_open_after_kill_count", 2)
	m.within(t, "writer_open_after_kill_requests", 5, 30)
	m.want(t, "killed_batches", float64((1<<20)/(10*272)+1))
}

// A log that nobody writes to asks for nothing; a reader that finds nothing new asks once.
func TestIdleAsksForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // settled is when everything sleeps, however slow the machine
		b := DefaultIdle()
		b.Refreshes = 7
		m := run(t, &b, memory())
		m.want(t, "writer_idle_requests_per_minute", 0)
		m.want(t, "reader_requests_per_refresh", 1)
	})
}

// Counting reads listings and no data.
func TestCountReadsNoData(t *testing.T) {
	b := DefaultKeys()
	b.Keys, b.Segments, b.Counts, b.ValueBytes = 500, 4, 3, 8<<10
	m := run(t, &b, memory())
	m.within(t, "count_get_bytes_per_segment", 500, 64<<10) // of 4 MB
	m.want(t, "list_keys_warm_gets", 0)
	m.within(t, "count_gets", 4, 8) // one or two of each segment
}

// Random bytes are put twice at most: as they come, and when their segment is sealed.
func TestIngestCountsWhatItPuts(t *testing.T) {
	b := DefaultIngest()
	b.Records, b.Duration, b.Keys, b.Writers = 20_050, 0, 1000, 3
	b.Acks, b.Baseline = "applied=2,local=1,remote=1", false
	m := run(t, &b, files(t))
	m.want(t, "records", 20_050)
	m.want(t, "record_bytes", 20_050*272)
	m.within(t, "put_bytes_per_record_byte", 1, 3.3)
	m.want(t, "ack_applied_count", float64(countLevel(b, "applied")))
	m.want(t, "ack_remote_count", float64(countLevel(b, "remote")))
	m.within(t, "puts", 3, 1000)
}

// countLevel says how many batches ask for a level.
func countLevel(b Ingest, level string) (n int) {
	shares, _ := parseAcks(b.Acks)
	for i := range (b.Records + uint64(b.Batch) - 1) / uint64(b.Batch) {
		if pick(shares, mix(b.Seed^i)).String() == level {
			n++
		}
	}
	return n
}

// The repository's data set compresses, as drawn here, and by less than repeating it would.
func TestIngestOfFlights(t *testing.T) {
	b := DefaultIngest()
	b.Records, b.Duration, b.Values, b.Data = 20_000, 0, Flights, "../../testdata/flights/flights-20k.json"
	m := run(t, &b, memory())
	m.want(t, "records", 20_000)
	m.within(t, "put_bytes_per_record_byte", 0.2, 1.5)
}

// The open loop appends at its rate and not faster: what is due in the window, and no more.
func TestIngestOpenLoop(t *testing.T) {
	b := DefaultIngest()
	b.Duration, b.MegabytesPerSecond, b.Writers = Span(500*time.Millisecond), 1, 2
	m := run(t, &b, memory())
	m.within(t, "records", 0, 19*100) // 1e6/27200 batches a second are 18 in half of one, and the first is due at once
	if m["records"] != 100*m["schedule_lag_count"] {
		t.Errorf("%v records were appended when %v batches were due", m["records"], m["schedule_lag_count"])
	}
}

// Records that fit into one memtable are put twice: as WAL objects, of which the first may be early, and as the one table
// of their segment, with two manifests.
func TestWriteAmplification(t *testing.T) {
	b := DefaultIngest()
	b.Records, b.Duration, b.Keys = 20_000, 0, 10
	p := memory()
	p.Log.ShipInterval, p.Log.FlushInterval = Span(time.Hour), Span(time.Hour)
	m := run(t, &b, p)
	m.within(t, "window_puts", 0, 1)
	m.within(t, "puts", 5, 7)
	m.want(t, "gets", 0)
	m.want(t, "lists", 0)
	m.within(t, "put_bytes_per_record_byte", 1.98, 2.02) // a table has the few keys once in each block
}

// What is written is what is read, from every reader there is.
func TestVerify(t *testing.T) {
	b := DefaultVerify()
	b.Records, b.Keys, b.Batch = 5_030, 97, 50
	m := run(t, &b, files(t))
	m.want(t, "records", 5_030)
	m.want(t, "read_records", 5_030)
	m.want(t, "bucket_read_records", 5_030)
}
