package view

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/logdb-go/logdb/objstore"
)

// oneTable has 200 keys from key-000 on, with a hundred entries each, in one
// table of about two megabytes.
func oneTable(t *testing.T) *fixture {
	f := newFixture(t)
	rng := rand.New(rand.NewPCG(7, 7))
	for range 100 {
		var kv []string
		for k := range 200 {
			kv = append(kv, fmt.Sprintf("key-%03d", k), noise(rng, 100))
		}
		f.timeMs += 10
		f.append(kv...)
	}
	f.flush()
	return f
}

// noise does not compress.
func noise(rng *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return string(b)
}

func (f *fixture) drain(key string, o ScanOptions) int {
	it := f.view.Scan(ctx, []byte(key), o)
	n := len(entries(f.t, it))
	f.check(it.Close())
	return n
}

// Reads cost money and time: this is the whole price list.
func TestWhatReadsCost(t *testing.T) {
	f := oneTable(t)
	whole := ScanOptions{Hi: f.next}
	for _, c := range []struct {
		name string
		cold bool
		want int
		do   func()
	}{
		{"a cold scan of one key: index, data", true, 2, func() { f.drain("key-100", whole) }},
		{"again: from memory", false, 0, func() { f.drain("key-100", whole) }},
		{"another key: data", false, 1, func() { f.drain("key-150", whole) }},
		{"the same in reverse: from memory", false, 0, func() { f.drain("key-150", ScanOptions{Hi: f.next, Reverse: true}) }},
		{"a key that the filter rules out, cold: index", true, 1, func() { f.drain("key-100x", whole) }},
		{"the same, warm", false, 0, func() { f.drain("key-100x", whole) }},
		{"a key outside of the bounds", true, 0, func() { f.drain("other", whole) }},
		{"sequences outside of the bounds", true, 0, func() { f.drain("key-100", ScanOptions{Lo: f.next, Hi: f.next + 10}) }},
		{"times outside of the bounds", true, 0, func() { f.drain("key-100", ScanOptions{Hi: f.next, HasFromMs: true, FromMs: f.timeMs + 1}) }},
		{"a limit of nothing", true, 0, func() { f.drain("key-100", ScanOptions{Hi: f.next, HasRecords: true}) }},
		{"a cold get: index, data", true, 2, func() { f.view.Get(ctx, []byte("key-100"), 100) }},
		{"a cold count of a whole table: index, listing", true, 2, func() { f.view.Count(ctx, []byte("key-100"), 0, f.next) }},
		{"the same, warm", false, 0, func() { f.view.Count(ctx, []byte("key-100"), 0, f.next) }},
		{"a count of part of a table: data", false, 1, func() { f.view.Count(ctx, []byte("key-100"), 1, f.next) }},
		{"a cold listing of keys: index, listing", true, 2, func() {
			it := f.view.Keys(ctx, KeyOptions{Hi: f.next})
			for it.Next() {
			}
			it.Close()
		}},
		{"keys outside of the bounds", true, 0, func() {
			it := f.view.Keys(ctx, KeyOptions{Hi: f.next, Prefix: []byte("other")})
			it.Next()
			it.Close()
		}},
	} {
		if c.cold {
			f.coldCache()
		}
		if got := f.gets(c.do); got != c.want {
			t.Errorf("%s: got %d reads, want %d", c.name, got, c.want)
		}
	}
}

func TestMemtablesCostNothing(t *testing.T) {
	f := newFixture(t)
	f.append("k", "v")
	f.keepInMemory()
	if n := f.gets(func() {
		f.drain("k", ScanOptions{Hi: f.next})
		f.view.Count(ctx, []byte("k"), 0, f.next)
		it := f.view.Keys(ctx, KeyOptions{Hi: f.next})
		it.Next()
		it.Close()
	}); n != 0 {
		t.Fatalf("got %d reads, want none", n)
	}
}

// Inspect foretells what the scan that follows costs.
func TestInspectForetellsTheReads(t *testing.T) {
	f := oneTable(t)
	for range 3 {
		f.append("key-100", strings.Repeat("x", 1000))
		f.flush()
	}
	for range 300 {
		f.append("key-long", noise(rand.New(rand.NewPCG(8, f.next)), 10_000))
	}
	f.flush()
	f.append("key-100", "in memory")
	f.keepInMemory()
	for _, key := range []string{"key-100", "key-007", "key-100x", "key-long"} {
		f.coldCache()
		in, err := f.view.Inspect(ctx, []byte(key), 0, f.next)
		f.check(err)
		f.coldCache()
		var n int
		if got := f.gets(func() { n = f.drain(key, ScanOptions{Hi: f.next}) }); got != int(in.Requests) || n != int(in.Records) {
			t.Errorf("%s: scan made %d reads for %d entries, inspection said %d and %d", key, got, n, in.Requests, in.Records)
		}
		again, err := f.view.Inspect(ctx, []byte(key), 0, f.next)
		f.check(err)
		for i, table := range again.Tables {
			if !table.IndexInMemory || in.Tables[i].IndexInMemory || table.Name != in.Tables[i].Name {
				t.Errorf("%s: table %d: got %+v", key, i, table)
			}
			if table.FilterHit != (key != "key-100x") || table.FilterHit != (table.Blocks > 0) || table.FilterHit != (table.Bytes > 0) {
				t.Errorf("%s: table %d: got %+v", key, i, table)
			}
		}
	}
}

// A table that is gone is named, its cause is kept for the caller who may have
// a newer view, and what was returned before it stays returned.
func TestMissingTableKeepsItsCause(t *testing.T) {
	f := newFixture(t)
	f.append("k", "first")
	f.flush()
	f.append("k", "second")
	f.flush()
	lost := f.view.Parts[1].Table.Name()
	f.check(f.bucket.Delete(ctx, lost))

	it := f.view.Scan(ctx, []byte("k"), ScanOptions{Hi: f.next})
	if !it.Next() || it.Next() {
		t.Fatal("want one entry")
	}
	if err := it.Err(); !errors.Is(err, objstore.ErrNotFound) || !strings.Contains(err.Error(), lost) {
		t.Fatalf("got %v, want not found, naming %s", err, lost)
	}
	if it.Done() || it.NextSequence() != 1 {
		t.Fatalf("done %v, next %d, want to go on at 1", it.Done(), it.NextSequence())
	}
	f.check(it.Close())

	keys := f.view.Keys(ctx, KeyOptions{Hi: f.next})
	if keys.Next() || !errors.Is(keys.Err(), objstore.ErrNotFound) {
		t.Fatalf("keys: got %v, want not found", keys.Err())
	}
	f.check(keys.Close())
	for name, err := range map[string]error{
		"count":   second(f.view.Count(ctx, []byte("k"), 0, f.next)),
		"inspect": second(f.view.Inspect(ctx, []byte("k"), 0, f.next)),
	} {
		if !errors.Is(err, objstore.ErrNotFound) {
			t.Errorf("%s: got %v, want not found", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestEndedContextEndsAScan(t *testing.T) {
	f := oneTable(t)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	it := f.view.Scan(ended, []byte("key-100"), ScanOptions{Hi: f.next})
	if it.Next() || !errors.Is(it.Err(), context.Canceled) || it.Done() {
		t.Fatalf("got %v, want the context's error", it.Err())
	}
	f.check(it.Close())
}
