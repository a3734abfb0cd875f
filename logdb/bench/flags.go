package bench

import (
	"context"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Benchmark is one of the benchmarks, with its parameters.
type Benchmark interface {
	// Flags adds the parameters to a command line; their values then are the defaults.
	Flags(*flag.FlagSet)
	// Run runs the benchmark. A mistake in the parameters is found before anything is written.
	Run(context.Context, *Place) (*Result, error)
}

// Kind is a benchmark by its name.
type Kind struct {
	Name, Short string
	New         func() Benchmark // with the default parameters
}

// Kinds returns all benchmarks.
func Kinds() []Kind {
	return []Kind{
		{"ingest", "Append, as fast as it goes or at a given rate", func() Benchmark { b := DefaultIngest(); return &b }},
		{"followers", "Many keys, each followed at its own pace, beside the writer", func() Benchmark { b := DefaultFollowers(); return &b }},
		{"scan", "Read one key, cold and warm, and one that is long", func() Benchmark { b := DefaultScan(); return &b }},
		{"open", "Open a writer after a kill, and a reader over many tables", func() Benchmark { b := DefaultOpen(); return &b }},
		{"verify", "Write, read everything back, and compare hashes", func() Benchmark { b := DefaultVerify(); return &b }},
		{"keys", "List and count keys, and see what memory they take", func() Benchmark { b := DefaultKeys(); return &b }},
		{"idle", "See what a log costs that nobody uses", func() Benchmark { b := DefaultIdle(); return &b }},
	}
}

// Flags adds the places to a command line.
func (p *Place) Flags(f *flag.FlagSet) {
	f.StringVar(&p.Bucket, "bucket", p.Bucket, "bucket `URL`: mem:, file:dir, s3://bucket/prefix?endpoint=; the run writes below a prefix of its own and deletes it (default: files in a new directory)")
	f.StringVar(&p.Model, "model", p.Model, "slow the bucket down: `s3-standard[:SEED]`")
	f.StringVar(&p.Scratch, "scratch", p.Scratch, "`directory` for what the run writes (default: the system's)")
	f.StringVar(&p.Server, "server", p.Server, "drive the server at this `address` instead of the library")
	f.BoolVar(&p.JSON, "json-messages", p.JSON, "speak JSON with the server, not protobuf")
	o := &p.Log
	f.BoolVar(&o.WAL, "wal", o.WAL, "give the writer a local write-ahead log")
	f.Var((*sizeFlag)(&o.MemtableBytes), "memtable", "flush the memtable at this `size`")
	f.Var((*sizeFlag)(&o.CacheBytes), "cache", "`size` of the block cache")
	f.Var((*spanFlag)(&o.SealInterval), "seal-interval", "seal segments at this `age`")
	f.Var((*sizeFlag)(&o.SealBytes), "seal-bytes", "seal segments at this `size`")
	f.Var((*spanFlag)(&o.ShipInterval), "ship-interval", "ship every `interval`")
	f.Var((*spanFlag)(&o.FlushInterval), "flush-interval", "flush every `interval`")
	f.BoolVar(&o.WithoutConsolidation, "no-consolidation", o.WithoutConsolidation, "leave the tables of sealed segments as they are")
	f.Var((*spanFlag)(&o.RefreshInterval), "refresh", "have readers look for new records every `interval`")
}

// Flags adds the workload to a command line.
func (w *Workload) Flags(f *flag.FlagSet) {
	f.Uint64Var(&w.Seed, "seed", w.Seed, "draw the load from this `number`")
	f.IntVar(&w.Batch, "batch", w.Batch, "`records` of one append")
	f.IntVar(&w.Keys, "keys", w.Keys, "`number` of keys")
	f.IntVar(&w.KeyBytes, "key-size", w.KeyBytes, "`bytes` of a key")
	f.IntVar(&w.ValueBytes, "value-size", w.ValueBytes, "`bytes` of a value")
	f.StringVar(&w.Values, "values", w.Values, "`kind` of values: random, text, or flights")
	f.StringVar(&w.Data, "data", "testdata/flights/flights-20k.json", "`file` that flights are drawn from")
}

// Flags implements Benchmark.
func (b *Ingest) Flags(f *flag.FlagSet) {
	b.Workload.Flags(f)
	f.IntVar(&b.Writers, "writers", b.Writers, "`number` of appends under way at once, at most")
	f.Float64Var(&b.MegabytesPerSecond, "mb-per-second", b.MegabytesPerSecond, "append at this rate of keys and values, in `MB/s`, and not as fast as it goes")
	f.Var((*spanFlag)(&b.Duration), "duration", "append for this `time`")
	f.Uint64Var(&b.Records, "records", b.Records, "append at most this `number`")
	f.StringVar(&b.Acks, "acks", b.Acks, "wait for this `level`: applied, local or remote, or shares like applied=90,remote=10")
	f.BoolVar(&b.Baseline, "baseline", b.Baseline, "measure bare PUTs afterwards")
}

// Flags implements Benchmark.
func (b *Followers) Flags(f *flag.FlagSet) {
	b.Workload.Flags(f)
	f.StringVar(&b.Scenario, "scenario", b.Scenario, "run the variants of a `letter`: A (keys), B (lag) or C (segments)")
	f.Float64Var(&b.MegabytesPerSecond, "mb-per-second", b.MegabytesPerSecond, "rate of arrivals, keys and values, in `MB/s`")
	f.IntVar(&b.Writers, "writers", b.Writers, "`number` of appends under way at once, at most")
	f.StringVar(&b.Acks, "acks", b.Acks, "`level` of appends: applied, local or remote, or shares")
	f.IntVar(&b.Followers, "followers", b.Followers, "`number` of followers")
	f.StringVar(&b.Reader, "reader", b.Reader, "`who` reads: writer (itself), reader (in the writer's process), or process (a reader of its own)")
	f.IntVar(&b.Page, "page", b.Page, "`records` of one poll, at most")
	f.IntVar(&b.AtOnce, "at-once", b.AtOnce, "`number` of polls under way at once, at most")
	f.Var((*spanFlag)(&b.Interval), "poll", "median `time` between two polls of a follower")
	f.Float64Var(&b.Spread, "poll-sigma", b.Spread, "`sigma` of its log-normal distribution")
	f.Float64Var(&b.Offline, "offline", b.Offline, "`share` of followers that are offline at any moment")
	f.Var((*spanFlag)(&b.OfflineFor), "offline-for", "`time` that a follower is offline")
	f.BoolVar(&b.DrainAtOnce, "drain-at-once", b.DrainAtOnce, "read the next page at once after a full one")
	f.IntVar(&b.Prefill, "prefill", b.Prefill, "`records` of each key before the run")
	f.BoolVar(&b.FromStart, "from-start", b.FromStart, "followers have read nothing of the pre-fill")
	f.Var((*spanFlag)(&b.WarmUp), "warm-up", "`time` before the window")
	f.Var((*spanFlag)(&b.Measure), "measure", "`time` of the window")
}

// Flags implements Benchmark.
func (b *Scan) Flags(f *flag.FlagSet) {
	b.Workload.Flags(f)
	f.IntVar(&b.Records, "records", b.Records, "`records` of a key")
	f.IntVar(&b.Scans, "scans", b.Scans, "`number` of scans")
	f.Var((*sizeFlag)(&b.LongBytes), "long-bytes", "`size` of the values of one long key; 0: none")
	f.IntVar(&b.AtOnce, "gets-at-once", b.AtOnce, "bare GETs under way at once, of the long scan's baseline: `number`")
}

// Flags implements Benchmark.
func (b *Open) Flags(f *flag.FlagSet) {
	b.Workload.Flags(f)
	f.IntVar(&b.Kills, "kills", b.Kills, "kill a writer process this `number` of times")
	f.Var((*sizeFlag)(&b.KillBytes), "kill-bytes", "`size` of what it has written then")
	f.IntVar(&b.Tables, "tables", b.Tables, "`number` of tables that a reader opens")
	f.IntVar(&b.WALObjects, "wal-objects", b.WALObjects, "`number` of WAL objects that are in no table")
	f.IntVar(&b.Opens, "opens", b.Opens, "`number` of opens of a reader")
}

// Flags implements Benchmark.
func (b *Verify) Flags(f *flag.FlagSet) {
	b.Workload.Flags(f)
	f.IntVar(&b.Writers, "writers", b.Writers, "`number` of writers, each with keys of its own")
	f.Uint64Var(&b.Records, "records", b.Records, "`number` of records")
	f.StringVar(&b.Acks, "acks", b.Acks, "`level` of appends: applied, local or remote, or shares")
	f.IntVar(&b.Page, "page", b.Page, "`records` of one read, at most")
	f.IntVar(&b.AtOnce, "at-once", b.AtOnce, "`number` of reads under way at once")
}

// Flags implements Benchmark.
func (b *Keys) Flags(f *flag.FlagSet) {
	b.Workload.Flags(f)
	f.IntVar(&b.Segments, "segments", b.Segments, "`number` of segments, each with a record of each key")
	f.IntVar(&b.Counts, "counts", b.Counts, "`number` of counts of one key")
}

// Flags implements Benchmark.
func (b *Idle) Flags(f *flag.FlagSet) {
	b.Workload.Flags(f)
	f.Var((*spanFlag)(&b.Settle), "settle", "`time` until the collector has done its work")
	f.Var((*spanFlag)(&b.Window), "window", "`time` in which requests are counted")
	f.IntVar(&b.Refreshes, "refreshes", b.Refreshes, "`number` of refreshes of a reader")
}

// spanFlag is a Span on a command line.
type spanFlag Span

func (s *spanFlag) String() string { return time.Duration(*s).String() }

func (s *spanFlag) Set(text string) error {
	d, err := time.ParseDuration(text)
	*s = spanFlag(d)
	return err
}

// sizeFlag is a number of bytes on a command line: 4096, 64KiB, 20MB.
type sizeFlag int64

func (s *sizeFlag) String() string { return strconv.FormatInt(int64(*s), 10) }

func (s *sizeFlag) Set(text string) error {
	unit := int64(1)
	for i, suffix := range []string{"KiB", "MiB", "GiB", "kB", "MB", "GB"} {
		if number, ok := strings.CutSuffix(text, suffix); ok {
			unit = []int64{1 << 10, 1 << 20, 1 << 30, 1e3, 1e6, 1e9}[i]
			text = number
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n < 0 || n > (1<<62)/unit {
		return fmt.Errorf("size %q, want a number, or one with kB, MB, GB, KiB, MiB or GiB", text)
	}
	*s = sizeFlag(n * unit)
	return nil
}
