package logdb

import (
	"fmt"
	"sync"

	"github.com/logdb-go/logdb/objstore"
)

// simOracle knows what was appended, what everybody was told and what everybody
// was shown, and decides whether a log can have behaved so.
type simOracle struct {
	mu         sync.Mutex
	clock      int
	violations []string
	batches    []*simBatch
	bound      map[uint64]simRecord // which record was ever seen under a sequence
	times      map[uint64]int64     // and with which time
	views      []*simView
	marks      []simMark
	cursors    []*simCursor
	seals      []Segment
	trace      func(string, ...any)
}

// simBatch is one append.
type simBatch struct {
	id      int
	records []Record
	level   Durability
	epoch   uint64      // of the writer
	dir     objstore.ID // of the writer; zero: diskless

	submitted int // on the oracle's clock
	acked     int // 0: not acknowledged
	known     bool
	first     uint64
	refused   bool // the writer said that nothing was written
}

func (b *simBatch) end() uint64 { return b.first + uint64(len(b.records)) }

// simRecord is one record of a batch.
type simRecord struct {
	batch *simBatch
	i     int
}

func (r simRecord) String() string { return fmt.Sprintf("b%d.%d", r.batch.id, r.i) }

// simView is what one reading of all keys showed.
type simView struct {
	who      string
	epoch    uint64 // of the writer that was read, 0: a reader of the bucket
	remote   bool   // everything in it must be in the log for good
	opened   bool   // the first view of a writer: what its own directory held is in it
	dir      objstore.ID
	trimmed  uint64
	frontier uint64
	seen     map[uint64]bool
}

// simMark is a watermark that a writer announced.
type simMark struct {
	who   string
	epoch uint64
	dir   objstore.ID
	level Durability
	at    uint64
}

// simCursor is a consumer of one key that resumes where NextSequence said.
type simCursor struct {
	busy       sync.Mutex // held while it is read for; only ever tried
	key        string
	from, next uint64
	seen       map[uint64]bool
}

func newSimOracle() *simOracle {
	return &simOracle{bound: map[uint64]simRecord{}, times: map[uint64]int64{}}
}

func (o *simOracle) tick() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.clock++
	return o.clock
}

const simMaxViolations = 5

func (o *simOracle) fail(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failLocked(format, args...)
}

func (o *simOracle) failLocked(format string, args ...any) {
	v := fmt.Sprintf(format, args...)
	o.trace("VIOLATION %s", v)
	if len(o.violations) < simMaxViolations {
		o.violations = append(o.violations, v)
	}
}

func (o *simOracle) failed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.violations) > 0
}

// submit makes a batch known before anybody can see it.
func (o *simOracle) submit(level Durability, epoch uint64, dir objstore.ID, records []Record) *simBatch {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.clock++
	b := &simBatch{id: len(o.batches), level: level, epoch: epoch, dir: dir, submitted: o.clock}
	for i, r := range records {
		b.records = append(b.records, Record{Key: r.Key, Value: fmt.Appendf(nil, "b%d.%d %s", b.id, i, r.Value)})
	}
	o.batches = append(o.batches, b)
	return b
}

// placed takes the sequences that a writer gave to a batch.
func (o *simOracle) placed(b *simBatch, a Appended, acked bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.clock++
	if a.Next != a.First+uint64(len(b.records)) {
		o.failLocked("batch b%d of %d records was placed at [%d,%d)", b.id, len(b.records), a.First, a.Next)
		return
	}
	b.known, b.first = true, a.First
	if acked {
		b.acked = o.clock
	}
	for i := range b.records {
		o.bindLocked(a.First+uint64(i), simRecord{b, i}, a.Time.UnixMilli())
	}
}

func (o *simOracle) bindLocked(seq uint64, r simRecord, ms int64) {
	if old, ok := o.bound[seq]; ok && old != r {
		o.failLocked("sequence %d was %v (epoch %d), now it is %v (epoch %d): reused after it was shown", seq, old, old.batch.epoch, r, r.batch.epoch)
		return
	}
	if old, ok := o.times[seq]; ok && old != ms {
		o.failLocked("sequence %d (%v) had time %d, now %d", seq, r, old, ms)
	}
	if b := r.batch; b.known && b.first+uint64(r.i) != seq {
		o.failLocked("%v was at sequence %d, now it is at %d", r, b.first+uint64(r.i), seq)
	}
	if b := r.batch; !b.known {
		b.known, b.first = true, seq-uint64(r.i)
	}
	if r.batch.refused {
		o.failLocked("%v is in the log at %d, and the writer said that nothing was written", r, seq)
	}
	o.bound[seq], o.times[seq] = r, ms
}

// shown takes an entry that somebody read.
func (o *simOracle) shown(who string, e Entry) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var id, i int
	if _, err := fmt.Sscanf(string(e.Value[:min(len(e.Value), 24)]), "b%d.%d ", &id, &i); err != nil || id >= len(o.batches) || i >= len(o.batches[id].records) {
		o.failLocked("%s: sequence %d of key %q has a value that nobody appended: %.40q", who, e.Sequence, e.Key, e.Value)
		return
	}
	want := o.batches[id].records[i]
	if string(want.Key) != string(e.Key) || string(want.Value) != string(e.Value) {
		o.failLocked("%s: sequence %d has key %q and value %.40q, appended were %q and %.40q", who, e.Sequence, e.Key, e.Value, want.Key, want.Value)
		return
	}
	o.bindLocked(e.Sequence, simRecord{o.batches[id], i}, e.Time.UnixMilli())
}

func (o *simOracle) refuse(b *simBatch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b.refused = true
	if b.known {
		o.failLocked("batch b%d was shown at %d, and the writer says that nothing was written", b.id, b.first)
	}
}

func (o *simOracle) keepView(v *simView) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.views = append(o.views, v)
}

func (o *simOracle) keepMark(m simMark) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.marks = append(o.marks, m)
}

func (o *simOracle) keepSeal(s Segment) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seals = append(o.seals, s)
}
