package logdb

import (
	"fmt"
	"slices"
)

// The invariants that hold over all keys and for readers of the bucket. They
// are checked over the same history as the model, each by a rule of its own.

func (v *linVerdict) globals() {
	v.refusals()
	v.order()
	v.subsequence()
	v.survivors()
	v.watermarks()
	v.fences()
	for _, r := range v.reads {
		v.prefix(r)
	}
	v.readersGoOn()
	v.cursors()
}

// refusals: what was answered to be written nowhere is shown to nobody.
func (v *linVerdict) refusals() {
	for _, b := range v.batches {
		if b.refused && b.shown {
			v.problem(linRefused, "%v is in the log, and the answer was that nothing was written", b)
		}
	}
}

// order: an append that was called after another one's answer has the higher
// sequences, on one writer always, over the log where both are in it.
func (v *linVerdict) order() {
	for _, a := range v.batches {
		if !a.acked {
			continue
		}
		for _, b := range v.batches {
			if !b.known || b.call < a.ret || b.first >= a.next() {
				continue
			}
			if a.writer == b.writer || v.holds(a) && v.holds(b) {
				v.problem(linOrdered, "%v was called after the answer to %v", b, a)
			}
		}
	}
	for i := 1; i < len(v.final); i++ {
		if v.final[i].ms < v.final[i-1].ms {
			v.problem(linOrdered, "time goes back at sequence %d", v.final[i].sequence)
		}
	}
}

// holds reports whether the log as it ended has the batch.
func (v *linVerdict) holds(b *linBatch) bool {
	e, ok := v.at[b.first]
	return b.known && ok && e.batch == b.id
}

// subsequence: whatever a scan of a key shows is ascending, each record once,
// and nothing but what the global order has for this key; in the end the keys
// together are whole batches.
func (v *linVerdict) subsequence() {
	for _, r := range v.reads {
		for i := 1; i < len(r.entries); i++ {
			if r.entries[i].sequence <= r.entries[i-1].sequence {
				v.problem(linSub, "%v: %d follows %d", r, r.entries[i].sequence, r.entries[i-1].sequence)
				break
			}
		}
	}
	left := map[*linBatch]int{}
	for _, e := range v.final {
		left[v.batches[e.batch]]++
	}
	for b, n := range left {
		if n != len(b.records) {
			v.problem(linSub, "%v: %d of %d records are in the log", b, n, len(b.records))
		}
	}
}

// survivors: what was acknowledged at Remote is in the log as it ended, and
// what was acknowledged at Local is there when the same directory opens it
// next, and in the end if no other directory ever did.
func (v *linVerdict) survivors() {
	for _, b := range v.batches {
		if !b.acked || b.level == Applied {
			continue
		}
		if !v.holds(b) && (b.level == Remote || v.kept(b.writer)) {
			v.problem(linSurvives, "%v was acknowledged and is not in the log", b)
		}
		i := v.after[b.writer]
		if i+1 == len(v.epochs) {
			continue
		}
		if next := v.epochs[i+1]; next.local < b.next() && (b.level == Remote || v.unbroken(b.writer, next)) {
			v.problem(linSurvives, "%v was acknowledged, and %v found the log below %d", b, next, next.local)
		}
	}
}

// kept reports whether everything Local of a writer must be in the final log.
func (v *linVerdict) kept(w *linWriter) bool {
	for i := v.after[w]; i+1 < len(v.epochs); i++ {
		if !v.unbroken(v.epochs[i], v.epochs[i+1]) {
			return false
		}
	}
	return true
}

