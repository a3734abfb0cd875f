package listing

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
)

// fake is a source over a slice, with an error behind it if it has one.
type fake struct {
	keys   []string
	rows   []Listing
	at     int
	key    []byte
	err    error
	closed int
}

func (f *fake) Next() bool {
	if f.at++; f.at <= len(f.keys) {
		f.key = append(f.key[:0], f.keys[f.at-1]...)
	}
	return f.at <= len(f.keys)
}

func (f *fake) Key() []byte      { return f.key }
func (f *fake) Listing() Listing { return f.rows[f.at-1] }
func (f *fake) Close() error     { f.closed++; return nil }

func (f *fake) Err() error {
	if f.at <= len(f.keys) {
		return nil
	}
	return f.err
}

func hostileKeys() []string {
	keys := []string{"", "\x00", "\x00\x00", "a", "a\x00", "a\x00b", "aa", "b", "\xff", "\xff\xff", strings.Repeat("\xff", 100), strings.Repeat("x", 64<<10)}
	for i := range 50 {
		keys = append(keys, fmt.Sprintf("key-%03d", i))
	}
	slices.Sort(keys)
	return keys
}

// TestMergeIsAUnion: every key once, in order, with the sum of its listings,
// whichever sources hold it.
func TestMergeIsAUnion(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for range 100 {
		want := map[string]Listing{}
		var sources []Source
		for s := range rng.IntN(8) {
			f := &fake{}
			for _, k := range hostileKeys() {
				if rng.IntN(3) > 0 {
					continue
				}
				l := Listing{Records: 1 + rng.Uint64N(5), First: uint64(s) * 100, Last: uint64(s)*100 + 50, FirstMs: int64(s), LastMs: int64(s) + 1}
				f.keys, f.rows = append(f.keys, k), append(f.rows, l)
				if w, ok := want[k]; ok {
					w.Merge(l)
					l = w
				}
				want[k] = l
			}
			sources = append(sources, f)
		}
		m, seen := Merge(sources), 0
		last := ""
		for m.Next() {
			if k := string(m.Key()); seen > 0 && k <= last || m.Listing() != want[k] {
				t.Fatalf("%.50q after %.50q: got %+v, want %+v", k, last, m.Listing(), want[k])
			}
			last, seen = string(m.Key()), seen+1
		}
		if m.Err() != nil || m.Next() || seen != len(want) {
			t.Fatalf("got %d keys, %v, want %d", seen, m.Err(), len(want))
		}
		for range 2 {
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range sources {
			if s.(*fake).closed != 1 {
				t.Fatalf("source closed %d times", s.(*fake).closed)
			}
		}
	}
}

// TestMergeStopsAtAnError: a key whose sum lacks a source is never shown.
func TestMergeStopsAtAnError(t *testing.T) {
	broken := errors.New("broken")
	one := func(err error, keys ...string) *fake {
		return &fake{keys: keys, rows: make([]Listing, len(keys)), err: err}
	}
	for _, c := range []struct {
		name    string
		sources []Source
		want    string
	}{
		{"at once", []Source{one(nil, "a"), one(broken)}, ""},
		{"later", []Source{one(nil, "a", "b", "c", "d"), one(broken, "b")}, "a"},
		{"alone", []Source{one(broken, "a", "b")}, "a"},
	} {
		m, got := Merge(c.sources), ""
		for m.Next() {
			got += string(m.Key())
		}
		if got != c.want || !errors.Is(m.Err(), broken) || m.Next() {
			t.Errorf("%s: got %q, %v, want %q and the error", c.name, got, m.Err(), c.want)
		}
		_ = m.Close()
	}
}

// TestFromTable merges two real tables, and shows that a row which does not
// decode is an error and not an end.
func TestFromTable(t *testing.T) {
	ctx := context.Background()
	mem, log := objstore.NewMem(), objstore.NewID()
	c := segment.NewCache(1<<20, 1<<20)
	open := func(n, first uint64, row func(Listing) []byte, keys ...string) *segment.Reader {
		t.Helper()
		w := segment.NewWriter(segment.WriterOptions{Log: log, ID: segment.TableID{N: n}, Nonce: objstore.NewID()})
		for i, k := range keys {
			s := first + uint64(i)
			check(t, w.AddListing([]byte(k), row(Listing{Records: 1, ValueBytes: 1, First: s, Last: s, FirstMs: int64(s), LastMs: int64(s)})))
		}
		for i, k := range keys {
			check(t, w.Add([]byte(k), first+uint64(i), int64(first)+int64(i), 0, []byte("v")))
		}
		b, tab, err := w.Finish()
		check(t, err)
		_, err = mem.Put(ctx, tab.Name(), b, objstore.IfAbsent())
		check(t, err)
		r, err := c.Open(ctx, mem, log, tab)
		check(t, err)
		return r
	}
	encode := func(l Listing) []byte { return Append(nil, l) }
	r1, r2 := open(1, 10, encode, "", "a", "b"), open(2, 20, encode, "a", "c")
	r3 := open(3, 30, func(Listing) []byte { return []byte("?") }, "a")
	m := Merge([]Source{FromTable(r1.Listings(ctx, []byte("a"))), FromTable(r2.Listings(ctx, []byte("a")))})
	var got []string
	for m.Next() {
		got = append(got, fmt.Sprintf("%s %d [%d, %d]", m.Key(), m.Listing().Records, m.Listing().First, m.Listing().Last))
	}
	check(t, m.Err())
	check(t, m.Close())
	if want := []string{"a 2 [11, 20]", "b 1 [12, 12]", "c 1 [21, 21]"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	bad := FromTable(r3.Listings(ctx, nil))
	for range 2 {
		if bad.Next() || !errors.Is(bad.Err(), objstore.ErrUnsupported) {
			t.Errorf("row of another version: got %v", bad.Err())
		}
	}
	check(t, bad.Close())
	for _, r := range []*segment.Reader{r1, r2, r3} {
		check(t, r.Close())
	}
	check(t, c.Close())
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// BenchmarkMerge takes 8 sources of 10,000 keys each, half of them shared.
func BenchmarkMerge(b *testing.B) {
	sources := make([]Source, 8)
	for s := range sources {
		f := &fake{}
		for i := range 10_000 {
			f.keys = append(f.keys, fmt.Sprintf("tenant/stream-%06d", i*2+i%2*s))
			f.rows = append(f.rows, Listing{Records: 1})
		}
		slices.Sort(f.keys)
		sources[s] = f
	}
	b.ReportAllocs()
	b.ResetTimer()
	keys := 0
	for range b.N {
		for _, s := range sources {
			s.(*fake).at = 0
		}
		for m := Merge(sources); m.Next(); keys++ {
		}
	}
	b.ReportMetric(float64(keys)/b.Elapsed().Seconds()/1e6, "Mkeys/s")
}
