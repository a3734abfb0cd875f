package logdb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// Requests are what a log on object storage costs.

func counted() *objstoretest.Requests { return objstoretest.NewRequests(objstore.NewMem()) }

// reads counts the requests that are no writes.
func reads(r *objstoretest.Requests) (n int) {
	for _, kind := range []objstoretest.Kind{objstoretest.Get, objstoretest.GetIfChanged, objstoretest.GetRange, objstoretest.List} {
		n += r.Count(kind, "")
	}
	return n
}

func TestIdleWriterAsksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := counted()
		d := openLog(t, b, Options{WALDir: "wal", fs: disk()})
		mustAppend(t, d, Default, "a", "1")
		mustSeal(t, d)
		time.Sleep(time.Hour) // consolidated, collected
		settled()
		b.Reset()
		time.Sleep(20 * time.Hour)
		if got := b.String(); got != "" {
			t.Errorf("an idle writer asked for\n%s", got)
		}
	})
}

func TestIdleReaderAsksOncePerRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := counted()
		d := openLog(t, b, Options{})
		mustAppend(t, d, Remote, "a", "1")
		openReader(t, b, ReaderOptions{RefreshInterval: 10 * time.Second})
		settled()
		b.Reset()
		time.Sleep(29 * time.Second)
		if n := len(b.Ops()); n != 2 {
			t.Errorf("2 refreshes made %d requests\n%s", n, b)
		}
		time.Sleep(time.Hour)
		// A manifest's GET at most every 30 s beside them.
		if n := len(b.Ops()); n > 2+360+120 {
			t.Errorf("an hour of refreshes made %d requests", n)
		}
	})
}

func TestCaughtUpReaderPollsForFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keys = 1000
		b := counted()
		d := openLog(t, b, Options{})
		records := make([]Record, keys)
		for i := range records {
			records[i] = rec(fmt.Sprintf("key %d", i), "value")
		}
		cursors := make([]uint64, keys)
		if _, err := d.Append(context.Background(), records, AppendOptions{}); err != nil {
			t.Fatal(err)
		}
		r := openReader(t, b, ReaderOptions{RefreshInterval: -1})
		poll := func() (n int) {
			for i := range keys {
				it := r.Scan(context.Background(), fmt.Appendf(nil, "key %d", i), From(cursors[i]), ScanOptions{})
				for it.Next() {
					n++
				}
				cursors[i] = it.NextSequence()
				if err := errors.Join(it.Err(), it.Close()); err != nil {
					t.Fatal(err)
				}
			}
			return n
		}
		if n := poll(); n != keys {
			t.Fatalf("first poll got %d entries", n)
		}
		mustSeal(t, d) // what they have read lies in tables now
		mustAppend(t, d, Remote, "key 7", "new")
		if err := r.Refresh(context.Background()); err != nil {
			t.Fatal(err)
		}
		b.Reset()
		if n := poll(); n != 1 {
			t.Errorf("second poll got %d entries, want the new one", n)
		}
		if n := reads(b); n != 0 {
			t.Errorf("polling %d keys made %d requests\n%s", keys, n, b)
		}
	})
}

func TestColdScanTakesTwoRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := counted()
		d := openLog(t, b, Options{})
		for i := range 200 {
			mustAppend(t, d, Applied, fmt.Sprintf("key %d", i), strings.Repeat(fmt.Sprint(i), 300), "busy", strings.Repeat("v", 100))
		}
		mustSeal(t, d)
		closeLog(t, d)
		r := openReader(t, b, ReaderOptions{RefreshInterval: -1})
		for _, c := range []struct {
			key          string
			entries, max int
		}{
			{"key 77", 1, 2},  // tail, block
			{"key 78", 1, 1},  // block at most
			{"nobody", 0, 0},  // the filter says no
			{"zzz", 0, 0},     // beyond the table's keys
			{"busy", 200, 20}, // its blocks, ahead in larger pieces
		} {
			b.Reset()
			if es := scanAll(t, r, c.key, Range{}, ScanOptions{}); len(es) != c.entries {
				t.Errorf("%s: %d entries, want %d", c.key, len(es), c.entries)
			}
			if n := reads(b); n > c.max {
				t.Errorf("%s: %d requests, want at most %d\n%s", c.key, n, c.max, b)
			}
		}
	})
}

// noWrites is a bucket as read permission alone has it: there is no method to
// write with, and behind it nobody may.
type noWrites struct{ objstore.Reader }

func TestReaderNeedsNoMoreThanReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := counted()
		d := openLog(t, b, Options{})
		mustAppend(t, d, Remote, "a", "1")
		mustSeal(t, d)
		mustAppend(t, d, Remote, "a", "2")
		settled()
		b.Reset()
		r := openReader(t, noWrites{b}, ReaderOptions{RefreshInterval: -1})
		sameEntries(t, "reader", mustHistory(t, r), mustHistory(t, d))
		if n := b.Count(objstoretest.Put, "") + b.Count(objstoretest.Delete, "") + b.Count(objstoretest.List, ""); n != 0 {
			t.Errorf("a reader wrote, or listed\n%s", b)
		}
	})
}

// A failed look ahead must not be retried for ever behind a reader's back, and
// permission to read that is missing is said at once, not waited for.
func TestReaderWithoutPermission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		_, err := OpenReader(context.Background(), denied{objstore.NewMem()}, ReaderOptions{})
		if !errors.Is(err, objstore.ErrAccessDenied) {
			t.Errorf("open: %v", err)
		}
		_, err = Open(context.Background(), denied{objstore.NewMem()}, Options{})
		if !errors.Is(err, objstore.ErrAccessDenied) {
			t.Errorf("open: %v", err)
		}
		if took := time.Since(begun); took > 0 {
			t.Errorf("took %v", took)
		}
	})
}

// denied is a bucket that answers 403 to everything.
type denied struct{ objstore.Bucket }

func (denied) Get(context.Context, string) (objstore.Object, error) {
	return objstore.Object{}, objstore.ErrAccessDenied
}

func (denied) Put(context.Context, string, []byte, objstore.Condition) (string, error) {
	return "", objstore.ErrAccessDenied
}
