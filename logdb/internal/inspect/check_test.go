package inspect

import (
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

func TestNothingIsWrongWithTheFixture(t *testing.T) {
	f := newFixture(t)
	f.finish()
	found, n := check(t, f.b)
	if len(found) > 0 {
		t.Errorf("found %q", found)
	}
	if n.Records != 60 || n.Tables != 3 || n.WALObjects != 4 || n.Segments != 2 || n.Orphans != 0 || n.Objects != 8 {
		t.Errorf("checked %+v", n)
	}
}

// Every rule, broken alone, is found and said.
func TestEveryBrokenRuleIsFound(t *testing.T) {
	replace := func(f *fixture, i, j int, table segment.Table) {
		f.m.Segments[i].Tables[j] = table
	}
	for _, x := range []struct {
		name  string
		wrong func(*fixture)
		want  string
	}{
		{"segment totals", func(f *fixture) { f.m.Segments[0].Records++ }, "segment 1: 21 records and 40 bytes, its tables have 20 and 40"},
		{"last time of the log", func(f *fixture) { f.m.LastMs = ms(5) }, "last time of table"},
		{"a table without its records", func(f *fixture) { f.m.Segments[0].Tables[0].Keys-- }, "keys: got 3, the log says 2"},
		{"a table beyond its bounds", func(f *fixture) { f.m.Segments[0].Tables[1].Start++; f.m.Segments[0].Tables[1].Records-- }, "the log says"},
		{"times of a table", func(f *fixture) { f.m.Segments[0].Tables[1].FirstMs++ }, "times 1000010 to 1000019 ms, the log says"},
		{"bounds of keys", func(f *fixture) { f.m.Segments[0].Tables[1].Hi = []byte("b") }, "keys \"a\" to \"c\", the log says"},
		{"size of an object", func(f *fixture) { f.put("seg/0000000001/w0000000001-0000000002.sst", make([]byte, 9)) }, "has 9 bytes, the log says"},
		{"a table that is gone", func(f *fixture) { f.must(f.b.Delete(context.Background(), f.m.Segments[0].Tables[0].Name())) }, "it is not there"},
		{"a listing row that lies", func(f *fixture) {
			replace(f, 0, 1, f.table(1, 4, run(10), func(key string, l *listing.Listing) bool { l.ValueBytes++; return true }))
		}, "listing of key \"a\" says"},
		{"a listing row too few", func(f *fixture) {
			replace(f, 0, 1, f.table(1, 4, run(10), func(key string, _ *listing.Listing) bool { return key != "c" }))
		}, "key \"c\" has no listing row"},
		{"a row in another's place", func(f *fixture) {
			replace(f, 0, 1, f.table(1, 4, run(10), func(key string, _ *listing.Listing) bool { return key != "b" }))
		}, "listing row of key \"c\" where that of \"b\" belongs"},
		{"an entry outside of the segment", func(f *fixture) {
			es := run(10)
			es[9].seq = 20
			table := f.table(1, 4, es, nil)
			table.End = 20
			replace(f, 0, 1, table)
		}, "sequence 20, want it inside segment 1, [0, 20)"},
		{"a sequence twice", func(f *fixture) {
			es := run(10)
			es[0].seq, es[0].key = 9, "z"
			replace(f, 0, 1, f.table(1, 4, es, nil))
		}, "sequence 9 is in the segment twice"},
		{"times of one key fall", func(f *fixture) {
			es := run(10)
			es[3].ms = ms(9)
			replace(f, 0, 1, f.table(1, 4, es, nil))
		}, "time of sequence 13 is 1000009 ms, before it 1000010"},
		{"tables out of order", func(f *fixture) { slices.Reverse(f.m.Segments[0].Tables) }, "begins at 0, a table before it ends with 19"},
		{"segments out of time", func(f *fixture) { f.m.Segments[0].LastMs = ms(25) }, "an earlier segment ends with"},
		{"limit below the log", func(f *fixture) { f.m.Limit = 59 }, "limit is 59, the log has records below 60"},
		{"closed and not flushed", func(f *fixture) { f.m.Closed = true }, "the log was closed with everything below 30 in tables"},

		{"a gap in the WAL", func(f *fixture) { f.change(2, 0, func(h *wal.ObjectHeader) { h.Start = 39 }) }, "starts at 39, the object before it ends at 40"},
		{"a gap before the WAL", func(f *fixture) {
			f.change(1, 5, func(h *wal.ObjectHeader) { h.Start = 31 })
			f.frames[wal.Position{Epoch: 1, Number: 5}] = []wal.Frame{batch(31, 2, 20)}
		}, "starts at 31, everything below 30 is in tables"},
		{"a WAL object of another log", func(f *fixture) { f.change(2, 0, func(h *wal.ObjectHeader) { h.Log = otherLog }) }, "object of log " + otherLog.String()},
		{"a manifest that went back", func(f *fixture) { f.change(2, 1, func(h *wal.ObjectHeader) { h.ManifestVersion = 8 }) }, "knows manifest version 8, the manifest has 7"},
		{"a fence into the future", func(f *fixture) { f.fence(1, 6, 3) }, "fence names epoch 3, the manifest is at epoch 2"},
		{"a batch across flushed", func(f *fixture) { f.data(1, 5, batch(25, 2, 20), batch(35, 2, 20)) }, "batch [25, 35) lies across 30"},
		{"a segment that was not sealed", func(f *fixture) { f.data(2, 0, batch(40, 3, 40)) }, "segment 3 from 40, want 2 from 20, which is not sealed"},
		{"a segment that comes back", func(f *fixture) { f.data(2, 1, batch(50, 2, 20)) }, "segment 2, want one from 3 on"},
		{"a segment that begins late", func(f *fixture) { f.data(2, 1, batch(50, 3, 51)) }, "segment 3 begins at 51"},
		{"times of the WAL fall", func(f *fixture) {
			late := batch(50, 3, 50)
			late.Stamp(50, ms(40), 3, 50)
			f.data(2, 1, late)
		}, "batch at 50 has time 1000040 ms, before it is 1000049"},
		{"a lost WAL object", func(f *fixture) {
			delete(f.heads, wal.Position{Epoch: 2, Number: 1})
			f.data(2, 1+shipWindow+1, batch(60, 3, 50))
		}, "it is not there, and wal/0000000002-00000000000000000018 behind it is"},
		{"a lost fence", func(f *fixture) { delete(f.heads, wal.Position{Epoch: 1, Number: 6}) }, "wal/0000000001-00000000000000000006"},
		{"a tables object that names too much", func(f *fixture) { f.tables(2, 1, 50, 60, f.table(3, 9, run(52), nil)) }, "want segment 3, [50, 60)"},
		{"a tables object whose table is gone", func(f *fixture) {
			table := f.table(3, 9, run(50), nil)
			f.must(f.b.Delete(context.Background(), table.Name()))
			f.tables(2, 1, 50, 60, table)
		}, "it is not there"},
		{"an orphan of another log", func(f *fixture) {
			f.put(wal.ObjectName(1, 1), wal.EncodeFence(wal.ObjectHeader{Log: otherLog, At: wal.Position{Epoch: 1, Number: 1}, Next: wal.Position{Epoch: 2}}))
		}, "object of log " + otherLog.String()},
		{"no manifest", func(f *fixture) { f.m = nil }, "there is none, and the bucket is not empty"},
	} {
		t.Run(x.name, func(t *testing.T) {
			f := newFixture(t)
			x.wrong(f)
			if f.m != nil {
				f.finish()
			}
			found, _ := check(t, f.b)
			if !strings.Contains(strings.Join(found, "\n"), x.want) {
				t.Errorf("found %q, want %q", found, x.want)
			}
			if len(found) > 4 { // the rest of a chain follows from where it broke
				t.Errorf("one mistake has %d findings: %q", len(found), found)
			}
		})
	}
}

// Tables that a WAL object names are checked like those of the manifest.
func TestTablesObjectIsNoFinding(t *testing.T) {
	f := newFixture(t)
	f.tables(2, 1, 50, 60, f.table(3, 9, run(50), nil))
	f.finish()
	if found, n := check(t, f.b); len(found) > 0 || n.Records != 60 || n.Tables != 4 || n.Orphans != 0 {
		t.Errorf("found %q, checked %+v", found, n)
	}
}

// What a crash may leave is no finding: tables and WAL objects without a name,
// PUTs that landed behind an absent number, a batch in objects and in tables.
func TestLeftoversAreNoFindings(t *testing.T) {
	f := newFixture(t)
	f.table(2, 77, run(500), nil)
	f.data(2, 3, batch(70, 3, 50))
	f.data(1, 5, batch(20, 2, 20), batch(30, 2, 20))
	f.data(1, 2, batch(10, 1, 0))
	f.put("probe-1", []byte("probe"))
	f.finish()
	if found, n := check(t, f.b); len(found) > 0 || n.Orphans != 4 || n.Records != 60 {
		t.Errorf("found %q, checked %+v", found, n)
	}
}

// later is a bucket in which the manifest moves after it was read once.
type later struct {
	objstore.Reader
	reads int
	next  []byte
}

func (l *later) Get(ctx context.Context, name string) (objstore.Object, error) {
	if name == segment.ManifestName {
		if l.reads++; l.reads > 1 {
			return objstore.Object{Data: l.next}, nil
		}
	}
	return l.Reader.Get(ctx, name)
}

// What a writer does meanwhile is no finding: it raises the limit, drops what
// it merged, flushes and collects.
func TestAWriterAtWorkIsNoFinding(t *testing.T) {
	for _, x := range []struct {
		name  string
		moves func(f *fixture, next *segment.Manifest)
	}{
		{"raises the limit", func(f *fixture, next *segment.Manifest) {
			f.m.Limit = 35
			next.Limit = 1000
		}},
		{"merges tables away", func(f *fixture, next *segment.Manifest) {
			s := &next.Segments[0]
			f.must(f.b.Delete(context.Background(), s.Tables[0].Name()))
			s.Tables = s.Tables[1:]
		}},
		{"writes the manifest before a WAL object", func(f *fixture, next *segment.Manifest) {
			f.change(2, 1, func(h *wal.ObjectHeader) { h.ManifestVersion = 8 })
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			f := newFixture(t)
			next := f.m.Clone()
			next.Version++
			x.moves(f, next)
			f.finish()
			b := &later{Reader: f.b, next: segment.EncodeManifest(next)}
			if found, _ := check(t, b); len(found) > 0 {
				t.Errorf("found %q", found)
			}
			if b.reads < 2 {
				t.Error("the manifest was read once: nothing was shown")
			}
		})
	}
}

// A store that fails ends the check with its error, which is no finding; a
// caller that has seen enough ends it too.
func TestCheckEnds(t *testing.T) {
	f := newFixture(t)
	f.m.Segments[0].Records++
	f.m.Segments[1].Records++
	f.finish()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	errs := 0
	for err := range Check(ctx, f.b, errNoLog, &Checked{}) {
		if errs++; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the end of the context", err)
		}
	}
	if errs != 1 {
		t.Errorf("%d errors, want 1", errs)
	}
	for range Check(context.Background(), f.b, errNoLog, &Checked{}) {
		break
	}
	for err := range Check(context.Background(), objstore.NewMem(), errNoLog, &Checked{}) {
		if err != errNoLog {
			t.Errorf("an empty bucket: got %v", err)
		}
	}
}
