//go:build unix

package logdb

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// childEnv holds the orders of a child process, as JSON.
const childEnv = "LOGDB_TEST_CHILD"

// reportPipe is the file descriptor that a child reports on, a line at a time.
const reportPipe = 3

// orders are what a child process is told when it is started.
type orders struct {
	Run     string        // who it is: the beginning of its batches' names
	Bucket  string        // URL
	Dir     string        // WAL directory; "": diskless
	Workers int           // goroutines that append, each with one batch under way
	Appends int           // batches until it closes the log and ends; 0: until told to
	Step    string        // "name" or "name#n": it stops itself there, for good
	Stop    bool          // with SIGSTOP instead of SIGKILL, and goes on when continued
	Gate    bool          // it reports "ready" and opens only when told to
	Polite  bool          // Options.Polite
	Trim    bool          // retention
	Stage   time.Duration // how long the bucket must be away before memtables go to the disk, where it is not the usual time
	Grace   time.Duration // of the collector, where it is not the usual one
	Away    int           // acknowledgements after which the bucket is away for good
}

// processOptions make a log flush, seal and merge many times a second.
func processOptions(dir string) Options {
	return Options{
		WALDir: dir,
		Limits: Limits{ValueBytes: 4 << 10, BatchBytes: 16 << 10}, Memory: Memory{Memtable: 96 << 10, Queue: 1 << 20},
		Segments:     SegmentOptions{Bytes: 24 << 10},
		ShipInterval: 5 * time.Millisecond, FlushInterval: 20 * time.Millisecond,
	}
}

// TestProcessChild is the process that other tests start, stop and kill.
func TestProcessChild(t *testing.T) {
	text := os.Getenv(childEnv)
	if text == "" {
		t.Skip("a child of other tests")
	}
	c := &child{t: t, reports: os.NewFile(reportPipe, "reports"), end: make(chan struct{}), resumed: make(chan struct{})}
	if err := json.Unmarshal([]byte(text), &c.orders); err != nil {
		t.Fatal(err)
	}
	c.step = stopAt(c.orders, c.report, c.resumed)
	c.run(bufio.NewScanner(os.Stdin))
}

type child struct {
	t       *testing.T
	orders  orders
	reports *os.File
	step    func(string)
	end     chan struct{} // closed when the parent says that it is enough
	acks    atomic.Int64
	cut     func()        // takes the bucket away
	resumed chan struct{} // closed when a step is over that it was stopped at
}

// report writes one line with one write: a pipe takes it whole, and keeps it
// when the process is gone.
func (c *child) report(format string, args ...any) {
	if _, err := fmt.Fprintf(c.reports, format+"\n", args...); err != nil {
		os.Exit(1) // the parent is gone
	}
}

func (c *child) run(stdin *bufio.Scanner) {
	way, err := openStepped(c.orders.Bucket, c.step)
	if err != nil {
		c.t.Fatal(err)
	}
	b := objstoretest.NewFaulty(way, objstoretest.Plan{})
	if c.orders.Away > 0 {
		c.cut = func() { b.Down(true) }
	}
	if c.orders.Gate {
		c.report("ready")
		stdin.Scan()
	}
	go c.listen(stdin)
	d, err := Open(context.Background(), b, c.options())
	if err != nil {
		c.report("shut-out %q", wordFor(err))
		return
	}
	c.report("opened %d %d %d", d.epoch, d.DurableSequence(Remote), d.Lost().Frames)
	var g sync.WaitGroup
	for worker := range c.orders.Workers {
		g.Go(func() { c.work(d, worker) })
	}
	g.Wait()
	stopped := d.Err()
	if err := d.Close(); stopped == nil {
		stopped = err
	}
	c.report("ended %q", wordFor(stopped))
}

// listen takes orders until the parent is gone.
func (c *child) listen(stdin *bufio.Scanner) {
	for stdin.Scan() {
		switch stdin.Text() {
		case "end":
			close(c.end)
		case "resume":
			close(c.resumed)
		}
	}
	os.Exit(1)
}

