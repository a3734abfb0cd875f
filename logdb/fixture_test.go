package logdb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/logdb-go/logdb/objstore"
)

// errCrash is what a writer that a test kills is told.
var errCrash = errors.New("crashed by the test")

func rec(k, v string) Record { return Record{[]byte(k), []byte(v)} }

// openLog opens a log, and closes it when the test ends if nobody has.
func openLog(t testing.TB, b objstore.Bucket, o Options) *LogDb {
	t.Helper()
	d, err := Open(context.Background(), b, o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if d.Err() == nil {
			closeLog(t, d)
		}
		crash(d) // one that had stopped by itself has its files open yet
	})
	return d
}

func closeLog(t testing.TB, d *LogDb) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// crash ends a writer as a kill does: what it had not asked of the bucket and
// the file system by now, it never does. The file handles are given back, so
// whoever wants the disk as the crash left it clones it first.
func crash(d *LogDb) {
	d.stopAll(errCrash)
	_ = d.release()
}

func openReader(t testing.TB, b objstore.Reader, o ReaderOptions) *LogDbReader {
	t.Helper()
	r, err := OpenReader(context.Background(), b, o)
	if err != nil {
		t.Fatalf("open reader: %v", err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close reader: %v", err)
		}
	})
	return r
}

// mustAppend appends one batch of (key, value) pairs.
func mustAppend(t testing.TB, d *LogDb, level Durability, pairs ...string) Appended {
	t.Helper()
	var records []Record
	for i := 0; i < len(pairs); i += 2 {
		records = append(records, rec(pairs[i], pairs[i+1]))
	}
	a, err := d.Append(context.Background(), records, AppendOptions{Ack: level})
	if err != nil {
		t.Fatalf("append: %v", err)
	}
	return a
}

func mustFlush(t testing.TB, d *LogDb) {
	t.Helper()
	if err := d.Flush(context.Background()); err != nil {
		t.Fatalf("flush: %v", err)
	}
}

func mustSeal(t testing.TB, d *LogDb) {
	t.Helper()
	if _, _, err := d.SealSegment(context.Background(), nil); err != nil {
		t.Fatalf("seal: %v", err)
	}
}

// settled waits, in a bubble, until everything that can go on without time
// passing has.
func settled() { synctest.Wait() }

// disk returns a file system whose crashes can be looked at.
func disk() *vfs.MemFS { return vfs.NewCrashableMem() }

