package memtable

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/logdb-go/logdb/wal"
)

// compare holds a table against the model: every key, over many ranges, in
// both directions.
func compare(t *testing.T, rng *rand.Rand, tab *Table, m *model, keys []string) {
	t.Helper()
	if tab.End() != m.end || tab.Records() != m.records || tab.Bytes() != m.bytes || tab.KeyCount() != len(m.entries) {
		t.Fatalf("totals: end %d records %d bytes %d keys %d, want %d %d %d %d",
			tab.End(), tab.Records(), tab.Bytes(), tab.KeyCount(), m.end, m.records, m.bytes, len(m.entries))
	}
	for _, key := range keys {
		compareRange(t, tab, m, key, tab.Start(), tab.End())
		for range 5 {
			lo := tab.Start() + rng.Uint64N(m.end-tab.Start()+2)
			compareRange(t, tab, m, key, lo, lo+rng.Uint64N(m.end-tab.Start()+2))
		}
	}
	for range 5 {
		lo := tab.Start() + rng.Uint64N(m.end-tab.Start()+2)
		compareKeys(t, tab, m, keys[rng.IntN(len(keys))], lo, m.end)
	}
	compareKeys(t, tab, m, "", tab.Start(), m.end)
	for range 20 {
		ms := tab.FirstMs() - 2 + rng.Int64N(tab.LastMs()-tab.FirstMs()+5)
		if got, want := tab.SequenceAt(ms), m.sequenceAt(ms); got != want {
			t.Fatalf("sequence at %d: got %d, want %d", ms, got, want)
		}
	}
}

func compareRange(t *testing.T, tab *Table, m *model, key string, lo, hi uint64) {
	t.Helper()
	want := m.scan(key, lo, hi)
	if got := forward(tab.Scan([]byte(key), lo, hi)); !slices.Equal(got, want) {
		t.Fatalf("scan %.20q [%d, %d): got %v, want %v", key, lo, hi, got, want)
	}
	if got := backward(tab.Scan([]byte(key), lo, hi)); !slices.Equal(got, want) {
		t.Fatalf("reverse scan %.20q [%d, %d): got %v, want %v", key, lo, hi, got, want)
	}
	l, ok := tab.Listing([]byte(key), lo, hi)
	if wl, wok := m.listing(key, lo, hi); ok != wok || l != wl {
		t.Fatalf("listing %.20q [%d, %d): got %v %v, want %v %v", key, lo, hi, l, ok, wl, wok)
	}
}

func compareKeys(t *testing.T, tab *Table, m *model, from string, lo, hi uint64) {
	t.Helper()
	keys, rows := drain(tab.Keys([]byte(from), lo, hi))
	if want := m.keys(from, lo, hi); !slices.Equal(keys, want) {
		t.Fatalf("keys from %.20q [%d, %d): got %.200q, want %.200q", from, lo, hi, keys, want)
	}
	for i, key := range keys {
		if want, _ := m.listing(key, lo, hi); rows[i] != want {
			t.Fatalf("row of %.20q: got %v, want %v", key, rows[i], want)
		}
	}
}

func TestTableHoldsWhatTheModelHolds(t *testing.T) {
	for name, keys := range map[string][]string{
		"one key":      {"k"},
		"hostile keys": hostileKeys(),
		"many keys":    plainKeys(3000),
	} {
		t.Run(name, func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			rng := rand.New(rand.NewPCG(seed, 0))
			tab, m := New(7, 0, 100), newModel(100)
			for round := range 4 {
				for range 40 {
					if rng.IntN(2) == 0 {
						tab.Apply(m.random(rng, keys, 30))
						continue
					}
					tab.ApplyAll([]wal.Frame{m.random(rng, keys, 30), m.random(rng, keys, 30)})
				}
				if round%2 == 1 {
					compare(t, rng, tab, m, keys)
				}
			}
		})
	}
}

func TestEmptyTableHasNothing(t *testing.T) {
	tab := New(7, 90, 100)
	if tab.Segment() != 7 || tab.SegmentStart() != 90 || tab.Start() != 100 || tab.End() != 100 || tab.KeyCount() != 0 {
		t.Fatalf("unexpected totals of an empty table")
	}
	if it := tab.Scan([]byte("k"), 0, 1000); it.Next() || it.Prev() || it.First() || it.Last() {
		t.Fatal("an empty table has a record")
	}
	if tab.Keys(nil, 0, 1000).Next() || tab.Flush().Next() || len(tab.Frames(0)) != 0 {
		t.Fatal("an empty table has a key or a frame")
	}
	if got := tab.SequenceAt(0); got != 100 {
		t.Fatalf("sequence at 0: got %d, want the end 100", got)
	}
}

// A reader that took its hi before a batch came never sees that batch, however
// late it moves.
func TestReaderIsBoundByItsHi(t *testing.T) {
	tab, m := New(7, 0, 0), newModel(0)
	tab.Apply(m.batch(0, 0, "k", "one", "k", "two"))
	it := tab.Scan([]byte("k"), 0, tab.End())
	keys := tab.Keys(nil, 0, tab.End())
	sorted := tab.Flush()
	tab.Apply(m.batch(0, 1, "k", "three", "other", "x"))

	if got := forward(it); len(got) != 2 {
		t.Fatalf("scan: got %v, want the two records that were there", got)
	}
	if got, rows := drain(keys); len(got) != 1 || rows[0].Records != 2 {
		t.Fatalf("keys: got %v %v, want k with 2 records", got, rows)
	}
	if !sorted.Next() || sorted.Listing().Records != 2 || sorted.Next() {
		t.Fatal("flush shows records applied after it was taken")
	}
	if got := forward(tab.Scan([]byte("k"), 0, tab.End())); len(got) != 3 {
		t.Fatalf("a new scan: got %v, want three records", got)
	}
}

