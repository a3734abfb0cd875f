package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/objstore"
)

// Place is where a benchmark runs. The zero Place is the library over a new directory of the system's.
type Place struct {
	// Bucket is the URL of the bucket, as objstore.Open takes it. The run writes below a prefix of its own and deletes
	// it afterwards. "" is a new file bucket below Scratch.
	Bucket string
	// Model slows the bucket down as [ModelFormula] says: "", "s3-standard" or "s3-standard:SEED".
	Model string
	// Scratch is where directories are made: "" is the system's place for such.
	Scratch string
	// Log says how the library's logs are set up.
	Log LogOptions
	// Server is the address of a server to drive instead of the library, such as "http://127.0.0.1:8080"; JSON makes
	// its messages JSON instead of protobuf. What a server does to its bucket is not seen from here.
	Server string
	JSON   bool
	// Other opens any other target; dir is an empty directory. Name then names it in results.
	Other func(ctx context.Context, dir string) (Target, error)
	Name  string
	// Child makes a command that runs this program again so that it calls [RunChild]. Benchmarks of more than
	// one process fail without it.
	Child func(ctx context.Context) *exec.Cmd
	// Progress is told now and then what is being done. nil tells nobody.
	Progress func(line string)
}

// LogOptions set up a LogDb or LogDbReader; zero fields are the library's defaults.
type LogOptions struct {
	WAL                  bool  `json:"wal"` // a local write-ahead log, in Scratch
	MemtableBytes        int64 `json:"memtable_bytes,omitempty"`
	CacheBytes           int64 `json:"cache_bytes,omitempty"`
	SealInterval         Span  `json:"seal_interval_seconds,omitempty"`
	SealBytes            int64 `json:"seal_bytes,omitempty"`
	ShipInterval         Span  `json:"ship_interval_seconds,omitempty"`
	FlushInterval        Span  `json:"flush_interval_seconds,omitempty"`
	WithoutConsolidation bool  `json:"without_consolidation,omitempty"`
	RefreshInterval      Span  `json:"refresh_interval_seconds,omitempty"` // of readers
}

// Span is a time.Duration that is seconds in JSON.
type Span time.Duration

// MarshalJSON implements json.Marshaler.
func (s Span) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, time.Duration(s).Seconds(), 'g', -1, 64), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *Span) UnmarshalJSON(data []byte) error {
	seconds, err := strconv.ParseFloat(string(data), 64)
	*s = Span(seconds * float64(time.Second))
	return err
}

// warnings are shown: a bucket that is full, or away, would look like a slow run.
var warnings = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))

func (o LogOptions) writer(walDir string) logdb.Options {
	w := logdb.Options{
		Logger:       warnings,
		ShipInterval: time.Duration(o.ShipInterval), FlushInterval: time.Duration(o.FlushInterval),
		Memory: logdb.Memory{Memtable: o.MemtableBytes, Cache: o.CacheBytes},
		Segments: logdb.SegmentOptions{
			Interval: time.Duration(o.SealInterval), Bytes: o.SealBytes, NoConsolidation: o.WithoutConsolidation,
		},
	}
	if o.WAL {
		w.WALDir = walDir
	}
	if m := o.MemtableBytes; m > 0 && m < 64<<20 { // the default of the limits is a quarter of that
		w.Limits.BatchBytes = int(m / 4)
		w.Limits.ValueBytes = int(m / 4)
	}
	return w
}

// budget is what a writer with these options may hold.
func (o LogOptions) budget() int64 { return o.writer("").Memory.Budget() }

func (o LogOptions) reader() logdb.ReaderOptions {
	return logdb.ReaderOptions{Logger: warnings, RefreshInterval: time.Duration(o.RefreshInterval), Cache: o.CacheBytes}
}

func (p *Place) say(format string, args ...any) {
	if p.Progress != nil {
		p.Progress(fmt.Sprintf(format, args...))
	}
}

// target names what is driven.
func (p *Place) target() string {
	switch {
	case p.Other != nil:
		return p.Name
	case p.Server != "" && p.JSON:
		return "http json"
	case p.Server != "":
		return "http protobuf"
	default:
		return "library"
	}
}

// site is a Place in use, by one run.
type site struct {
	*Place
	dir    string // of the run alone
	url    string // bucket and
	prefix string // the run's part of it
	store  *store
	base   objstore.Bucket // the same without model and counters
	clean  []func() error
}

