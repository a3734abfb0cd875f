package logdb

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// The story whose every crash is looked at. It goes once through everything
// that a log does to its bucket: appends at all levels, shipments, tables with
// and without a WAL object of their own, seals, a merge, a kill, recoveries,
// retention, collection, a change of directory, clean closes.

// witness is what the story's clients know: what they were told of each batch,
// and the highest sequence that anybody may have seen.
type witness struct {
	mu      sync.Mutex
	batches []*noted
	shown   uint64 // exclusive
	trimmed uint64 // nothing at or above it may be expired yet
	writer  *LogDb
	disk    *vfs.MemFS
}

// noted is one batch and the level that its append has returned at.
type noted struct {
	id      int
	records int
	size    int
	at      Appended
	reached Durability // Default: it has not returned
}

// storyKeys are the keys of every batch, in turn.
var storyKeys = []string{"a", "b", "", "a/b", "a"}

func (n *noted) batch() []Record {
	var out []Record
	for i := range n.records {
		value := fmt.Sprintf("b%d %d/%d ", n.id, i, n.records)
		out = append(out, rec(storyKeys[(n.id+i)%len(storyKeys)], value+strings.Repeat("x", n.size)))
	}
	return out
}

// moment is what a crash at one place of the story leaves.
type moment struct {
	what    string
	objects map[string][]byte
	disks   []*vfs.MemFS // as synced, with half and with all of what was not
	reached []Durability // of each batch
	shown   uint64
	trimmed uint64
}

// recorder is a bucket that remembers the moments before and after each write.
// The writes of a story come one after another through it.
type recorder struct {
	*objstore.Mem
	mu      sync.Mutex
	w       *witness
	n       int // writes so far
	objects map[string][]byte
	moments []moment
	fault   func(n int) objstoretest.FaultKind
	refused []string // names that begin so are refused for now
}

func newRecorder(w *witness) *recorder {
	return &recorder{Mem: objstore.NewMem(), w: w, objects: map[string][]byte{}}
}

// keep remembers this moment. What the clients know comes first, the bucket
// last, so that nothing known is younger than what is left.
func (r *recorder) keep(what string) {
	if r.fault != nil {
		return
	}
	m := moment{what: what}
	r.w.mu.Lock()
	for _, b := range r.w.batches {
		m.reached = append(m.reached, b.reached)
	}
	if r.w.writer != nil {
		r.w.shown = max(r.w.shown, r.w.writer.DurableSequence(Applied))
	}
	m.shown, m.trimmed = r.w.shown, r.w.trimmed
	for _, percent := range []int{0, 50, 100} {
		rng := rand.New(rand.NewPCG(uint64(r.n), uint64(percent)))
		m.disks = append(m.disks, r.w.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}))
	}
	r.w.mu.Unlock()
	m.objects = maps.Clone(r.objects)
	r.moments = append(r.moments, m)
}

// pause remembers a moment that is no write.
func (r *recorder) pause(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keep(what)
}

// refuse makes the store refuse writes of names that begin so, and no others.
func (r *recorder) refuse(prefixes ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refused = prefixes
}

func (r *recorder) write(what, name string, apply func() error, applied func()) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.ContainsFunc(r.refused, func(p string) bool { return strings.HasPrefix(name, p) }) {
		return objstoretest.ErrInjected
	}
	n := r.n
	what += " " + shortNames(name)
	r.n++
	r.keep(fmt.Sprintf("%d: before %s", n, what))
	fault := objstoretest.None
	if r.fault != nil {
		fault = r.fault(n)
	}
	if fault == objstoretest.Refuse {
		return fmt.Errorf("write %d, %s: %w", n, what, objstoretest.ErrInjected)
	}
	err := apply()
	if err == nil {
		applied()
		r.keep(fmt.Sprintf("%d: after %s", n, what))
	}
	if fault == objstoretest.ApplyThenError {
		return fmt.Errorf("write %d, %s: %w", n, what, objstoretest.ErrInjected)
	}
	return err
}

func (r *recorder) Put(ctx context.Context, name string, data []byte, c objstore.Condition) (etag string, err error) {
	err = r.write("put", name, func() (err error) {
		etag, err = r.Mem.Put(ctx, name, data, c)
		return err
	}, func() { r.objects[name] = slices.Clone(data) })
	if err != nil {
		return "", err
	}
	return etag, nil
}

func (r *recorder) Delete(ctx context.Context, name string) error {
	return r.write("delete", name, func() error { return r.Mem.Delete(ctx, name) }, func() { delete(r.objects, name) })
}

// storyOptions make everything happen within minutes.
func storyOptions(fs vfs.FS) Options {
	o := Options{
		Limits: Limits{ValueBytes: 64 << 10, BatchBytes: 64 << 10}, Memory: Memory{Memtable: 256 << 10, Queue: 1 << 20},
		Segments: SegmentOptions{Interval: 10 * time.Minute}, Retention: Retention{Age: 40 * time.Minute},
		FlushInterval: 10 * time.Second, CollectGrace: time.Minute,
	}
	if fs != nil {
		o.WALDir, o.fs = "wal", fs
	}
	return o
}

