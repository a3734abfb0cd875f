package inspect

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/logdb-go/logdb/listing"
	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
	"github.com/logdb-go/logdb/wal"
)

var (
	ourLog   = objstore.ID{1, 15: 1}
	otherLog = objstore.ID{2, 15: 2}
	errNoLog = errors.New("no log")
)

// fixture is a log made by hand, so that each rule can be broken alone: two
// tables in a sealed segment, one in an open one, and a WAL behind them.
//
//	[0, 10) and [10, 20)  segment 1, sealed
//	[20, 30)              segment 2, in a table
//	[30, 40)              segment 2, wal 1-5; then a fence to epoch 2
//	[40, 50)              segment 2, wal 2-0, and its seal
//	[50, 60)              segment 3, wal 2-1
type fixture struct {
	t      *testing.T
	b      *objstore.Mem
	m      *segment.Manifest
	frames map[wal.Position][]wal.Frame
	heads  map[wal.Position]wal.ObjectHeader
	bodies map[wal.Position][]byte // of tables objects
	nonces byte
}

func (f *fixture) nonce() objstore.ID {
	f.nonces++
	return objstore.ID{0xaa, 15: f.nonces}
}

// entry is a record of a table.
type entry struct {
	key string
	seq uint64
	ms  int64
}

// run is ten records from first on, over three keys, a ms apart.
func run(first uint64) (es []entry) {
	for i := range uint64(10) {
		es = append(es, entry{string(rune('a' + i%3)), first + i, ms(first + i)})
	}
	return es
}

func ms(seq uint64) int64 { return 1_000_000 + int64(seq) }

func newFixture(t *testing.T) *fixture {
	f := &fixture{
		t: t, b: objstore.NewMem(), frames: map[wal.Position][]wal.Frame{},
		heads: map[wal.Position]wal.ObjectHeader{}, bodies: map[wal.Position][]byte{},
	}
	f.m = &segment.Manifest{
		Log: ourLog, Version: 7, Host: "here", PID: 42, WrittenMs: ms(99), Nonce: f.nonce(), Epoch: 2, DirSince: 1, CompactorEpoch: 2,
		Flushed: 30, Limit: 1000, LastMs: ms(29), NextSegment: 3,
		ReplayEpoch: 1, ReplayNumber: 5, OldestEpoch: 1, OldestNumber: 5,
		Segments: []segment.Segment{
			{ID: 1, Start: 0, End: 20, Sealed: true, OpenedMs: ms(0), SealedMs: ms(19)},
			{ID: 2, Start: 20, OpenedMs: ms(20)},
		},
	}
	f.addTable(0, f.table(1, 1, run(0), nil))
	f.addTable(0, f.table(1, 2, run(10), nil))
	f.addTable(1, f.table(2, 3, run(20), nil))
	f.data(1, 5, batch(30, 2, 20))
	f.fence(1, 6, 2)
	f.data(2, 0, batch(40, 2, 20), wal.NewSeal(wal.Header{First: 50, TimeMs: ms(49), Segment: 2, SegmentStart: 20}, nil))
	f.data(2, 1, batch(50, 3, 50))
	return f
}

// table puts a table; rows may change what its listing says.
func (f *fixture) table(seg, n uint64, es []entry, rows func(key string, l *listing.Listing) bool) segment.Table {
	f.t.Helper()
	slices.SortFunc(es, func(a, b entry) int { return cmp.Or(strings.Compare(a.key, b.key), cmp.Compare(a.seq, b.seq)) })
	w := segment.NewWriter(segment.WriterOptions{
		Compression: segment.None, // what zstd makes depends on the build, and on what it made before
		Log:         ourLog, ID: segment.TableID{Epoch: 1, N: n}, Nonce: f.nonce(), Segment: seg, BaseMs: 0,
	})
	for i := 0; i < len(es); {
		key, l := es[i].key, listing.Listing{}
		for j := i; i < len(es) && es[i].key == key; i++ {
			one := listing.Listing{Records: 1, ValueBytes: 1, First: es[i].seq, Last: es[i].seq, FirstMs: es[i].ms, LastMs: es[i].ms}
			if i == j {
				l = one
			} else {
				l.Merge(one)
			}
		}
		if rows == nil || rows(key, &l) {
			f.must(w.AddListing([]byte(key), listing.Append(nil, l)))
		}
	}
	for _, e := range es {
		f.must(w.Add([]byte(e.key), e.seq, e.ms, 0, []byte("v")))
	}
	body, t, err := w.Finish()
	f.must(err)
	f.put(t.Name(), body)
	return t
}