// copyBucket returns a bucket in memory with the same objects.
func copyBucket(t testing.TB, b objstore.Reader) *objstore.Mem {
	t.Helper()
	ctx, out := context.Background(), objstore.NewMem()
	for info, err := range b.List(ctx, "", "") {
		if err != nil {
			t.Fatal(err)
		}
		got, err := b.Get(ctx, info.Name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := out.Put(ctx, info.Name, got.Data, objstore.IfAbsent()); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// owned is an entry with bytes of its own.
func owned(e Entry) Entry {
	e.Key, e.Value = slices.Clone(e.Key), slices.Clone(e.Value)
	return e
}

// scanAll drains a scan.
func scanAll(t testing.TB, l LogRead, key string, r Range, o ScanOptions) []Entry {
	t.Helper()
	var out []Entry
	for e, err := range l.Scan(context.Background(), []byte(key), r, o).All() {
		if err != nil {
			t.Fatalf("scan %q: %v", key, err)
		}
		out = append(out, owned(e))
	}
	return out
}

// history reads a whole log through one face, in sequence order, and holds
// what its methods say of the same records against each other.
func history(l LogRead) ([]Entry, error) {
	ctx := context.Background()
	var all []Entry
	for k, err := range l.ListKeys(ctx, KeyOptions{}).All() {
		if err != nil {
			return nil, fmt.Errorf("list keys: %w", err)
		}
		es, err := keyHistory(l, slices.Clone(k.Key))
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", k.Key, err)
		}
		var size uint64
		for _, e := range es {
			size += uint64(len(e.Value))
		}
		if n := uint64(len(es)); n == 0 || n != k.Count || size != k.ValueBytes || es[0].Sequence != k.First || es[n-1].Sequence != k.Last {
			return nil, fmt.Errorf("key %q: listed as %d records, %d bytes, [%d,%d]; a scan has %d records, %d bytes", k.Key, k.Count, k.ValueBytes, k.First, k.Last, n, size)
		}
		all = append(all, es...)
	}
	slices.SortFunc(all, func(a, b Entry) int {
		if a.Sequence < b.Sequence {
			return -1
		}
		return 1
	})
	for i := 1; i < len(all); i++ {
		if all[i].Sequence == all[i-1].Sequence {
			return nil, fmt.Errorf("sequence %d was given twice: %q and %q", all[i].Sequence, all[i-1].Key, all[i].Key)
		}
		if all[i].Time.Before(all[i-1].Time) {
			return nil, fmt.Errorf("time goes back at sequence %d", all[i].Sequence)
		}
	}
	return all, segmentsHold(l, all)
}

// keyHistory reads one key forward, backward and by counting.
func keyHistory(l LogRead, key []byte) ([]Entry, error) {
	ctx := context.Background()
	var forward []Entry
	it := l.Scan(ctx, key, Range{}, ScanOptions{})
	defer it.Close()
	for it.Next() {
		e := owned(it.Entry())
		if n := len(forward); n > 0 && forward[n-1].Sequence >= e.Sequence {
			return nil, fmt.Errorf("scan goes from %d to %d", forward[n-1].Sequence, e.Sequence)
		}
		forward = append(forward, e)
	}
	if err := it.Err(); err != nil {
		return nil, fmt.Errorf("scan: %w", err)
	}
	left := len(forward)
	for e, err := range l.Scan(ctx, key, Until(it.NextSequence()), ScanOptions{Reverse: true}).All() {
		if err != nil {
			return nil, fmt.Errorf("reverse scan: %w", err)
		}
		if left--; left < 0 || forward[left].Sequence != e.Sequence || string(forward[left].Value) != string(e.Value) {
			return nil, fmt.Errorf("reverse scan meets %d, which the scan did not have there", e.Sequence)
		}
	}
	n, err := l.Count(ctx, key, Until(it.NextSequence()))
	if err != nil || left != 0 || n != uint64(len(forward)) {
		return nil, fmt.Errorf("scan has %d entries, reverse %d, count %d: %w", len(forward), len(forward)-left, n, err)
	}
	return forward, nil
}

// segmentsHold checks that the segments cover the entries and count them.
func segmentsHold(l LogRead, all []Entry) error {
	segs, err := l.ListSegments(context.Background(), Range{})
	if err != nil {
		return fmt.Errorf("list segments: %w", err)
	}
	var records uint64
	for i, s := range segs {
		records += s.Records
		if i > 0 {
			if end, bounded := segs[i-1].Sequences.End(); !bounded || end > s.Sequences.Start() {
				return fmt.Errorf("segment %d starts at %d before segment %d ends at %d", s.ID, s.Sequences.Start(), segs[i-1].ID, end)
			}
		}
	}
	if records != uint64(len(all)) {
		return fmt.Errorf("segments count %d records, scans have %d", records, len(all))
	}
	for _, e := range all {
		if !slices.ContainsFunc(segs, func(s Segment) bool { return s.Sequences.overlaps(e.Sequence, e.Sequence+1) }) {
			return fmt.Errorf("sequence %d lies in no segment", e.Sequence)
		}
	}
	return nil
}

// mustHistory is history of a log that must be whole.
func mustHistory(t testing.TB, l LogRead) []Entry {
	t.Helper()
	all, err := history(l)
	if err != nil {
		t.Fatal(err)
	}
	return all
}
