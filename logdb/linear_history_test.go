package logdb

import (
	"errors"
	"fmt"
	"sync"
)

// linHistory is what the clients of one log saw, all on one clock: every call
// and every answer has a tick of its own, so that two operations overlap
// unless one had its answer before the other was called.
type linHistory struct {
	mu       sync.Mutex
	clock    int64
	writers  []*linWriter
	opens    []*linAttempt
	readers  int
	batches  []*linBatch
	reads    []*linRead
	marks    []*linMarked
	problems []linProblem // what cannot have happened, whatever the history
	trace    func(string, ...any)
}

// linProblem is a broken invariant.
type linProblem struct {
	invariant string
	what      string
}

func (p linProblem) String() string { return p.invariant + ": " + p.what }

// linAttempt is one Open, whatever became of it.
type linAttempt struct {
	dir       string // "": diskless
	call, ret int64  // ret 0: the process was killed in it
}

// linWriter is one LogDb that opened.
type linWriter struct {
	id            int
	epoch         uint64
	open          *linAttempt
	bucket, local uint64 // where the log that it found ends

	mu   sync.Mutex
	dead bool // killed: what it was about to answer, nobody heard
}

func (w *linWriter) String() string { return fmt.Sprintf("w%d (epoch %d)", w.id, w.epoch) }

// linBatch is one append.
type linBatch struct {
	id        int
	client    int
	writer    *linWriter
	records   []Record
	level     Durability // that the caller waits for; never Default
	call, ret int64      // ret 0: no answer
	acked     bool       // at level
	applied   bool       // pending because the caller stopped to wait: it is in the log of its writer
	refused   bool       // the answer was that nothing was written
	known     bool       // first is: from the answer, or since somebody was shown a record
	shown     bool       // by a read
	first     uint64
	ms        int64
}

func (b *linBatch) next() uint64 { return b.first + uint64(len(b.records)) }

func (b *linBatch) String() string {
	s := fmt.Sprintf("b%d %v by w%d", b.id, b.level, b.writer.id)
	if b.known {
		s += fmt.Sprintf(" at [%d,%d)", b.first, b.next())
	}
	return s
}

// linRead is a scan of one key from its beginning, or a count.
type linRead struct {
	client    int
	writer    *linWriter // nil: a reader
	reader    int
	key       string
	remote    bool // visibility; readers have no other
	counted   bool // only the number is known
	followed  bool // read by Follow until its time was over
	call, ret int64
	since     int64 // readers: everything Remote before this tick must be there
	entries   []linEntry
	next      uint64 // the frontier that came with it
	count     uint64
	final     bool
}

// isScan tells a scan, which shows a key's log up to a frontier of its moment.
func (r *linRead) isScan() bool { return !r.counted && !r.followed }

func (r *linRead) String() string {
	who := fmt.Sprintf("r%d", r.reader)
	if r.writer != nil {
		who = r.writer.String()
		if r.remote {
			who += " at remote"
		}
	}
	if r.counted {
		return fmt.Sprintf("%s counts %q: %d", who, r.key, r.count)
	}
	how := "scans"
	if r.followed {
		how = "follows"
	}
	return fmt.Sprintf("%s %s %q: %d records below %d", who, how, r.key, len(r.entries), r.next)
}

// linEntry is what the history keeps of an Entry.
type linEntry struct {
	batch, i int
	sequence uint64
	ms       int64
	value    uint64
}

// linMarked is a watermark that was announced, in whatever way.
type linMarked struct {
	client    int
	writer    *linWriter
	how       string
	level     Durability
	at        uint64
	call, ret int64
}

func (m *linMarked) String() string {
	return fmt.Sprintf("w%d %s: %v below %d", m.writer.id, m.how, m.level, m.at)
}

func newLinHistory(trace func(string, ...any)) *linHistory { return &linHistory{trace: trace} }

func (h *linHistory) tick() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock++
	return h.clock
}

const linMaxProblems = 12

func (h *linHistory) problem(invariant, format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := linProblem{invariant, fmt.Sprintf(format, args...)}
	h.trace("PROBLEM %v", p)
	if len(h.problems) < linMaxProblems {
		h.problems = append(h.problems, p)
	}
}

// heard runs f with the tick of an answer, unless the writer was killed before.
func (w *linWriter) heard(h *linHistory, f func(now int64)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.dead {
		f(h.tick())
	}
}

