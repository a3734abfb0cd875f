package logdb

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/logdb-go/logdb/objstore"
)

const year = 365 * 24 * time.Hour

// wrongClock is a wall clock that somebody sets.
type wrongClock struct{ ahead atomic.Int64 }

func (c *wrongClock) set(ahead time.Duration) { c.ahead.Store(int64(ahead)) }

func (c *wrongClock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())).Round(0) }

func (c *wrongClock) options(fs *vfs.MemFS) Options {
	return Options{
		WALDir: "wal", fs: fs, Clock: c.now, Memory: Memory{Cache: 1 << 20},
		Segments: SegmentOptions{Interval: time.Hour}, Retention: Retention{Age: 24 * time.Hour},
	}
}

// A clock that jumps by years, back and forth, while the log is open and
// between two opens, turns neither sequences nor times back.
func TestClockJumps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rng := drawn(t)
		clock, b, fs := &wrongClock{}, objstore.NewMem(), disk()
		o := clock.options(fs)
		o.Retention = Retention{}
		var next uint64
		for range 12 {
			clock.set(time.Duration(rng.Int64N(int64(20*year))) - 10*year)
			d := openLog(t, b, o)
			for i := range 4 {
				a := mustAppend(t, d, pick(rng, Local, Remote), "a", fmt.Sprint(i), "b", "")
				if a.First < next || i > 0 && a.First != next {
					t.Errorf("sequence %d, the one before was %d", a.First, next-1)
				}
				next = a.Next
				clock.set(time.Duration(rng.Int64N(int64(20*year))) - 10*year)
				if i == 2 {
					time.Sleep(90 * time.Minute)
				}
			}
			mustHistory(t, d) // times do not go back
			if rng.IntN(2) == 0 {
				closeLog(t, d)
			} else {
				left := fs.CrashClone(vfs.CrashCloneCfg{})
				crash(d)
				fs, o.fs = left, left
			}
		}
		if n := len(checkBucket(t, b)); n < 12*4 {
			t.Errorf("%d entries", n)
		}
	})
}

// sealed returns how many of the log's segments are.
func sealed(t *testing.T, d *LogDb) (n int) {
	t.Helper()
	segments, err := d.ListSegments(context.Background(), Range{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range segments {
		if s.Sealed {
			n++
		}
	}
	return n
}

// However the clock is set, before an open or while the log is open, the active
// segment is sealed an interval after it was begun at the latest.
func TestSegmentsAreSealedWhateverTheClockSays(t *testing.T) {
	for _, jump := range []time.Duration{-year, -time.Hour, time.Hour, year} {
		for _, reopened := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				clock, b, fs := &wrongClock{}, objstore.NewMem(), disk()
				d := openLog(t, b, clock.options(fs))
				mustAppend(t, d, Remote, "a", "1")
				clock.set(jump)
				if reopened {
					closeLog(t, d)
					d = openLog(t, b, clock.options(fs))
				}
				time.Sleep(time.Hour + time.Minute)
				settled()
				if n := sealed(t, d); n != 1 {
					t.Errorf("clock moved by %v, reopened %v: %d segments are sealed, want 1", jump, reopened, n)
				}
			})
		}
	}
}

// A segment is dropped when it is as old as the retention says, and not before:
// a clock that is a year ahead does not make it a year old, and one that was a
// year ahead when the records came does not keep them for a year more.
func TestRetentionWhateverTheClockSays(t *testing.T) {
	jumps := []time.Duration{-year, year}
	for _, jump := range jumps {
		for _, reopened := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				clock, b, fs := &wrongClock{}, objstore.NewMem(), disk()
				if jump < 0 {
					clock.set(-jump) // ahead first, and then put right
				}
				d := openLog(t, b, clock.options(fs))
				mustAppend(t, d, Remote, "a", "1")
				mustSeal(t, d)
				settled()
				clock.ahead.Add(int64(jump))
				if reopened {
					closeLog(t, d)
					d = openLog(t, b, clock.options(fs))
				}
				what := fmt.Sprintf("clock moved by %v, reopened %v", jump, reopened)
				mustAppend(t, d, Remote, "a", "2")
				time.Sleep(22 * time.Hour)
				if n := sealed(t, d); n != 2 {
					t.Errorf("%s: after 22 hours %d sealed segments are left, want both", what, n)
				}
				time.Sleep(25 * time.Hour)
				if n := sealed(t, d); n != 0 {
					t.Errorf("%s: after two days %d sealed segments are left, want none", what, n)
				}
			})
		}
	}
}
