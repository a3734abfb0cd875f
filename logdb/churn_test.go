package logdb

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
	"github.com/logdb-go/logdb/segment"
)

// holding counts what a bucket holds. Fences are counted apart: there is one for
// each time that the log was opened, and they stay.
type holding struct {
	tables, wal, fences, others int
	bytes                       int64 // without fences
}

func holdingOf(t testing.TB, b objstore.Reader) (c holding) {
	t.Helper()
	for info, err := range b.List(context.Background(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		c.bytes += info.Size
		switch {
		case strings.HasPrefix(info.Name, collectorTables):
			c.tables++
		case strings.HasPrefix(info.Name, collectorWAL) && info.Size <= plainFence:
			c.fences++
			c.bytes -= info.Size
		case strings.HasPrefix(info.Name, collectorWAL):
			c.wal++
		case info.Name != segment.ManifestName:
			c.others++
		}
	}
	return c
}

func (c holding) objects() int { return c.tables + c.wal + c.others }

// churn is a log whose records come and go, and whose processes crash.
type churn struct {
	t        *testing.T
	bucket   *objstoretest.Requests
	rng      *rand.Rand
	external bool
	d        *LogDb
	stop     context.CancelFunc // of the compactor
	ended    chan error
}

func (c *churn) options() Options {
	return Options{
		Segments: SegmentOptions{Interval: 2 * time.Minute}, Retention: Retention{Records: 400},
		ShipInterval: time.Second, FlushInterval: 20 * time.Second, CollectGrace: time.Minute, ExternalCompactor: c.external,
	}
}

// renew replaces the processes, mostly by killing them.
func (c *churn) renew() {
	if c.d != nil {
		if c.rng.IntN(3) == 0 {
			closeLog(c.t, c.d)
		}
		crash(c.d)
	}
	c.d = openLog(c.t, c.bucket, c.options())
	if c.external {
		c.compactor(c.rng.IntN(2) == 0)
	}
}

// compactor replaces the one that runs by one that is to die in the middle of
// its work, or not.
func (c *churn) compactor(dies bool) {
	if c.stop != nil {
		c.stop()
		<-c.ended
	}
	var ctx context.Context
	ctx, c.stop = context.WithCancel(context.Background())
	m := &mortal{Bucket: c.bucket, left: 3 + c.rng.IntN(30), applied: c.rng.IntN(2) == 0, die: c.stop}
	if !dies {
		m.left = 1 << 30
	}
	ended := make(chan error, 1)
	c.ended = ended
	go func() {
		k, err := OpenCompactor(ctx, m, CompactorOptions{Interval: 5 * time.Second, CollectGrace: time.Minute})
		if err == nil {
			err = k.Run(ctx)
			_ = k.Close()
		}
		ended <- err
	}()
}

// round is half an hour of appends, and five minutes of rest.
func (c *churn) round() holding {
	c.renew()
	for i := range 180 {
		mustAppend(c.t, c.d, Default, fmt.Sprintf("key %d", c.rng.IntN(20)), string(padding[:c.rng.IntN(400)]))
		time.Sleep(10 * time.Second)
		if c.external && i%60 == 59 {
			c.compactor(i < 179)
		}
	}
	time.Sleep(5 * time.Minute)
	settled()
	return holdingOf(c.t, c.bucket)
}

// The bucket holds what the log holds, whatever comes, goes and crashes: its
// size does not grow with the time that the log has lived.
func TestBucketStaysSmall(t *testing.T) {
	for _, external := range []bool{false, true} {
		name := "merged by the writer"
		if external {
			name = "merged by another process"
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &churn{t: t, bucket: counted(), rng: drawn(t), external: external}
				c.converges(24)
			})
		})
	}
}

func (c *churn) converges(rounds int) {
	t := c.t
	var early, late holding
	for i := range rounds {
		n := c.round()
		most := &early
		if i >= rounds/2 {
			most = &late
		}
		most.tables, most.wal, most.bytes = max(most.tables, n.tables), max(most.wal, n.wal), max(most.bytes, n.bytes)
	}
	if late.objects() > early.objects()*3/2 || late.bytes > early.bytes*3/2 {
		t.Errorf("at most %+v in the first half, %+v in the second", early, late)
	}
	if c.stop != nil {
		c.stop()
		<-c.ended
	}
	crash(c.d)
	c.d = openLog(t, c.bucket, c.options())
	if err := compactAndCollect(context.Background(), c.bucket); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Hour)
	settled()
	got := holdingOf(t, c.bucket)
	nothingLeft(t, c.bucket)
	if got.wal != 0 || got.others != 0 || got.fences != rounds {
		t.Errorf("in the end %+v, want %d fences and no other WAL object", got, rounds)
	}
	puts, deletes := c.bucket.Count(objstoretest.Put, "seg/"), c.bucket.Count(objstoretest.Delete, "seg/")
	t.Logf("at most %+v, then %+v; in the end %+v; %d tables were put, %d deleted", early, late, got, puts, deletes)
}

// A log that was opened often has as many fences. A sweep does not read them,
// but only what little is left of other small objects.
func TestSweepReadsNoFences(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := counted()
		const opens = 40
		for range opens {
			d := openLog(t, b, Options{})
			mustAppend(t, d, Remote, "k", "v")
			crash(d)
		}
		for range 3 {
			d := openLog(t, b, Options{})
			b.Reset()
			time.Sleep(time.Hour)
			settled()
			closeLog(t, d)
		}
		if n := b.Count(objstoretest.Get, collectorWAL); n != 0 {
			t.Errorf("the last sweep read %d WAL objects\n%s", n, b)
		}
		if n := b.Count(objstoretest.List, ""); n != 1 {
			t.Errorf("%d LISTs, want 1: there is nothing to be suspected", n)
		}
		if got := holdingOf(t, b); got.fences != opens+2 || got.wal != 0 {
			t.Errorf("%+v, want %d fences and no other WAL object", got, opens+2)
		}
	})
}
