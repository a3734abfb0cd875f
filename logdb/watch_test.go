package logdb

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logdb-go/logdb/objstore"
)

// watched is a LogRead that can be watched: both faces.
type watched interface {
	LogRead
	Watch(WatchOptions) *Watch
	WaitFrontier(context.Context, uint64, Durability) error
}

// watcher reads what a Watch names and keeps what it read, as a follower of
// many keys does.
type watcher struct {
	t      *testing.T
	face   watched
	w      *Watch
	o      WatchOptions
	cursor uint64
	got    []string // sequence and key, in the order of reading
}

func (x *watcher) run(ctx context.Context) {
	defer x.w.Close()
	for {
		select {
		case <-x.w.C():
		case <-ctx.Done():
			return
		}
		c, err := x.w.Take()
		if err != nil {
			x.t.Errorf("take: %v", err)
			return
		}
		if c.Next < x.cursor {
			x.t.Errorf("next fell from %d to %d", x.cursor, c.Next)
		}
		x.read(c)
	}
}

func (x *watcher) read(c Changes) {
	keys := c.Keys
	if c.All {
		keys = nil
		for k, err := range x.face.ListKeys(context.Background(), KeyOptions{Visibility: x.o.Visibility}).All() {
			if err != nil {
				x.t.Errorf("keys: %v", err)
			}
			if x.w.covers(k.Key) || slices.ContainsFunc(x.o.Keys, func(key []byte) bool { return string(key) == string(k.Key) }) {
				keys = append(keys, slices.Clone(k.Key))
			}
		}
	}
	var found []string
	for _, key := range keys {
		for _, e := range scanAll(x.t, x.face, string(key), Between(x.cursor, c.Next), ScanOptions{Visibility: x.o.Visibility}) {
			found = append(found, fmt.Sprintf("%06d %s", e.Sequence, e.Key))
		}
	}
	slices.Sort(found)
	x.got, x.cursor = append(x.got, found...), max(x.cursor, c.Next)
}

// Watches of keys and prefixes, on the writer at both visibilities and on a
// reader, miss nothing, repeat nothing, and read only what they were told of.
func TestAWatchNamesEveryChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := objstore.NewMem()
		d := openLog(t, b, Options{Memory: Memory{Memtable: 1 << 20, Cache: 1 << 20}, Limits: Limits{ValueBytes: 1 << 10, BatchBytes: 64 << 10}})
		r := openReader(t, b, ReaderOptions{RefreshInterval: 300 * time.Millisecond})
		rng := rand.New(rand.NewPCG(1, 2))
		var all []string
		put := func() {
			var pairs []string
			for range 1 + rng.IntN(3) {
				pairs = append(pairs, fmt.Sprintf("%c/%d", 'a'+rng.IntN(3), rng.IntN(4)), "v")
			}
			a := mustAppend(t, d, Applied, pairs...)
			for i := 0; i < len(pairs); i += 2 {
				all = append(all, fmt.Sprintf("%06d %s", a.First+uint64(i/2), pairs[i]))
			}
		}
		put() // applied before they watch, remote after
		ctx, cancel := context.WithCancel(t.Context())
		var watchers []*watcher
		for _, face := range []watched{d, r} {
			for _, visibility := range []Durability{Applied, Remote} {
				for _, o := range []WatchOptions{{Keys: [][]byte{[]byte("a/1"), []byte("b/2")}}, {Prefixes: [][]byte{[]byte("b/"), []byte("c/3")}}, {Prefixes: [][]byte{{}}}} {
					o.Visibility = visibility
					x := &watcher{t: t, face: face, w: face.Watch(o), o: o}
					watchers = append(watchers, x)
					go x.run(ctx)
				}
			}
		}
		for range 300 {
			put()
			if rng.IntN(40) == 0 {
				mustSeal(t, d)
			}
			time.Sleep(time.Duration(rng.IntN(100)) * time.Millisecond)
		}
		mustFlush(t, d)
		time.Sleep(time.Minute)
		cancel()
		synctest.Wait()
		for i, x := range watchers {
			want := slices.DeleteFunc(slices.Clone(all), func(s string) bool {
				_, key, _ := strings.Cut(s, " ")
				return !x.w.covers([]byte(key)) && !slices.ContainsFunc(x.o.Keys, func(k []byte) bool { return string(k) == key })
			})
			if !slices.Equal(x.got, want) || len(want) == 0 {
				t.Errorf("watch %d read %d records, want %d", i, len(x.got), len(want))
			}
		}
		if n := d.followers.count.Load() + r.followers.count.Load(); n != 0 {
			t.Errorf("%d watches left", n)
		}
	})
}

// A watch tells of the log's end, and a waiter for a frontier that never comes
// leaves nothing behind.
func TestWatchesAndWaitersEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := objstore.NewMem()
		d := openLog(t, b, Options{})
		a := mustAppend(t, d, Applied, "k", "v")
		r := openReader(t, b, ReaderOptions{})
		for _, face := range []watched{d, r} {
			if err := face.WaitFrontier(t.Context(), a.Next, Remote); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := face.WaitFrontier(ctx, 1<<63, Default); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("waited for the end of time: %v", err)
			}
			cancel()
		}
		if n := len(d.applied.mu.waiters) + len(r.frontier.mu.waiters); n != 0 {
			t.Errorf("%d waiters left", n)
		}
		ws := []*Watch{d.Watch(WatchOptions{Keys: [][]byte{[]byte("k")}}), r.Watch(WatchOptions{Prefixes: [][]byte{nil}})}
		for _, w := range ws {
			<-w.C()
			if c, err := w.Take(); err != nil || !c.All || c.Next != a.Next {
				t.Fatalf("first take: %+v, %v", c, err)
			}
			if c, err := w.Take(); err != nil || c.All || len(c.Keys) > 0 {
				t.Fatalf("second take: %+v, %v", c, err)
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		closeLog(t, d)
		for _, w := range ws {
			<-w.C()
			if _, err := w.Take(); !errors.Is(err, ErrClosed) {
				t.Fatalf("take after the end: %v", err)
			}
			w.Close()
			w.Close()
		}
		if err := r.WaitFrontier(t.Context(), 1<<40, Default); !errors.Is(err, ErrClosed) {
			t.Fatalf("wait after the end: %v", err)
		}
	})
}