func (c *child) options() Options {
	o := processOptions(c.orders.Dir)
	o.Polite = c.orders.Polite
	if c.orders.Trim {
		o.Retention = Retention{Bytes: 200 << 10}
	}
	o.hooks.step, o.hooks.grace = c.step, c.orders.Grace
	if c.orders.Stage > 0 {
		o.hooks.away, o.Memory.Memtable, o.Segments.Bytes = c.orders.Stage, 256<<10, 1<<20
	}
	if c.orders.Away > 0 {
		o.hooks.away = time.Millisecond
	}
	o.Events = EventListener{
		Flushed: func(Event) { c.report("flushed") },
		Deleted: func(e Event) { c.report("deleted %s", e.Object) },
	}
	return o
}

// wordFor names an error for the parent: a word for what a test may expect.
func wordFor(err error) string {
	var busy *BusyError
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, ErrFenced):
		return "fenced"
	case errors.Is(err, ErrLocked):
		return "locked"
	case errors.As(err, &busy):
		return "busy"
	}
	return err.Error()
}

// work appends batches and reports what each came to.
func (c *child) work(d *LogDb, worker int) {
	rng := rand.New(rand.NewPCG(uint64(os.Getpid()), uint64(worker)))
	for i := 0; c.orders.Appends == 0 || i < c.orders.Appends/c.orders.Workers; i++ {
		select {
		case <-c.end:
			return
		default:
		}
		id := fmt.Sprintf("%s.%d.%d", c.orders.Run, worker, i)
		records := batchRecords(rng, id)
		level := pick(rng, Applied, Local, Local, Remote)
		if worker%4 == 3 { // goes on while the bucket is away
			level = pick(rng, Applied, Local)
		}
		a, err := d.Append(context.Background(), records, AppendOptions{Ack: level})
		var pending *PendingError
		switch {
		case err == nil:
			c.report("ack %s %d %d %d", id, a.First, len(records), level)
			if int(c.acks.Add(1)) == c.orders.Away {
				c.cut()
			}
			continue
		case errors.As(err, &pending):
			c.report("pending %s %d %d %d %q", id, pending.Appended.First, len(records), level, wordFor(err))
		default:
			c.report("refused %s %q", id, wordFor(err))
		}
		return
	}
}

func batchRecords(rng *rand.Rand, id string) []Record {
	n := 1
	if rng.IntN(2) == 0 {
		n = 2 + rng.IntN(5)
	}
	records := make([]Record, n)
	for j := range records {
		filler := strings.Repeat("-", rng.IntN(400))
		records[j] = rec(fmt.Sprintf("key %d", rng.IntN(processKeys)), fmt.Sprintf("%s %d/%d %s", id, j, n, filler))
	}
	return records
}

// processKeys is how many keys the children append to, "key 0" the first.
const processKeys = 7

// openStepped opens the bucket of a URL and calls step before and after each
// of its writes, and in the middle of the body of one that goes over HTTP:
// "put wal", "put wal half", "put wal done", and so for seg, manifest and
// probe, and for "delete".
func openStepped(url string, step func(string)) (objstore.Bucket, error) {
	b, err := objstore.Open(context.Background(), url)
	if err != nil || !strings.HasPrefix(url, "s3:") {
		return steppedBucket{b, step}, err
	}
	return openSteppedS3(url, step)
}

type steppedBucket struct {
	objstore.Bucket
	step func(string)
}

func (b steppedBucket) Put(ctx context.Context, name string, data []byte, c objstore.Condition) (string, error) {
	b.step("put " + firstPart(name))
	etag, err := b.Bucket.Put(ctx, name, data, c)
	if err == nil {
		b.step("put " + firstPart(name) + " done")
	}
	return etag, err
}

func (b steppedBucket) Delete(ctx context.Context, name string) error {
	b.step("delete " + firstPart(name))
	err := b.Bucket.Delete(ctx, name)
	if err == nil {
		b.step("delete " + firstPart(name) + " done")
	}
	return err
}

// firstPart is the folder of an object's name, without what makes it unique.
func firstPart(name string) string {
	part, _, _ := strings.Cut(name, "/")
	part, _, _ = strings.Cut(part, "-")
	return part
}