func (f *fixture) addTable(i int, t segment.Table) {
	s := &f.m.Segments[i]
	s.Tables = append(s.Tables, t)
	s.Records += t.Records
	s.Bytes += t.KeyBytes + t.ValueBytes
	s.LastMs = max(s.LastMs, t.LastMs)
}

// batch is ten records of three keys.
func batch(first, seg, start uint64) wal.Frame {
	b := wal.AppendBatch(nil, 10, func(i int) (key, value []byte) { return []byte{byte('a' + i%3)}, []byte("v") })
	b.Stamp(first, ms(first), seg, start)
	return b
}

// data plans a data object behind what precedes it in this epoch, or in the
// epoch before.
func (f *fixture) data(epoch, number uint64, frames ...wal.Frame) {
	at := wal.Position{Epoch: epoch, Number: number}
	f.frames[at] = frames
	f.heads[at] = wal.ObjectHeader{Kind: wal.Data, Log: ourLog, At: at, Nonce: f.nonce(), Start: frames[0].Header().First, ManifestVersion: 7}
}

func (f *fixture) fence(epoch, number, next uint64) {
	at := wal.Position{Epoch: epoch, Number: number}
	f.heads[at] = wal.ObjectHeader{Kind: wal.Fence, Log: ourLog, At: at, Nonce: f.nonce(), Start: 40, End: 40, ManifestVersion: 7, Next: wal.Position{Epoch: next}}
}

// tables plans a tables object instead of what is there.
func (f *fixture) tables(epoch, number, start, end uint64, tables ...segment.Table) {
	at := wal.Position{Epoch: epoch, Number: number}
	f.bodies[at] = segment.AppendTables(nil, tables)
	f.heads[at] = wal.ObjectHeader{Kind: wal.Tables, Log: ourLog, At: at, Nonce: f.nonce(), Start: start, End: end, MinMs: ms(start), MaxMs: ms(end - 1), ManifestVersion: 7}
}

func (f *fixture) change(epoch, number uint64, how func(*wal.ObjectHeader)) {
	at := wal.Position{Epoch: epoch, Number: number}
	h := f.heads[at]
	how(&h)
	f.heads[at] = h
}

// finish puts what was planned.
func (f *fixture) finish() {
	f.t.Helper()
	for at, h := range f.heads {
		var body []byte
		switch h.Kind {
		case wal.Data:
			body = wal.AppendData(nil, h, f.frames[at])
		case wal.Tables:
			body = wal.EncodeTables(h, f.bodies[at])
		default:
			body = wal.EncodeFence(h)
		}
		f.put(wal.ObjectName(h.At.Epoch, h.At.Number), body)
	}
	f.put(segment.ManifestName, segment.EncodeManifest(f.m))
}

func (f *fixture) put(name string, body []byte) {
	f.t.Helper()
	_, err := f.b.Put(context.Background(), name, body, objstore.Always())
	f.must(err)
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// check returns what was found, as text.
func check(t *testing.T, b objstore.Reader) (found []string, n Checked) {
	t.Helper()
	for err := range Check(context.Background(), b, errNoLog, &n) {
		if !errors.Is(err, objstore.ErrCorrupt) {
			t.Fatalf("check: %v", err)
		}
		found = append(found, err.Error())
	}
	return found, n
}
