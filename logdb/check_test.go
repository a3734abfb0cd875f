package logdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
)

// findings checks a bucket; an error that is no finding fails the test.
func findings(t testing.TB, b objstore.Reader) (found []*CorruptError, n Checked) {
	t.Helper()
	for err := range CheckInto(context.Background(), b, &n) {
		var c *CorruptError
		if !errors.As(err, &c) && !errors.Is(err, objstore.ErrUnsupported) {
			t.Fatalf("check: %v", err)
		}
		if c == nil {
			c = &CorruptError{Object: "unsupported", Err: err}
		}
		found = append(found, c)
	}
	return found, n
}

// everyKind is a log that has been through everything: two writers, the first
// of them killed; a sealed segment and an open one; records in tables, in a
// tables object, and in data objects only.
func everyKind(t *testing.T) *objstore.Mem {
	b := objstore.NewMem()
	small := Options{Memory: Memory{Memtable: 1 << 20}, Limits: Limits{ValueBytes: 1 << 17, BatchBytes: 1 << 18}, ShipInterval: time.Hour, FlushInterval: time.Hour}
	d := openLog(t, b, small)
	mustAppend(t, d, Remote, "a", "1", "b", "2", "", "")
	if _, _, err := d.SealSegment(context.Background(), []byte("first")); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, d, Applied, "a", "in the open segment")
	if err := d.flushed.wait(context.Background(), 3); err != nil {
		t.Fatal(err)
	}
	value := strings.Repeat("v", 100_000)
	for i := range 12 { // more than a memtable, put as tables at once
		mustAppend(t, d, Applied, fmt.Sprint("key", i%7), value)
	}
	mustFlush(t, d)
	crash(d)
	d = openLog(t, b, small)
	mustAppend(t, d, Remote, "a", "3")
	mustAppend(t, d, Remote, "c", "4")
	crash(d)
	return b
}

func TestCheckFindsNothingWrongWithAWholeLog(t *testing.T) {
	b := everyKind(t)
	kinds := map[string]int{}
	for info := range b.List(context.Background(), "", "") {
		kinds[kindOf(t, b, info.Name)]++
	}
	for _, kind := range []string{"manifest", "table", "data", "tables", "fence"} {
		if kinds[kind] == 0 {
			t.Errorf("the log has no %s: %v", kind, kinds)
		}
	}
	found, n := findings(t, b)
	for _, f := range found {
		t.Errorf("finding: %v", f)
	}
	if n.Records != 18 || n.Objects == 0 || n.Tables == 0 || n.WALObjects == 0 {
		t.Errorf("checked %+v, want 18 records in tables and WAL objects", n)
	}
}

func kindOf(t *testing.T, b objstore.Reader, name string) string {
	t.Helper()
	var out bytes.Buffer
	if err := Dump(context.Background(), b, name, &out); err != nil {
		t.Fatalf("dump %s: %v", name, err)
	}
	switch {
	case name == segment.ManifestName:
		return "manifest"
	case strings.HasPrefix(name, "seg/"):
		return "table"
	}
	for _, kind := range []string{"data", "tables", "fence"} {
		if strings.Contains(out.String(), ": "+kind+"\n") {
			return kind
		}
	}
	return "?"
}

// Whatever byte of whatever object is damaged, the object is named.
func TestCheckFindsEveryDamagedByte(t *testing.T) {
	ctx := context.Background()
	whole := everyKind(t)
	for info := range whole.List(ctx, "", "") {
		got, err := whole.Get(ctx, info.Name)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(got.Data); i += 1 + len(got.Data)/50 {
			b := copyBucket(t, whole)
			bad := bytes.Clone(got.Data)
			bad[i] ^= 0x10
			if _, err := b.Put(ctx, info.Name, bad, objstore.Always()); err != nil {
				t.Fatal(err)
			}
			found, _ := findings(t, b)
			named := false
			for _, f := range found {
				named = named || f.Object == info.Name || strings.Contains(f.Err.Error(), info.Name) || strings.Contains(f.Err.Error(), "manifest")
			}
			if !named {
				t.Errorf("byte %d of %s: found %v", i, info.Name, found)
			}
			_ = Dump(ctx, b, info.Name, &bytes.Buffer{}) // must not panic
		}
	}
}

// A loss that a reader can notice is found, unless it is the end of the WAL:
// then nobody can know that there was more.
func TestCheckFindsEveryLossThatMatters(t *testing.T) {
	ctx := context.Background()
	whole := everyKind(t)
	history := mustHistory(t, openReader(t, whole, ReaderOptions{RefreshInterval: -1}))
	for info := range whole.List(ctx, "", "") {
		b := copyBucket(t, whole)
		if err := b.Delete(ctx, info.Name); err != nil {
			t.Fatal(err)
		}
		if found, _ := findings(t, b); len(found) > 0 {
			continue
		}
		left := mustHistory(t, openReader(t, b, ReaderOptions{RefreshInterval: -1}))
		end := strings.HasPrefix(info.Name, "wal/")
		if end {
			sameEntries(t, info.Name+" is gone", left, history[:min(len(left), len(history))])
		}
		if len(left) != len(history) && !end {
			t.Errorf("%s is gone: found nothing, %d entries of %d are left", info.Name, len(left), len(history))
		}
	}
}

func TestCheckOfNoLog(t *testing.T) {
	for err := range Check(context.Background(), objstore.NewMem()) {
		if !errors.Is(err, ErrNoLog) {
			t.Errorf("got %v, want ErrNoLog", err)
		}
		return
	}
	t.Error("an empty bucket was found to be a whole log")
}