// story is one run of it.
type story struct {
	t *testing.T
	w *witness
	r *recorder
	d *LogDb
}

func (s *story) open(o Options) {
	s.t.Helper()
	o.hooks.step = func(name string) { s.r.pause("at " + name) }
	var err error
	for range 3 { // the probe of a store that answers with an error is not repeated by Open
		if s.d, err = Open(context.Background(), s.r, o); err == nil {
			break
		}
	}
	if err != nil {
		s.t.Fatalf("open: %v", err)
	}
	s.w.mu.Lock()
	s.w.writer = s.d
	s.w.mu.Unlock()
}

func (s *story) append(level Durability, records, size int) {
	s.t.Helper()
	n := &noted{records: records, size: size}
	s.w.mu.Lock()
	n.id = len(s.w.batches)
	s.w.batches = append(s.w.batches, n)
	s.w.mu.Unlock()
	a, err := s.d.Append(context.Background(), n.batch(), AppendOptions{Ack: level})
	if err != nil {
		s.t.Fatalf("append batch %d: %v", n.id, err)
	}
	s.w.mu.Lock()
	n.at, n.reached = a, level
	s.w.mu.Unlock()
	if size < 32<<10 {
		s.r.pause(fmt.Sprintf("batch %d is %v", n.id, level))
	}
}

func (s *story) close() {
	s.t.Helper()
	closeLog(s.t, s.d)
	s.r.pause("closed")
}

// tell is the story.
func (s *story) tell() {
	s.open(storyOptions(s.w.disk))
	s.append(Remote, 1, 0)
	s.append(Local, 3, 0)
	s.append(Applied, 2, 0)
	time.Sleep(11 * time.Second) // flushed
	s.append(Local, 2, 10)
	mustSeal(s.t, s.d) // merged
	s.append(Remote, 4, 0)
	for range 8 { // more than a memtable before the next shipment: a tables object
		s.append(Applied, 3, 15<<10)
	}
	s.append(Local, 1, 0)
	crash(s.d)
	s.r.pause("killed")

	s.open(storyOptions(s.w.disk))
	s.append(Local, 2, 0)
	crash(s.d)
	s.open(storyOptions(s.w.disk))
	s.append(Remote, 2, 0)
	time.Sleep(9 * time.Second) // what was recovered is in tables
	s.r.refuse("wal/", "seg/")
	time.Sleep(2 * time.Second)
	s.append(Local, 2, 0)
	time.Sleep(11 * time.Second)
	s.append(Local, 1, 0)
	s.r.refuse("wal/") // the flusher goes on, the shipper does not
	time.Sleep(10 * time.Second)
	s.r.pause("one memtable flushed, two only on disk")
	s.r.refuse()
	time.Sleep(15 * time.Minute) // sealed by age, collected
	s.siege()
	s.append(Local, 5, 100)
	s.close()

	o := storyOptions(nil)
	s.open(o)
	s.append(Remote, 2, 0)
	crash(s.d)
	s.open(o)
	s.append(Applied, 2, 0)
	s.w.mu.Lock()
	s.w.trimmed = ^uint64(0)
	s.w.mu.Unlock()
	time.Sleep(45 * time.Minute) // the first segments expire, and are collected
	s.append(Remote, 1, 0)
	s.close()

	s.open(storyOptions(s.w.disk))
	s.append(Local, 1, 0)
	s.close()
}

// siege takes the bucket away for longer than memory lasts, and kills the
// writer before it is back.
func (s *story) siege() {
	s.append(Local, 1, 0)
	time.Sleep(time.Second) // an object is there
	s.append(Local, 1, 0)
	s.r.refuse("wal/", "seg/", "manifest")
	for range 3 * keptMemtables {
		s.append(Local, 1, 60<<10)
	}
	time.Sleep(time.Second)
	crash(s.d)
	s.r.pause("killed with staged memtables")
	s.r.refuse()
	s.open(storyOptions(s.w.disk))
	s.append(Local, 1, 0)
	time.Sleep(20 * time.Minute) // all of it in tables, and the files gone
}

// tellStory runs the story to its end.
func tellStory(t *testing.T, fault func(n int) objstoretest.FaultKind) (*witness, *recorder) {
	w := &witness{disk: disk()}
	r := newRecorder(w)
	r.fault = fault
	(&story{t: t, w: w, r: r}).tell()
	for _, name := range []string{"seg/0000000001/c", "seg/0000000002/w", "wal/"} {
		if fault == nil && !slices.ContainsFunc(r.moments, func(m moment) bool {
			return slices.ContainsFunc(slices.Collect(maps.Keys(m.objects)), func(n string) bool { return strings.HasPrefix(n, name) })
		}) {
			t.Errorf("the story has come to no object %s", name)
		}
	}
	return w, r
}
