package server

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/logdb-go/logdb/logdb"
)

// figure is one metric that is read from the log when it is asked for.
type figure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(logdb.Metrics) float64
}

func gaugeOf(name, help string, of func(logdb.Metrics) float64) figure {
	return figure{prometheus.NewDesc(name, help, nil, nil), prometheus.GaugeValue, of}
}

func counterOf(name, help string, of func(logdb.Metrics) float64) figure {
	return figure{prometheus.NewDesc(name, help, nil, nil), prometheus.CounterValue, of}
}

var figures = []figure{
	gaugeOf("logdb_cache_data_bytes", "Unpacked blocks in the cache.", func(m logdb.Metrics) float64 { return float64(m.Cache.DataBytes) }),
	gaugeOf("logdb_cache_data_budget_bytes", "Room for blocks.", func(m logdb.Metrics) float64 { return float64(m.Cache.DataBudget) }),
	counterOf("logdb_cache_data_hits_total", "Blocks found in the cache.", func(m logdb.Metrics) float64 { return float64(m.Cache.DataHits) }),
	counterOf("logdb_cache_data_misses_total", "Blocks read from the bucket.", func(m logdb.Metrics) float64 { return float64(m.Cache.DataMisses) }),
	gaugeOf("logdb_cache_meta_bytes", "Indexes and filters in the cache.", func(m logdb.Metrics) float64 { return float64(m.Cache.MetaBytes) }),
	gaugeOf("logdb_cache_meta_budget_bytes", "Room for indexes and filters.", func(m logdb.Metrics) float64 { return float64(m.Cache.MetaBudget) }),
	counterOf("logdb_cache_meta_hits_total", "Indexes and filters found in the cache.", func(m logdb.Metrics) float64 { return float64(m.Cache.MetaHits) }),
	counterOf("logdb_cache_meta_misses_total", "Indexes and filters read from the bucket.", func(m logdb.Metrics) float64 { return float64(m.Cache.MetaMisses) }),
	gaugeOf("logdb_cache_tables", "Tables whose index and filter are in the cache.", func(m logdb.Metrics) float64 { return float64(m.Cache.Tables) }),
	gaugeOf("logdb_local_bytes", "Files in the WAL directory.", func(m logdb.Metrics) float64 { return float64(m.LocalBytes) }),
	gaugeOf("logdb_staged_bytes", "Of these, memtables that were staged while the bucket was away.", func(m logdb.Metrics) float64 { return float64(m.StagedBytes) }),
	gaugeOf("logdb_unshipped_sequences", "Sequences applied and not yet in the bucket.", func(m logdb.Metrics) float64 { return float64(m.Applied - min(m.Remote, m.Applied)) }),
	gaugeOf("logdb_unflushed_sequences", "Sequences applied and not yet in tables.", func(m logdb.Metrics) float64 { return float64(m.Applied - min(m.Flushed, m.Applied)) }),
}

var (
	watermarkDesc  = prometheus.NewDesc("logdb_watermark_sequence", "Exclusive sequence below which every record has come so far. The lag of a reader is applied of its writer less frontier of its own.", []string{"level"}, nil)
	requestDesc    = prometheus.NewDesc("logdb_store_requests_total", "Requests to the bucket. A store bills put and list as the dear ones.", []string{"kind"}, nil)
	errorDesc      = prometheus.NewDesc("logdb_store_errors_total", "Requests that were answered otherwise than with success. Many are answers, such as not_found at the end of the WAL.", []string{"kind", "outcome"}, nil)
	retryDesc      = prometheus.NewDesc("logdb_store_retries_total", "Requests that were repeated, by operation.", []string{"operation"}, nil)
	bytesDesc      = prometheus.NewDesc("logdb_store_bytes_total", "Bytes received by get and get_range, and sent by put.", []string{"kind"}, nil)
	costDesc       = prometheus.NewDesc("logdb_store_cost_dollars_total", "What the requests have cost, estimated by a price list. Storage and traffic are not in it.", nil, nil)
	healthDesc     = prometheus.NewDesc("logdb_health", "1 for the state that the log is in.", []string{"state"}, nil)
	readyDesc      = prometheus.NewDesc("logdb_ready", "1 while appends can be expected to be acknowledged; of a gateway, while reads are as fresh as promised.", nil, nil)
	lagRecordsDesc = prometheus.NewDesc("logdb_unshipped_records", "Records applied and not known to be in the bucket.", nil, nil)
	lagBytesDesc   = prometheus.NewDesc("logdb_unshipped_bytes", "Bytes of them in the WAL.", nil, nil)
	lagAgeDesc     = prometheus.NewDesc("logdb_unshipped_age_seconds", "How long ago the oldest of them was applied.", nil, nil)
	walObjectsDesc = prometheus.NewDesc("logdb_wal_objects", "Objects that the next open would have to read. At 1,024 appends are held back.", nil, nil)
	refreshDesc    = prometheus.NewDesc("logdb_refresh_age_seconds", "Of a gateway, how long ago its last look that went well began.", nil, nil)
	segmentsDesc   = prometheus.NewDesc("logdb_segments", "Retained segments.", nil, nil)
	recordsDesc    = prometheus.NewDesc("logdb_retained_records", "Records in retained segments.", nil, nil)
	retainedDesc   = prometheus.NewDesc("logdb_retained_bytes", "Bytes of keys and values in retained segments.", nil, nil)
	oldestDesc     = prometheus.NewDesc("logdb_oldest_segment_timestamp_seconds", "When the oldest retained segment was begun.", nil, nil)
	lastRecordDesc = prometheus.NewDesc("logdb_last_record_timestamp_seconds", "Append time of the newest record that is readable here.", nil, nil)
	writableDesc   = prometheus.NewDesc("logdb_up", "1 while the log takes what this server is for: appends, or reads if it is read-only.", nil, nil)
)

