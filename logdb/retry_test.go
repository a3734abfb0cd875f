package logdb

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// storm returns a faulty bucket with one storm, in a bubble.
func storm(s objstoretest.Storm) *objstoretest.Faulty {
	return objstoretest.NewFaulty(objstore.NewMem(), objstoretest.Plan{Storms: []objstoretest.Storm{s}})
}

// Forty operations that repeat against a store that fails everything share one
// budget: they ask a few times a second together, however many they are. When
// it answers again, all of them get through, and the count tells what they did.
func TestRetriesShareABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const operations, minutes = 40, 10
		p, began := newPulse(nil), time.Now()
		asked, over := 0, false
		done := make(chan error)
		var mu = make(chan struct{}, 1)
		for range operations {
			r := newRetry("ship", nil)
			r.pulse = p
			go func() {
				for {
					mu <- struct{}{}
					asked++
					up := over
					<-mu
					if up {
						done <- nil
						return
					}
					if err := r.pause(t.Context(), "o", errors.New("no")); err != nil {
						done <- err
						return
					}
				}
			}()
		}
		time.Sleep(minutes * time.Minute)
		mu <- struct{}{}
		over = true
		most := operations + retryBurst + int(retryFloor*time.Since(began).Seconds())
		if asked > most || asked < most/2 {
			t.Errorf("%d requests in %v, want at most %d and not many less", asked, time.Since(began), most)
		}
		<-mu
		began = time.Now()
		for range operations {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("the last one got through %v after the store was back", took)
		}
		if got := p.counts()["ship"]; got != uint64(asked-operations) {
			t.Errorf("%d retries counted, %d made", got, asked-operations)
		}
	})
}

// A few retries between many answers cost nothing but their own delay.
func TestAnswersFillTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPulse(nil)
		for range int(retryBurst) {
			p.retry("ship")
		}
		if wait := p.retry("ship"); wait != time.Duration(float64(time.Second)/retryFloor) {
			t.Errorf("one over the budget waits %v", wait)
		}
		for range 30 {
			p.attempted(t.Context(), time.Now(), nil)
		}
		for range 2 {
			if wait := p.retry("ship"); wait > 0 {
				t.Errorf("after 30 answers a retry waits %v", wait)
			}
		}
	})
}

// A store that sheds load says when to come again. A writer does not ask before,
// and not later than a minute if the store asks for an hour.
func TestRetryAfterIsObeyed(t *testing.T) {
	for asks, want := range map[time.Duration]time.Duration{20 * time.Second: 20 * time.Second, time.Hour: retryAfterMost} {
		synctest.Test(t, func(t *testing.T) {
			busy := objstoretest.Fault{Kind: objstoretest.SlowDown, Delay: asks}
			b := storm(objstoretest.Storm{Fault: busy, Kind: objstoretest.Put, Prefix: "wal/", Requests: 3})
			d := openLog(t, b, Options{FlushInterval: 24 * time.Hour})
			before, began := d.Metrics().Requests["put"], time.Now()
			mustAppend(t, d, Remote, "k", "v")
			took, puts := time.Since(began), d.Metrics().Requests["put"]-before
			if puts != 4 || took < 3*want || took > 3*(want+2*retryLongest) {
				t.Errorf("asked to wait %v: %d puts in %v, want 4 in a little more than %v", asks, puts, took, 3*want)
			}
			if got := d.Metrics().Retries; got["ship"] != 3 || len(got) != 1 {
				t.Errorf("retries %v, want 3 of shipping", got)
			}
		})
	}
}

