//go:build unix

package logdb

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// toldBatch is what a process was told of a batch that it appended.
type toldBatch struct {
	first   uint64
	records int
	level   Durability
	run     string // the process that appended it
	acked   bool   // else pending: it may be anywhere or nowhere
}

// ledger is what a test remembers of what its processes were told, so that it
// can be held against what a log holds. A batch is named in the value of each
// of its records: "run.worker.n i/of filler".
type ledger struct {
	t  *testing.T
	mu sync.Mutex
	// Guarded by mu.
	told    map[string]toldBatch
	refused map[string]string // batches of which nothing was written, and why
	given   map[uint64]string // sequences that anybody was shown, and the batch there
	changed chan struct{}     // closed and made anew when a process has said something
}

func newLedger(t *testing.T) *ledger {
	return &ledger{t: t, told: map[string]toldBatch{}, refused: map[string]string{}, given: map[uint64]string{}, changed: make(chan struct{})}
}

// patience bounds every wait for another process; it is no measurement.
const patience = 2 * time.Minute

// await returns true once cond, which is called with mu held, is true; false
// when the patience is over.
func (l *ledger) await(cond func() bool) bool {
	deadline := time.After(patience)
	for {
		l.mu.Lock()
		ok, changed := cond(), l.changed
		l.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-deadline:
			return false
		}
	}
}

// noted is called with mu held, when something was written down.
func (l *ledger) noted() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// outcome writes down what one append came to: "ack ID FIRST N LEVEL", "pending
// ID FIRST N LEVEL WHY" or "refused ID WHY". It returns WHY. mu is held.
func (l *ledger) outcome(run, line string) (why string, err error) {
	var verb, id string
	b := toldBatch{run: run}
	switch verb, _, _ = strings.Cut(line, " "); verb {
	case "ack":
		b.acked = true
		_, err = fmt.Sscanf(line, "%s %s %d %d %d", &verb, &id, &b.first, &b.records, &b.level)
	case "pending":
		_, err = fmt.Sscanf(line, "%s %s %d %d %d %q", &verb, &id, &b.first, &b.records, &b.level, &why)
	default:
		if _, err = fmt.Sscanf(line, "%s %s %q", &verb, &id, &why); err == nil {
			l.refused[id] = why
		}
		return why, err
	}
	if err == nil {
		l.told[id] = b
		for i := range b.records {
			l.give(b.first+uint64(i), id)
		}
	}
	return why, err
}

// give notes that a sequence was shown as a record of a batch. mu is held.
func (l *ledger) give(sequence uint64, id string) {
	if before, ok := l.given[sequence]; ok && before != id {
		l.t.Errorf("sequence %d was batch %s's and is batch %s's", sequence, before, id)
	}
	l.given[sequence] = id
}

// foundBatch is a batch as it lies in a log, or in a WAL directory.
type foundBatch struct {
	first uint64
	n, of int
}

// batchOf reads the name of an entry's batch, and the entry's place in it.
func batchOf(e Entry) (id string, i, of int, err error) {
	_, err = fmt.Sscanf(string(e.Value), "%s %d/%d", &id, &i, &of)
	return id, i, of, err
}

// batches groups entries, in sequence order, into the batches that they came
// in: each must be whole, and no sequence another batch's than before.
func (l *ledger) batches(where string, entries []Entry) map[string]*foundBatch {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	found := map[string]*foundBatch{}
	for _, e := range entries {
		id, i, of, err := batchOf(e)
		if err != nil {
			l.t.Fatalf("%s: sequence %d holds %.40q", where, e.Sequence, e.Value)
		}
		l.give(e.Sequence, id)
		b := found[id]
		if b == nil {
			b = &foundBatch{first: e.Sequence, of: of}
			found[id] = b
		}
		if i != b.n || e.Sequence != b.first+uint64(i) {
			l.t.Errorf("%s: batch %s: record %d is at %d, the first at %d", where, id, i, e.Sequence, b.first)
		}
		b.n++
	}
	for id, b := range found {
		if b.n != b.of {
			l.t.Errorf("%s: batch %s: %d of %d records", where, id, b.n, b.of)
		}
		if told, ok := l.told[id]; ok && told.first != b.first {
			l.t.Errorf("%s: batch %s is at %d, its process was told %d", where, id, b.first, told.first)
		}
		if why, ok := l.refused[id]; ok {
			l.t.Errorf("%s: batch %s is there, and was refused: %s", where, id, why)
		}
	}
	return found
}

// holds checks that a log has every batch that must be there: those that were
// acknowledged and that must says.
func (l *ledger) holds(where string, found map[string]*foundBatch, must func(id string, b toldBatch) bool) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, b := range l.told {
		if b.acked && found[id] == nil && must(id, b) {
			l.t.Errorf("%s: batch %s at %d was acknowledged at %v and is gone", where, id, b.first, b.level)
		}
	}
}
