//go:build unix

package logdb

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

var linHistories = flag.Int("linear.histories", 10, "linearizability: how many histories on a real server")

// TestS3Linear lets clients work on child processes, over a server that the
// environment names and a proxy that breaks some of the requests; children are
// killed, restarted, stopped while another takes the log over, and continued.
// A killed child's requests that the proxy has, it sends all the same.
func TestS3Linear(t *testing.T) { linearProcesses(t, *linHistories, serverURL(t)) }

// TestLinearProcesses does it on a bucket of files.
func TestLinearProcesses(t *testing.T) { linearProcesses(t, 2, fileURL(t)) }

// linProcessOps is how much each of five clients does in one history.
const linProcessOps = 30

// linAtOnce is how many histories run at once: they mostly wait.
const linAtOnce = 10

func linearProcesses(t *testing.T, histories int, url string) {
	total := simCounts{}
	for w := range linPlayed(t, histories, url, "") {
		w.report(w.h.judge(w.scene.keys, linPictures(t, fmt.Sprint(w.seed))))
		total.add(w.tally)
	}
	t.Logf("%d histories: %v", histories, total)
	for _, k := range []string{"acked applied", "acked local", "acked remote", "reads", "kill", "fenced", "takeover", "takeover from a sleeper"} {
		if total[k] == 0 && histories >= 10 && !t.Failed() {
			t.Errorf("no history had %q; they have lost their reach", k)
		}
	}
}

// linPlayed plays histories, some at once, and yields each when it is over.
func linPlayed(t *testing.T, histories int, url string, off defence) iter.Seq[*linHosts] {
	return func(yield func(*linHosts) bool) {
		results, turns := make(chan *linHosts), make(chan struct{}, linAtOnce)
		for i := range uint64(histories) {
			seed := uint64(*linFrom) + i
			if *simSeed >= 0 {
				seed = uint64(*simSeed)
			}
			w := newLinHosts(t, url, seed)
			w.off = off
			go func() {
				turns <- struct{}{}
				w.play()
				<-turns
				results <- w
			}()
		}
		more := true
		for range histories {
			w := <-results
			w.h.count(w.tally)
			more = more && yield(w)
		}
	}
}

// TestLinearProcessesMutant shows that what children say is looked at, too.
func TestLinearProcessesMutant(t *testing.T) {
	caught := 0
	for w := range linPlayed(t, 4, fileURL(t), readsApplied) {
		if slices.ContainsFunc(w.h.judge(w.scene.keys, ""), func(p linProblem) bool { return p.invariant == linWatermark }) {
			caught++
		}
	}
	t.Logf("without %q: caught by %d histories", readsApplied, caught)
	if caught == 0 {
		t.Errorf("without %q: no history breaks %q", readsApplied, linWatermark)
	}
}

// report fails the test with what is wrong and all that led to it.
func (w *linHosts) report(problems []linProblem) {
	w.t.Helper()
	if len(problems) == 0 {
		return
	}
	var lines []string
	for _, p := range problems {
		lines = append(lines, p.String())
	}
	w.t.Errorf("seed %d: %s\nagain, though not the same: go test ./logdb -run '^%s$' -seed %d -linear.histories 1\n%s",
		w.seed, strings.Join(lines, "\n\t"), w.t.Name(), w.seed, strings.Join(w.lines, "\n"))
}

// linHosts is one history on child processes.
type linHosts struct {
	t       *testing.T
	h       *linHistory
	scene   *linScene
	nemesis *rand.Rand
	seed    uint64
	begun   time.Time
	url     string // of the bucket, with faults
	direct  string // without
	plan    objstoretest.Plan
	off     defence // that the processes lack
	dir     string
	open    []*linHost
	healed  atomic.Bool
	last    []func()                // run when the history is over
	proxy   *objstoretest.Transport // nil: the faults are in each process

	mu    sync.Mutex
	tally simCounts
	lines []string // what happened
}

// linHost is one child with the log open.
type linHost struct {
	*linProcess
	remote *linRemote
	dir    string
}

// linRates are the faults of one request in nine.
var linRates = map[objstoretest.FaultKind]float64{
	objstoretest.Refuse: 0.01, objstoretest.ApplyThenError: 0.02, objstoretest.ApplyLater: 0.02, objstoretest.Slow: 0.02,
	objstoretest.SlowAnswer: 0.01, objstoretest.Fail: 0.01, objstoretest.Cut: 0.02,
}

func newLinHosts(t *testing.T, base string, seed uint64) *linHosts {
	w := &linHosts{t: t, nemesis: rand.New(rand.NewPCG(seed, 2)), seed: seed, dir: t.TempDir(), tally: simCounts{}}
	w.h = newLinHistory(w.tracef)
	w.scene = &linScene{h: w.h, keys: simKeys, patience: linPatienceS3, explain: w.explain}
	w.scene.pause = func(rng *rand.Rand) time.Duration {
		return time.Duration(rng.ExpFloat64() * float64(12*time.Millisecond))
	}
	w.scene.padding = func(rng *rand.Rand) []byte { return padding[:rng.IntN(200)] }
	w.plan = objstoretest.Plan{Seed: seed << 16, Rates: linRates, MaxDelay: 400 * time.Millisecond}
	if file, ok := strings.CutPrefix(base, "file://"); ok {
		w.direct = "file://" + file + "/" + fmt.Sprint(seed)
		return w
	}
	w.direct = below(base, fmt.Sprint(seed))
	return w
}

