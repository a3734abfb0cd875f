package logdb

import (
	"context"
	"flag"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

var crashAll = flag.Bool("crash.all", false, "open each crash state in every way, not in two that change")

// A bucket's writes are atomic, so the states that a crash can leave are few
// enough to look at each: before and after every write of the story. Each is
// opened by the same machine, whose disk lost some, half or none of what it had
// not synced; by another one; and by one without a disk.
func TestEveryCrash(t *testing.T) {
	var w *witness
	var r *recorder
	synctest.Test(t, func(t *testing.T) { w, r = tellStory(t, nil) })
	if t.Failed() {
		return
	}
	t.Logf("%d writes, %d moments, %d batches", r.n, len(r.moments), len(w.batches))
	ways := []string{"same, half", "other", "same, all", "diskless"}
	step := len(r.moments) / raceShare(len(r.moments))
	for i := 0; i < len(r.moments); i += step {
		m, by := &r.moments[i], ways
		if !*crashAll {
			by = ways[i%len(ways):][:1]
		}
		for _, by := range append(by[:len(by):len(by)], "same, as synced") {
			synctest.Test(t, func(t *testing.T) { reopen(t, w, m, by) })
			if t.Failed() {
				t.Fatalf("moment %q, opened by %s", m.what, by)
			}
		}
	}
}

// reopen opens what a crash left, holds it against what the clients know, goes
// on writing, and looks at it all again from the bucket.
func reopen(t *testing.T, w *witness, m *moment, by string) {
	b := m.bucket(t)
	o := m.options(by)
	d := openLog(t, b, o)
	same := by[:4] == "same"
	if same { // killed once more, as soon as it is open
		crash(d)
		d = openLog(t, b, o)
	}
	found, err := history(d)
	if err != nil {
		t.Fatal(err)
	}
	trimmed := d.view.Load().TrimmedBelow
	if trimmed > m.trimmed {
		t.Errorf("records below %d are expired, allowed were those below %d", trimmed, m.trimmed)
	}
	checkBatches(t, w, m, found, trimmed, same)
	a := mustAppend(t, d, Default, "a", "after the crash", "new", "")
	if a.First < m.shown {
		t.Errorf("sequence %d was shown before the crash and is given again", a.First)
	}
	closeLog(t, d)
	after := checkBucket(t, b)
	if n := len(after) - 2; n != len(found) {
		t.Errorf("%d entries when reopened, %d once closed", len(found), n)
	}
}

func (m *moment) bucket(t *testing.T) *objstore.Mem {
	b := objstore.NewMem()
	for name, data := range m.objects {
		if _, err := b.Put(context.Background(), name, data, objstore.IfAbsent()); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func (m *moment) options(by string) Options {
	switch by {
	case "diskless":
		return storyOptions(nil)
	case "other":
		return storyOptions(disk())
	}
	at := map[string]int{"same, as synced": 0, "same, half": 1, "same, all": 2}[by]
	// A clone of the clone: what is left of a disk is synced.
	return storyOptions(m.disks[at].CrashClone(vfs.CrashCloneCfg{}))
}

// checkBatches holds a history against what clients were told: batches are
// whole, where they were said to be, once, and those that had to survive have.
func checkBatches(t *testing.T, w *witness, m *moment, found []Entry, trimmed uint64, same bool) {
	t.Helper()
	type seen struct {
		first uint64
		n     int
	}
	batches := map[int]*seen{}
	for _, e := range found {
		var id, i, of int
		if _, err := fmt.Sscanf(string(e.Value), "b%d %d/%d", &id, &i, &of); err != nil {
			t.Fatalf("sequence %d: no record of the story: %.40q", e.Sequence, e.Value)
		}
		want := w.batches[id].batch()[i]
		if string(want.Key) != string(e.Key) || string(want.Value) != string(e.Value) {
			t.Errorf("sequence %d: %q is not what was appended", e.Sequence, e.Key)
		}
		s := batches[id]
		if s == nil {
			s = &seen{first: e.Sequence}
			batches[id] = s
		}
		if e.Sequence != s.first+uint64(i) || i != s.n {
			t.Errorf("batch %d: record %d at sequence %d, the first is at %d", id, i, e.Sequence, s.first)
		}
		s.n++
	}
	for id, b := range w.batches {
		s := batches[id]
		if s != nil && s.n != b.records {
			t.Errorf("batch %d: %d of its %d records are there", id, s.n, b.records)
		}
		if id >= len(m.reached) {
			if s != nil {
				t.Errorf("batch %d is there before it was appended", id)
			}
			continue
		}
		if s != nil && m.reached[id] != Default && s.first != b.at.First {
			t.Errorf("batch %d is at %d, and was said to be at %d", id, s.first, b.at.First)
		}
		must := m.reached[id] == Remote || same && m.reached[id] == Local
		if s == nil && must && b.at.Next > trimmed {
			t.Errorf("batch %d at [%d,%d) was acknowledged at %v and is gone", id, b.at.First, b.at.Next, m.reached[id])
		}
	}
}

// A write whose answer is an error may or may not have happened. Whichever it
// was, at whichever write, the story takes the same course and ends with the
// same history.
func TestEveryLostAnswer(t *testing.T) {
	var want []Entry
	var writes int
	synctest.Test(t, func(t *testing.T) {
		_, r := tellStory(t, func(int) objstoretest.FaultKind { return objstoretest.None })
		want, writes = checkBucket(t, r.Mem), r.n
	})
	faults := []objstoretest.FaultKind{objstoretest.ApplyThenError, objstoretest.Refuse}
	step := writes / raceShare(writes)
	for n := 0; n < writes && !t.Failed(); n += step {
		some := faults
		if !*crashAll {
			some = faults[n%2:][:1]
		}
		for _, fault := range some {
			synctest.Test(t, func(t *testing.T) {
				_, r := tellStory(t, func(i int) objstoretest.FaultKind {
					if i == n {
						return fault
					}
					return objstoretest.None
				})
				got := checkBucket(t, r.Mem)
				sameValues(t, got, want)
			})
			if t.Failed() {
				t.Fatalf("write %d, fault %v", n, fault)
			}
		}
	}
}

// sameValues compares keys and values, not sequences and times: a repeated
// opening takes one more epoch, and its limits.
func sameValues(t *testing.T, got, want []Entry) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d entries, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if string(got[i].Key) != string(want[i].Key) || string(got[i].Value) != string(want[i].Value) {
			t.Errorf("entry %d is %q %.20q, want %q %.20q", i, got[i].Key, got[i].Value, want[i].Key, want[i].Value)
			return
		}
	}
}
