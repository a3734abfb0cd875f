package view

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/logdb-go/logdb/listing"
	"github.com/logdb-go/logdb/segment"
)

func TestGetFindsEveryEntryAndNoOther(t *testing.T) {
	f := randomView(t, rand.New(rand.NewPCG(4, 4)), hostileKeys())
	owner := map[uint64]Entry{}
	for _, es := range f.model {
		for _, e := range es {
			owner[e.Sequence] = e
		}
	}
	for seq := range f.next + 2 {
		for key := range f.model {
			if seq%7 != 0 && string(owner[seq].Key) != key {
				continue
			}
			e, ok, err := f.view.Get(ctx, []byte(key), seq)
			want, has := owner[seq]
			has = has && string(want.Key) == key
			if err != nil || ok != has || has && (!bytes.Equal(e.Value, want.Value) || e.TimeMs != want.TimeMs || e.Sequence != seq) {
				t.Fatalf("get %.20q at %d: got %v %v, want %v", key, seq, ok, err, has)
			}
		}
	}
	if _, ok, err := f.view.Get(ctx, nil, math.MaxUint64); ok || err != nil {
		t.Fatalf("get at the largest sequence: got %v %v", ok, err)
	}
}

func TestCountIsWhatAScanReturns(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	keys := append(hostileKeys(), "absent")
	for range 4 {
		f := randomView(t, rng, keys[:len(keys)-1])
		for range 400 {
			key := keys[rng.IntN(len(keys))]
			o := ScanOptions{Lo: rng.Uint64N(f.next + 1), Hi: rng.Uint64N(f.next + 2)}
			got, err := f.view.Count(ctx, []byte(key), o.Lo, o.Hi)
			if want := len(f.expect(key, o)); err != nil || got != uint64(want) {
				t.Fatalf("count %.20q [%d, %d): got %d %v, want %d", key, o.Lo, o.Hi, got, err, want)
			}
			in, err := f.view.Inspect(ctx, []byte(key), o.Lo, o.Hi)
			if err != nil || in.Records != got {
				t.Fatalf("inspect %.20q [%d, %d): got %d %v, want %d", key, o.Lo, o.Hi, in.Records, err, got)
			}
		}
	}
}

// expectKeys lists the model's keys. Sequences tell which segment an entry is
// in.
func (f *fixture) expectKeys(o KeyOptions) (keys []string, rows []listing.Listing) {
	lo, hi := uint64(0), o.Hi
	for _, s := range f.view.Segments {
		if s.ID < o.SegLo {
			lo = s.End
		}
		if o.HasSegHi && s.ID+1 == o.SegHi {
			hi = min(hi, s.End)
		}
	}
	if o.HasSegHi && o.SegHi == 0 {
		hi = 0
	}
	for key := range f.model {
		es := f.expect(key, ScanOptions{Lo: lo, Hi: hi})
		if len(es) > 0 && strings.HasPrefix(key, string(o.Prefix)) && (!o.HasAfter || key > string(o.After)) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	if o.HasRecords {
		keys = keys[:min(len(keys), int(o.Records))]
	}
	for _, key := range keys {
		es := f.expect(key, ScanOptions{Lo: lo, Hi: hi})
		l := listing.Listing{First: es[0].Sequence, Last: es[len(es)-1].Sequence, FirstMs: es[0].TimeMs, LastMs: es[len(es)-1].TimeMs}
		for _, e := range es {
			l.Records, l.ValueBytes = l.Records+1, l.ValueBytes+uint64(len(e.Value))
		}
		rows = append(rows, l)
	}
	return keys, rows
}

func TestKeysAreListedOnceInOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	all := hostileKeys()
	for range 4 {
		f := randomView(t, rng, all)
		for range 100 {
			o := KeyOptions{SegLo: rng.Uint64N(3), SegHi: rng.Uint64N(5), HasSegHi: rng.IntN(2) == 0, Hi: f.next}
			o.Prefix = []byte([]string{"", "", "a", "tenant/", "tenant/1", "\xff", "\x00", "none"}[rng.IntN(8)])
			o.After, o.HasAfter = []byte(all[rng.IntN(len(all))]), rng.IntN(3) == 0
			o.Records, o.HasRecords = rng.Uint64N(10), rng.IntN(3) == 0
			if rng.IntN(3) == 0 {
				o.Hi = rng.Uint64N(f.next + 1) // below tables: rows say too much and entries are counted
			}
			it := f.view.Keys(ctx, o)
			var keys []string
			var rows []listing.Listing
			for it.Next() {
				keys, rows = append(keys, string(it.Key())), append(rows, it.Listing())
			}
			wantKeys, wantRows := f.expectKeys(o)
			if it.Err() != nil || !slices.Equal(keys, wantKeys) || !slices.Equal(rows, wantRows) {
				t.Fatalf("keys %+v: got %.100q %v, want %.100q", o, keys, it.Err(), wantKeys)
			}
			f.check(it.Close())
			if it.Next() || it.Close() != nil {
				t.Fatal("a closed listing goes on")
			}
		}
	}
}

// Entries that trim or delete are for whoever maintains the log: no scan
// returns them, no count counts them, and a key that has nothing else is not
// listed.
func TestControlEntriesAreNotShown(t *testing.T) {
	f := newFixture(t)
	w := f.writer()
	f.check(w.AddListing([]byte("gone"), listing.Append(nil, listing.Listing{Control: 1, First: 2, Last: 2})))
	f.check(w.AddListing([]byte("k"), listing.Append(nil, listing.Listing{Records: 1, Control: 1, ValueBytes: 1, First: 0, Last: 1})))
	f.check(w.Add([]byte("gone"), 2, 0, segment.FlagDeleteKey, nil))
	f.check(w.Add([]byte("k"), 0, 0, 0, []byte("v")))
	f.check(w.Add([]byte("k"), 1, 0, segment.FlagTrimBefore, nil))
	f.addTable(f.put(w))

	for _, hi := range []uint64{3, 2} {
		for key, want := range map[string]uint64{"k": 1, "gone": 0} {
			for _, reverse := range []bool{false, true} {
				it := f.view.Scan(ctx, []byte(key), ScanOptions{Hi: hi, Reverse: reverse})
				if got := entries(t, it); len(got) != int(want) {
					t.Errorf("scan %q below %d: got %v, want %d entries", key, hi, got, want)
				}
				f.check(it.Close())
			}
			if n, err := f.view.Count(ctx, []byte(key), 0, hi); n != want || err != nil {
				t.Errorf("count %q below %d: got %d %v, want %d", key, hi, n, err, want)
			}
		}
		it := f.view.Keys(ctx, KeyOptions{Hi: hi})
		if !it.Next() || string(it.Key()) != "k" || it.Listing().Records != 1 || it.Next() {
			t.Errorf("keys below %d: want k alone", hi)
		}
		f.check(it.Close())
	}
}
