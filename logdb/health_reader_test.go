package logdb

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// readerOf opens a reader of a small log through a plan's faults.
func readerOf(t *testing.T, plan objstoretest.Plan, o ReaderOptions) (*LogDbReader, *objstoretest.Faulty) {
	t.Helper()
	mem := objstore.NewMem()
	d := openLog(t, mem, Options{})
	mustAppend(t, d, Remote, "k", "v")
	closeLog(t, d)
	b := objstoretest.NewFaulty(mem, plan)
	o.hooks.steady = true
	return openReader(t, b, o), b
}

// The store is gone: a reader says so after ten seconds, shows what it has
// meanwhile, and is healthy again with the first look after the outage.
func TestHealthOfAReaderInAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := readerOf(t, objstoretest.Plan{}, ReaderOptions{})
		opened := time.Now()
		wantHealth(t, time.Minute, r.Health, "0s healthy ready")
		if h := r.Health(); !h.Since.Equal(opened) || h.Err != nil || h.Lag.Refresh > 2*time.Second {
			t.Errorf("a minute after: %+v, opened %v", h, opened)
		}
		b.Down(true)
		down := time.Now()
		time.Sleep(time.Minute)
		h := r.Health()
		if h.State != Unreachable || h.Ready || !errors.Is(h.Err, objstoretest.ErrInjected) || h.Since.Sub(down) > time.Second || h.Lag.Refresh < time.Minute {
			t.Errorf("in the outage: %+v, down since %v", h, down)
		}
		b.Down(false)
		if err := r.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		up := time.Now()
		if h := r.Health(); h.State != Healthy || !h.Ready || !h.Since.Equal(up) || h.Err != nil {
			t.Errorf("after the outage: %+v, up at %v", h, up)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		closed := time.Now()
		time.Sleep(time.Minute)
		if h := r.Health(); h.State != Closed || h.Ready || !h.Since.Equal(closed) || !errors.Is(h.Err, ErrClosed) {
			t.Errorf("closed: %+v, at %v", h, closed)
		}
	})
}

// A reader whose looks take long is behind and not cut off. One that looks only
// when it is asked to is never behind.
func TestHealthOfASlowReader(t *testing.T) {
	slow := objstoretest.Plan{Storms: []objstoretest.Storm{{
		Fault: objstoretest.Fault{Kind: objstoretest.Slow, Delay: 14 * time.Second}, After: time.Minute, Requests: 1,
	}}}
	for interval, want := range map[time.Duration]string{
		time.Second:     "0s healthy ready, 1m9s behind, 1m14s healthy ready",
		4 * time.Second: "0s healthy ready",
		-1:              "0s healthy ready",
	} {
		synctest.Test(t, func(t *testing.T) {
			r, _ := readerOf(t, slow, ReaderOptions{RefreshInterval: interval})
			if got := healthOver(2*time.Minute, r.Health); got != want {
				t.Errorf("every %v: health was\n%s\nwant\n%s", interval, got, want)
			}
		})
	}
}

// A reader whose keys have expired is told that, and not that it is slow.
func TestHealthOfADeniedReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := readerOf(t, objstoretest.Plan{Storms: []objstoretest.Storm{{
			Fault: objstoretest.Fault{Kind: objstoretest.Denied}, After: time.Minute,
		}}}, ReaderOptions{})
		time.Sleep(2 * time.Minute)
		if h := r.Health(); h.State != Unreachable || !errors.Is(h.Err, objstore.ErrAccessDenied) {
			t.Errorf("denied: %+v", h)
		}
		b.Calm()
		time.Sleep(3 * time.Second)
		wantHealth(t, time.Minute, r.Health, "0s healthy ready")
	})
}
