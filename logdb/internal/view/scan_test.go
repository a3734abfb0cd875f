package view

import (
	"context"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
)

var ctx = context.Background()

func randomScan(rng *rand.Rand, f *fixture) ScanOptions {
	o := ScanOptions{Lo: rng.Uint64N(f.next + 5), Reverse: rng.IntN(2) == 0, Hi: f.next}
	if rng.IntN(2) == 0 {
		o.Lo = 0
	}
	if rng.IntN(2) == 0 {
		o.Hi = rng.Uint64N(f.next + 1)
	}
	o.HasRecords, o.Records = rng.IntN(4) == 0, rng.Uint64N(8)
	o.HasBytes, o.Bytes = rng.IntN(4) == 0, rng.Uint64N(2000)
	o.HasFromMs, o.FromMs = rng.IntN(4) == 0, f.timeMs-rng.Int64N(300)
	return o
}

func entries(t *testing.T, it *Iter) []Entry {
	t.Helper()
	var got []Entry
	for it.Next() {
		got = append(got, Entry{append([]byte{}, it.Key()...), it.Sequence(), it.TimeMs(), append([]byte{}, it.Value()...)})
	}
	if it.Err() != nil {
		t.Fatal(it.Err())
	}
	return got
}

// checkResume holds NextSequence against what was returned.
func checkResume(t *testing.T, it *Iter, o ScanOptions, got []Entry) {
	t.Helper()
	want := o.Lo
	switch {
	case o.Reverse && it.Done():
		want = min(o.Lo, o.Hi)
	case it.Done():
		want = max(o.Lo, o.Hi)
	case o.Reverse && len(got) == 0:
		want = o.Hi
	case o.Reverse:
		want = got[len(got)-1].Sequence
	case len(got) > 0:
		want = got[len(got)-1].Sequence + 1
	}
	if it.NextSequence() != want {
		t.Fatalf("%+v: next sequence %d, want %d", o, it.NextSequence(), want)
	}
}

// scanned scans to the end, compares what comes with the model, and returns the
// scan and what it was to return.
func (f *fixture) scanned(seed uint64, key string, o ScanOptions) (*Iter, []Entry) {
	f.t.Helper()
	it := f.view.Scan(ctx, []byte(key), o)
	got, want := entries(f.t, it), f.expect(key, o)
	if !reflect.DeepEqual(got, want) {
		f.t.Fatalf("seed %d: scan %.20q %+v: got %d entries, want %d", seed, key, o, len(got), len(want))
	}
	checkResume(f.t, it, o, got)
	return it, want
}

func TestScanReturnsWhatTheModelHolds(t *testing.T) {
	for range 4 {
		seed := rand.Uint64()
		rng := rand.New(rand.NewPCG(seed, 0))
		keys := hostileKeys()
		f := randomView(t, rng, keys)
		for range 600 {
			key, o := keys[rng.IntN(len(keys))], randomScan(rng, f)
			it, want := f.scanned(seed, key, o)
			unlimited := o
			unlimited.HasRecords, unlimited.HasBytes = false, false
			if rest := len(f.expect(key, unlimited)) - len(want); it.Done() && rest > 0 || !it.Done() && !o.HasRecords && !o.HasBytes {
				t.Fatalf("seed %d: scan %+v: done %v with %d entries left", seed, o, it.Done(), rest)
			}
			f.check(it.Close())
			if it.Next() || it.Close() != nil {
				t.Fatal("a closed scan goes on")
			}
		}
	}
}

// Pages of any size, each begun where the one before said, return everything
// once, forward and in reverse.
func TestPagesJoinWithoutGapOrRepeat(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	keys := hostileKeys()
	f := randomView(t, rng, keys)
	for _, key := range keys {
		for _, reverse := range []bool{false, true} {
			o := ScanOptions{Hi: f.next, Reverse: reverse}
			want := f.expect(key, o)
			var got []Entry
			for {
				o.HasRecords, o.Records = true, 1+rng.Uint64N(5)
				it := f.view.Scan(ctx, []byte(key), o)
				got = append(got, entries(t, it)...)
				f.check(it.Close())
				if it.Done() {
					break
				}
				if o.Lo = it.NextSequence(); reverse {
					o.Lo, o.Hi = 0, it.NextSequence()
				}
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%.20q reverse %v: got %d entries in pages, want %d", key, reverse, len(got), len(want))
			}
		}
	}
}

// An idle key's cursor moves with the frontier, and one that is ahead of the
// frontier does not fall back.
func TestDrainedScanResumesAtItsBound(t *testing.T) {
	f := newFixture(t)
	f.append("k", "v")
	f.keepInMemory()
	for _, c := range []struct{ lo, hi, want uint64 }{{0, 1, 1}, {1, 50, 50}, {60, 50, 60}} {
		it := f.view.Scan(ctx, []byte("k"), ScanOptions{Lo: c.lo, Hi: c.hi})
		for it.Next() {
		}
		if !it.Done() || it.NextSequence() != c.want {
			t.Errorf("scan [%d, %d): done %v, next %d, want %d", c.lo, c.hi, it.Done(), it.NextSequence(), c.want)
		}
		f.check(it.Close())
	}
}

// A view made before a batch was applied to its memtable shows the batch to
// who passes a higher frontier, and hides it from who does not.
func TestMemtableGrowsUnderAView(t *testing.T) {
	f := newFixture(t)
	f.append("k", "old")
	m := f.keepInMemory()
	f.append("k", "new")
	m.ApplyAll(f.frames)
	for hi := range uint64(3) {
		it := f.view.Scan(ctx, []byte("k"), ScanOptions{Hi: hi})
		if got := entries(t, it); len(got) != int(hi) {
			t.Errorf("below %d: got %d entries", hi, len(got))
		}
		f.check(it.Close())
	}
}

func TestReadersShareAView(t *testing.T) {
	keys := hostileKeys()
	f := randomView(t, rand.New(rand.NewPCG(2, 2)), keys)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			rng := rand.New(rand.NewPCG(3, uint64(g)))
			for range 100 {
				key, o := keys[rng.IntN(len(keys))], randomScan(rng, f)
				it := f.view.Scan(ctx, []byte(key), o)
				n := 0
				for it.Next() {
					n++
				}
				if want := len(f.expect(key, o)); n != want || it.Err() != nil {
					t.Errorf("scan %+v: got %d entries and %v, want %d", o, n, it.Err(), want)
				}
				it.Close()
			}
		}()
	}
	wg.Wait()
}
