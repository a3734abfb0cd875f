package logdb

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
)

// mortal is the bucket of a process that dies at its nth write: before it
// is sent, or when it has been applied and the answer is on its way.
type mortal struct {
	objstore.Bucket
	mu      sync.Mutex
	left    int
	applied bool
	die     context.CancelFunc
	dead    bool
}

func (m *mortal) write(name string, do func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if strings.HasPrefix(name, "probe-") && !m.dead {
		return do()
	}
	if !m.dead && m.left > 0 {
		m.left--
		return do()
	}
	if !m.dead && m.applied {
		_ = do()
	}
	m.dead = true
	m.die()
	return errCrash
}

func (m *mortal) Put(ctx context.Context, name string, data []byte, c objstore.Condition) (etag string, err error) {
	err = m.write(name, func() (err error) {
		etag, err = m.Bucket.Put(ctx, name, data, c)
		return err
	})
	return etag, err
}

func (m *mortal) Delete(ctx context.Context, name string) error {
	return m.write(name, func() error { return m.Bucket.Delete(ctx, name) })
}

// untidy is a bucket with two sealed segments of several tables each, a third
// one with many small ones, and what a writer left that crashed.
func untidy(t *testing.T) *objstore.Mem {
	b := objstore.NewMem()
	o := external()
	d := openLog(t, b, o)
	for range 2 {
		manyTables(t, d, 4)
	}
	for i := range 5 {
		mustAppend(t, d, Applied, "c", fmt.Sprintf("%d", i))
		mustRotate(t, d)
	}
	orphan := segment.Table{Segment: 3, ID: segment.TableID{Epoch: 1, N: 99}}
	if _, err := b.Put(context.Background(), orphan.Name(), []byte("half a table"), objstore.IfAbsent()); err != nil {
		t.Fatal(err)
	}
	crash(d)
	crash(openLog(t, b, o)) // fences it
	return b
}

// compactAndCollect is the whole work of a compactor.
func compactAndCollect(ctx context.Context, b objstore.Bucket) error {
	c, err := OpenCompactor(ctx, b, CompactorOptions{})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Compact(ctx); err != nil {
		return err
	}
	return c.Collect(ctx)
}

// shape says how records lie over tables, without their names.
func shape(m *segment.Manifest) string {
	var s strings.Builder
	for i := range m.Segments {
		g := &m.Segments[i]
		fmt.Fprintf(&s, "segment %d sealed %v consolidated %v:", g.ID, g.Sealed, g.Consolidated)
		for _, t := range g.Tables {
			fmt.Fprintf(&s, " [%d,%d) %d", t.Start, t.End, t.Records)
		}
		s.WriteByte('\n')
	}
	return s.String()
}

// A compactor is killed before, and in the middle of, each of its writes. The
// next one ends where an undisturbed one does: nothing is lost or doubled, and
// nothing is left over.
func TestCompactorKilledAtEveryWrite(t *testing.T) {
	var want string
	var history []Entry
	synctest.Test(t, func(t *testing.T) {
		b := untidy(t)
		history = mustHistory(t, openReader(t, b, ReaderOptions{}))
		if err := compactAndCollect(context.Background(), b); err != nil {
			t.Fatal(err)
		}
		want = shape(newestManifest(t, b))
	})
	if strings.Count(want, "consolidated true") != 2 {
		t.Fatalf("an undisturbed compactor leaves\n%s", want)
	}
	for n, done := 0, false; !done && !t.Failed(); n++ {
		for _, applied := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				b := untidy(t)
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				m := &mortal{Bucket: b, left: n, applied: applied, die: cancel}
				_ = compactAndCollect(ctx, m)
				done = !m.dead
				if err := compactAndCollect(context.Background(), b); err != nil {
					t.Fatal(err)
				}
				if got := shape(newestManifest(t, b)); got != want {
					t.Errorf("killed at write %d (applied: %v), then\n%s\nwant\n%s", n, applied, got, want)
				}
				sameEntries(t, "reader", checkBucket(t, b), history)
				nothingLeft(t, b)
			})
		}
		if done {
			t.Logf("%d writes", n)
		}
	}
}

// nothingLeft fails where the bucket holds a table that nobody names.
func nothingLeft(t *testing.T, b objstore.Reader) {
	t.Helper()
	named, m := map[string]bool{}, newestManifest(t, b)
	for i := range m.Segments {
		addNames(named, m.Segments[i].Tables)
	}
	n := 0
	for info, err := range b.List(context.Background(), "seg/", "") {
		if err != nil {
			t.Fatal(err)
		}
		if n++; !named[info.Name] {
			t.Errorf("%s is left over", info.Name)
		}
	}
	if n != len(named) {
		t.Errorf("%d tables in the bucket, the manifest names %d", n, len(named))
	}
}