// kill ends a process's answers; end runs while nobody is answered.
func (w *linWriter) kill(end func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.dead {
		w.dead = true
		end()
	}
}

// attempt notes that an Open begins.
func (h *linHistory) attempt(dir string) *linAttempt {
	a := &linAttempt{dir: dir, call: h.tick()}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.opens = append(h.opens, a)
	return a
}

// opened notes that an Open succeeded.
func (h *linHistory) opened(a *linAttempt, epoch, bucket, local uint64) *linWriter {
	now := h.tick()
	h.mu.Lock()
	defer h.mu.Unlock()
	a.ret = now
	w := &linWriter{id: len(h.writers), epoch: epoch, open: a, bucket: bucket, local: local}
	h.writers = append(h.writers, w)
	h.trace("w%d is open: epoch %d, dir %q, found [0,%d) in the bucket, [0,%d) in all", w.id, epoch, a.dir, bucket, local)
	return w
}

// submit makes a batch known before anybody can be shown it. Its values name it.
func (h *linHistory) submit(client int, w *linWriter, level Durability, keys []string, padding []byte) *linBatch {
	if level == Default {
		level = Local
	}
	if level == Local && w.open.dir == "" {
		level = Remote
	}
	call := h.tick()
	h.mu.Lock()
	defer h.mu.Unlock()
	b := &linBatch{id: len(h.batches), client: client, writer: w, level: level, call: call}
	for i, k := range keys {
		b.records = append(b.records, Record{Key: []byte(k), Value: fmt.Appendf(nil, "b%d.%d %s", b.id, i, padding)})
	}
	h.batches = append(h.batches, b)
	return b
}

// answered takes the answer to an append; stopped says that an error is the
// caller's own end of patience.
func (h *linHistory) answered(b *linBatch, a Appended, err error, stopped bool) {
	var pending *PendingError
	b.writer.heard(h, func(now int64) {
		h.trace("%v: %+v, %v", b, a, err)
		switch {
		case err == nil:
			b.acked, b.ret = true, now
			h.place(b, a)
		case errors.As(err, &pending):
			b.applied = stopped
			b.ret = now
			h.place(b, pending.Appended)
		default:
			b.refused, b.ret = true, now
		}
	})
}

func (h *linHistory) place(b *linBatch, a Appended) {
	if a.Next != a.First+uint64(len(b.records)) {
		h.problem(linUnique, "%v has %d records and was placed at [%d,%d)", b, len(b.records), a.First, a.Next)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	b.known, b.first, b.ms = true, a.First, a.Time.UnixMilli()
}

// took keeps what a scan showed.
func (h *linHistory) took(r *linRead, entries []Entry) {
	for _, e := range entries {
		le := linEntry{sequence: e.Sequence, ms: e.Time.UnixMilli(), value: linValue(e.Value)}
		if _, err := fmt.Sscanf(string(e.Value[:min(len(e.Value), 24)]), "b%d.%d ", &le.batch, &le.i); err != nil || !h.wrote(r.key, le, e) {
			h.problem(linUnique, "%v: sequence %d has a key or value that nobody appended: %q %.40q", r, e.Sequence, e.Key, e.Value)
			continue
		}
		r.entries = append(r.entries, le)
	}
	r.count = uint64(len(r.entries))
	h.keep(r)
}

func (h *linHistory) wrote(key string, le linEntry, e Entry) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if le.batch >= len(h.batches) || le.i >= len(h.batches[le.batch].records) {
		return false
	}
	want := h.batches[le.batch].records[le.i]
	return string(want.Key) == key && string(e.Key) == key && string(want.Value) == string(e.Value)
}

func (h *linHistory) keep(r *linRead) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.trace("%v", r)
	h.reads = append(h.reads, r)
}

// count adds what the history has to a tally.
func (h *linHistory) count(c simCounts) {
	c["reads"] += len(h.reads)
	c["watermarks"] += len(h.marks)
	for _, b := range h.batches {
		switch {
		case b.acked:
			c["acked "+b.level.String()]++
		case b.refused:
			c["refused"]++
		case b.ret == 0:
			c["unanswered"]++
		default:
			c["pending"]++
		}
	}
}

func (h *linHistory) keepMark(m *linMarked) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.trace("%v", m)
	h.marks = append(h.marks, m)
}