// site makes a directory and a part of the bucket for one run.
func (p *Place) site(ctx context.Context) (*site, error) {
	dir, err := os.MkdirTemp(p.Scratch, "logdb-bench-")
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	s := &site{Place: p, dir: dir, url: p.Bucket}
	s.clean = append(s.clean, func() error { return os.RemoveAll(dir) })
	if s.url == "" {
		u := url.URL{Scheme: "file", Path: filepath.ToSlash(filepath.Join(dir, "bucket"))}
		s.url = u.String()
	} else if s.url != "mem:" {
		s.prefix = fmt.Sprintf("bench-%d-%d", time.Now().UnixNano(), os.Getpid())
	}
	if err := s.connect(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if s.prefix != "" {
		s.clean = append(s.clean, func() error { return empty(context.WithoutCancel(ctx), s.base) })
	}
	return s, nil
}

// connect opens the run's part of the bucket.
func (s *site) connect(ctx context.Context) error {
	b, err := objstore.Open(ctx, s.url)
	if err != nil {
		return err
	}
	s.base = objstore.WithPrefix(b, s.prefix)
	s.store, err = newStore(s.base, s.Model)
	return err
}

// part is a site for one of several logs of a run.
func (s *site) part(name string) (*site, error) {
	store, err := newStore(objstore.WithPrefix(s.base, name), s.Model)
	if err != nil {
		return nil, err
	}
	return &site{
		Place: s.Place, dir: filepath.Join(s.dir, name), url: s.url, prefix: path.Join(s.prefix, name),
		store: store, base: objstore.WithPrefix(s.base, name),
	}, nil
}

// build makes a log as set up, at the speed of the bucket without its model, has f fill it, and closes it.
func (s *site) build(ctx context.Context, f func(*library) error) error {
	d, err := logdb.Open(ctx, s.base, s.Log.writer(s.walDir()))
	if err != nil {
		return err
	}
	err = f(&library{db: d})
	if closed := d.Close(); err == nil {
		err = closed
	}
	return err
}

// run runs a benchmark of the library's at a place, and cleans up.
func (p *Place) run(ctx context.Context, name string, parameters any, f func(*site, *Result) error) (*Result, error) {
	s, err := p.site(ctx)
	if err != nil {
		return nil, err
	}
	r, err := s.result(name, parameters)
	if err == nil {
		if p.target() == "library" {
			defer limit(p.Log.budget())()
		}
		err = f(s, r)
	}
	if cleaned := s.close(); err == nil {
		err = cleaned
	}
	if err != nil {
		return nil, err
	}
	if p.target() == "library" {
		r.Metrics["memory_budget_bytes"] = float64(p.Log.budget())
	}
	return r.end(), nil
}

// unseen is what a process has resident beside what Go's collector counts, its code above all, and what the collector is
// late by: a few buffers of the size of a memtable.
func unseen(budget int64) int64 { return 100<<20 + budget/32 }

// limit makes Go's collector keep to a budget until it is undone, as a program does that holds little but a log. What the
// environment says comes first.
func limit(budget int64) (undo func()) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	was := debug.SetMemoryLimit(budget - unseen(budget))
	return func() { debug.SetMemoryLimit(was) }
}

// empty deletes what a run wrote into a bucket that others use.
func empty(ctx context.Context, b objstore.Bucket) error {
	for info, err := range b.List(ctx, "", "") {
		if err != nil {
			return fmt.Errorf("bench: clean up: %w", err)
		}
		if err := b.Delete(ctx, info.Name); err != nil {
			return fmt.Errorf("bench: clean up: %w", err)
		}
	}
	return nil
}

func (s *site) close() error {
	var errs []error
	for i := len(s.clean) - 1; i >= 0; i-- {
		errs = append(errs, s.clean[i]())
	}
	return errors.Join(errs...)
}

func (s *site) walDir() string { return filepath.Join(s.dir, "wal") }

// library opens the library's writer at the site.
func (s *site) library(ctx context.Context) (*library, error) {
	d, err := logdb.Open(ctx, s.store, s.Log.writer(s.walDir()))
	if err != nil {
		return nil, err
	}
	return &library{db: d}, nil
}

// only fails for a target other than the library.
func (p *Place) only(benchmark string) error {
	if p.Other != nil || p.Server != "" {
		return fmt.Errorf("bench: %s runs against the library only, not against %s", benchmark, p.target())
	}
	return nil
}

// open opens the target of the site.
func (s *site) open(ctx context.Context) (Target, error) {
	switch {
	case s.Other != nil:
		return s.Other(ctx, filepath.Join(s.dir, "target"))
	case s.Server != "":
		return newServer(s.Server, s.JSON)
	default:
		return s.library(ctx)
	}
}

// described is the class of the bucket: what results say of it, without anybody's directories and names.
func (s *site) described() string {
	if s.Other != nil || s.Server != "" {
		return "the target's own"
	}
	class, _, _ := strings.Cut(s.url, ":")
	if s.Model != "" {
		class += " behind " + s.Model
	}
	return class
}

// poll waits for a condition that nothing announces.
func poll(ctx context.Context, done func() bool) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}

// settle gives back what is not used, so that what is resident is what is held. What lies in pools for who needs it next
// outlives one collection.
func settle() {
	debug.FreeOSMemory()
	debug.FreeOSMemory()
}
