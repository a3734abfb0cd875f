package logdb

import (
	"slices"

	"github.com/logdb-go/logdb/objstore"
)

// simFinal is the log as it ended.
type simFinal struct {
	o       *simOracle
	entries []Entry // ascending
	trimmed uint64
	at      map[uint64]simRecord
	store   *simStore
}

func newSimFinal(o *simOracle, entries []Entry, trimmed uint64) *simFinal {
	f := &simFinal{o: o, entries: entries, trimmed: trimmed, at: map[uint64]simRecord{}}
	for _, e := range entries {
		o.shown("final writer", e)
	}
	for _, e := range entries {
		f.at[e.Sequence] = o.bound[e.Sequence]
	}
	return f
}

// check holds everything that was said against the log. epoch and dir are of
// the writer that showed it.
func (f *simFinal) check(epoch uint64, dir objstore.ID) {
	f.checkWhole()
	f.checkAcks(epoch)
	f.checkMarks(epoch)
	f.checkOrder()
	for _, v := range f.o.views {
		f.checkView(v)
	}
	for _, c := range f.o.cursors {
		f.checkCursor(c)
	}
}

// checkWhole: batches are whole and contiguous, each record is there once.
func (f *simFinal) checkWhole() {
	count := map[*simBatch]int{}
	for _, r := range f.at {
		if r.batch != nil {
			count[r.batch]++
		}
	}
	for b, n := range count {
		if n != len(b.records) {
			f.o.fail("batch b%d at %d: %d of its %d records are in the log (trimmed below %d)", b.id, b.first, n, len(b.records), f.trimmed)
		}
	}
	for i := 1; i < len(f.entries); i++ {
		if f.entries[i].Time.Before(f.entries[i-1].Time) {
			f.o.fail("time goes back at sequence %d", f.entries[i].Sequence)
		}
	}
}

// holds reports whether a batch is in the log, or was and is trimmed.
func (f *simFinal) holds(b *simBatch) bool {
	return f.at[b.first].batch == b || b.end() <= f.trimmed
}

// promised reports whether level binds the log, as it ended under epoch, for
// a batch of a writer.
func (f *simFinal) promised(level Durability, by uint64, dir objstore.ID, until uint64) bool {
	switch {
	case level == Remote || level == Local && dir.IsZero():
		return true
	case level == Local:
		return f.store.unbroken(dir, by, until)
	}
	return false
}

func (f *simFinal) checkAcks(epoch uint64) {
	for _, b := range f.o.batches {
		level := b.level
		if level == Default {
			level = Local
		}
		if b.acked > 0 && f.promised(level, b.epoch, b.dir, epoch) && !f.holds(b) {
			f.o.fail("batch b%d [%d,%d) was acknowledged %v by epoch %d and is not in the log (trimmed below %d)", b.id, b.first, b.end(), level, b.epoch, f.trimmed)
		}
	}
}

// checkMarks: what lay below a watermark is in the log.
func (f *simFinal) checkMarks(epoch uint64) {
	for _, m := range f.o.marks {
		if !f.promised(m.level, m.epoch, m.dir, epoch) {
			continue
		}
		for _, b := range f.o.batches {
			if b.known && b.epoch == m.epoch && b.end() <= m.at && !f.holds(b) {
				f.o.fail("%s (epoch %d) announced %v below %d; batch b%d [%d,%d) is not in the log", m.who, m.epoch, m.level, m.at, b.id, b.first, b.end())
			}
		}
	}
}

// checkOrder: a batch that was submitted after another had been acknowledged
// lies behind it.
func (f *simFinal) checkOrder() {
	first := int(^uint(0) >> 1) // earliest acknowledgement of what lies behind
	var by *simBatch
	for _, e := range slices.Backward(f.entries) {
		b := f.at[e.Sequence].batch
		if b == nil {
			continue
		}
		if b.submitted > first {
			f.o.fail("batch b%d at %d was submitted after b%d at %d had been acknowledged", b.id, b.first, by.id, by.first)
			return
		}
		if b.acked > 0 && b.acked < first {
			first, by = b.acked, b
		}
	}
}

// checkView: a view is complete below its frontier, and what it showed as
// remote is in the log.
func (f *simFinal) checkView(v *simView) {
	for _, e := range f.entries {
		if e.Sequence >= v.trimmed && e.Sequence < v.frontier && !v.seen[e.Sequence] {
			f.o.fail("%s (epoch %d) showed a view below %d without sequence %d (%v), which is in the log", v.who, v.epoch, v.frontier, e.Sequence, f.at[e.Sequence])
			return
		}
	}
	if v.opened && !v.dir.IsZero() {
		f.checkOpened(v)
	}
	if !v.remote {
		return
	}
	for seq := range v.seen {
		if _, ok := f.at[seq]; !ok && seq >= f.trimmed && seq < v.frontier {
			f.o.fail("%s (epoch %d) showed sequence %d (%v) as remote, and it is not in the log", v.who, v.epoch, seq, f.o.bound[seq])
			return
		}
	}
}

// checkOpened: what a directory's writers acknowledged at Local is there when
// it opens the log again, if no other directory did in between.
func (f *simFinal) checkOpened(v *simView) {
	for _, b := range f.o.batches {
		if b.acked == 0 || b.dir != v.dir || b.epoch >= v.epoch || b.level == Applied || b.end() <= v.trimmed {
			continue
		}
		if !v.seen[b.first] && f.store.unbroken(b.dir, b.epoch, v.epoch) {
			f.o.fail("batch b%d [%d,%d) was acknowledged %v by epoch %d; %s opened from the same directory as epoch %d without it", b.id, b.first, b.end(), b.level, b.epoch, v.who, v.epoch)
			return
		}
	}
}

// checkCursor: a cursor has passed no record that is in the log.
func (f *simFinal) checkCursor(c *simCursor) {
	for _, e := range f.entries {
		if string(e.Key) == c.key && e.Sequence >= c.from && e.Sequence < c.next && !c.seen[e.Sequence] {
			f.o.fail("a cursor of key %q stands at %d and was never shown sequence %d (%v)", c.key, c.next, e.Sequence, f.at[e.Sequence])
			return
		}
	}
}
