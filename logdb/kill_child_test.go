//go:build unix

package logdb

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/logdb-go/logdb/objstore"
)

// What a child of TestKill is told, and how its acknowledgements come back.
const (
	killDir  = "LOGDB_TEST_KILL_DIR"  // below it: bucket and wal
	killRun  = "LOGDB_TEST_KILL_RUN"  // number of this child
	killStep = "LOGDB_TEST_KILL_STEP" // "name" or "name#n": it kills itself there
	killPipe = 3                      // file descriptor that acknowledgements are written to
)

// killAppends bounds a child's life.
const killAppends = 600

// killOptions make a child flush, seal, merge and expire many times a second.
func killOptions(dir string) Options {
	return Options{
		WALDir: filepath.Join(dir, "wal"),
		Limits: Limits{ValueBytes: 4 << 10, BatchBytes: 16 << 10}, Memory: Memory{Memtable: 96 << 10, Queue: 1 << 20},
		Segments: SegmentOptions{Bytes: 24 << 10}, Retention: Retention{Bytes: 200 << 10},
		ShipInterval: 5 * time.Millisecond, FlushInterval: 20 * time.Millisecond,
	}
}

// TestKillChild is the process that TestKill kills.
func TestKillChild(t *testing.T) {
	dir := os.Getenv(killDir)
	if dir == "" {
		t.Skip("a child of TestKill")
	}
	b, err := objstore.NewFile(filepath.Join(dir, "bucket"))
	if err != nil {
		t.Fatal(err)
	}
	o := killOptions(dir)
	o.hooks.step = killAt(os.Getenv(killStep))
	d, err := Open(context.Background(), b, o)
	if err != nil {
		t.Fatal(err)
	}
	acks := os.NewFile(killPipe, "acks")
	var g sync.WaitGroup
	for worker := range 4 {
		g.Go(func() { killWorker(t, d, acks, worker) })
	}
	g.Wait()
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// killAt returns a hook that ends the process, as SIGKILL from outside does,
// when a step is met for the nth time.
func killAt(spec string) func(string) {
	name, nth, ok := strings.Cut(spec, "#")
	left, _ := strconv.Atoi(nth)
	if !ok {
		left = 1
	}
	var mu sync.Mutex
	return func(step string) {
		mu.Lock()
		defer mu.Unlock()
		if step != name {
			return
		}
		if left--; left <= 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // nothing after this step happens
		}
	}
}

// killWorker appends batches and reports each acknowledgement with one write:
// a pipe takes it whole, and keeps it when the process is gone.
func killWorker(t *testing.T, d *LogDb, acks *os.File, worker int) {
	run := os.Getenv(killRun)
	rng := rand.New(rand.NewPCG(uint64(os.Getpid()), uint64(worker)))
	for i := range killAppends / 4 {
		n := 1
		if rng.IntN(2) == 0 {
			n = 2 + rng.IntN(5)
		}
		id := fmt.Sprintf("%s.%d.%d", run, worker, i)
		records := make([]Record, n)
		for j := range records {
			filler := strings.Repeat("-", rng.IntN(400))
			records[j] = rec(fmt.Sprintf("key %d", rng.IntN(7)), fmt.Sprintf("%s %d/%d %s", id, j, n, filler))
		}
		level := pick(rng, Applied, Local, Local, Remote)
		a, err := d.Append(context.Background(), records, AppendOptions{Ack: level})
		if err != nil {
			t.Errorf("append: %v", err)
			return
		}
		if _, err := fmt.Fprintf(acks, "%s %d %d %d\n", id, a.First, n, level); err != nil {
			os.Exit(1) // the parent is gone
		}
	}
}
