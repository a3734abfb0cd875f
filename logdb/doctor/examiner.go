package doctor

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/logdb-go/logdb/objstore"
)

// examiner is one run.
type examiner struct {
	o         Options
	raw       objstore.Bucket // as given, for what only its own type can do
	meter     *objstore.Meter // all of it, counted
	bucket    *probeBucket
	serial    int
	latencies []Latency
}

func newExaminer(b objstore.Bucket, o Options) *examiner {
	e := &examiner{o: o, raw: b, meter: objstore.NewMeter(b)}
	e.bucket = &probeBucket{bucket: e.meter, timeout: o.RequestTimeout, names: map[string]bool{}}
	// No folder: a bucket of files would keep it.
	e.bucket.prefix = "probe-" + objstore.NewID().String() + "-"
	return e
}

// name returns one below the prefix that was not used before.
func (e *examiner) name(what string) string {
	e.serial++
	return fmt.Sprintf("%s%s-%04d", e.bucket.prefix, what, e.serial)
}

const (
	cleanUpTime    = time.Minute
	cleanUpAtATime = 16
)

// cleanUp deletes all that was put, and all that is listed: either may lack something in a store that breaks promises.
func (e *examiner) cleanUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
	defer cancel()
	names := e.bucket.put()
	var errs []error
	for info, err := range e.bucket.List(ctx, e.bucket.prefix, "") {
		if err != nil {
			errs = append(errs, err)
			break
		}
		names[info.Name] = true
	}
	jobs := make(chan string, len(names))
	for name := range names {
		jobs <- name
	}
	close(jobs)
	var mu sync.Mutex
	together(cleanUpAtATime, func(int) {
		for name := range jobs {
			if err := e.bucket.Delete(ctx, name); err != nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		}
	})
	if len(errs) > 0 {
		return fmt.Errorf("doctor: %d objects named %s* may be left: %w", len(errs), e.bucket.prefix, errors.Join(errs[:min(len(errs), 3)]...))
	}
	return nil
}

// together runs f in n goroutines that start at one moment, and waits for them.
func together(n int, f func(i int)) {
	start := make(chan struct{})
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	group.Wait()
}

// probeBucket bounds each request and remembers what was put.
type probeBucket struct {
	prefix  string // of all names that are put
	bucket  objstore.Bucket
	timeout time.Duration
	mu      sync.Mutex
	names   map[string]bool
}

func (p *probeBucket) put() map[string]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	names := map[string]bool{}
	for name := range p.names {
		names[name] = true
	}
	return names
}

func (p *probeBucket) remember(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.names[name] = true
}

func (p *probeBucket) Put(ctx context.Context, name string, data []byte, c objstore.Condition) (string, error) {
	p.remember(name)
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	return p.bucket.Put(ctx, name, data, c)
}

func (p *probeBucket) Delete(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	return p.bucket.Delete(ctx, name)
}

func (p *probeBucket) Get(ctx context.Context, name string) (objstore.Object, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	return p.bucket.Get(ctx, name)
}

func (p *probeBucket) GetIfChanged(ctx context.Context, name, etag string) (objstore.Object, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	return p.bucket.GetIfChanged(ctx, name, etag)
}

func (p *probeBucket) GetRange(ctx context.Context, name string, off, n int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	return p.bucket.GetRange(ctx, name, off, n)
}

func (p *probeBucket) List(ctx context.Context, prefix, after string) iter.Seq2[objstore.Info, error] {
	return func(yield func(objstore.Info, error) bool) {
		ctx, cancel := context.WithTimeout(ctx, p.timeout)
		defer cancel()
		p.bucket.List(ctx, prefix, after)(yield)
	}
}

// reachable is the least that the other checks need.
func reachable(ctx context.Context, e *examiner) (string, error) {
	name := e.name("reach")
	if _, err := e.bucket.Put(ctx, name, []byte("here"), objstore.Always()); err != nil {
		return "", err
	}
	if _, err := e.bucket.Get(ctx, name); err != nil && !errors.Is(err, objstore.ErrNotFound) {
		return "", err // an object that is missing is the business of another check
	}
	return "yes", e.bucket.Delete(ctx, name)
}

// manifestName is the one object that every log has.
const manifestName = "manifest"

// prefix looks at what is there beside the probe. It reads a page of names at most.
func prefix(ctx context.Context, e *examiner) (string, error) {
	foreign, names := "", 0
	for info, err := range e.meter.List(ctx, "", "") {
		switch {
		case err != nil:
			return "", err
		case info.Name == manifestName:
			return fmt.Sprintf("a log, whose manifest has %d bytes and was written %s", info.Size, info.Modified.UTC().Format(time.RFC3339)), nil
		case !strings.HasPrefix(info.Name, "probe-"):
			foreign = info.Name
		}
		if names++; info.Name > manifestName || names == 1000 {
			break
		}
	}
	if foreign != "" {
		return "", unsafe("no log, yet object %q: a writer refuses to make a log here, and who else writes or deletes here can damage it", foreign)
	}
	return "nothing", nil
}