// logCollector reads the log's own figures when Prometheus asks.
type logCollector struct{ s *Server }

// Describe sends no descriptions: which figures there are depends on the log.
func (c *logCollector) Describe(chan<- *prometheus.Desc) {}

func (c *logCollector) Collect(out chan<- prometheus.Metric) {
	m := c.s.log.Metrics()
	for _, f := range figures {
		out <- prometheus.MustNewConstMetric(f.desc, f.kind, f.of(m))
	}
	for level, sequence := range map[string]uint64{
		"applied": m.Applied, "local": m.Local, "remote": m.Remote, "flushed": m.Flushed, "frontier": c.s.log.Frontier(),
	} {
		out <- prometheus.MustNewConstMetric(watermarkDesc, prometheus.GaugeValue, float64(sequence), level)
	}
	counters(out, requestDesc, m.Requests)
	counters(out, bytesDesc, m.RequestBytes)
	counters(out, retryDesc, m.Retries)
	for _, name := range slices.Sorted(maps.Keys(m.RequestErrors)) {
		kind, outcome, _ := strings.Cut(name, "/")
		out <- prometheus.MustNewConstMetric(errorDesc, prometheus.CounterValue, float64(m.RequestErrors[name]), kind, outcome)
	}
	if c.s.o.Meter.price != nil {
		out <- prometheus.MustNewConstMetric(costDesc, prometheus.CounterValue, c.s.o.Meter.cost(m.Requests))
	}
	up := 1.0
	if c.s.standing() != nil {
		up = 0
	}
	out <- prometheus.MustNewConstMetric(writableDesc, prometheus.GaugeValue, up)
	c.health(out)
	c.segments(out)
}

func (c *logCollector) health(out chan<- prometheus.Metric) {
	h := c.s.log.Health()
	for state := logdb.Healthy; state <= logdb.Closed; state++ {
		is := 0.0
		if h.State == state {
			is = 1
		}
		out <- prometheus.MustNewConstMetric(healthDesc, prometheus.GaugeValue, is, state.String())
	}
	ready := 0.0
	if h.Ready {
		ready = 1
	}
	for desc, v := range map[*prometheus.Desc]float64{
		readyDesc: ready, lagRecordsDesc: float64(h.Lag.Records), lagBytesDesc: float64(h.Lag.Bytes), lagAgeDesc: h.Lag.Age.Seconds(),
		walObjectsDesc: float64(h.Lag.WALObjects), refreshDesc: h.Lag.Refresh.Seconds(),
	} {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v)
	}
}

func counters(out chan<- prometheus.Metric, d *prometheus.Desc, counts map[string]uint64) {
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(counts[kind]), kind)
	}
}

// segments reads the newest view, and no request.
func (c *logCollector) segments(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	list, err := c.s.log.ListSegments(ctx, logdb.Range{})
	if err != nil {
		return
	}
	records, size := uint64(0), uint64(0)
	for _, x := range list {
		records, size = records+x.Records, size+x.Bytes
	}
	out <- prometheus.MustNewConstMetric(segmentsDesc, prometheus.GaugeValue, float64(len(list)))
	out <- prometheus.MustNewConstMetric(recordsDesc, prometheus.GaugeValue, float64(records))
	out <- prometheus.MustNewConstMetric(retainedDesc, prometheus.GaugeValue, float64(size))
	if len(list) > 0 {
		out <- prometheus.MustNewConstMetric(oldestDesc, prometheus.GaugeValue, float64(list[0].Opened.UnixMilli())/1e3)
		out <- prometheus.MustNewConstMetric(lastRecordDesc, prometheus.GaugeValue, float64(list[len(list)-1].Last.UnixMilli())/1e3)
	}
}
