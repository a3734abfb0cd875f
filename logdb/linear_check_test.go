package logdb

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// The invariants, by the names that problems and mutants give them.
const (
	linLinear    = "linearizable"
	linUnique    = "sequences are unique"
	linOrdered   = "sequences and times follow real time"
	linSub       = "a key's log is a subsequence of the global order"
	linPrefix    = "prefix visibility"
	linWatermark = "no watermark is ahead of a scan"
	linSurvives  = "acknowledged survives"
	linFence     = "nothing is acknowledged after the fence"
	linRefused   = "what was refused is not there"
	linLives     = "the log lives"
)

// linPatience is how long Porcupine may think about one key. Not to know is a
// failure, not a pass.
const linPatience = 30 * time.Second

// linVerdict holds a history, now complete, against the model and the
// invariants.
type linVerdict struct {
	*linHistory
	epochs []*linWriter             // writers, oldest epoch first
	after  map[*linWriter]int       // index in epochs
	bound  map[uint64]linEntry      // what was ever seen under a sequence
	final  []linEntry               // the log as it ended
	at     map[uint64]linEntry      // the same by sequence
	lasts  map[string]*linRead      // the final read of each key
	own    map[linOwner][]*linBatch // batches that happened, by sequence
}

// linOwner names a writer's batches with records of one key.
type linOwner struct {
	writer int
	key    string
}

// judge returns everything that is wrong with the history.
func (h *linHistory) judge(keys []string, out string) []linProblem {
	v := &linVerdict{
		linHistory: h, after: map[*linWriter]int{}, bound: map[uint64]linEntry{}, at: map[uint64]linEntry{},
		lasts: map[string]*linRead{}, own: map[linOwner][]*linBatch{},
	}
	v.epochs = slices.SortedFunc(slices.Values(h.writers), func(a, b *linWriter) int { return cmp.Compare(a.epoch, b.epoch) })
	for i, w := range v.epochs {
		v.after[w] = i
	}
	v.resolve()
	v.globals()
	for _, key := range keys {
		v.linearizable(key, out)
	}
	return h.problems
}

// resolve finds out which appends have happened and where.
func (v *linVerdict) resolve() {
	for _, b := range v.batches {
		if b.known {
			for i := range b.records {
				v.bind(b.String(), linEntry{batch: b.id, i: i, sequence: b.first + uint64(i), ms: b.ms})
			}
		}
	}
	for _, r := range v.reads {
		for _, e := range r.entries {
			v.bind(r.String(), e)
			b := v.batches[e.batch]
			b.shown = true
			if !b.known {
				b.known, b.first, b.ms = true, e.sequence-uint64(e.i), e.ms
			}
		}
		if r.final {
			v.lasts[r.key] = r
			v.final = append(v.final, r.entries...)
		}
	}
	slices.SortFunc(v.final, func(a, b linEntry) int { return cmp.Compare(a.sequence, b.sequence) })
	for _, e := range v.final {
		v.at[e.sequence] = e
	}
	for _, b := range v.batches {
		if !b.known {
			continue
		}
		for _, k := range batchKeys(b) {
			o := linOwner{b.writer.id, k}
			v.own[o] = append(v.own[o], b)
		}
	}
	for _, own := range v.own {
		slices.SortFunc(own, func(a, b *linBatch) int { return cmp.Compare(a.first, b.first) })
	}
}

func batchKeys(b *linBatch) []string {
	var keys []string
	for _, r := range b.records {
		if !slices.Contains(keys, string(r.Key)) {
			keys = append(keys, string(r.Key))
		}
	}
	return keys
}

// bind fails where a sequence is two records, or a record has two sequences or
// times.
func (v *linVerdict) bind(who string, e linEntry) {
	old, ok := v.bound[e.sequence]
	if ok && (old.batch != e.batch || old.i != e.i || old.ms != e.ms) {
		v.problem(linUnique, "%s: sequence %d was b%d.%d with time %d, now it is b%d.%d with time %d", who, e.sequence, old.batch, old.i, old.ms, e.batch, e.i, e.ms)
		return
	}
	v.bound[e.sequence] = e
	if b := v.batches[e.batch]; b.known && b.first+uint64(e.i) != e.sequence {
		v.problem(linUnique, "%s: b%d.%d was at sequence %d, now it is at %d", who, e.batch, e.i, b.first+uint64(e.i), e.sequence)
	}
}

// needs counts a writer's own batches of a key that lie below a sequence.
func (v *linVerdict) needs(writer int, key string, at uint64) int {
	own := v.own[linOwner{writer, key}]
	n := 0
	for n < len(own) && own[n].first < at {
		n++
	}
	return n
}

