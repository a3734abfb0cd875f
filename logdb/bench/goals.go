package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Row is a line of the table of goals: some cases that run one after the other, several times, and what is wanted of the
// medians of their figures.
type Row struct {
	Name  string
	Title string
	// Cases; the first is what the goal is about, the others are baselines.
	Cases []Case
	Goals []Goal
	Show  []string // figures that the page has beside those of the goals
	// Charts are what the page draws: each is some figures of one unit, of every case.
	Charts [][]string
}

// Case is one command line.
type Case struct {
	Name string
	Args []string // of logdb bench, or of jetbench
	Jet  bool     // runs JetStream
}

// Goal compares a figure of the row's first case with a limit.
type Goal struct {
	Figure string
	AtMost bool // else at least
	// The limit is Times * Of + Plus; Of is another figure, of the case of that index.
	Times float64
	Of    string
	Case  int
	Plus  float64
}

func atLeast(figure string, limit float64) Goal { return Goal{Figure: figure, Plus: limit} }
func atMost(figure string, limit float64) Goal {
	return Goal{Figure: figure, AtMost: true, Plus: limit}
}

// String writes a goal as people do.
func (g Goal) String() string {
	sign := ">="
	if g.AtMost {
		sign = "<="
	}
	if g.Of == "" {
		return fmt.Sprintf("%s %s %s", g.Figure, sign, number(g.Plus))
	}
	s := fmt.Sprintf("%s %s %g x %s", g.Figure, sign, g.Times, g.Of)
	if g.Case > 0 {
		s += " of the baseline"
	}
	if g.Plus != 0 {
		s += " + " + number(g.Plus)
	}
	return s
}

// met compares; known is false where a figure is missing.
func (g Goal) met(cases []Metrics) (limit float64, met, known bool) {
	limit = g.Plus
	if g.Of != "" {
		if g.Case >= len(cases) {
			return 0, false, false
		}
		of, ok := cases[g.Case][g.Of]
		if !ok {
			return 0, false, false
		}
		limit += g.Times * of
	}
	got, ok := cases[0][g.Figure]
	if !ok {
		return limit, false, false
	}
	if g.AtMost {
		return limit, got <= limit, true
	}
	return limit, got >= limit, true
}

func args(s string) []string { return strings.Fields(s) }

// Goals returns the table. Quick makes every row small: to see that it runs, and not for its figures.
func Goals(quick bool) []Row {
	rows := slices.Concat(ingestRows(), amplificationRows(), ackRows(), followerRows(), readRows())
	if !quick {
		return rows
	}
	for i := range rows {
		for j := range rows[i].Cases {
			c := &rows[i].Cases[j]
			c.Args = append(slices.Clone(c.Args), quickArgs(c.Args, c.Jet)...)
		}
	}
	return rows
}

// quickArgs make a case small; of a flag that is given twice the last counts.
func quickArgs(of []string, jet bool) []string {
	switch of[0] {
	case "ingest":
		if jet {
			return args("--duration 300ms")
		}
		return args("--duration 300ms --memtable 4MiB")
	case "followers":
		return args("--keys 1000 --followers 500 --mb-per-second 0.2 --prefill 3 --poll 100ms --offline-for 200ms --warm-up 200ms --measure 500ms")
	case "scan":
		if slices.Contains(of, "--long-bytes") {
			return args("--keys 100 --scans 2 --long-bytes 1MiB")
		}
		return args("--keys 100 --scans 2")
	case "open":
		if slices.Contains(of, "0") { // no kills
			return args("--tables 20 --opens 2")
		}
		return args("--kills 1 --kill-bytes 1MiB --tables 2 --opens 1")
	case "keys":
		return args("--keys 500 --segments 2 --counts 2")
	case "idle":
		return args("--settle 0s --window 100ms --refreshes 3")
	default: // verify
		return args("--records 5000")
	}
}

// budget is met by a process that holds no more than its log may.
var budget = Goal{Figure: "rss_peak_bytes", AtMost: true, Times: 1, Of: "memory_budget_bytes"}

