package compact

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/logdb-go/logdb/listing"
	"github.com/logdb-go/logdb/logdb/internal/view"
	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
)

var ctx = context.Background()

// entry is one entry as it stands in a table.
type entry struct {
	key     string
	seq     uint64
	ms      int64
	flags   segment.Flags
	payload string
}

// fixture is a segment that is written table by table.
type fixture struct {
	t      *testing.T
	bucket *objstore.Meter
	store  *view.Store
	tables []segment.Table
	n      uint64
	next   uint64
	timeMs int64
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, bucket: objstore.NewMeter(objstore.NewMem()), timeMs: 1_700_000_000_000}
	f.store = &view.Store{Log: objstore.NewID(), Source: f.bucket}
	f.coldCache()
	return f
}

func (f *fixture) coldCache() {
	c := segment.NewCache(2<<20, 8<<20)
	f.store.Cache = c
	f.t.Cleanup(func() {
		if s := c.Stats(); s.Pinned != 0 {
			f.t.Errorf("%d tables were never closed", s.Pinned)
		}
		c.Close()
	})
}

func (f *fixture) check(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// options names the next table.
func (f *fixture) options() segment.WriterOptions {
	f.n++
	return segment.WriterOptions{
		Log: f.store.Log, ID: segment.TableID{Compacted: true, Epoch: 1, N: f.n}, Nonce: objstore.NewID(), Segment: 3, BlockBytes: 4 << 10,
	}
}

func (f *fixture) put(data []byte, t segment.Table) {
	f.t.Helper()
	_, err := f.bucket.Put(ctx, t.Name(), data, objstore.IfAbsent())
	f.check(err)
}

// table adds a table of n entries over some of the keys, as a flush would make
// it: above all sequences before.
func (f *fixture) table(rng *rand.Rand, keys []string, n, valueBytes int) {
	byKey := map[string][]entry{}
	for range n {
		f.next += 1 + rng.Uint64N(3)
		f.timeMs += rng.Int64N(3)
		key := keys[rng.IntN(len(keys))]
		byKey[key] = append(byKey[key], randomEntry(rng, key, f.next, f.timeMs, valueBytes))
	}
	w := segment.NewWriter(f.options())
	names := sortedKeys(byKey)
	for _, key := range names {
		f.check(w.AddListing([]byte(key), listing.Append(nil, rowOf(byKey[key]))))
	}
	for _, key := range names {
		for _, e := range byKey[key] {
			f.check(w.Add([]byte(key), e.seq, e.ms, e.flags, []byte(e.payload)))
		}
	}
	f.finish(w)
}

func (f *fixture) finish(w *segment.Writer) {
	data, t, err := w.Finish()
	f.check(err)
	f.put(data, t)
	f.tables = append(f.tables, t)
}

func randomEntry(rng *rand.Rand, key string, seq uint64, ms int64, valueBytes int) entry {
	var value []byte
	for n := rng.IntN(valueBytes + 1); len(value) < n; {
		value = binary.BigEndian.AppendUint64(value, rng.Uint64())
	}
	e := entry{key: key, seq: seq, ms: ms, payload: string(value)}
	switch rng.IntN(10) {
	case 0:
		e.flags = segment.FlagLastOfBatch | segment.FlagTLVs
		e.payload = string(segment.AppendTLVs(nil, []segment.TLV{{Type: 7, Value: []byte("caller")}})) + e.payload
	case 1:
		e.flags, e.payload = segment.FlagTrimBefore, ""
	}
	return e
}

func rowOf(es []entry) listing.Listing {
	var l listing.Listing
	for i, e := range es {
		value := []byte(e.payload)
		if e.flags&segment.FlagTLVs != 0 {
			_, value, _ = segment.CutTLVs(value)
		}
		one := listing.Listing{Records: 1, ValueBytes: uint64(len(value)), First: e.seq, Last: e.seq, FirstMs: e.ms, LastMs: e.ms}
		if e.flags.Kind() != 0 {
			one.Records, one.Control = 0, 1
		}
		if i == 0 {
			l = one
			continue
		}
		l.Merge(one)
	}
	return l
}

// read returns what the tables hold, per key in concatenation order, and the
// sum of every key's listing rows.
func (f *fixture) read(tables []segment.Table) (map[string][]entry, map[string]listing.Listing) {
	f.t.Helper()
	byKey, rows := map[string][]entry{}, map[string]listing.Listing{}
	for _, t := range tables {
		r, err := f.store.Cache.Open(ctx, f.store.Source, f.store.Log, t)
		f.check(err)
		last := ""
		it := r.All(ctx, segment.EntryOptions{})
		for n := 0; it.Next(); n++ {
			e := entry{string(it.Key()), it.Sequence(), it.TimeMs(), it.Flags(), string(it.Payload())}
			if n > 0 && e.key < last {
				f.t.Fatalf("%s: key %.20q after %.20q", t.Name(), e.key, last)
			}
			last = e.key
			if es := byKey[e.key]; len(es) > 0 && es[len(es)-1].seq >= e.seq {
				f.t.Fatalf("%s: key %.20q: sequence %d after %d", t.Name(), e.key, e.seq, es[len(es)-1].seq)
			}
			byKey[e.key] = append(byKey[e.key], e)
		}
		f.check(it.Close())
		f.readRows(rows, r)
		f.check(r.Close())
	}
	return byKey, rows
}

func (f *fixture) readRows(rows map[string]listing.Listing, r *segment.Reader) {
	src := listing.FromTable(r.Listings(ctx, nil))
	for src.Next() {
		key, l := string(src.Key()), src.Listing()
		if before, ok := rows[key]; ok {
			before.Merge(l)
			l = before
		}
		rows[key] = l
	}
	f.check(src.Err())
	f.check(src.Close())
}

// merge merges the fixture's tables and puts the outputs.
func (f *fixture) merge(maxBytes int64) []segment.Table {
	f.t.Helper()
	var outputs []segment.Table
	f.check(Merge(ctx, f.store, f.tables, f.options, maxBytes, func(data []byte, t segment.Table) error {
		f.put(data, t)
		outputs = append(outputs, t)
		return nil
	}))
	return outputs
}

func hostileKeys() []string {
	keys := []string{"", "\x00", "\x00\x00", "\xff", "\xff\xff", "a", "a\x00", "a\x00b", "ab", "b", strings.Repeat("\xff", 100)}
	long := strings.Repeat("k", 64<<10-1)
	return append(append(keys, plainKeys(60)...), long, long+"k", long[:64], long[:65])
}

func plainKeys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("tenant/%04d", i)
	}
	return keys
}
