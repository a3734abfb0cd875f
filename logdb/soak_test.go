//go:build linux

package logdb

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

var soakMegabytes = flag.Int("soak.mb", 64, "megabytes that TestSoak appends")

// soakChild makes the test binary the process that is measured.
const soakChild = "LOGDB_TEST_SOAK"

// soakOptions have budgets that add up to about 60 MiB.
func soakOptions(dir string, transfers *objstore.Budget) Options {
	return Options{
		WALDir: dir, LocalBytes: 1 << 30,
		Memory: Memory{Memtable: 6 << 20, Queue: 4 << 20, Cache: 8 << 20, Transfers: transfers}, Limits: Limits{ValueBytes: 256 << 10, BatchBytes: 1 << 20},
		Segments: SegmentOptions{Bytes: 32 << 20},
	}
}

// soakBudget is what the process may hold by its options: memtables, each with
// the table that is made of it, queue, caches, transfers, and the read-ahead of
// a merge.
const soakBudget = (2*keptMemtables*6 + 4 + 8 + 2 + 16 + 64) << 20

// TestSoak measures a process that is written to as fast as it takes it, by
// sixteen goroutines, while eight others read, over a store with the latencies
// of S3 that is away for a third of the time. Its resident memory stays within
// what its budgets add up to, doubled by the garbage collector, and a base.
//
//	go test ./logdb -run TestSoak -soak.mb 8000 -v
func TestSoak(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's own memory is more than what is measured")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestSoakChild$", "-test.count=1", fmt.Sprintf("-soak.mb=%d", *soakMegabytes))
	cmd.Env = append(os.Environ(), soakChild+"="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("child: %v\n%s", err, out)
	}
	var peak, staged uint64
	for line := range strings.Lines(string(out)) {
		if _, err := fmt.Sscanf(line, "peak rss %d staged %d", &peak, &staged); err == nil {
			break
		}
	}
	const base = 96 << 20 // a process of this kind that does nothing, and its code
	t.Logf("%d MB appended: peak RSS %d MiB, budgets %d MiB; %d MiB were staged at once", *soakMegabytes, peak>>20, soakBudget>>20, staged>>20)
	if peak == 0 || staged == 0 {
		t.Fatalf("the test shows nothing:\n%s", out)
	}
	if peak > 2*soakBudget+base {
		t.Errorf("peak RSS %d MiB, want at most %d", peak>>20, (2*soakBudget+base)>>20)
	}
}

// TestSoakChild is the process that TestSoak measures.
func TestSoakChild(t *testing.T) {
	dir := os.Getenv(soakChild)
	if dir == "" {
		t.Skip("a child of TestSoak")
	}
	files, err := objstore.NewFile(dir + "/bucket")
	if err != nil {
		t.Fatal(err)
	}
	b := objstoretest.NewFaulty(objstoretest.NewLatency(files, objstoretest.S3Standard(1)), objstoretest.Plan{})
	transfers := objstore.NewBudget(16 << 20)
	d := openLog(t, b, soakOptions(dir+"/wal", transfers))
	s := &soak{d: d, left: int64(*soakMegabytes) << 20}
	s.run(t, b)
	b.Down(false)
	mustFlush(t, d)
	fmt.Printf("peak rss %d staged %d\n", peakRSS(t), s.staged.Load())
}

type soak struct {
	d            *LogDb
	left         int64
	sent, staged atomic.Int64
}

// run appends all there is while the store comes and goes with every sixth of
// it.
func (s *soak) run(t *testing.T, b *objstoretest.Faulty) {
	ctx, cancel := context.WithCancel(context.Background())
	var writers, readers sync.WaitGroup
	for i := range 16 {
		writers.Go(func() { s.write(t, ctx, uint64(i)) })
	}
	for i := range 8 {
		readers.Go(func() { s.read(ctx, uint64(i)) })
	}
	go func() {
		for ctx.Err() == nil {
			b.Down(s.sent.Load()*6/s.left%3 == 1)
			if n := s.d.Metrics().StagedBytes; n > s.staged.Load() {
				s.staged.Store(n)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	writers.Wait()
	cancel()
	readers.Wait()
}

func (s *soak) write(t *testing.T, ctx context.Context, seed uint64) {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	rng, value := rand.NewChaCha8(key), make([]byte, 64<<10)
	for s.sent.Add(int64(len(value))) < s.left {
		_, _ = rng.Read(value)
		_, err := s.d.Append(ctx, []Record{{Key: fmt.Appendf(nil, "key %d", rng.Uint64()%1000), Value: value}}, AppendOptions{Ack: Local})
		if err != nil {
			t.Errorf("append: %v", err)
			return
		}
	}
}

// read scans whole keys, one after the other. What a store that is away
// refuses is not its business.
func (s *soak) read(ctx context.Context, seed uint64) {
	for i := seed; ctx.Err() == nil; i += 7 {
		it := s.d.Scan(ctx, fmt.Appendf(nil, "key %d", i%1000), Range{}, ScanOptions{})
		for it.Next() {
			continue
		}
		_ = it.Close()
	}
}

// peakRSS returns the most memory that this process ever had resident, in
// bytes.
func peakRSS(t *testing.T) (n int64) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
	if _, err := fmt.Sscanf(string(rest), "%d kB", &n); err != nil {
		t.Fatal(err)
	}
	return n << 10
}
