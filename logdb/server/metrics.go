package server

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/logdb-go/logdb/logdb"
)

// Metrics counts what a Server and its log do. No label has a value that a
// client can choose: no key, no path, no address.
//
// The four log_ counters and the three http_ metrics have the names and labels
// of OpenData Log's server. METRICS.md has all of them.
type Metrics struct {
	registry *prometheus.Registry

	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	flying    prometheus.Gauge

	appendRecords, appendBytes prometheus.Counter
	scanRecords, scanBytes     prometheus.Counter
	acks                       *prometheus.HistogramVec
	failures                   *prometheus.CounterVec
	followers, waiters         prometheus.Gauge
	background                 *prometheus.HistogramVec
	backgroundBytes            *prometheus.CounterVec

	price func(requests map[string]uint64) float64
}

// latencies are seconds from 100 us to 30 s: an append at applied takes
// microseconds, one at remote as long as the bucket.
var latencies = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// NewMetrics returns metrics with a registry of their own, for one Server.
func NewMetrics() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		m.registry.MustRegister(c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		m.registry.MustRegister(g)
		return g
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
		m.registry.MustRegister(h)
		return h
	}
	m.requests = counter("http_requests_total", "Requests answered.", "method", "endpoint", "status")
	m.durations = histogram("http_request_duration_seconds", "Time to answer a request; of followers, how long they stayed.",
		prometheus.ExponentialBuckets(.001, 2, 14), "method", "endpoint")
	m.flying = gauge("http_requests_in_flight", "Requests being answered, followers included.")
	m.appendRecords = counter("log_append_records_total", "Records appended.").WithLabelValues()
	m.appendBytes = counter("log_append_bytes_total", "Bytes of keys and values appended.").WithLabelValues()
	m.scanRecords = counter("log_records_scanned_total", "Records read for clients.").WithLabelValues()
	m.scanBytes = counter("log_bytes_scanned_total", "Bytes of keys and values read for clients.").WithLabelValues()
	m.acks = histogram("logdb_append_seconds", "Time from append to acknowledgement, by the level that was asked for.", latencies, "ack")
	m.failures = counter("logdb_append_failures_total", "Appends that were not acknowledged, by error code; of code pending, the records may be in the log.", "code")
	m.followers = gauge("logdb_followers", "Clients that follow.")
	m.waiters = gauge("logdb_waiting_requests", "Scans that wait for records.")
	m.background = histogram("logdb_background_seconds", "Time of work in the background: shipment, flush, merge.", latencies, "work")
	m.backgroundBytes = counter("logdb_background_bytes_total", "Bytes written by work in the background.", "work")
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Price makes m tell what the requests to the store have cost. price returns
// dollars for counts by kind, as in logdb.Metrics.Requests. It must be called
// before the Server is asked for anything.
func (m *Metrics) Price(price func(requests map[string]uint64) float64) { m.price = price }

// cost is 0 where no price is known.
func (m *Metrics) cost(requests map[string]uint64) float64 {
	if m.price == nil {
		return 0
	}
	return m.price(requests)
}

// Handler serves the metrics in Prometheus' format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

func (m *Metrics) attach(s *Server) { m.registry.MustRegister(&logCollector{s}) }

func (m *Metrics) appended(records, bytes int, level logdb.Durability, took time.Duration, err error) {
	if err != nil {
		m.failures.WithLabelValues(translate(err).code).Inc()
		return
	}
	m.appendRecords.Add(float64(records))
	m.appendBytes.Add(float64(bytes))
	m.acks.WithLabelValues(level.String()).Observe(took.Seconds())
}

func (m *Metrics) scanned(records, bytes int) {
	m.scanRecords.Add(float64(records))
	m.scanBytes.Add(float64(bytes))
}

// following and waiting count one until the function that they return is called.
func (m *Metrics) following() func() { m.followers.Inc(); return m.followers.Dec }
func (m *Metrics) waiting() func()   { m.waiters.Inc(); return m.waiters.Dec }

// methods that may be a label; all others are one.
var methods = map[string]bool{"GET": true, "HEAD": true, "POST": true, "PUT": true, "DELETE": true, "OPTIONS": true, "PATCH": true}

// count counts the requests of one endpoint.
func (m *Metrics) count(endpoint string, h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if !methods[method] {
			method = "other"
		}
		c := &counted{ResponseWriter: w, status: http.StatusOK}
		m.flying.Inc()
		begun := time.Now()
		defer func() { // also when the answer was cut off
			m.flying.Dec()
			m.requests.WithLabelValues(method, endpoint, strconv.Itoa(c.status)).Inc()
			m.durations.WithLabelValues(method, endpoint).Observe(time.Since(begun).Seconds())
		}()
		h(c, r)
	})
}

// counted remembers the status.
type counted struct {
	http.ResponseWriter
	status int
}

func (c *counted) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

// Unwrap gives http.ResponseController what is below.
func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// Flush is for those who ask for an http.Flusher.
func (c *counted) Flush() { _ = http.NewResponseController(c.ResponseWriter).Flush() }