func TestIteratorTurnsRound(t *testing.T) {
	tab, m := New(7, 0, 0), newModel(0)
	tab.Apply(m.batch(0, 0, "k", "0", "k", "1", "k", "2"))
	it := tab.Scan([]byte("k"), 0, 3)
	for _, step := range []struct {
		name string
		move func() bool
		want string
	}{
		{"next", it.Next, "0"}, {"next", it.Next, "1"}, {"prev", it.Prev, "0"}, {"prev", it.Prev, ""},
		{"next", it.Next, ""}, {"last", it.Last, "2"}, {"prev", it.Prev, "1"}, {"first", it.First, "0"},
	} {
		got := ""
		if step.move() {
			got = string(it.Value())
		}
		if got != step.want {
			t.Fatalf("%s: got %q, want %q", step.name, got, step.want)
		}
	}
	if string(it.Key()) != "k" {
		t.Fatalf("key: got %q", it.Key())
	}
}

func TestFramesAreKeptForTheShipper(t *testing.T) {
	tab, m := New(7, 0, 0), newModel(0)
	a, b := m.batch(0, 0, "k", "0", "k", "1"), m.batch(5, 0, "k", "2")
	seal := wal.NewSeal(wal.Header{Kind: wal.Seal, First: m.end, TimeMs: m.timeMs, Segment: 7}, nil)
	tab.ApplyAll([]wal.Frame{a, b, seal})
	for _, c := range []struct {
		from uint64
		want int
	}{{0, 3}, {1, 2}, {2, 2}, {7, 2}, {8, 1}, {9, 0}} {
		if got := tab.Frames(c.from); len(got) != c.want {
			t.Errorf("frames from %d: got %d, want %d", c.from, len(got), c.want)
		}
	}
	if &tab.Frames(0)[1][0] != &b[0] {
		t.Error("the table copied a frame")
	}
	if tab.Records() != 3 || tab.End() != 8 {
		t.Errorf("records %d end %d, want 3 and 8", tab.Records(), tab.End())
	}
}

// A flush in pieces gives every record once, in key order, and the listing rows
// that a table builder wants first agree with the entries that follow.
func TestFlushInPiecesGivesEveryRecordOnce(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	tab, m, keys := New(7, 0, 0), newModel(0), hostileKeys()
	for range 100 {
		tab.Apply(m.random(rng, keys, 20))
	}
	cut := m.end / 3
	got := map[string][]entry{}
	for _, s := range []*Sorted{tab.FlushRange(0, cut), tab.FlushRange(cut, m.end)} {
		rows := map[string]uint64{}
		for s.Next() {
			rows[string(s.Key())] = s.Listing().Records
		}
		s.Rewind(true)
		previous := -1
		for s.Next() {
			key := string(s.Key())
			at, _ := slices.BinarySearch(keys, key)
			if at <= previous {
				t.Fatalf("key %.20q out of order", key)
			}
			previous = at
			es := forward(s.Entries())
			if uint64(len(es)) != rows[key] {
				t.Fatalf("%.20q: %d entries, listing says %d", key, len(es), rows[key])
			}
			got[key] = append(got[key], es...)
		}
	}
	for key, want := range m.entries {
		if !slices.Equal(got[key], want) {
			t.Fatalf("%.20q: got %v, want %v", key, got[key], want)
		}
	}
	if len(got) != len(m.entries) {
		t.Fatalf("got %d keys, want %d", len(got), len(m.entries))
	}
}

// Any record of a long stream is found in a number of steps that grows with
// the logarithm of its length.
func TestSeekInALongStreamIsLogarithmic(t *testing.T) {
	tab, m := New(7, 0, 0), newModel(0)
	kv := make([]string, 2000)
	for i := range kv {
		kv[i] = "k"
	}
	for range 100 {
		tab.Apply(m.batch(1, 0, kv...))
	}
	rng := rand.New(rand.NewPCG(3, 4))
	worst := 0
	for range 1000 {
		want := rng.Uint64N(m.end)
		steps := 0
		for r := tab.records.at(tab.streams.at(1).last.Load()); r.sequence > want; steps++ {
			if j := tab.records.at(r.jump); j.sequence >= want {
				r = j
				continue
			}
			r = tab.records.at(r.prev)
		}
		worst = max(worst, steps)
	}
	if worst > 60 {
		t.Fatalf("%d steps to a record among %d", worst, tab.Records())
	}
}

func TestMemoryFollowsFramesAndIndex(t *testing.T) {
	tab, m := New(7, 0, 0), newModel(0)
	empty := tab.Memory()
	keys, frames := plainKeys(20_000), int64(0)
	for i := 0; i < len(keys); i += 100 {
		var kv []string
		for _, k := range keys[i : i+100] {
			kv = append(kv, k, "v", k, "w")
		}
		f := m.batch(0, 0, kv...)
		frames += int64(cap(f))
		tab.Apply(f)
	}
	perRecord := float64(tab.Memory()-empty-frames) / float64(tab.Records())
	if perRecord < 40 || perRecord > 70 {
		t.Fatalf("index takes %.1f bytes for a record (two to a key), want 40 to 70", perRecord)
	}
}
