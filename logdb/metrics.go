package logdb

import (
	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
)

// Metrics is what a LogDb or a LogDbReader has done since it was opened, and
// where it stands. The maps belong to the caller.
type Metrics struct {
	// Requests to the bucket by kind: get, get_range, list, put, delete. A
	// store bills put and list as the dear ones.
	Requests map[string]uint64
	// RequestBytes by kind: bodies received by get and get_range, sent by put.
	RequestBytes map[string]uint64
	// RequestErrors by kind and outcome, such as put/precondition or
	// get/not_found. Many are answers and no failures: a look for new records
	// ends with a get/not_found.
	RequestErrors map[string]uint64

	// Retries by operation: open, fence, manifest, ship, flush, compact, collect
	// and read; of a reader refresh and read. All share one budget: while the
	// store fails, about 4 a second and one for every ten requests that it
	// answers.
	Retries map[string]uint64

	Cache CacheMetrics

	// LocalBytes are in the files of WALDir, StagedBytes of them in memtables
	// that were staged while the bucket was away.
	LocalBytes, StagedBytes int64

	// Exclusive sequences: everything below is applied, local, remote, in
	// tables. Of a reader, all but Flushed are its frontier.
	Applied, Local, Remote, Flushed uint64
}

// CacheMetrics tells how well the block cache does. Sizes are in bytes.
type CacheMetrics struct {
	DataBytes, DataBudget int64 // blocks of tables, unpacked
	DataHits, DataMisses  int64
	MetaBytes, MetaBudget int64 // indexes and filters
	KeptBytes             int64 // of both budgets, records that stay in memory after their flush while polls ask for them
	MetaHits, MetaMisses  int64
	Tables                int64 // whose index and filter are in memory
	DiskBytes, DiskBudget int64 // of the DiskCache
	DiskHits, DiskMisses  int64
	DiskFailures          int64 // pieces that could not be read, written, or believed
}

// Metrics returns the counters so far. Requests under way may be counted in part.
func (d *LogDb) Metrics() Metrics {
	m := newMetrics(d.bucket.Counts(), d.pulse, d.store.Cache.Stats(), d.disk.Stats())
	m.Applied, m.Local, m.Remote, m.Flushed = d.applied.get(), d.local.get(), d.remote.get(), d.flushed.get()
	if d.dir != nil {
		m.StagedBytes = d.dir.StagedBytes()
		m.LocalBytes = m.StagedBytes + d.committer.log.Size()
	}
	return m
}

// Metrics returns the counters so far. Requests under way may be counted in part.
func (r *LogDbReader) Metrics() Metrics {
	m := newMetrics(r.bucket.Counts(), r.pulse, r.store.Cache.Stats(), r.disk.Stats())
	s := r.snapshot.Load()
	m.Applied, m.Local, m.Remote, m.Flushed = s.frontier, s.frontier, s.frontier, s.flushed
	return m
}

func newMetrics(c objstore.Counts, p *pulse, s segment.CacheStats, disk segment.DiskStats) Metrics {
	return Metrics{
		Requests: c.Requests, RequestBytes: c.Bytes, RequestErrors: c.Errors, Retries: p.counts(),
		Cache: CacheMetrics{
			DataBytes: s.DataBytes, DataBudget: s.DataBudget, DataHits: s.DataHits, DataMisses: s.DataMisses,
			MetaBytes: s.MetaBytes, MetaBudget: s.MetaBudget, MetaHits: s.Hits, MetaMisses: s.Loads, Tables: s.Tables, KeptBytes: s.LentBytes,
			DiskBytes: disk.Bytes, DiskBudget: disk.Budget, DiskHits: disk.Hits, DiskMisses: disk.Misses, DiskFailures: disk.Failures,
		},
	}
}
