package wal

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var (
	crashSeed = flag.Uint64("crash.seed", 0, "run the crash test with this seed only")
	crashRuns = flag.Uint64("crash.runs", 40, "number of seeds the crash test runs")
)

// A machine that loses power again and again, each time keeping a random part of what was not synced: what was reported
// as synced is there, nothing is there without its predecessor, and no file is called corrupt.
func TestCrashesLoseNothingThatWasSynced(t *testing.T) {
	first, n := uint64(1), *crashRuns
	if *crashSeed != 0 {
		first, n = *crashSeed, 1
	}
	var torn, dropped, lines int
	for seed := first; seed < first+n; seed++ {
		c := &crasher{t: t, rng: rand.New(rand.NewPCG(seed, 1)), fs: vfs.NewCrashableMem(), kept: map[uint64]bool{}, starts: map[uint64]uint64{}}
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("replay with: go test ./wal -run TestCrashes -crash.seed=%d", seed)
			}
		})
		for epoch := uint64(1); epoch <= 5; epoch++ {
			c.live(epoch)
			if t.Failed() {
				return
			}
		}
		torn, dropped, lines = torn+c.torn, dropped+c.dropped, lines+len(c.kept)
	}
	t.Logf("%d seeds: %d frames kept, %d torn files, %d frames dropped", n, lines, torn, dropped)
}

type crasher struct {
	t    *testing.T
	rng  *rand.Rand
	fs   *vfs.MemFS
	next uint64
	// kept are the frames that a replay has shown or a report has covered: they may never go again.
	kept          map[uint64]bool
	starts        map[uint64]uint64 // first frame of each epoch
	appended      []uint64
	torn, dropped int
}

// live opens the directory, checks it, appends for a while and loses power.
func (c *crasher) live(epoch uint64) {
	d, err := OpenDir(c.fs, "wal")
	if err != nil {
		c.t.Error(err)
		return
	}
	c.check(d, epoch)
	must(c.t, d.NoteEpoch(testLog, epoch, testLog))
	c.starts[epoch] = c.next
	var synced atomic.Uint64
	l, err := d.NewLog(epoch, func(end uint64, err error) {
		if err != nil {
			c.t.Error(err)
		}
		synced.Store(end)
	})
	must(c.t, err)
	crashAt := c.rng.IntN(60)
	for i := range 60 {
		if i == crashAt {
			end := synced.Load()
			after := c.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: c.rng.IntN(101), RNG: c.rng})
			for _, first := range c.appended {
				if first < end {
					c.kept[first] = true
				}
			}
			defer func() { c.fs = after }()
		}
		c.step(l)
	}
	must(c.t, d.Close())
}

func (c *crasher) step(l *Log) {
	switch c.rng.IntN(12) {
	case 0:
		must(c.t, l.Rotate())
	case 1:
		must(c.t, l.Sync())
	default:
		value := make([]byte, c.rng.IntN(1+c.rng.IntN(50_000)))
		mustAppend(c.t, l, c.next, c.rng.IntN(3) == 0, fmt.Sprintf("k=%s", value))
		c.appended = append(c.appended, c.next)
		c.next++
	}
}

// check replays everything. The frames of one epoch are a prefix of what was appended in it.
func (c *crasher) check(d *Dir, epoch uint64) {
	seen := map[uint64]bool{}
	lastOf := map[uint64]uint64{}
	stats, err := d.Replay(0, epoch, func(e uint64, f Frame) error {
		first := f.first()
		want := c.starts[e]
		if last, ok := lastOf[e]; ok {
			want = last + 1
		}
		if first != want {
			c.t.Errorf("epoch %d: got frame %d, want %d", e, first, want)
		}
		lastOf[e] = first
		seen[first] = true
		return nil
	})
	if err != nil {
		c.t.Errorf("replay: %v", err)
	}
	for first := range c.kept {
		if !seen[first] {
			c.t.Errorf("frame %d is gone", first)
		}
	}
	c.kept = seen
	c.appended = nil
	c.next += 1000
	c.torn += stats.Torn
	c.dropped += int(stats.Dropped)
}
