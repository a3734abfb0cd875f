package logdb

import (
	"context"
	"fmt"
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

// With the store away, the disk is all there is. It is cut off at many moments
// while several clients append beside each other, and loses some of what it had
// not synced; what it had acknowledged it has.
func TestEveryDiskIsWhole(t *testing.T) {
	rng := drawn(t)
	w := &witness{disk: disk()}
	mem := objstore.NewMem()
	store := objstoretest.NewFaulty(mem, objstoretest.Plan{})
	o := storyOptions(w.disk)
	o.ShipInterval, o.FlushInterval = time.Hour, time.Hour
	d := openLog(t, store, o)
	w.writer = d
	settledBucket := copyBucket(t, mem)
	store.Down(true)

	const batches, clients = 200, 4
	taken := make(chan struct{}, batches) // an append has returned: time for a look
	var g sync.WaitGroup
	for range clients {
		g.Go(func() {
			for range batches / clients {
				appendNoted(t, d, w)
				taken <- struct{}{}
			}
		})
	}
	var moments []moment
	for i := range batches {
		<-taken
		if i%8 == 0 {
			moments = append(moments, diskMoment(w, rng, i))
		}
	}
	g.Wait()
	crash(d)
	for _, m := range moments {
		b := copyBucket(t, settledBucket)
		o := storyOptions(m.disks[0])
		d := openLog(t, b, o)
		found, err := history(d)
		if err != nil {
			t.Fatalf("%s: %v", m.what, err)
		}
		checkBatches(t, w, &m, found, 0, true)
		inOrder(t, found)
		if a := mustAppend(t, d, Remote, "a", "next"); a.First < m.shown {
			t.Errorf("%s: sequence %d was shown before", m.what, a.First)
		}
		closeLog(t, d)
		checkBucket(t, b)
		if t.Failed() {
			t.Fatal(m.what)
		}
	}
}

// appendNoted appends one batch as the witness's next.
func appendNoted(t *testing.T, d *LogDb, w *witness) {
	w.mu.Lock()
	n := &noted{id: len(w.batches)}
	n.records, n.size = 1+n.id%5, n.id%3*200
	w.batches = append(w.batches, n)
	w.mu.Unlock()
	level := Local
	if n.id%4 == 0 {
		level = Applied
	}
	a, err := d.Append(context.Background(), n.batch(), AppendOptions{Ack: level})
	if err != nil {
		t.Errorf("append: %v", err)
	}
	w.mu.Lock()
	n.at, n.reached = a, level
	w.mu.Unlock()
}

// diskMoment is what is known now, and then a disk that is at least as new.
// Batches that are on their way may be on it.
func diskMoment(w *witness, rng *rand.Rand, i int) moment {
	percent := rng.IntN(101)
	m := moment{what: fmt.Sprintf("after %d appends, %d%% of what was not synced", i, percent)}
	w.mu.Lock()
	for _, b := range w.batches {
		m.reached = append(m.reached, b.reached)
	}
	m.shown = w.writer.DurableSequence(Applied)
	w.mu.Unlock()
	m.disks = []*vfs.MemFS{w.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})}
	w.mu.Lock()
	for range w.batches[len(m.reached):] { // begun meanwhile
		m.reached = append(m.reached, Default)
	}
	w.mu.Unlock()
	return m
}

// inOrder checks that what a disk has is a beginning of what was appended: no
// batch is there behind one that is not.
func inOrder(t *testing.T, found []Entry) {
	t.Helper()
	sequences := make([]uint64, len(found))
	for i, e := range found {
		sequences[i] = e.Sequence
		if !strings.HasPrefix(string(e.Value), "b") {
			t.Errorf("sequence %d holds %.20q", e.Sequence, e.Value)
		}
	}
	if n := len(sequences); n > 0 && (sequences[0] != 0 || sequences[n-1] != uint64(n-1) || !slices.IsSorted(sequences)) {
		t.Errorf("%d records from %d to %d: there is a hole", n, sequences[0], sequences[n-1])
	}
}
