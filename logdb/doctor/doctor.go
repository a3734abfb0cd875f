// Package doctor examines an object store before a log is trusted to it.
//
// A log is as safe as the promises that its store keeps: that writes look at
// their conditions, also under a race, and that reads and listings see what was
// acknowledged. [Run] tries each of them, under names of its own, and says what
// it saw. It cannot prove a promise: a store that breaks one rarely, or under a
// load or a failure that was not there, passes.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/logdb-go/logdb/objstore"
)

// Verdict is what an examination came to.
type Verdict string

// The verdicts, from good to bad.
const (
	OK      Verdict = "ok"
	Slow    Verdict = "slow"    // safe, and slower than a log likes
	Warning Verdict = "warning" // safe, and something beside the store's promises is wrong
	Unknown Verdict = "unknown" // could not be examined
	Unsafe  Verdict = "unsafe"  // a promise was broken: a log here can lose records
)

// Finding is one examination.
type Finding struct {
	Name    string
	Verdict Verdict
	Saw     string // in plain words
	Want    string
	// Optional findings that are Unknown are no reason against the store.
	Optional bool
}

// Options say how thoroughly Run looks, and what is to be priced. The zero value has the defaults named below.
type Options struct {
	// Rounds is how often writers race, and how often reads are compared: 30.
	Rounds int
	// Samples is how often each kind of request is timed: 24. Large ones are not begun after half a minute.
	Samples int
	// RequestTimeout bounds one request: 30 s.
	RequestTimeout time.Duration

	ShipInterval    time.Duration // of the writer to be priced: 250 ms
	RefreshInterval time.Duration // of the readers to be priced: 1 s
	Readers         int           // processes that read: as given, 0 too
	Prices          Prices        // S3Standard

	// Found, if set, is told each finding as it is made.
	Found func(Finding)
}

func (o Options) withDefaults() Options {
	if o.Rounds == 0 {
		o.Rounds = 30
	}
	if o.Samples == 0 {
		o.Samples = 24
	}
	if o.RequestTimeout == 0 {
		o.RequestTimeout = 30 * time.Second
	}
	if o.ShipInterval == 0 {
		o.ShipInterval = 250 * time.Millisecond
	}
	if o.RefreshInterval == 0 {
		o.RefreshInterval = time.Second
	}
	if o.Prices == (Prices{}) {
		o.Prices = S3Standard
	}
	if o.Found == nil {
		o.Found = func(Finding) {}
	}
	return o
}

func (o Options) validate() error {
	if o.Rounds < 1 || o.Samples < 1 || o.Readers < 0 || o.RequestTimeout < 0 {
		return fmt.Errorf("doctor: %d rounds, %d samples, %d readers, timeout %v: want at least 1, 1, 0 and 0", o.Rounds, o.Samples, o.Readers, o.RequestTimeout)
	}
	if o.ShipInterval < time.Millisecond || o.RefreshInterval < time.Millisecond {
		return fmt.Errorf("doctor: ship interval %v, refresh interval %v: want at least %v", o.ShipInterval, o.RefreshInterval, time.Millisecond)
	}
	return nil
}

// Report is what Run found.
type Report struct {
	Findings  []Finding
	Latencies []Latency
	Cost      Cost
	// Requests is what the examination itself asked of the store.
	Requests objstore.Counts
	// LeftBehind says why probe objects may be left in the store; nil: they are deleted.
	LeftBehind error
}

// check is one examination. run returns what it saw, a broken promise as a *violation, or what kept it from looking.
type check struct {
	name, want string
	optional   bool
	run        func(context.Context, *examiner) (saw string, err error)
}

func checks() []check {
	return []check{
		{"reachable", "an object can be written, read and deleted", false, reachable},
		{"prefix", "a log, or nothing at all", false, prefix},
		{"if-absent", "a write with If-None-Match creates an object and overwrites none", false, ifAbsent},
		{"if-match", "a write with If-Match replaces the object that it names and no other, and creates none", false, ifMatch},
		{"race to create", "exactly one of the writers that create one object at once succeeds", false, raceToCreate},
		{"race to replace", "no increment of a counter is lost under compare-and-set", false, raceToReplace},
		{"read after write", "an object is there once its write was acknowledged, also where it was missed before", false, readAfterWrite},
		{"read after overwrite", "a read returns what was written last", false, readAfterOverwrite},
		{"list after write", "a listing shows an object once it was written, and not once it was deleted", false, listAfterWrite},
		{"list order", "names in byte order, from behind any name on", false, listOrder},
		{"range reads", "exactly the bytes asked for, and an error past the end", false, rangeReads},
		{"conditional read", "unchanged is told from changed", false, conditionalRead},
		{"checksum", "a write whose checksum is not that of its body is refused", true, checksum},
		{"clock", fmt.Sprintf("this machine's clock within %v of the store's", maxClockOffset), true, clock},
		{"latency", fmt.Sprintf("small requests mostly below %v, 4 MiB below %v", slowSmall, slowLarge), true, latency},
	}
}

// tries is how often a check is begun that a failed request kept from its end.
const tries = 3

// Run examines the store behind b. Its objects have names that begin with probe- and a fresh ID, which a writer that
// creates a log ignores; they are deleted again, also after errors and at the end of ctx. With the defaults it takes about
// 1,500 requests, and transfers 200 MB.
//
// Findings are no errors: the error says that the store could not be reached or that ctx ended, and the Report holds what
// was found by then. Nobody else needs to be kept from b meanwhile.
func Run(ctx context.Context, b objstore.Bucket, o Options) (Report, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return Report{}, err
	}
	e := newExaminer(b, o)
	report := Report{Cost: price(o)}
	err := e.examineAll(ctx, &report)
	report.Latencies = e.latencies
	report.LeftBehind = e.cleanUp(ctx)
	report.Requests = e.meter.Counts()
	return report, err
}

func (e *examiner) examineAll(ctx context.Context, report *Report) error {
	for i, c := range checks() {
		f, err := e.examine(ctx, c)
		if ctx.Err() != nil {
			return fmt.Errorf("doctor: %s: %w", c.name, ctx.Err())
		}
		report.Findings = append(report.Findings, f)
		e.o.Found(f)
		if i == 0 && f.Verdict == Unknown {
			return fmt.Errorf("doctor: the store cannot be examined: %w", err)
		}
	}
	return nil
}

func (e *examiner) examine(ctx context.Context, c check) (Finding, error) {
	f := Finding{Name: c.name, Want: c.want, Optional: c.optional}
	for try := 1; ; try++ {
		saw, err := c.run(ctx, e)
		var v *violation
		switch {
		case err == nil:
			f.Verdict, f.Saw = OK, saw
		case errors.As(err, &v):
			f.Verdict, f.Saw = v.verdict, v.saw
		case try < tries && ctx.Err() == nil && !errors.Is(err, objstore.ErrAccessDenied) && !errors.Is(err, errors.ErrUnsupported):
			continue
		default:
			f.Verdict, f.Saw = Unknown, err.Error()
		}
		return f, err
	}
}

// violation is a promise that the store broke.
type violation struct {
	verdict Verdict
	saw     string
}

func (v *violation) Error() string { return v.saw }

func unsafe(format string, args ...any) error {
	return &violation{Unsafe, fmt.Sprintf(format, args...)}
}
