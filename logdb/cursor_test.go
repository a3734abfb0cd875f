package logdb

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/logdb-go/logdb/objstore"
)

// NextSequence is what consumers keep. Too low repeats records, too high loses
// them for good, and one that stands still for an idle key makes its owner read
// the whole log again after retention.

// faces opens a log that holds keys a and b in a segment that is sealed, one
// that is flushed, and the tail, and a reader of it.
func faces(t *testing.T) map[string]LogRead {
	b := objstore.NewMem()
	d := openLog(t, b, Options{})
	mustAppend(t, d, Remote, "a", "0", "b", "1")
	mustSeal(t, d)
	mustAppend(t, d, Remote, "a", "2", "b", "3", "b", "4")
	mustSeal(t, d)
	mustAppend(t, d, Remote, "a", "5", "b", "6")
	settled()
	return map[string]LogRead{"writer": d, "reader": openReader(t, b, ReaderOptions{RefreshInterval: -1})}
}

func TestNextSequence(t *testing.T) {
	const frontier = 7
	cases := []struct {
		what  string
		key   string
		r     Range
		o     ScanOptions
		moves int // calls of Next; -1 until it is false
		want  uint64
	}{
		{"before the first read, the start", "a", From(2), ScanOptions{}, 0, 2},
		{"before the first read of everything", "a", Range{}, ScanOptions{}, 0, 0},
		{"while reading, one past what was returned", "a", Range{}, ScanOptions{}, 1, 1},
		{"and not one past what comes next", "a", From(1), ScanOptions{}, 1, 3},
		{"the last entry read, the end not yet met", "a", Range{}, ScanOptions{}, 3, 6},
		{"drained, lifted past the last record", "a", Range{}, ScanOptions{}, -1, frontier},
		{"an idle key's cursor moves with the log", "nobody", Range{}, ScanOptions{}, -1, frontier},
		{"a drained range ends at its end", "a", Until(3), ScanOptions{}, -1, 3},
		{"and an empty one", "nobody", Between(1, 4), ScanOptions{}, -1, 4},
		{"a range beyond the log is not lifted to its end", "a", Between(5, 100), ScanOptions{}, -1, frontier},
		{"nor one that begins beyond it brought back", "a", From(50), ScanOptions{}, -1, 50},
		{"a range turned around stays at its start", "a", Between(5, 2), ScanOptions{}, -1, 5},
		{"a limit ends at what was returned", "a", Range{}, ScanOptions{Records: AtMost(2)}, -1, 3},
		{"a limit of nothing moves nothing", "a", From(1), ScanOptions{Records: AtMost(0)}, -1, 1},
		{"bytes likewise", "a", Range{}, ScanOptions{Bytes: AtMost(1)}, -1, 1},
		{"in reverse, the end of what is left", "a", Range{}, ScanOptions{Reverse: true}, 1, 5},
		{"in reverse, drained", "a", From(1), ScanOptions{Reverse: true}, -1, 1},
		{"in reverse, at a limit", "a", Range{}, ScanOptions{Reverse: true, Records: AtMost(2)}, -1, 2},
	}
	synctest.Test(t, func(t *testing.T) {
		for name, face := range faces(t) {
			if face.Frontier() != frontier {
				t.Fatalf("%s: frontier is %d", name, face.Frontier())
			}
			for _, c := range cases {
				it := face.Scan(context.Background(), []byte(c.key), c.r, c.o)
				for n := 0; n != c.moves && it.Next(); n++ {
				}
				if err := it.Err(); err != nil {
					t.Errorf("%s: %s: %v", name, c.what, err)
				}
				before := it.NextSequence()
				if err := it.Close(); err != nil {
					t.Errorf("%s: %s: close: %v", name, c.what, err)
				}
				if got := it.NextSequence(); got != c.want || before != c.want {
					t.Errorf("%s: %s: NextSequence is %d, and %d once closed, want %d", name, c.what, before, got, c.want)
				}
			}
		}
	})
}

