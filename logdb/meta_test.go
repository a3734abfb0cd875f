package logdb

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

var metaSeed = flag.Uint64("meta.seed", 0, "run the metamorphic test with this seed only")

// TestSameHistory does the same things to logs that differ in what must not
// show: where records lie, how large the pieces are, how slow or broken the
// store is, who is asked, and how often the log was closed in between. All
// answers, sequences and times included, are the same.
func TestSameHistory(t *testing.T) {
	seeds := []uint64{*metaSeed}
	if *metaSeed == 0 {
		seeds = []uint64{1, 2, rand.Uint64()}
	}
	for _, seed := range seeds {
		ops := metaOps(seed, 80)
		var want []string
		for i, v := range metaVariants() {
			var got []string
			synctest.Test(t, func(t *testing.T) { got = v.run(t, seed, ops) })
			if i == 0 {
				want = got
			}
			for j := range min(len(got), len(want)) {
				if got[j] != want[j] {
					t.Errorf("%s: %v\n got %s\nwant %s, as %s has it", v.name, ops[j], got[j], want[j], metaVariants()[0].name)
					break
				}
			}
			if t.Failed() || len(got) != len(want) {
				t.Fatalf("replay: go test ./logdb -run TestSameHistory -meta.seed=%d", seed)
			}
		}
	}
}

// metaOp is one thing that is done to a log. Its answer does not depend on
// anything but those before it.
type metaOp struct {
	kind    string // append, seal, scan, count, keys, get
	key     string
	records []Record
	r       Range
	o       ScanOptions
	k       KeyOptions
	at      uint64
}

func (o metaOp) String() string { return fmt.Sprintf("%s %q %v", o.kind, o.key, o.r) }

func metaOps(seed uint64, n int) []metaOp {
	rng := rand.New(rand.NewPCG(seed, 7))
	var ops []metaOp
	next := uint64(0)
	for i := range n {
		o := metaOp{kind: pick(rng, "append", "append", "append", "append", "seal", "scan", "scan", "count", "keys", "get")}
		o.key = pick(rng, modelKeys...)
		o.at = rng.Uint64N(next + 2)
		o.r = pick(rng, Range{}, From(o.at), Until(o.at), Between(o.at, o.at+rng.Uint64N(20)))
		o.o = ScanOptions{Reverse: rng.IntN(2) == 0}
		if rng.IntN(3) == 0 {
			o.o.Records = AtMost(rng.Uint64N(5))
		}
		if rng.IntN(4) == 0 {
			o.o.FromTime = metaTime(rng.IntN(i + 1))
		}
		if rng.IntN(2) == 0 {
			o.k = KeyOptions{Prefix: []byte(pick(rng, "", "a", "b")), After: []byte(o.key), Limit: AtMost(rng.Uint64N(6))}
		}
		if o.kind == "append" {
			for j := range 1 + rng.IntN(6) {
				value := fmt.Sprintf("%d.%d", i, j) + strings.Repeat("v", rng.IntN(3)*rng.IntN(1500))
				o.records = append(o.records, rec(pick(rng, modelKeys...), value))
			}
			next += uint64(len(o.records))
		}
		ops = append(ops, o)
	}
	return ops
}

// metaTime is the clock during the operation of that number.
func metaTime(op int) time.Time { return time.UnixMilli(1_000_000_000_000 + int64(op)*1000) }

// metaVariant is one way to have the same log.
type metaVariant struct {
	name    string
	options Options
	bucket  func(seed uint64, b objstore.Bucket) objstore.Bucket
	disk    bool
	files   bool
	reader  bool // asks a reader, after a flush
	reopen  int  // closed and opened again after every so many operations
	wait    time.Duration
}

func metaVariants() []metaVariant {
	small := Options{
		Limits: Limits{ValueBytes: 8 << 10, BatchBytes: 16 << 10}, Memory: Memory{Memtable: 64 << 10, Queue: 64 << 10, Cache: 1 << 20},
		Segments: SegmentOptions{Bytes: 5 << 10},
	}
	pieces := small
	pieces.Segments = SegmentOptions{Bytes: 300, NoConsolidation: true}
	hurried := small
	hurried.ShipInterval, hurried.FlushInterval = time.Millisecond, 2*time.Millisecond
	return []metaVariant{
		{name: "memory only"},
		{name: "small pieces", options: small},
		{name: "a segment per batch, not consolidated", options: pieces, wait: time.Second},
		{name: "flushed at every turn", options: hurried, wait: time.Second},
		{name: "on a disk", disk: true},
		{name: "on a disk, small pieces, reopened", disk: true, options: small, reopen: 7},
		{name: "reopened at every turn", reopen: 1},
		{name: "asked through a reader", reader: true, options: small},
		{name: "a reader of what is flushed at every turn", reader: true, options: hurried, disk: true, wait: time.Second},
		{name: "files", files: true, options: small, reopen: 20},
		{name: "a slow store", options: small, bucket: func(seed uint64, b objstore.Bucket) objstore.Bucket {
			return objstoretest.NewLatency(b, objstoretest.S3Standard(seed))
		}},
		{name: "a broken store", options: hurried, disk: true, reopen: 30, wait: time.Second, bucket: func(seed uint64, b objstore.Bucket) objstore.Bucket {
			return objstoretest.NewFaulty(b, objstoretest.Plan{Seed: seed, Rates: map[objstoretest.FaultKind]float64{
				objstoretest.Refuse: 0.05, objstoretest.ApplyThenError: 0.05, objstoretest.Slow: 0.1,
			}, Hook: func(op objstoretest.Op) objstoretest.Fault {
				if strings.HasPrefix(op.Name, "probe-") || op.Kind == objstoretest.GetRange || op.Kind == objstoretest.List {
					return objstoretest.Fault{Kind: objstoretest.None} // who asks gets the error
				}
				return objstoretest.Fault{}
			}})
		}},
	}
}

