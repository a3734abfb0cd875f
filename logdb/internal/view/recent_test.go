package view

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/logdb-go/logdb/logdb/internal/memtable"
	"github.com/logdb-go/logdb/wal"
)

// recentView is a random view whose last flushes are still in memory, some of
// them merged into one table with older ones, in front of a tail.
func recentView(t *testing.T, rng *rand.Rand, keys []string) *fixture {
	f := newFixture(t)
	write := func() {
		for range 1 + rng.IntN(12) {
			var kv []string
			for range 1 + rng.IntN(8) {
				kv = append(kv, keys[rng.IntN(len(keys))], "value")
			}
			f.next += rng.Uint64N(2) * rng.Uint64N(100)
			f.timeMs += rng.Int64N(3)
			f.append(kv...)
		}
	}
	recent := &Recent{}
	keep := func(m *memtable.Table) {
		recent.Parts = append(recent.Parts, Part{Mem: m, Lo: m.Start(), Hi: math.MaxUint64})
	}
	for range rng.IntN(4) {
		write()
		f.flush()
	}
	merged := rng.IntN(2) == 0
	var all []wal.Frame
	for i := range 1 + rng.IntN(4) {
		write()
		frames := f.frames
		m := f.memtable()
		if i == 0 {
			recent.From = m.Start()
		}
		keep(m)
		if merged {
			all = append(all, frames...)
			continue
		}
		f.frames = frames
		f.flush()
	}
	if merged {
		f.frames = all
		f.flushInto(1 + rng.IntN(3))
	}
	for range rng.IntN(3) {
		write()
		keep(f.keepInMemory())
	}
	if rng.IntN(2) == 0 {
		recent.From += rng.Uint64N(20) // the oldest has gone in part
	}
	f.view.Recent = recent
	return f
}

// What was flushed lately is read once, from memory, in both directions and
// across the line to what is in tables only.
func TestScanAcrossRecent(t *testing.T) {
	for range 20 {
		seed := rand.Uint64()
		rng := rand.New(rand.NewPCG(seed, 1))
		keys := hostileKeys()[:12]
		f := recentView(t, rng, keys)
		for range 200 {
			key, o := keys[rng.IntN(len(keys))], randomScan(rng, f)
			it, _ := f.scanned(seed, key, o)
			f.check(it.Close())
			n, err := f.view.Count(ctx, []byte(key), o.Lo, o.Hi)
			if all := f.expect(key, ScanOptions{Lo: o.Lo, Hi: o.Hi}); err != nil || n != uint64(len(all)) {
				t.Fatalf("seed %d: count %.20q in [%d,%d) is %d, %v, want %d", seed, key, o.Lo, o.Hi, n, err, len(all))
			}
		}
	}
}

// Scans of what is in memory ask nobody, and those that begin below it read the
// tables only as far as that.
func TestRecentCostsNothing(t *testing.T) {
	f := newFixture(t)
	f.append("a", "0", "k", "0", "z", "0")
	f.flush()
	recent := &Recent{From: f.next, Demand: NewDemand()}
	for range 3 {
		f.append("a", "1", "k", "1", "z", "1")
		frames := f.frames
		m := f.memtable()
		recent.Parts = append(recent.Parts, Part{Mem: m, Lo: m.Start(), Hi: f.next})
		f.frames = frames
		f.flush()
	}
	f.view.Recent = recent
	for _, c := range []struct {
		name    string
		want    int
		entries int
		o       ScanOptions
	}{
		{"the newest", 0, 3, ScanOptions{Lo: recent.From, Hi: f.next}},
		{"backward, as far as memory goes", 0, 3, ScanOptions{Hi: f.next, Reverse: true, HasRecords: true, Records: 3}},
		{"all: the one table that is not in memory", 2, 4, ScanOptions{Hi: f.next}},
		{"nothing but tables", 2, 1, ScanOptions{Hi: recent.From}},
	} {
		f.coldCache()
		if n := f.gets(func() {
			if got := f.drain("k", c.o); got != c.entries {
				t.Errorf("%s: %d entries, want %d", c.name, got, c.entries)
			}
		}); n != c.want {
			t.Errorf("%s: %d reads, want %d", c.name, n, c.want)
		}
	}
	f.coldCache()
	if n := f.gets(func() { f.view.Count(ctx, []byte("k"), recent.From, f.next) }); n != 0 {
		t.Errorf("a count of the newest: %d reads, want none", n)
	}
	in, err := f.view.Inspect(ctx, []byte("k"), 0, f.next)
	if err != nil || len(in.Tables) != 4 || in.Requests != 2 || in.Records != 4 {
		t.Errorf("inspection %+v, %v; want 4 tables, of which a scan reads one", in, err)
	}
}

// Demand is what forward scans to the newest wanted since the Turn before last.
func TestDemand(t *testing.T) {
	f := newFixture(t)
	for range 20 {
		f.append("k", "v")
	}
	m := f.keepInMemory()
	d := NewDemand()
	f.view.Recent = &Recent{Parts: []Part{{Mem: m, Hi: math.MaxUint64}}, From: 10, Demand: d}
	look := func(o ScanOptions, want uint64) {
		t.Helper()
		f.drain("k", o)
		if got := d.From(); got != want {
			t.Errorf("after %+v: wanted from %d, want %d", o, got, want)
		}
	}
	look(ScanOptions{Lo: 2, Hi: 9}, math.MaxUint64)                                // does not come that far
	look(ScanOptions{Lo: 2, Hi: 20, HasRecords: true, Records: 3}, math.MaxUint64) // nor does this
	look(ScanOptions{Lo: 0, Hi: 20, Reverse: true}, math.MaxUint64)
	look(ScanOptions{Lo: 15, Hi: 20}, 15)
	look(ScanOptions{Lo: 8, Hi: 20}, 8)
	d.Turn()
	look(ScanOptions{Lo: 18, Hi: 20}, 8)
	d.Turn()
	look(ScanOptions{Lo: 19, Hi: 20}, 18)
}
