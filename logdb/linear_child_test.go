//go:build unix

package logdb

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// linEnv holds what a child of the linearizability tests is told, as JSON.
const linEnv = "LOGDB_TEST_LINEAR"

// linOrders say which log a child opens, and what goes wrong on its way to the
// bucket.
type linOrders struct {
	Bucket string  // URL
	Dir    string  // WAL directory; "": diskless
	Plan   string  // of faults, as objstoretest.ParsePlan reads it; "": none of its own
	Off    defence // that the engine lacks
}

// linAsk is one request to a child, a line of JSON on its standard input.
type linAsk struct {
	ID       uint64
	Op       string
	Key      []byte        `json:",omitempty"`
	Level    Durability    `json:",omitempty"`
	Records  []Record      `json:",omitempty"`
	Patience time.Duration `json:",omitempty"`
}

// linAnswer is its answer, a line on the pipe. The answer to ID 0, which
// nobody asked for, is that the log is open.
type linAnswer struct {
	ID          uint64
	First, Next uint64  `json:",omitempty"` // of an append; else what there is to answer
	Ms          int64   `json:",omitempty"`
	Sealed      bool    `json:",omitempty"`
	Entries     []Entry `json:",omitempty"`
	Epoch       uint64  `json:",omitempty"`
	Err         string  `json:",omitempty"`
	Is          []int   `json:",omitempty"` // of linSentinels
	Pending     bool    `json:",omitempty"`
}

// linSentinels are the errors that go over the pipe as what they are.
var linSentinels = []error{
	context.Canceled, context.DeadlineExceeded, ErrClosed, ErrFenced, ErrQueueFull, ErrStale, ErrLocked, ErrForeign,
	ErrUnsafeBucket, objstore.ErrCorrupt, objstoretest.ErrInjected,
}

// TestLinearChild is the process that the linearizability tests start, stop
// and kill.
func TestLinearChild(t *testing.T) {
	text := os.Getenv(linEnv)
	if text == "" {
		t.Skip("a child of other tests")
	}
	var o linOrders
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	c := &linServed{out: json.NewEncoder(os.NewFile(reportPipe, "answers"))}
	if err := c.open(o); err != nil {
		c.answer(linAnswer{}, err)
		return
	}
	c.serve()
}

// linServed is the log that a child serves.
type linServed struct {
	linLocal
	mu  sync.Mutex
	out *json.Encoder
}

func (c *linServed) open(o linOrders) error {
	b, err := linBucket(o.Bucket, o.Plan)
	if err != nil {
		return err
	}
	var a linAnswer
	opts := linOptions(o.Dir)
	opts.hooks.off = o.Off
	opts.hooks.recovered = func(bucket, local uint64) { a.First, a.Next = bucket, local }
	ctx, cancel := context.WithTimeout(context.Background(), linOpenPatience)
	defer cancel()
	if c.d, err = Open(ctx, b, opts); err != nil {
		return err
	}
	a.Epoch = c.d.epoch
	c.answer(a, nil)
	return nil
}

// linOptions make a log flush, seal and merge many times in a history.
func linOptions(dir string) Options {
	return Options{
		WALDir: dir,
		Limits: Limits{ValueBytes: 16 << 10, BatchBytes: 16 << 10}, Memory: Memory{Memtable: 116 << 10, Queue: 1 << 20, Cache: 1 << 20},
		Segments:     SegmentOptions{Bytes: 6 << 10},
		ShipInterval: 20 * time.Millisecond, FlushInterval: 300 * time.Millisecond,
	}
}

// linBucket opens a bucket with the faults of a plan.
func linBucket(url, line string) (objstore.Bucket, error) {
	b, err := objstore.Open(context.Background(), url)
	if err != nil || line == "" {
		return b, err
	}
	plan, err := objstoretest.ParsePlan(line)
	return objstoretest.NewFaulty(b, plan), err
}

// serve answers requests, each in its own goroutine, until the parent has no
// more, or is gone.
func (c *linServed) serve() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 16<<20)
	for in.Scan() {
		var ask linAsk
		if err := json.Unmarshal(in.Bytes(), &ask); err != nil {
			panic(err)
		}
		go func() {
			a, err := c.do(ask)
			a.ID = ask.ID
			c.answer(a, err)
		}()
	}
	os.Exit(0)
}

func (c *linServed) do(ask linAsk) (a linAnswer, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), ask.Patience)
	defer cancel()
	switch ask.Op {
	case "append":
		var at Appended
		at, err = c.Append(ctx, ask.Records, ask.Level)
		a.First, a.Next, a.Ms = at.First, at.Next, at.Time.UnixMilli()
	case "scan":
		a.Entries, a.Next, err = c.Scan(ctx, string(ask.Key), ask.Level)
	case "follow":
		a.Entries, a.Next, err = c.Follow(ctx, string(ask.Key), ask.Level)
	case "count":
		a.Next, err = c.Count(ctx, string(ask.Key))
	case "watermark":
		a.Next, err = c.Watermark(ctx, ask.Level)
	case "flush":
		err = c.Flush(ctx)
	case "seal":
		a.Next, a.Sealed, err = c.Seal(ctx)
	case "close":
		err = c.d.Close()
	default:
		err = errors.New("no such request: " + ask.Op)
	}
	return a, err
}

// answer writes one line with one write: a pipe takes it whole or, if it is
// long, in an order that no other answer comes into.
func (c *linServed) answer(a linAnswer, err error) {
	var pending *PendingError
	if errors.As(err, &pending) {
		a.Pending, a.First, a.Next, a.Ms = true, pending.Appended.First, pending.Appended.Next, pending.Appended.Time.UnixMilli()
		err = pending.Err
	}
	if err != nil {
		a.Err = err.Error()
		for i, s := range linSentinels {
			if errors.Is(err, s) {
				a.Is = append(a.Is, i)
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out.Encode(a) != nil {
		os.Exit(1) // the parent is gone
	}
}
