package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/logdb/server"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

const (
	producers = 3
	batches   = 60 // of each producer
	restarts  = 4
)

// TestStorm: producers append over a network that refuses, answers nonsense, loses
// answers and delivers late, to a server that dies and comes back, while followers
// read over connections that are cut at any byte. In the end no batch is in the log
// twice, every one is where its producer was told, one that did not happen is
// nowhere, and every follower has got every entry of the log once, in order.
func TestStorm(t *testing.T) {
	plan := objstoretest.Replayable(t, objstoretest.Plan{MaxDelay: 2 * time.Millisecond, Rates: map[objstoretest.FaultKind]float64{
		objstoretest.Refuse: 0.1, objstoretest.Cut: 0.1, objstoretest.ApplyThenError: 0.05, objstoretest.ApplyLater: 0.05,
		objstoretest.Fail: 0.05, objstoretest.SlowDown: 0.05, objstoretest.Slow: 0.05, objstoretest.SlowAnswer: 0.05,
	}})
	w := newWorld(t, logdb.Options{Ack: logdb.Applied}, server.Options{Heartbeat: 10 * time.Millisecond})
	var faulty *objstoretest.Transport
	c := w.client(Options{}, func(next http.RoundTripper) http.RoundTripper {
		faulty = objstoretest.NewTransport(next, "/logdb.v1.LogService/", plan)
		return faulty
	})
	followers := startFollowers(t, w, plan.Seed)
	told := produce(t, w, c)
	faulty.Wait() // what is late is in the log now
	var last []string
	for i := range producers {
		last = append(last, fmt.Sprintf("p%d", i), "end")
	}
	w.appended(last...)
	checkTold(t, w, told)
	for i, f := range followers {
		f.check(t, w, i)
	}
	faulty.Calm()
	t.Logf("faults %v", faulty.Injected())
}

// produce appends until every producer has had its say, and starts the server
// again meanwhile. It returns what each value's producer was told.
func produce(t *testing.T, w *world, c *Client) map[string]verdict {
	var mu sync.Mutex
	told := map[string]verdict{}
	step := make(chan struct{}, producers*batches)
	var all sync.WaitGroup
	for i := range producers {
		all.Go(func() {
			for n := range batches {
				value := fmt.Sprintf("%d/%d", i, n)
				a, err := c.Append(t.Context(), records(fmt.Sprintf("p%d", i), value), logdb.AppendOptions{})
				mu.Lock()
				told[value] = verdict{a.First, err}
				mu.Unlock()
				step <- struct{}{}
			}
		})
	}
	for range restarts {
		for range producers * batches / (restarts + 1) {
			<-step
		}
		w.restart()
	}
	all.Wait()
	return told
}

// verdict is what a producer knows about its batch.
type verdict struct {
	sequence uint64
	err      error
}

func checkTold(t *testing.T, w *world, told map[string]verdict) {
	t.Helper()
	found := map[string][]uint64{}
	for _, e := range truth(t, w, "") {
		value := e[strings.Index(e, "=")+1:]
		var sequence uint64
		_, _ = fmt.Sscanf(e, "%d:", &sequence)
		found[value] = append(found[value], sequence)
	}
	unknown := 0
	for value, v := range told {
		got := found[value]
		var e *Error
		switch {
		case v.err == nil && !slices.Equal(got, []uint64{v.sequence}):
			t.Errorf("%s was acknowledged at %d and is at %v", value, v.sequence, got)
		case v.err == nil:
		case !errors.As(v.err, &e):
			t.Errorf("%s: %v", value, v.err)
		case e.MayHaveHappened && len(got) > 1:
			t.Errorf("%s is at %v: it was sent more than once after %v", value, got, e)
		case e.MayHaveHappened:
			unknown++
		case len(got) > 0:
			t.Errorf("%s is at %v, though its producer was told that it did not happen: %v", value, got, e)
		}
	}
	t.Logf("%d batches, of %d of which the producers do not know", len(told), unknown)
}

// truth is what the log holds of the keys with a prefix, in its order.
func truth(t *testing.T, w *world, prefix string) (list []string) {
	t.Helper()
	var entries []logdb.Entry
	for i := range producers {
		key := fmt.Sprintf("p%d", i)
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		for e, err := range w.db.Scan(t.Context(), []byte(key), logdb.Range{}, logdb.ScanOptions{}).All() {
			if err != nil {
				t.Fatal(err)
			}
			entries = append(entries, logdb.Entry{Key: []byte(key), Value: append([]byte(nil), e.Value...), Sequence: e.Sequence})
		}
	}
	slices.SortFunc(entries, func(a, b logdb.Entry) int { return int(a.Sequence) - int(b.Sequence) })
	for _, e := range entries {
		list = append(list, text(e))
	}
	return list
}

// following is a follower until it has read the last entries.
type following struct {
	prefix string
	done   chan struct{}
	got    []string
	err    error
	cuts   *cutter
}

func startFollowers(t *testing.T, w *world, seed uint64) (list []*following) {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	for i, prefix := range []string{"", "p1", "p"} {
		f := &following{prefix: prefix, done: make(chan struct{}), cuts: &cutter{next: w, rng: rand.New(rand.NewPCG(seed, uint64(i))), left: 40}}
		c := w.client(Options{}, func(http.RoundTripper) http.RoundTripper { return f.cuts })
		it := c.FollowPrefix(ctx, []byte(prefix), 0, logdb.ScanOptions{})
		if prefix == "p1" {
			it = c.Follow(ctx, []byte(prefix), 0, logdb.ScanOptions{})
		}
		go f.run(it)
		list = append(list, f)
	}
	return list
}