// Pages of every size, forward and back, put together are the whole: nothing
// twice, nothing left out.
func TestPagesAreTheWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		for name, face := range faces(t) {
			whole := scanAll(t, face, "b", Range{}, ScanOptions{})
			for size := range uint64(5) {
				limit := AtMost(size + 1)
				var forward, backward []Entry
				for at, more := uint64(0), true; more; {
					it := face.Scan(ctx, []byte("b"), From(at), ScanOptions{Records: limit})
					more = false
					for it.Next() {
						forward, more = append(forward, owned(it.Entry())), true
					}
					at = it.NextSequence()
					it.Close()
				}
				for at, more := face.Frontier(), true; more; {
					it := face.Scan(ctx, []byte("b"), Until(at), ScanOptions{Records: limit, Reverse: true})
					more = false
					for it.Next() {
						backward, more = append(backward, owned(it.Entry())), true
					}
					at = it.NextSequence()
					it.Close()
				}
				slices.Reverse(backward)
				sameEntries(t, name+" forward", forward, whole)
				sameEntries(t, name+" backward", backward, whole)
			}
		}
	})
}

// A cursor that was lifted past gaps, retention and other keys' records meets
// every record that comes after, once.
func TestCursorMeetsWhatComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		b := objstore.NewMem()
		d := openLog(t, b, Options{Retention: Retention{Records: 2}})
		r := openReader(t, b, ReaderOptions{RefreshInterval: -1})
		var at uint64
		poll := func() (got []string) {
			if err := r.Refresh(ctx); err != nil {
				t.Fatal(err)
			}
			it := r.Scan(ctx, []byte("a"), From(at), ScanOptions{})
			defer it.Close()
			for it.Next() {
				got = append(got, string(it.Entry().Value))
			}
			at = it.NextSequence()
			return got
		}
		mustAppend(t, d, Remote, "a", "one", "b", "")
		if got := poll(); len(got) != 1 || at != 2 {
			t.Errorf("got %q, at %d", got, at)
		}
		mustAppend(t, d, Remote, "b", "", "b", "", "b", "")
		if got := poll(); len(got) != 0 || at != 5 {
			t.Errorf("an idle key: got %q, at %d", got, at)
		}
		crash(d)
		d = openLog(t, b, Options{Retention: Retention{Records: 2}})
		mustSeal(t, d) // everything expires; the sequences have jumped
		settled()
		if got := poll(); len(got) != 0 {
			t.Errorf("after retention: got %q", got)
		}
		a := mustAppend(t, d, Remote, "a", "two")
		if got := poll(); len(got) != 1 || got[0] != "two" || at != a.Next {
			t.Errorf("got %q, at %d, want what was appended at %d", got, at, a.First)
		}
	})
}

// What an iterator returns lives until its next move; what Get returns is the
// caller's. Keys of a listing are the iterator's, too.
func TestLifetimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		for name, face := range faces(t) {
			e, err := face.Get(ctx, []byte("b"), 1)
			if err != nil {
				t.Fatal(err)
			}
			clear(e.Value)
			clear(e.Key)
			if es := scanAll(t, face, "b", Range{}, ScanOptions{}); string(es[0].Value) != "1" || string(es[0].Key) != "b" {
				t.Errorf("%s: changing what Get returned changed the log", name)
			}
			key := []byte("a")
			it := face.Scan(ctx, key, Range{}, ScanOptions{})
			key[0] = 'b' // the caller's again, once Scan has returned
			if !it.Next() || string(it.Entry().Key) != "a" || string(it.Entry().Value) != "0" {
				t.Errorf("%s: %q = %q", name, it.Entry().Key, it.Entry().Value)
			}
			it.Close()
			if it.Next() || it.Err() != nil {
				t.Errorf("%s: a closed iterator moves: %v", name, it.Err())
			}
			for e, err := range face.Scan(ctx, []byte("a"), Range{}, ScanOptions{}).All() {
				if err != nil || string(e.Value) != "0" {
					t.Errorf("%s: %v, %v", name, e, err)
				}
				break // closes it
			}
		}
	})
}

func TestEndedContextEndsTheIterator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, face := range faces(t) {
			ctx, cancel := context.WithCancel(context.Background())
			it := face.Follow(ctx, []byte("a"), 0, ScanOptions{})
			for range 3 {
				if !it.Next() {
					t.Fatalf("%s: %v", name, it.Err())
				}
			}
			cancel()
			if it.Next() || !errors.Is(it.Err(), context.Canceled) {
				t.Errorf("%s: %v", name, it.Err())
			}
			if it.NextSequence() != 7 && it.NextSequence() != 6 {
				t.Errorf("%s: an ended follower stands at %d", name, it.NextSequence())
			}
			it.Close()
		}
	})
}
