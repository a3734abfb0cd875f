package bench

import "strings"

// meanings of metrics that have one name each.
var meanings = map[string]string{
	"records":                                   "records appended in the window",
	"record_bytes":                              "bytes of their keys and values",
	"window_seconds":                            "length of the window, until the last append returned",
	"records_per_second":                        "records appended per second of the window",
	"megabytes_per_second":                      "keys and values appended per second of the window",
	"cpu_seconds_per_gb":                        "processor time of the process in the window per GB, generator included",
	"generator_cpu_seconds_per_gb":              "what the generator alone takes of that: a dry run",
	"drained_cpu_seconds_per_gb":                "processor time until everything was merged, per GB",
	"drained_records_per_second":                "records over the window and the time to drain",
	"drain_seconds":                             "after the window: flush, seal and merge",
	"backlog_records":                           "records in no table when the window ended",
	"stolen_cpu_share":                          "of the processor time that the machine asked for, what its host gave to others",
	"rss_peak_bytes":                            "most memory that the process had resident",
	"polls_per_second":                          "polls that ended within the window",
	"polls_due_per_second":                      "polls that were due within the window",
	"polls_in_time_share":                       "those that ended within it: less than 1 in the long run is saturation",
	"consumed_records_per_second":               "records read by polls",
	"gets_per_poll":                             "GETs that polls asked for, per poll",
	"get_bytes_per_poll":                        "bytes that these received",
	"arrival_records_per_second":                "records appended beside the polls",
	"arrival_megabytes_per_second":              "keys and values appended beside the polls",
	"prefill_records_per_second":                "records of the pre-fill, drained, without the model",
	"cpu_cores":                                 "processor time per second, generator included",
	"puts_per_second":                           "PUTs per second",
	"gets_per_second":                           "all GETs per second, the writer's and those of readers in its process",
	"request_dollars_per_month":                 "requests of the writer's process, if the window lasted for 30 days; storage is not in it",
	"data_blocks_per_second":                    "data blocks that the reader did not have in memory",
	"gets_per_data_block":                       "GETs that polls asked for per such block",
	"reader_rss_peak_bytes":                     "most memory that the reader process had resident",
	"reader_memory_budget_bytes":                "the caches and the transfers of a reader and four memtables with their indexes, and Go's memory limit",
	"reader_cpu_cores":                          "processor time of the reader process per second",
	"reader_gets_per_second":                    "all GETs of the reader process",
	"reader_request_dollars_per_month":          "its requests, if the window lasted for 30 days",
	"baseline_put_megabytes_per_second":         "bare PUTs of 16 MiB, 8 at once",
	"baseline_ranged_gets_megabytes_per_second": "values per second if the same GETs are made bare, 16 at once",
	"baseline_same_gets_megabytes_per_second":   "the same, as many at once as the scan had",
	"long_cold_share_of_same_gets":              "speed of the cold scan over that",
	"long_cold_share_of_ranged_gets":            "speed of the cold scan over that of bare GETs, 16 at once",
	"killed_batches":                            "batches in the log of the writer that was killed",
	"tables":                                    "tables of the log",
	"wal_objects":                               "WAL objects that are in no table",
	"keys":                                      "keys of the log",
	"segments":                                  "sealed segments of the log",
	"write_requests":                            "requests while appending, of all kinds",
	"memory_budget_bytes":                       "four memtables with their indexes, the queue, the caches, the transfers and a merge of a writer, and Go's memory limit",
	"rss_at_rest_bytes":                         "memory of the writer with everything in tables",
	"rss_before_bytes":                          "memory of the process before the writer was opened",
	"cache_at_rest_bytes":                       "of that what the caches hold",
	"rest_bytes_per_key":                        "the rest without what the process had before, per key",
	"cache_budget_bytes":                        "what the reader's caches may hold",
	"count_get_bytes_per_segment":               "bytes that one count received, per segment",
	"writer_idle_requests_per_minute":           "requests of a writer that has nothing to do",
	"reader_requests_per_refresh":               "requests of a refresh that finds nothing new",
	"reader_idle_dollars_per_month":             "of refreshes, one a second",
	"puts":                                      "PUTs until everything was merged",
	"gets":                                      "GETs until everything was merged",
	"lists":                                     "LISTs until everything was merged",
	"deletes":                                   "DELETEs until everything was merged",
}

