package memtable

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/logdb-go/logdb/listing"
	"github.com/logdb-go/logdb/wal"
)

// entry is what the model remembers of a record.
type entry struct {
	sequence uint64
	timeMs   int64
	value    string
}

// model is what a table should hold, kept as simply as possible.
type model struct {
	entries map[string][]entry
	end     uint64
	timeMs  int64
	records uint64
	bytes   int64
}

func newModel(start uint64) *model {
	return &model{entries: map[string][]entry{}, end: start, timeMs: 1_700_000_000_000}
}

// batch makes a frame that starts gap sequences above the end, and remembers
// its records.
func (m *model) batch(gap uint64, wait int64, kv ...string) wal.Frame {
	m.end += gap
	m.timeMs += wait
	f := wal.AppendBatch(nil, len(kv)/2, func(i int) (key, value []byte) {
		return []byte(kv[2*i]), []byte(kv[2*i+1])
	})
	f.Stamp(m.end, m.timeMs, 7, 0)
	for i := 0; i < len(kv); i += 2 {
		m.entries[kv[i]] = append(m.entries[kv[i]], entry{m.end, m.timeMs, kv[i+1]})
		m.end++
		m.records++
		m.bytes += int64(len(kv[i]) + len(kv[i+1]))
	}
	return f
}

// random makes a frame of up to max records over the given keys.
func (m *model) random(rng *rand.Rand, keys []string, max int) wal.Frame {
	var kv []string
	for n := 1 + rng.IntN(max); n > 0; n-- {
		kv = append(kv, keys[rng.IntN(len(keys))], strings.Repeat("v", rng.IntN(20)))
	}
	gap := uint64(0)
	if rng.IntN(4) == 0 {
		gap = rng.Uint64N(1000)
	}
	return m.batch(gap, rng.Int64N(3), kv...)
}

func (m *model) scan(key string, lo, hi uint64) []entry {
	var got []entry
	for _, e := range m.entries[key] {
		if e.sequence >= lo && e.sequence < hi {
			got = append(got, e)
		}
	}
	return got
}

func (m *model) listing(key string, lo, hi uint64) (l listing.Listing, ok bool) {
	for _, e := range m.scan(key, lo, hi) {
		if !ok {
			l.First, l.FirstMs = e.sequence, e.timeMs
		}
		l.Records++
		l.ValueBytes += uint64(len(e.value))
		l.Last, l.LastMs, ok = e.sequence, e.timeMs, true
	}
	return l, ok
}

func (m *model) keys(from string, lo, hi uint64) []string {
	var keys []string
	for k := range m.entries {
		if k >= from && len(m.scan(k, lo, hi)) > 0 {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

func (m *model) sequenceAt(ms int64) uint64 {
	at := m.end
	for _, es := range m.entries {
		for _, e := range es {
			if e.timeMs >= ms {
				at = min(at, e.sequence)
			}
		}
	}
	return at
}

// hostileKeys are prefixes of each other, runs of the smallest and largest
// byte, keys around the eight bytes that sorting looks at, and long ones.
func hostileKeys() []string {
	keys := []string{"", "\x00", "\x00\x00", "\xff", "\xff\xff\xff", "a", "a\x00", "a\x00b", "ab", "b"}
	for n := range 20 {
		keys = append(keys, strings.Repeat("\x00", n+3), strings.Repeat("p", n), "p"+strings.Repeat("\x00", n+1))
	}
	long := strings.Repeat("x", 64<<10-1)
	keys = append(keys, long, long+"x", long+"\x00", long[:1000])
	slices.Sort(keys)
	return slices.Compact(keys)
}

func plainKeys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("orders/customer-%06d", i*7919%n)
	}
	return keys
}

func collect(it Iter, move func(*Iter) bool) []entry {
	var got []entry
	for move(&it) {
		got = append(got, entry{it.Sequence(), it.TimeMs(), string(it.Value())})
	}
	return got
}

func forward(it Iter) []entry { return collect(it, (*Iter).Next) }

func backward(it Iter) []entry {
	got := collect(it, (*Iter).Prev)
	slices.Reverse(got)
	return got
}

func drain(s listing.Source) (keys []string, rows []listing.Listing) {
	for s.Next() {
		keys = append(keys, string(bytes.Clone(s.Key())))
		rows = append(rows, s.Listing())
	}
	return keys, rows
}
