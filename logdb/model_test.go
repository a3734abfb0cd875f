package logdb

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/logdb-go/logdb/objstore"
)

var (
	modelSeed = flag.Uint64("model.seed", 0, "run the model test with this seed only")
	modelOps  = flag.Int("model.ops", 150, "operations in each run of the model test")
)

// TestModel does random things to a log, the same to a slice per key, and asks
// both the same questions, through the writer and through a reader.
func TestModel(t *testing.T) {
	seeds := []uint64{*modelSeed}
	if *modelSeed == 0 {
		seeds = seeds[:0]
		for i := range uint64(16) {
			seeds = append(seeds, i+1)
		}
		seeds = append(seeds, rand.Uint64()) // and one that nobody has seen
	}
	for _, seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			b := objstore.Bucket(objstore.NewMem())
			if seed%4 == 0 {
				file, err := objstore.NewFile(t.TempDir())
				if err != nil {
					t.Fatal(err)
				}
				b = file
			}
			newModelRun(t, seed, b).run(*modelOps)
		})
		if t.Failed() {
			t.Fatalf("replay: go test ./logdb -run 'TestModel$' -model.seed=%d -model.ops=%d", seed, *modelOps)
		}
	}
}

// modelBatch is one batch as the model has it.
type modelBatch struct {
	entries []Entry
	level   Durability
}

// modelRun is a log and its model: the batches that are in the log, in order.
type modelRun struct {
	t       *testing.T
	ctx     context.Context
	rng     *rand.Rand
	bucket  objstore.Bucket
	disk    *vfs.MemFS // nil: diskless
	options Options
	d       *LogDb
	r       *LogDbReader
	n       int // batches ever made, to tell values apart

	batches []modelBatch
	shown   uint64 // exclusive: no sequence below it may be given again
	lastOp  string
}

var modelKeys = []string{"", "a", "a\x00", "ab", "b", "b/1", "b/2", "\xff\xff", strings.Repeat("long", 50)}

func newModelRun(t *testing.T, seed uint64, b objstore.Bucket) *modelRun {
	rng := rand.New(rand.NewPCG(seed, 0))
	m := &modelRun{t: t, ctx: context.Background(), rng: rng, bucket: b}
	if rng.IntN(3) > 0 {
		m.disk = disk()
	}
	m.options = m.randomOptions()
	m.open()
	m.r = openReader(t, b, ReaderOptions{RefreshInterval: -1, Cache: 1 << 20})
	return m
}

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

func (m *modelRun) randomOptions() Options {
	r := m.rng
	o := Options{
		Limits:        Limits{ValueBytes: 8 << 10, BatchBytes: 16 << 10},
		Memory:        Memory{Memtable: pick(r, int64(64<<10), 128<<10, 1<<20), Queue: 1 << 20, Cache: 1 << 20},
		Segments:      SegmentOptions{Interval: pick(r, time.Minute, time.Hour), Bytes: pick(r, int64(500), 20<<10, 1<<30), NoConsolidation: r.IntN(3) == 0},
		ShipInterval:  pick(r, 250*time.Millisecond, 5*time.Second),
		FlushInterval: pick(r, 5*time.Second, time.Minute),
		CollectGrace:  time.Minute,
	}
	if r.IntN(3) == 0 {
		o.Retention.Records = uint64(pick(r, 20, 100))
	}
	if r.IntN(4) == 0 {
		o.Retention.Age = 2 * time.Hour
	}
	return o
}

func (m *modelRun) open() {
	o := m.options
	if m.disk != nil {
		o.WALDir, o.fs = "wal", m.disk
	}
	m.d = openLog(m.t, m.bucket, o)
}

func (m *modelRun) run(n int) {
	ops := []struct {
		weight int
		name   string
		do     func()
	}{
		{30, "append", m.append}, {4, "seal", m.seal}, {4, "flush", m.flush}, {8, "advance", m.advance},
		{2, "compact", m.compact}, {2, "close", m.close}, {3, "crash", m.crash},
		{20, "scan", m.scan}, {6, "count", m.count}, {6, "keys", m.keys}, {4, "get", m.get}, {3, "segments", m.segments}, {2, "history", m.history},
	}
	total := 0
	for _, op := range ops {
		total += op.weight
	}
	for i := range n {
		w := m.rng.IntN(total)
		for _, op := range ops {
			if w -= op.weight; w < 0 {
				m.lastOp = fmt.Sprintf("operation %d, %s", i, op.name)
				settled()
				op.do()
				break
			}
		}
		if m.t.Failed() {
			return
		}
	}
	m.lastOp = "end"
	m.close()
	m.sameAll(checkBucket(m.t, m.bucket), m.d)
}

func (m *modelRun) fatalf(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf(m.lastOp+": "+format, args...)
}

// level is a random one, as this log resolves it.
func (m *modelRun) level() Durability { return m.d.level(pick(m.rng, Applied, Applied, Local, Remote)) }