// families of metrics begin with the name of what was done.
var families = []struct{ prefix, meaning string }{
	{"ack_applied", "append until applied; open loop: from when it was due"},
	{"ack_local", "append until in the local WAL; open loop: from when it was due"},
	{"ack_remote", "append until in the bucket; open loop: from when it was due"},
	{"schedule_lag", "how long after it was due an append was begun"},
	{"baseline_put", "bare PUT of 4 KiB, 8 at once"},
	{"poll_service", "poll, from when it was begun"},
	{"poll_schedule_lag", "how long after it was due a poll was begun"},
	{"caught_up", "polls of followers whose last poll, one interval ago, left nothing"},
	{"lag_0", "polls that had nothing to find"},
	{"lag_1_to_9", "polls 1 to 9 records behind"},
	{"lag_10_to_99", "polls 10 to 99 records behind"},
	{"lag_100_to_999", "polls 100 to 999 records behind"},
	{"lag_1000_up", "polls 1,000 records behind or more"},
	{"poll", "poll, from when it was due"},
	{"cold_scan", "one key with a new reader"},
	{"warm_scan", "the same key with the same reader"},
	{"reverse_scan", "one key backward with a new reader"},
	{"baseline_round_trips", "the requests of the cold scan, bare, one after the other"},
	{"long_cold", "the long key with a new reader"},
	{"long_warm", "the long key again with the same reader"},
	{"long_reverse", "the long key backward with a new reader"},
	{"writer_create", "open of an empty bucket"},
	{"writer_open_after_kill", "open after the writer was killed"},
	{"writer_open", "open after the writer was closed"},
	{"reader_open", "open of a reader"},
	{"baseline_reader_open_round_trips", "the requests of that, bare, as many at once"},
	{"list_keys_cold", "all keys with a new reader"},
	{"list_keys_warm", "all keys again with the same reader"},
	{"count", "one key over all segments with a new reader"},
	{"bucket_read", "everything read back by a new reader"},
	{"read", "everything read back by the target itself"},
	{"window", "requests in the window, for the records of the window"},
	{"put", "requests until everything was merged"},
	{"request", "requests until everything was merged"},
}

// units are how names of metrics of a family end. The longest that fits says most.
var units = []struct{ suffix, unit string }{
	{"_p50_ms", "p50"}, {"_p90_ms", "p90"}, {"_p99_ms", "p99"}, {"_p99_9_ms", "p99.9"}, {"_max_ms", "longest"}, {"_count", "how many"},
	{"_gets_per_poll", "GETs of one"}, {"_gets_at_once", "GETs under way at once, the most"}, {"_gets_max", "GETs of one, the most"},
	{"_requests", "requests of all kinds"}, {"_gets", "GETs"}, {"_puts", "PUTs"}, {"_lists", "LISTs"}, {"_deletes", "DELETEs"},
	{"_megabytes_per_cpu_second", "values per second of processor time"}, {"_megabytes_per_second", "values per second"},
	{"_keys_per_second", "keys per second"}, {"_heap_growth_bytes", "most that the heap grew by"},
	{"_records_per_second", "records per second"}, {"_records", "records"},
	{"put_bytes_per_record_byte", "bytes put per byte of keys and values"}, {"put_bytes_per_gb", "bytes put per GB"},
	{"puts_per_gb", "PUTs per GB"}, {"request_dollars_per_gb", "dollars for requests per GB"},
}

// Meaning says in a few words what a metric is; "" for a name that no benchmark gives.
func Meaning(name string) string {
	if m, ok := meanings[name]; ok {
		return m
	}
	for _, f := range families {
		if !strings.HasPrefix(name, f.prefix) {
			continue
		}
		for _, u := range units {
			if strings.HasSuffix(name, u.suffix) {
				return f.meaning + ": " + u.unit
			}
		}
	}
	return ""
}
