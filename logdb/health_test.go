package logdb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// healthOver looks at a health every second, between the seconds, and tells what
// it was from when on: "0s healthy ready, 5s behind ready".
func healthOver(d time.Duration, health func() Health) string {
	var changes []string
	last, began := "", time.Now()
	for time.Sleep(300 * time.Millisecond); time.Since(began) < d; time.Sleep(time.Second) {
		h := health()
		now := h.State.String()
		if h.Ready {
			now += " ready"
		}
		if now != last {
			changes = append(changes, fmt.Sprintf("%v %s", time.Since(began).Truncate(time.Second), now))
			last = now
		}
	}
	return strings.Join(changes, ", ")
}

func wantHealth(t *testing.T, d time.Duration, health func() Health, want string) {
	t.Helper()
	if got := healthOver(d, health); got != want {
		t.Errorf("health was\n%s\nwant\n%s", got, want)
	}
}

// calmLog opens a log whose retries have no jitter.
func calmLog(t *testing.T, b objstore.Bucket, o Options) *LogDb {
	o.hooks.steady = true
	return openLog(t, b, o)
}

func unbroken(err error) bool { return err == nil }

// The store is gone for a minute. A log with a WAL directory goes on taking
// appends, one without cannot acknowledge them; both say since when, why, and
// how much waits, and are healthy again by themselves.
func TestHealthInAnOutage(t *testing.T) {
	for ready, dir := range map[string]string{" ready": "wal", "": ""} {
		synctest.Test(t, func(t *testing.T) {
			b := objstoretest.NewFaulty(objstore.NewMem(), objstoretest.Plan{})
			d := calmLog(t, b, Options{WALDir: dir, fs: disk(), FlushInterval: time.Hour})
			opened := time.Now()
			mustAppend(t, d, Remote, "k", "v")
			time.Sleep(time.Minute)
			if h := d.Health(); h.State != Healthy || !h.Ready || !h.Since.Equal(opened) || h.Err != nil || h.Lag.Records+h.Lag.Bytes != 0 || h.Lag.WALObjects != 1 {
				t.Errorf("a minute after: %+v", h)
			}
			b.Down(true)
			down := time.Now()
			mustAppend(t, d, Applied, "k", "1", "k", "2")
			time.Sleep(time.Second)
			mustAppend(t, d, Applied, "k", "3")
			wantHealth(t, time.Minute, d.Health, "0s healthy ready, 4s behind ready, 9s unreachable"+ready)
			h := d.Health()
			if !errors.Is(h.Err, objstoretest.ErrInjected) || h.Since.Sub(down) > time.Second || h.Lag.Records != 3 || h.Lag.Age < time.Minute {
				t.Errorf("in the outage: %+v, down since %v", h, down)
			}
			b.Down(false)
			waitRemote(t, d)
			up := time.Now()
			if h := d.Health(); h.State != Healthy || !h.Ready || !h.Since.Equal(up) || h.Err != nil || h.Lag.Records+h.Lag.Bytes != 0 || h.Lag.Age != 0 {
				t.Errorf("after the outage: %+v, up at %v", h, up)
			}
			wantHealth(t, time.Minute, d.Health, "0s healthy ready")
		})
	}
}

// waitRemote returns when everything applied is in the bucket.
func waitRemote(t *testing.T, d *LogDb) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	if err := d.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

// The store accepts a request and never answers. That is known when the attempt
// is over; until then the log is behind.
func TestHealthOfAStalledStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := storm(objstoretest.Storm{Fault: objstoretest.Fault{Kind: objstoretest.Stall}, Prefix: "wal/", Requests: 2})
		d := calmLog(t, b, Options{WALDir: "wal", fs: disk(), FlushInterval: time.Hour})
		mustAppend(t, d, Applied, "k", "v")
		wantHealth(t, 2*time.Minute, d.Health, "0s healthy ready, 5s behind ready, 30s unreachable ready, 1m0s healthy ready")
	})
}

// Credentials that have expired make the store unreachable, with that reason,
// until they are renewed.
func TestHealthWithExpiredKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := storm(objstoretest.Storm{Fault: objstoretest.Fault{Kind: objstoretest.Denied}, After: time.Minute})
		d := calmLog(t, b, Options{FlushInterval: time.Hour, ShipInterval: time.Second})
		time.Sleep(time.Minute)
		mustAppend(t, d, Applied, "k", "v")
		time.Sleep(time.Minute)
		if h := d.Health(); h.State != Unreachable || h.Ready || !errors.Is(h.Err, objstore.ErrAccessDenied) {
			t.Errorf("expired: %+v", h)
		}
		b.Calm()
		waitRemote(t, d)
		wantHealth(t, time.Minute, d.Health, "0s healthy ready")
	})
}

// A slow store answers, and the log is behind it: never unreachable.
func TestHealthBehindASlowStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := objstoretest.Fault{Kind: objstoretest.Slow, Delay: 8 * time.Second}
		b := storm(objstoretest.Storm{Fault: slow, Kind: objstoretest.Put, Prefix: "wal/", Requests: 1})
		d := calmLog(t, b, Options{FlushInterval: time.Hour})
		mustAppend(t, d, Applied, "k", "v")
		began := time.Now()
		wantHealth(t, 7*time.Second, d.Health, "0s healthy ready, 5s behind ready")
		if h := d.Health(); !h.Since.Equal(began) || h.Err != nil || h.Lag.Age != 7300*time.Millisecond {
			t.Errorf("behind: %+v, began %v", h, began)
		}
		wantHealth(t, time.Minute, d.Health, "0s behind ready, 1s healthy ready")
	})
}