// Each operation's retries are counted under its own name.
func TestRetriesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := objstoretest.NewFaulty(objstore.NewMem(), objstoretest.Plan{Hook: func(op objstoretest.Op) objstoretest.Fault {
			fails := op.Kind == objstoretest.Put && (op.Attempt == 1 || op.Name == "manifest" && op.Attempt < 5)
			if fails && !strings.HasPrefix(op.Name, "probe-") {
				return objstoretest.Fault{Kind: objstoretest.Refuse}
			}
			return objstoretest.Fault{Kind: objstoretest.None}
		}})
		d := openLog(t, b, Options{})
		if got := d.Metrics().Retries["open"]; got != 4 {
			t.Errorf("%d retries of opening, want 4", got)
		}
		mustAppend(t, d, Remote, "k", "v")
		if err := <-d.control((*committer).rotate); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got := d.Metrics().Retries; got["ship"] != 1 || got["flush"] != 1 {
			t.Errorf("retries %v, want 1 of shipping and 1 of flushing", got)
		}
	})
}

// An operator who looks at warnings alone hears of a bucket that stays away, not of
// one that is back soon, and is not told every five seconds.
func TestOutagesAreWarnedOf(t *testing.T) {
	for failures, want := range map[int]int{retryQuiet - 1: 0, retryQuiet: 1, 5 * retryQuiet: 3} {
		synctest.Test(t, func(t *testing.T) {
			away := objstoretest.Fault{Kind: objstoretest.Refuse}
			b := storm(objstoretest.Storm{Fault: away, Kind: objstoretest.Put, Prefix: "wal/", Requests: failures})
			var lines strings.Builder
			d := openLog(t, b, Options{Logger: slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: slog.LevelWarn}))})
			began := time.Now()
			mustAppend(t, d, Remote, "k", "v")
			closeLog(t, d)
			if got := strings.Count(lines.String(), "request failed"); got != want {
				t.Errorf("%d failures in %v: got %d warnings, want %d:\n%s", failures, time.Since(began), got, want, lines.String())
			}
			if want > 0 && !strings.Contains(lines.String(), "what=ship object=wal/") {
				t.Errorf("got warnings that do not say what failed:\n%s", lines.String())
			}
		})
	}
}

// A read of a table that gets no answer is repeated for as long as its caller
// waits, by both faces, and no longer.
func TestStalledReadsAreRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := objstore.NewMem()
		d := openLog(t, mem, Options{})
		mustAppend(t, d, Remote, "k", "v")
		mustSeal(t, d)
		closeLog(t, d)
		stall := objstoretest.Storm{Fault: objstoretest.Fault{Kind: objstoretest.Stall}, Kind: objstoretest.GetRange, Requests: 2}
		stalling := func() objstore.Bucket {
			return objstoretest.NewFaulty(mem, objstoretest.Plan{Storms: []objstoretest.Storm{stall}})
		}
		for _, name := range []string{"reader", "writer"} {
			open := func() (LogRead, func() error) {
				if name == "reader" {
					r := openReader(t, stalling(), ReaderOptions{RefreshInterval: -1})
					return r, r.Close
				}
				d := openLog(t, stalling(), Options{})
				return d, d.Close
			}
			face, end := open()
			began := time.Now()
			if got := scanAll(t, face, "k", Range{}, ScanOptions{}); len(got) != 1 {
				t.Errorf("%s: %d entries, want 1", name, len(got))
			}
			if took := time.Since(began); took < 2*attemptTime || took > 3*attemptTime {
				t.Errorf("%s: the third attempt answered after %v", name, took)
			}
			if err := end(); err != nil {
				t.Error(err)
			}
			face, end = open()
			ctx, cancel := context.WithTimeout(context.Background(), attemptTime+time.Second)
			began = time.Now()
			_, err := face.Get(ctx, []byte("k"), 0)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != attemptTime+time.Second {
				t.Errorf("%s: a caller that waits for one attempt got %v after %v", name, err, time.Since(began))
			}
			if err := end(); err != nil {
				t.Error(err)
			}
		}
	})
}

// A store that answers nothing at all does not hold an Open for ever, even
// where its caller would wait.
func TestOpenOfAStalledStoreEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := storm(objstoretest.Storm{Fault: objstoretest.Fault{Kind: objstoretest.Stall}})
		began := time.Now()
		d, err := Open(context.Background(), b, Options{})
		if err == nil {
			crash(d)
		}
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > 10*time.Minute {
			t.Errorf("open: %v after %v", err, took)
		}
	})
}