const steady = " --seal-bytes 64GiB --seal-interval 24h"

func ingestRows() []Row {
	var rows []Row
	for _, r := range []struct {
		name   string
		keys   int
		faster float64
		puts   float64
	}{{"10", 10, 600_000, 2.05}, {"100k", 100_000, 600_000, 2.10}, {"1m", 1_000_000, 450_000, 2.20}} {
		load := fmt.Sprintf("ingest --batch 100 --value-size 256 --keys %d --writers 2 --duration 60s --acks applied", r.keys)
		rows = append(rows, Row{
			Name: "ingest-" + r.name, Title: fmt.Sprintf("Ingest at applied, 256 B x 100, %s keys, files, sealed after the window", number(float64(r.keys))),
			Cases: []Case{{Name: "LogDb", Args: args(load + steady + " --baseline")}, {Name: "JetStream", Args: args(load), Jet: true}},
			Goals: []Goal{atLeast("records_per_second", r.faster), atMost("put_bytes_per_record_byte", r.puts), budget},
			Show: []string{"megabytes_per_second", "cpu_seconds_per_gb", "generator_cpu_seconds_per_gb", "ack_applied_p50_ms", "ack_applied_p99_ms", "backlog_records",
				"drain_seconds", "drained_records_per_second", "puts_per_gb", "baseline_put_megabytes_per_second"},
			Charts: [][]string{{"records_per_second"}, {"cpu_seconds_per_gb", "generator_cpu_seconds_per_gb"}},
		})
	}
	return append(rows, Row{
		Name: "ingest-steady", Title: "Ingest at applied, 100,000 keys, sealed and merged as it goes",
		Cases: []Case{{Name: "LogDb", Args: args("ingest --batch 100 --value-size 256 --keys 100000 --writers 2 --duration 120s --acks applied")}},
		Goals: []Goal{atLeast("drained_records_per_second", 350_000), budget},
		Show:  []string{"records_per_second", "cpu_seconds_per_gb", "drained_cpu_seconds_per_gb", "put_bytes_per_record_byte", "backlog_records", "drain_seconds"},
	}, Row{
		Name: "ingest-local", Title: "Single records at local, 64 at once",
		Cases: []Case{{Name: "LogDb", Args: args("ingest --batch 1 --value-size 256 --keys 100000 --writers 64 --duration 30s --acks local --wal")}},
		Show:  []string{"records_per_second", "ack_local_p50_ms", "ack_local_p99_ms", "cpu_seconds_per_gb", "puts_per_gb"},
	})
}

func amplificationRows() []Row {
	var rows []Row
	for _, r := range []struct {
		name string
		keys int
		puts float64
	}{{"10", 10, 3.06}, {"100k", 100_000, 3.12}, {"1m", 1_000_000, 3.25}} {
		rows = append(rows, Row{
			Name: "trickle-" + r.name, Title: fmt.Sprintf("Bytes put per byte of random records, 1 MB/s, %s keys", number(float64(r.keys))),
			Cases: []Case{{Name: "LogDb", Args: args(fmt.Sprintf("ingest --mb-per-second 1 --keys %d --duration 300s --writers 4 --acks applied", r.keys))}},
			Goals: []Goal{atMost("put_bytes_per_record_byte", r.puts)},
			Show:  []string{"puts_per_gb", "request_dollars_per_gb", "rss_peak_bytes"},
		})
	}
	return append(rows, Row{
		Name: "compressed", Title: "Bytes put per byte of flights like those of the data set, full ingest",
		Cases: []Case{{Name: "LogDb", Args: args("ingest --values flights --writers 2 --duration 30s --acks applied")}},
		Goals: []Goal{atMost("put_bytes_per_record_byte", 1)},
		Show:  []string{"records_per_second", "megabytes_per_second", "cpu_seconds_per_gb", "puts_per_gb", "rss_peak_bytes"},
	})
}