// Appends that wait for the bucket to take more are told: the log is not ready,
// whatever is acknowledged locally otherwise.
func TestHealthWhileAppendsAreHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, b := full(t)
		if h := d.Health(); !h.Ready {
			t.Errorf("nobody waits yet: %+v", h)
		}
		blocked := make(chan error)
		go func() {
			_, err := d.Append(context.Background(), []Record{rec("a", "waits")}, AppendOptions{Ack: Applied})
			blocked <- err
		}()
		settled()
		if h := d.Health(); h.State != Behind || h.Ready {
			t.Errorf("an append waits: %+v", h)
		}
		time.Sleep(time.Minute)
		if h := d.Health(); h.State != Unreachable || h.Ready {
			t.Errorf("an append waits for a minute: %+v", h)
		}
		b.Down(false)
		if err := <-blocked; err != nil {
			t.Fatal(err)
		}
		waitRemote(t, d)
		wantHealth(t, time.Minute, d.Health, "0s healthy ready")
	})
}

// What ends a writer is told apart, with the moment at which it did.
func TestHealthOfAnEndedWriter(t *testing.T) {
	foreign := errors.New("somebody else's object")
	for want, end := range map[HealthState]func(t *testing.T, b objstore.Bucket, d *LogDb){
		Closed:   func(t *testing.T, _ objstore.Bucket, d *LogDb) { closeLog(t, d) },
		Poisoned: func(t *testing.T, _ objstore.Bucket, d *LogDb) { d.fail(foreign) },
		Fenced: func(t *testing.T, b objstore.Bucket, d *LogDb) {
			openLog(t, b, Options{})
			_, _ = d.Append(context.Background(), []Record{rec("k", "late")}, AppendOptions{Ack: Remote})
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := objstore.NewMem()
			d := openLog(t, b, Options{})
			time.Sleep(time.Minute)
			end(t, b, d)
			ended := time.Now()
			time.Sleep(time.Minute)
			h := d.Health()
			if h.State != want || h.Ready || !h.Since.Equal(ended) || unbroken(h.Err) || want == Poisoned && !errors.Is(h.Err, foreign) {
				t.Errorf("%v: %+v, ended at %v", want, h, ended)
			}
		})
	}
}

// One read that fails says nothing about a log that has nothing else to ask.
func TestHealthForgetsOneFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := objstore.NewMem()
		d := openLog(t, mem, Options{})
		mustAppend(t, d, Remote, "k", "v")
		mustSeal(t, d)
		closeLog(t, d)
		b := objstoretest.NewFaulty(mem, objstoretest.Plan{Storms: []objstoretest.Storm{
			{Fault: objstoretest.Fault{Kind: objstoretest.Fail}, Kind: objstoretest.GetRange, Requests: 1},
		}})
		d = openLog(t, b, Options{})
		if _, err := d.Get(context.Background(), []byte("k"), 0); err == nil {
			t.Fatal("the read did not fail")
		}
		wantHealth(t, 10*time.Minute, d.Health, "0s healthy ready")
	})
}

// What an earlier process has left to be shipped is behind, too.
func TestHealthAfterRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := disk()
		b := objstoretest.NewFaulty(objstore.NewMem(), objstoretest.Plan{Hook: func(op objstoretest.Op) objstoretest.Fault {
			if op.Kind == objstoretest.Put && strings.HasPrefix(op.Name, "wal/0000000002-") {
				return objstoretest.Fault{Kind: objstoretest.Stall}
			}
			return objstoretest.Fault{Kind: objstoretest.None}
		}})
		o := Options{WALDir: "wal", fs: fs, ShipInterval: time.Hour, FlushInterval: time.Hour}
		d := openLog(t, b, o)
		mustAppend(t, d, Remote, "k", "0")
		mustAppend(t, d, Local, "k", "1", "k", "2")
		mustAppend(t, d, Local, "k", "3")
		crash(d)
		o.ShipInterval = time.Second
		d = calmLog(t, b, o)
		if h := d.Health(); h.Lag.Records != 3 || h.Lag.Bytes == 0 || h.State != Healthy {
			t.Errorf("right after open: %+v", h)
		}
		wantHealth(t, time.Minute, d.Health, "0s healthy ready, 20s behind ready, 30s unreachable ready")
		crash(d)
	})
}

// An outage that lasts until the local disk's budget is used up: what is
// acknowledged is safe, but no more can be, and the log says so. With the bucket
// back it is ready again.
func TestHealthWithTheDiskFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := objstoretest.NewFaulty(objstore.NewMem(), objstoretest.Plan{})
		o := outageOptions(disk())
		o.LocalBytes = 4 << 20
		d := openLog(t, b, o)
		b.Down(true)
		siege(t, d, 0, 10)
		time.Sleep(time.Minute)
		if h := d.Health(); h.State != Unreachable || !h.Ready || errors.Is(h.Err, ErrDiskFull) {
			t.Errorf("with room on the disk: %+v", h)
		}
		n := fillUp(t, d)
		h := d.Health()
		if h.State != Unreachable || h.Ready || !errors.Is(h.Err, ErrDiskFull) || !errors.Is(h.Err, objstoretest.ErrInjected) {
			t.Errorf("with the disk full: %+v", h)
		}
		if want := uint64(2 * (n + 10)); h.Lag.Records != want {
			t.Errorf("%d records are not in the bucket, want %d", h.Lag.Records, want)
		}
		b.Down(false)
		waitRemote(t, d)
		wantHealth(t, time.Minute, d.Health, "0s healthy ready")
		if lag := d.Health().Lag; lag.Records+lag.Bytes != 0 {
			t.Errorf("after the outage: %+v", lag)
		}
		crash(d)
	})
}