// metaRun is one log under one variant.
type metaRun struct {
	t      *testing.T
	v      metaVariant
	bucket objstore.Bucket
	o      Options
	op     atomic.Int64
	d      *LogDb
	r      *LogDbReader
}

func (v metaVariant) run(t *testing.T, seed uint64, ops []metaOp) (answers []string) {
	var store objstore.Bucket = objstore.NewMem()
	if v.files {
		files, err := objstore.NewFile(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		store = files
	}
	m := &metaRun{t: t, v: v, bucket: store, o: v.options}
	if v.bucket != nil {
		m.bucket = v.bucket(seed, store)
	}
	m.o.Segments.Interval = 1000 * time.Hour
	m.o.Clock = func() time.Time { return metaTime(int(m.op.Load())) }
	if v.disk {
		m.o.WALDir, m.o.fs = "wal", disk()
	}
	m.open()
	for i, op := range ops {
		settled() // nobody looks at the clock while it moves
		m.op.Store(int64(i))
		if v.reopen > 0 && i%v.reopen == v.reopen-1 {
			closeLog(t, m.d)
			m.open()
		}
		answers = append(answers, m.do(op))
		time.Sleep(v.wait) // the bubble's
	}
	closeLog(t, m.d)
	return append(answers, historyText(checkBucket(t, store)))
}

// open opens the log. What Open asks before it writes anything it asks once,
// and leaves it to its caller to come again.
func (m *metaRun) open() {
	m.t.Helper()
	for {
		d, err := Open(context.Background(), m.bucket, m.o)
		if errors.Is(err, objstoretest.ErrInjected) {
			continue
		}
		if err != nil {
			m.t.Fatalf("open: %v", err)
		}
		m.d = d
		m.t.Cleanup(func() { crash(d) }) // of a run that failed in the middle
		return
	}
}

func historyText(entries []Entry) string {
	var out strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&out, "%d %q %q %d\n", e.Sequence, e.Key, e.Value, e.Time.UnixMilli())
	}
	return out.String()
}

func (m *metaRun) do(op metaOp) string {
	ctx := context.Background()
	switch op.kind {
	case "append":
		a, err := m.d.Append(ctx, op.records, AppendOptions{Ack: pick(rand.New(rand.NewPCG(uint64(m.op.Load()), 0)), Applied, Local, Remote)})
		return fmt.Sprint(a.First, a.Next, a.Time.UnixMilli(), err)
	case "seal":
		mustSeal(m.t, m.d)
		return ""
	}
	face := m.face()
	switch op.kind {
	case "scan":
		it := face.Scan(ctx, []byte(op.key), op.r, op.o)
		defer it.Close()
		var es []Entry
		for it.Next() {
			es = append(es, owned(it.Entry()))
		}
		// Where it says to go on follows from nothing but what was appended,
		// unless a limit and the end of the key coincide.
		if op.o.Records.set {
			return historyText(es) + fmt.Sprint(it.Err())
		}
		return historyText(es) + fmt.Sprint(it.NextSequence(), it.Err())
	case "count":
		n, err := face.Count(ctx, []byte(op.key), op.r)
		return fmt.Sprint(n, err)
	case "get":
		e, err := face.Get(ctx, []byte(op.key), op.at)
		return historyText([]Entry{e}) + fmt.Sprint(err)
	}
	var out strings.Builder
	for k, err := range face.ListKeys(ctx, op.k).All() {
		fmt.Fprintf(&out, "%q %d %d %d %d %d %v\n", slices.Clone(k.Key), k.Count, k.ValueBytes, k.First, k.Last, k.LastTime.UnixMilli(), err)
	}
	return out.String()
}

// face is who is asked.
func (m *metaRun) face() LogRead {
	if !m.v.reader {
		return m.d
	}
	mustFlush(m.t, m.d)
	if m.r == nil {
		m.r = openReader(m.t, m.bucket, ReaderOptions{RefreshInterval: -1})
	}
	if err := m.r.Refresh(context.Background()); err != nil {
		m.t.Fatalf("refresh: %v", err)
	}
	return m.r
}