func (f *following) run(it *Iterator) {
	defer close(f.done)
	ends := producers
	if f.prefix == "p1" {
		ends = 1
	}
	for e, err := range it.All() {
		if f.err = err; err != nil {
			return
		}
		f.got = append(f.got, text(e))
		if string(e.Value) == "end" {
			if ends--; ends == 0 {
				return
			}
		}
	}
}

func (f *following) check(t *testing.T, w *world, i int) {
	t.Helper()
	select {
	case <-f.done:
	case <-time.After(time.Minute):
		t.Fatalf("follower %d of %q has not come to the end", i, f.prefix)
	}
	if want := truth(t, w, f.prefix); f.err != nil || !slices.Equal(f.got, want) {
		t.Errorf("follower %d of %q, %v: got\n%v\nwant\n%v", i, f.prefix, f.err, f.got, want)
	}
	f.cuts.mu.Lock()
	defer f.cuts.mu.Unlock()
	if f.cuts.connections < 2 {
		t.Errorf("follower %d connected %d times over %d restarts", i, f.cuts.connections, restarts)
	}
}

// cutter is a network that breaks the connection of an answer at some byte.
type cutter struct {
	next        http.RoundTripper
	mu          sync.Mutex
	rng         *rand.Rand
	left        int // how often yet
	connections int
}

func (c *cutter) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.connections++; c.left > 0 {
		c.left--
		resp.Body = &cutBody{ReadCloser: resp.Body, left: c.rng.IntN(1 << c.rng.IntN(14))}
	}
	return resp, nil
}

type cutBody struct {
	io.ReadCloser
	left int
}

func (b *cutBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		_ = b.ReadCloser.Close()
		return 0, syscall.ECONNRESET
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// TestReadsUnderFaults: reads change nothing, so they are repeated after whatever
// went wrong, and answer as if nothing had; a scan goes on from where it is.
func TestReadsUnderFaults(t *testing.T) {
	plan := objstoretest.Replayable(t, objstoretest.Plan{MaxDelay: time.Millisecond, Rates: map[objstoretest.FaultKind]float64{
		objstoretest.Refuse: 0.1, objstoretest.Cut: 0.1, objstoretest.Fail: 0.1, objstoretest.SlowDown: 0.1,
	}})
	w := newWorld(t, logdb.Options{Ack: logdb.Applied}, server.Options{})
	large := string(make([]byte, 2<<20))
	w.appended("k", large, "k", large, "k", large)
	w.appended("k", large, "k", large, "k", large)
	rng := rand.New(rand.NewPCG(plan.Seed, 0))
	c := w.client(Options{}, func(next http.RoundTripper) http.RoundTripper {
		return &cutter{next: objstoretest.NewTransport(next, "/logdb.v1.LogService/", plan), rng: rng, left: 20}
	})
	for round := range 5 {
		sequences := []uint64{}
		for e, err := range c.Scan(t.Context(), []byte("k"), logdb.Range{}, logdb.ScanOptions{Reverse: round%2 == 1}).All() {
			if err != nil {
				t.Fatal(err)
			}
			sequences = append(sequences, e.Sequence)
		}
		if round%2 == 1 {
			slices.Reverse(sequences)
		}
		if !slices.Equal(sequences, []uint64{0, 1, 2, 3, 4, 5}) {
			t.Errorf("scan: %v", sequences)
		}
		if n, err := c.Count(t.Context(), []byte("k"), logdb.Range{}); n != 6 || err != nil {
			t.Errorf("count: %d, %v", n, err)
		}
	}
}

// TestPatienceEnds: what does not pass is told in the end, with what it was.
func TestPatienceEnds(t *testing.T) {
	w := newWorld(t, logdb.Options{Ack: logdb.Applied}, server.Options{})
	w.cut()
	for _, patience := range []time.Duration{-1, time.Nanosecond} {
		c := w.client(Options{Patience: patience}, nil)
		for what, f := range map[string]func() error{
			"Count:1":  func() error { return second(c.Count(t.Context(), nil, logdb.Range{})) },
			"Append:1": func() error { return second(c.Append(t.Context(), records("k", "v"), logdb.AppendOptions{})) },
		} {
			var err error
			got := w.requests(func() { err = f() })
			var e *Error
			if got != what || !errors.As(err, &e) || e.MayHaveHappened || !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("%s with a patience of %v: %v after %s, want that the connection was refused", what, patience, err, got)
			}
		}
	}
	c := w.client(Options{Patience: -1}, nil)
	if _, _, err := drain(c.Follow(t.Context(), nil, 0, logdb.ScanOptions{})); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a follower without patience: %v", err)
	}
	c = w.client(Options{}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	c.sleep = func(ctx context.Context, _ time.Duration) error { cancel(); return ctx.Err() }
	if a, err := c.Append(ctx, records("k", "v"), logdb.AppendOptions{}); !errors.Is(err, context.Canceled) || outcome(a, err) == "appended" {
		t.Errorf("a caller that gives up between two attempts: %v", err)
	}
}
