package logdb

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/logdb-go/logdb/logdb/internal/memtable"
	"github.com/logdb-go/logdb/logdb/internal/view"
	"github.com/logdb-go/logdb/objstore/objstoretest"
	"github.com/logdb-go/logdb/segment"
	"github.com/logdb-go/logdb/wal"
)

// pollers look into one key each, now and then, and remember where they were.
type pollers struct {
	t       *testing.T
	log     LogRead
	cursors []uint64
}

func newPollers(t *testing.T, l LogRead, keys int) *pollers {
	return &pollers{t: t, log: l, cursors: make([]uint64, keys)}
}

func (p *pollers) key(i int) []byte { return fmt.Appendf(nil, "key %03d", i) }

// poll has all of them look, and returns what they found.
func (p *pollers) poll() (n int) {
	p.t.Helper()
	for i := range p.cursors {
		it := p.log.Scan(context.Background(), p.key(i), From(p.cursors[i]), ScanOptions{})
		for it.Next() {
			n++
		}
		p.cursors[i] = it.NextSequence()
		if err := errors.Join(it.Err(), it.Close()); err != nil {
			p.t.Fatal(err)
		}
	}
	return n
}

// flushed appends a record to every key and waits until they are in a table.
func (p *pollers) flushed(d *LogDb, value string) {
	p.t.Helper()
	records := make([]Record, len(p.cursors))
	for i := range records {
		records[i] = Record{Key: p.key(i), Value: []byte(value)}
	}
	if _, err := d.Append(context.Background(), records, AppendOptions{Ack: Applied}); err != nil {
		p.t.Fatal(err)
	}
	time.Sleep(2 * soon)
	settled()
	if got, want := d.Metrics().Flushed, d.Frontier(); got != want {
		p.t.Fatalf("flushed to %d, want %d", got, want)
	}
}

// soon is when memtables are flushed.
const soon = time.Second

func mustRefresh(t *testing.T, r *LogDbReader) {
	t.Helper()
	if err := r.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// Who looks in between flushes finds what several of them have put into tables
// without a request, at the writer and at a reader. One that was not there when
// it was written pays two for each table.
func TestPollsAreFreeAcrossFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keys, flushes = 100, 5
		b := counted()
		d := openLog(t, b, Options{FlushInterval: soon, ExternalCompactor: true}) // whose tables stay as they are
		r := openReader(t, b, ReaderOptions{RefreshInterval: -1})
		atWriter, atReader := newPollers(t, d, keys), newPollers(t, r, keys)
		for round := range 4 {
			cursor := d.Frontier()
			for range flushes {
				atReader.flushed(d, "value")
				mustRefresh(t, r)
			}
			b.Reset()
			if n, m := atWriter.poll(), atReader.poll(); n != keys*flushes || m != n {
				t.Errorf("round %d: %d and %d records found, want %d", round, n, m, keys*flushes)
			}
			want := 0
			if round == 0 {
				want = 4*flushes - 2 // nobody had looked yet, and the reader has not heard of the last table
			}
			if n := len(b.Ops()); n != want {
				t.Errorf("round %d: polls of %d keys over %d new tables made %d requests, want %d\n%s", round, 2*keys, flushes, n, want, b)
			}
			late := newPollers(t, openReader(t, b, ReaderOptions{RefreshInterval: -1}), keys)
			for i := range late.cursors {
				late.cursors[i] = cursor
			}
			b.Reset()
			if n := late.poll(); n != keys*flushes {
				t.Errorf("round %d: %d records found late, want %d", round, n, keys*flushes)
			}
			if n := b.Count(objstoretest.GetRange, ""); n != 2*flushes || len(b.Ops()) != n {
				t.Errorf("round %d: a fresh reader made %d ranged reads of %d tables, want %d\n%s", round, n, flushes, 2*flushes, b)
			}
		}
	})
}

// Memory is kept for those who ask, and while they do.
func TestNobodyAsksNothingIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openLog(t, counted(), Options{FlushInterval: soon})
		p := newPollers(t, d, 10)
		held := func() int64 { return d.Metrics().Cache.KeptBytes }
		for range 3 {
			p.flushed(d, "value")
		}
		if n := held(); n != 0 {
			t.Errorf("%d bytes are kept, and nobody has asked", n)
		}
		p.poll()
		p.flushed(d, "value")
		if held() == 0 {
			t.Error("nothing is kept for who has just looked")
		}
		for range 3 { // what was asked long ago counts no more
			time.Sleep(time.Minute)
			p.flushed(d, "value")
		}
		if n := held(); n != 0 {
			t.Errorf("%d bytes are kept, and nobody has asked for minutes", n)
		}
	})
}

// However much is written and asked for, what is kept and what the cache holds
// together stay within its budget, and nothing is missed.
func TestKeptIsPartOfTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const cache = 1 << 20
		b := counted()
		d := openLog(t, b, Options{FlushInterval: soon, Memory: Memory{Cache: cache}})
		r := openReader(t, b, ReaderOptions{RefreshInterval: -1, Cache: cache})
		p := newPollers(t, r, 20)
		for round := range 30 {
			p.flushed(d, string(padding[:5000]))
			mustRefresh(t, r)
			if n := p.poll(); n != 20 {
				t.Fatalf("round %d: %d records found, want 20", round, n)
			}
			if n := len(scanAll(t, r, "key 007", Range{}, ScanOptions{})); n != round+1 {
				t.Fatalf("round %d: %d records of one key, want %d", round, n, round+1)
			}
			for _, c := range []CacheMetrics{d.Metrics().Cache, r.Metrics().Cache} {
				if c.KeptBytes > (c.DataBudget+c.MetaBudget)/4*3 || c.KeptBytes+c.DataBytes+c.MetaBytes > c.DataBudget+c.MetaBudget {
					t.Fatalf("round %d: kept %d, data %d and meta %d bytes of %d", round, c.KeptBytes, c.DataBytes, c.MetaBytes, c.DataBudget+c.MetaBudget)
				}
			}
		}
		if n := r.Metrics().Cache.KeptBytes; n < cache/2 {
			t.Errorf("%d bytes are kept in the end, want most of what may be", n)
		}
	})
}