func ackRows() []Row {
	row := func(name, title, load string, p50, p99 float64) Row {
		return Row{
			Name: name, Title: title,
			Cases: []Case{{Name: "LogDb", Args: args("ingest --acks remote --model s3-standard --keys 1000 --duration 60s --baseline " + load)}},
			Goals: []Goal{
				{Figure: "ack_remote_p50_ms", AtMost: true, Times: p50, Of: "baseline_put_p50_ms"},
				{Figure: "ack_remote_p99_ms", AtMost: true, Times: p99, Of: "baseline_put_p99_ms"},
			},
			Show:   []string{"ack_remote_p99_9_ms", "records_per_second", "megabytes_per_second", "schedule_lag_p99_ms", "window_puts", "request_dollars_per_month", "rss_peak_bytes"},
			Charts: [][]string{{"baseline_put_p50_ms", "ack_remote_p50_ms", "baseline_put_p99_ms", "ack_remote_p99_ms"}},
		}
	}
	return []Row{
		row("remote-quiet", "Remote acks, ten records a second, S3 model", "--batch 1 --writers 16 --mb-per-second 0.00272", 1.3, 1.5),
		row("remote-20mb", "Remote acks under 20 MB/s, S3 model", "--batch 100 --writers 256 --mb-per-second 20", 2, 3),
	}
}

func followerRows() []Row {
	show := []string{"poll_p90_ms", "poll_p99_9_ms", "poll_service_p50_ms", "poll_service_p99_ms", "poll_schedule_lag_p99_ms", "polls_due_per_second", "polls_in_time_share", "gets_per_poll",
		"lag_0_gets_per_poll", "lag_1_to_9_gets_per_poll", "lag_10_to_99_gets_per_poll", "lag_100_to_999_gets_per_poll", "lag_0_poll_p50_ms", "lag_1_to_9_poll_p50_ms", "lag_10_to_99_poll_p50_ms",
		"arrival_megabytes_per_second", "cpu_cores", "rss_peak_bytes", "request_dollars_per_month", "reader_cpu_cores", "reader_rss_peak_bytes", "reader_request_dollars_per_month"}
	charts := [][]string{
		{"poll_p50_ms", "poll_p90_ms", "poll_p99_ms", "poll_p99_9_ms"},
		{"lag_0_gets_per_poll", "lag_1_to_9_gets_per_poll", "lag_10_to_99_gets_per_poll", "lag_100_to_999_gets_per_poll"},
	}
	const bare = "followers --batch 100 --value-size 256 --page 100 --poll 10s --offline 0.02 --offline-for 1m --prefill 4 --followers 50000 --writers 64 --warm-up 30s --measure 90s"
	const load = bare + " --model s3-standard --cache 1GiB"
	var rows []Row
	for _, reader := range []string{ByWriter, ByProcess} {
		with := " --reader " + reader
		rows = append(rows, Row{
			Name: "followers-" + reader, Title: "50,000 followers of 1,000,000 keys beside 20 MB/s, S3 model, read by the " + reader,
			Cases: []Case{
				{Name: "1,000,000 keys", Args: args(load + with + " --keys 1000000 --mb-per-second 20")},
				{Name: "1,000 keys", Args: args(load + with + " --keys 1000 --mb-per-second 0.02")}, // each with the arrivals it has above
			},
			Goals: []Goal{
				atMost("poll_p50_ms", 2), atMost("poll_p99_ms", 50), atMost("caught_up_gets_per_poll", 0.001), atMost("gets_per_data_block", 1.1),
				{Figure: "poll_p50_ms", AtMost: true, Times: 1.2, Of: "poll_p50_ms", Case: 1, Plus: 0.1},
			},
			Show: show, Charts: charts,
		})
	}
	held := Goal{Figure: "reader_rss_peak_bytes", AtMost: true, Times: 1, Of: "reader_memory_budget_bytes"}
	rows[0].Goals, rows[1].Goals = append(rows[0].Goals, budget), append(rows[1].Goals, budget, held)
	rows[0].Cases = append(rows[0].Cases, Case{Name: "JetStream, 1,000,000 keys", Args: args(bare + " --keys 1000000 --mb-per-second 20"), Jet: true})
	const keys = bare + " --model s3-standard --cache 1GiB --reader writer --keys 100000 --mb-per-second 2 --warm-up 30s --measure 60s"
	const behind = "followers --reader process --keys 10000 --followers 10000 --mb-per-second 5 --poll 5s --offline 0.2 --offline-for 30s --prefill 500 --from-start --page 100 --model s3-standard --cache 256MiB --at-once 256 --warm-up 10s --measure 60s"
	return append(rows, Row{
		Name: "followers-100k", Title: "50,000 followers of 100,000 keys, S3 model, read by the writer (scenario A between)",
		Cases: []Case{{Name: "100,000 keys", Args: args(keys)}}, // with the arrivals that each key has above
		Show:  append([]string{"poll_p50_ms", "poll_p99_ms", "caught_up_gets_per_poll"}, show...),
	}, Row{
		Name: "followers-behind", Title: "Followers far behind: each has 500 records to catch up with, by process, S3 model (scenarios B and C)",
		Cases: []Case{{Name: "far behind", Args: args(behind)}, {Name: "segments of 64 MiB", Args: args(behind + " --seal-bytes 64MiB")}},
		Goals: []Goal{atMost("gets_per_data_block", 1.1), budget, held},
		Show:  append([]string{"poll_p50_ms", "poll_p99_ms", "data_blocks_per_second"}, show...),
	})
}