// watermarks: what lies below a watermark is there in a scan that begins
// later, and what lies below Remote is in the log as it ended.
func (v *linVerdict) watermarks() {
	for _, m := range v.marks {
		for _, r := range v.reads {
			if r.writer == m.writer && r.isScan() && r.call > m.ret && r.next < m.at && (!r.remote || m.level == Remote) {
				v.problem(linWatermark, "%v, and then %v", m, r)
			}
		}
		if m.level != Remote && (m.level != Local || !v.kept(m.writer)) {
			continue
		}
		for _, b := range v.batches {
			if b.writer == m.writer && b.known && (b.acked || b.applied || b.shown) && b.next() <= m.at && !v.holds(b) {
				v.problem(linWatermark, "%v, and %v is not in the log", m, b)
			}
		}
	}
	for _, b := range v.batches {
		for _, r := range v.reads {
			if b.acked && r.writer == b.writer && r.isScan() && r.call > b.ret && r.next < b.next() && (!r.remote || b.level == Remote) {
				v.problem(linWatermark, "%v was acknowledged, and then %v", b, r)
			}
		}
	}
}

// fences: an append that was called when a newer writer was already open is
// never acknowledged at Remote, nor does it come into the log.
func (v *linVerdict) fences() {
	for _, b := range v.batches {
		i := v.after[b.writer]
		if i+1 == len(v.epochs) {
			continue
		}
		next := v.epochs[i+1]
		if b.call < next.open.ret {
			continue
		}
		if b.acked && b.level == Remote {
			v.problem(linFence, "%v was called after %v had opened, and acknowledged", b, next)
		}
		if v.holds(b) {
			v.problem(linFence, "%v was called after %v had opened, and is in the log", b, next)
		}
	}
}

// prefix: a reader, and a writer at Remote, shows what the log has for the key
// below the frontier, all of it and nothing else, and no frontier cuts a batch.
func (v *linVerdict) prefix(r *linRead) {
	last := v.lasts[r.key]
	if r.counted || last == nil {
		return
	}
	for _, b := range v.batches {
		if r.isScan() && b.known && b.first < r.next && r.next < b.next() && (b.writer == r.writer || v.holds(b)) {
			v.problem(linPrefix, "%v: the frontier cuts %v", r, b)
		}
	}
	if r.writer != nil && !r.remote {
		return // the model knows what else is in its branch
	}
	var want []linEntry
	for _, e := range last.entries {
		if e.sequence < r.next {
			want = append(want, e)
		}
	}
	if !slices.Equal(want, r.entries) {
		v.problem(linPrefix, "%v: the log has %d records there; %s", r, len(want), firstDifference(want, r.entries))
	}
}

func firstDifference(want, got []linEntry) string {
	for i, e := range want {
		if i >= len(got) || got[i] != e {
			return describeEntry("missing", e)
		}
	}
	if len(got) > len(want) {
		return describeEntry("too much", got[len(want)])
	}
	return "the same"
}

// readersGoOn: a reader's frontier never goes back, and what was Remote when
// it opened, or when it was told to look, is there.
func (v *linVerdict) readersGoOn() {
	for _, r := range v.reads {
		if r.writer != nil || !r.isScan() {
			continue
		}
		for _, o := range v.reads {
			if o.writer == nil && o.isScan() && o.reader == r.reader && o.call > r.ret && o.next < r.next {
				v.problem(linPrefix, "%v, and then %v", r, o)
			}
		}
		for _, b := range v.batches {
			if b.acked && b.level == Remote && b.ret < r.since && r.next < b.next() {
				v.problem(linPrefix, "%v was acknowledged before the reader opened or looked, and then %v", b, r)
			}
		}
	}
}

// cursors: no writer gives out a sequence below a frontier or watermark that a
// writer before it has shown: who waits there would never see it.
func (v *linVerdict) cursors() {
	lowest := ^uint64(0) // of the writers that follow
	for _, w := range slices.Backward(v.epochs) {
		for _, r := range v.reads {
			if r.writer == w && !r.counted && r.next > lowest {
				v.problem(linUnique, "%v, and a later writer appends at %d", r, lowest)
			}
		}
		for _, m := range v.marks {
			if m.writer == w && m.at > lowest {
				v.problem(linUnique, "%v, and a later writer appends at %d", m, lowest)
			}
		}
		for _, b := range v.batches {
			if b.writer == w && b.known {
				lowest = min(lowest, b.first)
			}
		}
	}
}

func describeEntry(how string, e linEntry) string {
	return fmt.Sprintf("%s: b%d.%d at %d", how, e.batch, e.i, e.sequence)
}