// What retention removes is gone, although its memory could yet be read.
func TestRetentionTakesWhatIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := counted()
		d := openLog(t, b, Options{FlushInterval: soon, Retention: Retention{Records: 1}})
		r := openReader(t, b, ReaderOptions{RefreshInterval: -1})
		for _, p := range []*pollers{newPollers(t, d, 10), newPollers(t, r, 10)} {
			p.poll()
		}
		p := newPollers(t, d, 10)
		for range 4 {
			p.flushed(d, "value")
			mustRefresh(t, r)
			mustSeal(t, d)
			p.flushed(d, "value")
		}
		settled()
		time.Sleep(time.Minute)
		mustRefresh(t, r)
		if err := r.ask(context.Background(), true); err != nil {
			t.Fatal(err)
		}
		oldest := d.state.manifest().TrimmedBelow
		if oldest == 0 {
			t.Fatal("retention removed nothing")
		}
		for name, l := range map[string]LogRead{"writer": d, "reader": r} {
			for _, e := range scanAll(t, l, "key 003", Range{}, ScanOptions{}) {
				if e.Sequence < oldest {
					t.Errorf("%s: record %d is below %d, which retention removed", name, e.Sequence, oldest)
				}
			}
		}
	})
}

// What the WAL named as tables is in no memory: what came before it is let go,
// for a scan of what is kept must find all of it.
func TestKeptEndsAtTables(t *testing.T) {
	store := &view.Store{Cache: segment.NewCache(1<<20, 1<<20)}
	tl := tail{kept: newKept(store.Cache, 1<<20, &hooks{})}
	tl.reset(0)
	v := tl.view(store, &segment.Manifest{})
	it := v.Scan(context.Background(), []byte("k"), view.ScanOptions{Hi: 1})
	it.Next() // somebody wants all
	object := func(number, start, end uint64) {
		t.Helper()
		h := wal.ObjectHeader{At: wal.Position{Epoch: 1, Number: number}, Start: start, End: end, MinMs: 1, MaxMs: 1}
		f := wal.AppendBatch(nil, int(end-start), func(int) (key, value []byte) { return []byte("k"), []byte("v") })
		f.Stamp(start, 1, 1, 0)
		obj, err := wal.DecodeObject(wal.ObjectName(1, number), wal.AppendData(nil, h, []wal.Frame{f}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tl.frames(obj); err != nil {
			t.Fatal(err)
		}
	}
	flush := func(flushed, from uint64, runs int) {
		t.Helper()
		tl.drop(flushed)
		tl.kept.trim(0)
		if tl.kept.from != from || len(tl.kept.runs) != runs {
			t.Errorf("flushed to %d: kept %d runs from %d, want %d from %d", flushed, len(tl.kept.runs), tl.kept.from, runs, from)
		}
	}
	object(0, 0, 10)
	flush(10, 0, 1)
	tl.tables([]segment.Table{{Segment: 1, Start: 10, End: 20}}, 20)
	object(2, 20, 30)
	flush(20, 20, 0)
	flush(30, 20, 1)
	tl.reset(30) // all of it is in tables
	flush(30, 20, 1)
	tl.reset(50) // there is a gap
	flush(50, 50, 0)
}

// Memtables that are in tables and that nobody asks for are given back at
// once, at the writer and at the reader, and not when the next few are full.
func TestFlushedMemtablesAreGivenBack(t *testing.T) {
	store := &view.Store{Cache: segment.NewCache(1<<20, 1<<20)}
	defer store.Cache.Close()
	s := &state{store: store, publish: func(*view.View) {}}
	s.mu.kept = newKept(store.Cache, 1<<20, &hooks{})
	s.setManifest(&segment.Manifest{})
	tl := tail{kept: newKept(store.Cache, 1<<20, &hooks{}), runs: make([]*tailRun, 0, 8)}
	var held []weak.Pointer[memtable.Table]
	for i := range uint64(4) {
		g := newGeneration(activeSegment{id: 1}, i, i)
		g.end, g.sealed = i+1, true
		close(g.landed)
		s.add(g)
		r := &tailRun{start: i, end: i + 1, mem: memtable.New(1, 0, i)}
		tl.runs = append(tl.runs, r)
		held = append(held, weak.Make(g.mem), weak.Make(r.mem))
	}
	s.setManifest(&segment.Manifest{Version: 1, Flushed: 3})
	tl.drop(3)
	tl.kept.trim(0)
	runtime.GC()
	for i, p := range held {
		if there, want := p.Value() != nil, i/2 == 3; there != want {
			t.Errorf("memtable of [%d,%d) is held: %v, want %v", i/2, i/2+1, there, want)
		}
	}
	runtime.KeepAlive(s)
	runtime.KeepAlive(&tl)
}