// linearizable asks Porcupine about one key.
func (v *linVerdict) linearizable(key, out string) {
	model, ops := linModel(len(v.writers)), v.operations(key)
	switch got := porcupine.CheckOperationsTimeout(model, ops, linPatience); got {
	case porcupine.Ok:
	case porcupine.Unknown:
		v.problem(linLinear, "key %q: %d operations, no verdict within %v", key, len(ops), linPatience)
	default:
		v.problem(linLinear, "key %q: %d operations are not linearizable%s", key, len(ops), v.draw(model, ops, key, out))
	}
}

// draw writes Porcupine's picture of what it could not order.
func (v *linVerdict) draw(model porcupine.Model, ops []porcupine.Operation, key, out string) string {
	if out == "" {
		return ""
	}
	_, info := porcupine.CheckOperationsVerbose(model, ops, linPatience)
	path := filepath.Join(out, fmt.Sprintf("key-%x.html", key))
	if err := os.MkdirAll(out, 0o755); err != nil {
		return fmt.Sprintf("; no picture: %v", err)
	}
	if err := porcupine.VisualizePath(model, info, path); err != nil {
		return fmt.Sprintf("; no picture: %v", err)
	}
	return "; picture: " + path
}

// operations makes the history of one key.
func (v *linVerdict) operations(key string) []porcupine.Operation {
	var ops []porcupine.Operation
	add := func(client int, call, ret int64, s *linStep, described string) {
		s.described = described
		ops = append(ops, porcupine.Operation{ClientId: client, Call: call, Return: ret, Input: s})
	}
	for i, w := range v.epochs {
		add(0, w.open.call, w.open.ret, v.openStep(i, key), fmt.Sprintf("w%d opens below %d", w.id, w.local))
	}
	for _, m := range v.marks {
		s := &linStep{kind: linMark, branch: m.writer.id, level: m.level, at: m.at, needs: v.needs(m.writer.id, key, m.at)}
		add(2*m.client+2, m.call, m.ret, s, m.String())
	}
	for o, own := range v.own {
		if o.key != key {
			continue
		}
		for n, b := range own {
			v.appendSteps(b, n, key, add)
		}
	}
	for _, r := range v.reads {
		if r.writer != nil && r.key == key {
			add(2*r.client+1, r.call, r.ret, v.readStep(r), r.String())
		}
	}
	return ops
}

func (v *linVerdict) openStep(i int, key string) *linStep {
	w := v.epochs[i]
	s := &linStep{kind: linOpen, branch: w.id, parent: -1, at: w.local, remote: w.bucket}
	if i > 0 {
		p := v.epochs[i-1]
		s.parent, s.unbroken, s.needs = p.id, v.unbroken(p, w), v.needs(p.id, key, w.local)
	}
	return s
}

// unbroken reports whether nobody from another WAL directory can have held the
// log between two writers.
func (v *linVerdict) unbroken(p, w *linWriter) bool {
	if p.open.dir != w.open.dir || p.open.dir == "" {
		return false
	}
	for _, a := range v.opens {
		if a.dir != p.open.dir && a.call < w.open.ret && a.ret > p.open.call {
			return false
		}
	}
	return true
}

// appendSteps are the append itself and, in the same time but later, that it
// has reached the level that was asked for.
func (v *linVerdict) appendSteps(b *linBatch, nth int, key string, add func(int, int64, int64, *linStep, string)) {
	s := &linStep{kind: linAppend, branch: b.writer.id, first: b.first, nth: nth}
	for i, r := range b.records {
		if string(r.Key) == key {
			s.records = append(s.records, linSum{b.first + uint64(i), linValue(r.Value)})
		}
	}
	ret := b.ret
	if !b.acked && !b.applied {
		ret = v.clock + 1
	}
	add(2*b.client+1, b.call, ret, s, b.String())
	if b.acked && b.level > Applied {
		s := &linStep{kind: linMark, branch: b.writer.id, level: b.level, at: b.next(), needs: v.needs(b.writer.id, key, b.next())}
		add(2*b.client+2, b.call, ret, s, fmt.Sprintf("b%d is %v", b.id, b.level))
	}
}

// lost counts the records that a count may have met and of which nobody else
// can tell: their append had no answer, and no scan has shown them.
func (v *linVerdict) lost(r *linRead) (n uint64) {
	for _, b := range v.batches {
		if b.known || b.refused || b.call > r.ret || b.writer.epoch > r.writer.epoch {
			continue
		}
		for _, rec := range b.records {
			if string(rec.Key) == r.key {
				n++
			}
		}
	}
	return n
}

func (v *linVerdict) readStep(r *linRead) *linStep {
	s := &linStep{kind: linScan, branch: r.writer.id, at: r.next, count: r.count}
	switch {
	case r.counted:
		s.kind, s.lost = linCount, v.lost(r)
		return s
	case r.followed:
		s.kind = linFollow
	case r.remote:
		s.kind = linScanRemote
	}
	if s.level = Applied; r.remote {
		s.level = Remote
	}
	for _, e := range r.entries {
		s.hash = linHash(s.hash, linSum{e.sequence, e.value})
	}
	s.needs = v.needs(r.writer.id, r.key, r.next)
	return s
}