func readRows() []Row {
	return []Row{
		{
			Name: "scan-cold", Title: "Cold scan of one key, 100 records, sealed segment, S3 model",
			Cases:  []Case{{Name: "LogDb", Args: args("scan --keys 1000 --records 100 --scans 300 --model s3-standard")}},
			Goals:  []Goal{atMost("cold_scan_gets_max", 2), {Figure: "cold_scan_p50_ms", AtMost: true, Times: 1.15, Of: "baseline_round_trips_p50_ms"}},
			Show:   []string{"cold_scan_p99_ms", "baseline_round_trips_p99_ms", "warm_scan_p50_ms", "warm_scan_gets", "reverse_scan_p50_ms", "reverse_scan_gets"},
			Charts: [][]string{{"baseline_round_trips_p50_ms", "cold_scan_p50_ms", "reverse_scan_p50_ms", "warm_scan_p50_ms"}},
		}, {
			Name: "scan-long", Title: "Scan of one long key, 1 GiB, S3 model",
			Cases:  []Case{{Name: "LogDb", Args: args("scan --keys 10 --records 10 --scans 1 --long-bytes 1GiB --seal-bytes 8GiB --cache 3GiB --model s3-standard")}},
			Goals:  []Goal{atLeast("long_cold_share_of_ranged_gets", 0.8), atLeast("long_warm_megabytes_per_cpu_second", 1000)},
			Show:   []string{"long_cold_megabytes_per_second", "baseline_ranged_gets_megabytes_per_second", "baseline_same_gets_megabytes_per_second", "long_cold_gets", "long_cold_gets_at_once", "long_warm_megabytes_per_second", "long_warm_gets", "long_reverse_megabytes_per_second", "rss_peak_bytes"},
			Charts: [][]string{{"baseline_ranged_gets_megabytes_per_second", "long_cold_megabytes_per_second", "long_reverse_megabytes_per_second", "long_warm_megabytes_per_second"}},
		}, {
			Name: "list-keys", Title: "ListKeys of 1,000,000 keys",
			Cases: []Case{{Name: "LogDb", Args: args("keys --keys 1000000 --segments 1 --value-size 16")}},
			Goals: []Goal{atLeast("list_keys_warm_keys_per_second", 1e6), {Figure: "list_keys_warm_heap_growth_bytes", AtMost: true, Times: 1, Of: "cache_budget_bytes"}},
			Show:  []string{"list_keys_cold_keys_per_second", "list_keys_cold_gets", "list_keys_cold_heap_growth_bytes", "rss_peak_bytes"},
		}, {
			Name: "memory", Title: "Memory at rest with 1,000,000 keys, and small budgets for everything else",
			Cases: []Case{{Name: "LogDb", Args: args("keys --keys 1000000 --segments 1 --value-size 16 --memtable 8MiB --cache 8MiB")}},
			Goals: []Goal{atMost("rest_bytes_per_key", 100), budget},
			Show:  []string{"rss_at_rest_bytes", "rss_before_bytes", "cache_at_rest_bytes"},
		}, {
			Name: "count", Title: "Count of one key over 100 segments of 4 MB, S3 model: no data is read",
			Cases: []Case{{Name: "LogDb", Args: args("keys --keys 1000 --segments 100 --value-size 4096 --counts 20 --model s3-standard")}},
			Goals: []Goal{atMost("count_get_bytes_per_segment", 64<<10)},
			Show:  []string{"count_gets", "count_p50_ms", "count_p99_ms"},
		}, {
			Name: "reader-open", Title: "Open of a reader over 10,000 tables and 10 WAL objects, S3 model",
			Cases: []Case{{Name: "LogDb", Args: args("open --bucket mem: --kills 0 --tables 10000 --wal-objects 10 --opens 50 --batch 10 --model s3-standard")}},
			Goals: []Goal{
				{Figure: "reader_open_requests", AtMost: true, Times: 1, Of: "wal_objects", Plus: 4},
				{Figure: "reader_open_p50_ms", AtMost: true, Times: 1, Of: "baseline_reader_open_round_trips_p50_ms", Plus: 200},
			},
			Show: []string{"reader_open_p99_ms", "reader_open_gets", "reader_open_lists", "rss_peak_bytes"},
		}, {
			Name: "writer-open", Title: "Open of a writer that was killed with 64 MB in its local WAL",
			Cases: []Case{{Name: "LogDb", Args: args("open --wal --kills 10 --kill-bytes 64MB --tables 10 --wal-objects 1 --opens 10 --batch 10")}},
			Show:  []string{"writer_open_after_kill_p50_ms", "writer_open_after_kill_max_ms", "writer_open_after_kill_requests", "writer_open_p50_ms", "writer_open_requests", "writer_create_requests", "killed_batches"},
		}, {
			Name: "idle", Title: "A log that nobody uses",
			Cases: []Case{{Name: "LogDb", Args: args("idle")}},
			Goals: []Goal{atMost("writer_idle_requests_per_minute", 0), atMost("reader_requests_per_refresh", 1)},
			Show:  []string{"reader_idle_dollars_per_month"},
		}, {
			Name: "verify", Title: "1,000,000 records written and read back, with their hashes",
			Cases: []Case{{Name: "LogDb", Args: args("verify --records 1000000 --keys 10000 --writers 4")}},
			Show:  []string{"records_per_second", "read_records_per_second", "bucket_read_records_per_second", "bucket_read_gets", "write_requests"},
		},
	}
}

// ListGoals writes the table: names, goals and command lines.
func ListGoals(w io.Writer) error {
	for _, r := range Goals(false) {
		if _, err := fmt.Fprintf(w, "%s: %s\n", r.Name, r.Title); err != nil {
			return err
		}
		for _, g := range r.Goals {
			if _, err := fmt.Fprintf(w, "    goal: %s\n", g); err != nil {
				return err
			}
		}
		for _, c := range r.Cases {
			if _, err := fmt.Fprintf(w, "    %s: %s\n", c.Name, c.command()); err != nil {
				return err
			}
		}
	}
	return nil
}

// command is the line that runs a case by itself.
func (c Case) command() string {
	if c.Jet {
		return "jetbench " + strings.Join(c.Args, " ")
	}
	return "logdb bench " + strings.Join(c.Args, " ")
}