// behindProxy puts a proxy with faults between the processes and the server.
func (w *linHosts) behindProxy(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		panic(err) // serverURL's own
	}
	q := u.Query()
	server, err := url.Parse(q.Get("endpoint"))
	if err != nil {
		panic(err)
	}
	plan := w.plan
	plan.Hook = func(op objstoretest.Op) objstoretest.Fault {
		if w.healed.Load() || strings.HasPrefix(op.Name, "probe-") {
			return objstoretest.Fault{Kind: objstoretest.None}
		}
		return objstoretest.Fault{}
	}
	w.proxy = objstoretest.NewTransport(nil, "/"+u.Host+u.Path+"/", plan)
	front := httptest.NewServer(objstoretest.NewProxy(server, w.proxy))
	w.last = append(w.last, front.Close)
	q.Set("endpoint", front.URL)
	u.RawQuery = q.Encode()
	return u.String()
}

func (w *linHosts) tracef(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, fmt.Sprintf("%8.3f ", time.Since(w.begun).Seconds())+fmt.Sprintf(format, args...))
}

func (w *linHosts) count(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tally[what]++
}

// explain takes the errors that faults can cause: of a read or an Open
// whatever does not speak of damage, of a write none of the store's.
func (w *linHosts) explain(what string, err error) {
	for _, never := range []error{objstore.ErrCorrupt, ErrForeign, ErrUnsafeBucket, errLinGone} {
		if errors.Is(err, never) {
			w.h.problem(linLives, "%s: %v", what, err)
			return
		}
	}
	for _, ok := range []error{context.Canceled, context.DeadlineExceeded, ErrClosed, ErrQueueFull, ErrStale, objstoretest.ErrInjected} {
		if errors.Is(err, ok) {
			return
		}
	}
	if errors.Is(err, ErrFenced) {
		w.count("fenced")
		return
	}
	for _, read := range []string{"open", "scan", "count", "read", "refresh"} {
		if strings.HasSuffix(what, read) {
			w.count("read failed")
			return
		}
	}
	w.h.problem(linLives, "%s: %v", what, err)
}

func (w *linHosts) play() {
	w.begun = time.Now()
	w.url = w.direct
	if !strings.HasPrefix(w.direct, "file:") {
		w.url = w.behindProxy(w.direct)
	}
	w.startWriter("a")
	w.startReader(100 * time.Millisecond)
	var clients sync.WaitGroup
	ctx, stop := context.WithTimeout(w.t.Context(), time.Minute)
	defer stop()
	for id := range 5 {
		rng := rand.New(rand.NewPCG(w.seed, 100+uint64(id)))
		clients.Go(func() { w.scene.client(ctx, id, linProcessOps, rng) })
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		clients.Wait()
	}()
	w.trouble(over)
	w.end()
	for _, f := range slices.Backward(w.last) {
		f()
	}
}

// bucket is how a new process reaches the bucket.
func (w *linHosts) bucket() (url, plan string) {
	switch {
	case w.healed.Load():
		return w.direct, ""
	case w.proxy != nil:
		return w.url, ""
	}
	w.plan.Seed++ // each process meets other faults
	return w.url, w.plan.String()
}

// startWriter starts a child that opens the log, and lets clients talk to it.
func (w *linHosts) startWriter(dir string) *linHost {
	m := &linHost{dir: dir}
	o := linOrders{Dir: filepath.Join(w.dir, dir), Off: w.off}
	o.Bucket, o.Plan = w.bucket()
	a := w.h.attempt(dir)
	var err error
	if m.remote, err = startLinRemote(o); err != nil {
		w.h.problem(linLives, "no child: %v", err)
		return nil
	}
	w.last = append(w.last, func() { _ = m.remote.kill() })
	var doom *time.Timer
	if len(w.h.opens) > 1 && !w.healed.Load() && w.nemesis.IntN(6) == 0 {
		after := time.Duration(w.nemesis.Int64N(int64(150 * time.Millisecond)))
		doom = time.AfterFunc(after, func() { _ = m.remote.cmd.Process.Kill() })
	}
	answer, err := m.remote.opened()
	if doom != nil && !doom.Stop() {
		err = errLinGone // whatever it said before
	}
	if err != nil {
		w.count("did not open")
		_ = m.remote.kill()
		a.ret = w.h.tick()
		w.tracef("a child in %q did not open: %v", dir, err)
		if !errors.Is(err, errLinGone) {
			w.explain("open", err)
		}
		return nil
	}
	w.count("opened")
	m.linProcess = &linProcess{w.h.opened(a, answer.Epoch, answer.First, answer.Next), m.remote}
	w.open = append(w.open, m)
	w.scene.join(m.linProcess)
	return m
}

func (w *linHosts) startReader(every time.Duration) *linReader {
	w.h.readers++
	p := &linReader{id: w.h.readers, since: w.h.tick()}
	b, err := linBucket(w.bucket())
	if err == nil {
		p.r, err = OpenReader(w.t.Context(), b, ReaderOptions{RefreshInterval: every, Cache: 1 << 20})
	}
	if err != nil {
		if !errors.Is(err, ErrNoLog) {
			w.explain("open", err)
		}
		return nil
	}
	w.last = append(w.last, func() { _ = p.r.Close() })
	w.scene.mu.Lock()
	defer w.scene.mu.Unlock()
	w.scene.readers = append(w.scene.readers, p)
	return p
}