func (m *modelRun) append() {
	records := make([]Record, 1+m.rng.IntN(4)*m.rng.IntN(3))
	for i := range records {
		m.n++
		value := fmt.Sprintf("%d", m.n)
		if m.rng.IntN(4) == 0 {
			value += strings.Repeat(".", m.rng.IntN(3000))
		}
		if m.rng.IntN(20) == 0 {
			value = ""
		}
		records[i] = rec(pick(m.rng, modelKeys...), value)
	}
	level := m.level()
	a, err := m.d.Append(m.ctx, records, AppendOptions{Ack: level})
	if err != nil {
		m.fatalf("append: %v", err)
	}
	if a.First < m.shown || a.Next != a.First+uint64(len(records)) {
		m.fatalf("append of %d records is at [%d,%d), the log was at %d", len(records), a.First, a.Next, m.shown)
	}
	m.shown = a.Next
	b := modelBatch{level: level}
	for i, r := range records {
		b.entries = append(b.entries, Entry{Key: r.Key, Value: r.Value, Sequence: a.First + uint64(i), Time: a.Time})
	}
	m.batches = append(m.batches, b)
}

func (m *modelRun) seal() {
	s, sealed, err := m.d.SealSegment(m.ctx, []byte(m.lastOp))
	if err != nil {
		m.fatalf("seal: %v", err)
	}
	if sealed && (string(s.Metadata) != m.lastOp || s.Records == 0) {
		m.fatalf("sealed %+v", s)
	}
	if sealed { // it was waited for at Remote, and so was all before it
		m.reached(Remote)
	}
}

// reached notes that everything appended so far has come so far.
func (m *modelRun) reached(level Durability) {
	for i := range m.batches {
		m.batches[i].level = max(m.batches[i].level, level)
	}
}

func (m *modelRun) flush() {
	if err := m.d.Flush(m.ctx); err != nil {
		m.fatalf("flush: %v", err)
	}
	if got := m.d.DurableSequence(Remote); len(m.batches) > 0 && got < m.model(^uint64(0), 0).end() {
		m.fatalf("flushed, and the remote watermark is %d", got)
	}
	m.reached(Remote)
}

func (m *modelRun) advance() {
	time.Sleep(pick(m.rng, time.Second, 10*time.Second, time.Minute, 5*time.Minute, time.Hour)) // the bubble's
}

func (m *modelRun) compact() {
	if err := m.d.Compact(m.ctx); err != nil {
		m.fatalf("compact: %v", err)
	}
}

func (m *modelRun) close() {
	next := m.d.committer.next // nobody appends: its goroutine waits
	closeLog(m.t, m.d)
	m.reached(Remote)
	if m.lastOp == "end" {
		return
	}
	m.open()
	if got := m.d.committer.next; got != next || got < m.shown {
		m.fatalf("goes on at %d after a clean close at %d", got, next)
	}
}

// crash loses what was not synced, or some of it. What is left must be a
// prefix of the batches, and hold all that was acknowledged.
func (m *modelRun) crash() {
	var fs *vfs.MemFS
	if m.disk != nil {
		fs = m.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: pick(m.rng, 0, 50, 100), RNG: m.rng})
	}
	crash(m.d)
	if fs != nil {
		m.disk = fs
	}
	m.open()
	end := m.d.Frontier()
	for i, b := range m.batches {
		if b.entries[0].Sequence < end {
			continue
		}
		for _, lost := range m.batches[i:] {
			if lost.level > Applied {
				m.fatalf("batch at %d was acknowledged at %v, the log ends at %d", lost.entries[0].Sequence, lost.level, end)
			}
		}
		m.batches = m.batches[:i]
		break
	}
	settled() // what is expired goes when the log is opened
	m.sameAll(mustHistory(m.t, m.d), m.d)
}

func (m *modelRun) history() { m.sameAll(mustHistory(m.t, m.d), m.d) }

// sameAll compares a whole history with the model, above what is trimmed.
func (m *modelRun) sameAll(got []Entry, d *LogDb) {
	m.t.Helper()
	want := m.model(^uint64(0), d.view.Load().TrimmedBelow)
	sameEntries(m.t, m.lastOp, got, want.entries)
	if m.t.Failed() {
		m.t.FailNow()
	}
}

// modelView is the model as one read sees it.
type modelView struct {
	entries           []Entry
	frontier, trimmed uint64
}

func (m *modelRun) model(frontier, trimmed uint64) modelView {
	v := modelView{frontier: frontier, trimmed: trimmed}
	for _, b := range m.batches {
		for _, e := range b.entries {
			if e.Sequence >= trimmed && e.Sequence < frontier {
				v.entries = append(v.entries, e)
			}
		}
	}
	return v
}

func (v modelView) end() uint64 {
	if n := len(v.entries); n > 0 {
		return v.entries[n-1].Sequence + 1
	}
	return 0
}

func (v modelView) key(key string) []Entry {
	return slices.DeleteFunc(slices.Clone(v.entries), func(e Entry) bool { return string(e.Key) != key })
}
