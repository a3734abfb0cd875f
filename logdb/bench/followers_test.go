package bench

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// small is a population that a test has time for.
func small() Followers {
	b := DefaultFollowers()
	b.Keys, b.Followers, b.Prefill, b.Batch = 100, 300, 20, 10
	b.Interval, b.OfflineFor = Span(50*time.Millisecond), Span(100*time.Millisecond)
	b.WarmUp, b.Measure = Span(100*time.Millisecond), Span(400*time.Millisecond)
	return b
}

// Followers who are caught up cost nothing when the writer is who they ask.
func TestFollowersOfTheWriter(t *testing.T) {
	b := small()
	m := run(t, &b, memory())
	m.want(t, "gets_per_poll", 0)
	m.want(t, "caught_up_gets_per_poll", 0)
	m.within(t, "poll_count", 500, 5000) // 300 followers, eight intervals
	m.within(t, "arrival_records_per_second", 1, 1e6/272+100)
	if m["lag_0_poll_count"]+m["lag_1_to_9_poll_count"]+m["lag_10_to_99_poll_count"]+m["lag_100_to_999_poll_count"]+m["lag_1000_up_poll_count"] != m["poll_count"] {
		t.Errorf("buckets by lag do not add up to all polls: %v", m)
	}
}

// A reader process knows of arrivals by pipe and of nothing else, and reads them from the bucket.
func TestFollowersInAnotherProcess(t *testing.T) {
	b := small()
	b.Reader, b.FromStart, b.Page, b.Acks, b.WarmUp = ByProcess, true, 7, "remote", 0
	p := files(t)
	p.Log.RefreshInterval = Span(20 * time.Millisecond)
	p.Model = "s3-standard:7"
	m := run(t, &b, p)
	m.within(t, "poll_count", 100, 5000)
	m.within(t, "gets_per_poll", 0.0001, 4)
	m.want(t, "caught_up_gets_per_poll", 0)
	m.within(t, "consumed_records_per_second", 1, 1e7)
	m.within(t, "reader_rss_peak_bytes", 1<<20, 1<<40)
	if m["reader_rss_peak_bytes"] == m["rss_peak_bytes"] {
		t.Errorf("both processes had exactly %v bytes: one was taken for the other", m["rss_peak_bytes"])
	}
}

// A LogDbReader beside the writer.
func TestFollowersOfAReader(t *testing.T) {
	b := small()
	b.Reader, b.DrainAtOnce, b.FromStart, b.Page, b.WarmUp = ByReader, true, true, 7, 0
	p := memory()
	p.Log.RefreshInterval = Span(20 * time.Millisecond)
	m := run(t, &b, p)
	m.within(t, "poll_count", 100, 10000)
	m.within(t, "gets_per_poll", 0.0001, 4) // gets_per_second would be 0 where the whole window is one stall
	m.want(t, "caught_up_gets_per_poll", 0)
}

// slow is a target whose pages take their time.
type slow struct {
	calls atomic.Int64
	took  func(call int64) time.Duration
}

func (s *slow) Page(context.Context, []byte, Cursor, int, func([]byte)) (int, Cursor, error) {
	time.Sleep(s.took(s.calls.Add(1)))
	return 0, 0, nil
}

// A stall of ten seconds is seen by all polls that were due in it, and not only by the one that it hit.
func TestLatencyCountsFromWhenAPollWasDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := small()
		b.Followers, b.AtOnce, b.Interval, b.Offline, b.Prefill = 10, 1, Span(time.Second), 0, 0
		b.WarmUp, b.Measure = 0, Span(15*time.Second)
		s := &slow{took: func(call int64) time.Duration {
			if call == 20 {
				return 10 * time.Second
			}
			return time.Millisecond
		}}
		m, err := newAudience(&b, s, 0, watch{}).poll(t.Context(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		m.within(t, "poll_count", 100, 240)      // 10 a second for 15 s, as if nothing had happened
		m.within(t, "poll_p50_ms", 1000, 10_000) // more than half of the time was the stall
		m.within(t, "poll_max_ms", 10_000, 11_000)
		m.within(t, "poll_service_p50_ms", 1, 1.01)
		m.want(t, "polls_in_time_share", 1)
	})
}

// A target that cannot keep up shows in the polls that ended too late.
func TestSaturationShows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := small()
		b.Followers, b.AtOnce, b.Interval, b.Offline = 10, 1, Span(time.Second), 0
		b.WarmUp, b.Measure = 0, Span(20*time.Second)
		s := &slow{took: func(int64) time.Duration { return 200 * time.Millisecond }}
		m, err := newAudience(&b, s, 0, watch{}).poll(t.Context(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		m.within(t, "polls_per_second", 4.9, 5)
		m.within(t, "polls_in_time_share", 0.3, 0.7)
	})
}

// The same followers are offline at any moment, and poll as often, as their options say.
func TestScheduleIsWhatOptionsSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := small()
		b.Followers, b.AtOnce, b.Interval, b.Spread = 500, 8, Span(10*time.Second), 0.5
		b.Offline, b.OfflineFor, b.Prefill = 0.1, Span(time.Minute), 0
		b.WarmUp, b.Measure = Span(10*time.Minute), Span(30*time.Minute)
		a := newAudience(&b, &slow{took: func(int64) time.Duration { return 0 }}, 0, watch{})
		m, err := a.poll(t.Context(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		// E[1/cadence] of a log-normal is exp(sigma^2/2)/median; the jitter of each poll divides by exp(0.25^2/2);
		// a tenth of the time nobody of a follower's polls.
		m.within(t, "polls_due_per_second", 0.9*500*0.9*0.11331/1.0317, 1.1*500*0.9*0.11331/1.0317)
	})
}

// A scenario keeps what each key has.
func TestScenarios(t *testing.T) {
	f := small()
	a, err := Scenarios("A", f)
	if err != nil || len(a) != 3 || a[1].Followers.Keys != 100_000 || a[1].Followers.Followers != 300_000 || a[1].Followers.MegabytesPerSecond != 1000 {
		t.Fatalf("scenario A is %+v, %v", a, err)
	}
	c, err := Scenarios("C", f)
	if err != nil || len(c) != 3 || c[0].SealBytes != 64<<20 || !c[0].Followers.FromStart {
		t.Fatalf("scenario C is %+v, %v", c, err)
	}
	if _, err := Scenarios("D", f); err == nil {
		t.Fatal("there is no scenario D")
	}
}

// A model, levels and servers that do not exist are errors, and nothing is run.
func TestMistakes(t *testing.T) {
	for want, run := range map[string]func() error{
		"want s3-standard": func() error {
			b := DefaultIngest()
			_, err := b.Run(t.Context(), &Place{Bucket: "mem:", Model: "tape"})
			return err
		},
		"not in memory": func() error { b := small(); b.Reader = ByProcess; _, err := b.Run(t.Context(), memory()); return err },
		"applied, local or": func() error {
			b := DefaultIngest()
			b.Acks = "soon"
			_, err := b.Run(t.Context(), memory())
			return err
		},
		"do not fit": func() error { b := DefaultIngest(); b.KeyBytes = 0; _, err := b.Run(t.Context(), memory()); return err },
		"want an address": func() error {
			b := DefaultIngest()
			_, err := b.Run(t.Context(), &Place{Bucket: "mem:", Server: "here"})
			return err
		},
		"against the library": func() error {
			b := DefaultScan()
			_, err := b.Run(t.Context(), &Place{Server: "http://127.0.0.1:1"})
			return err
		},
		"want random, text or": func() error { b := DefaultIngest(); b.Values = "x"; _, err := b.Run(t.Context(), memory()); return err },
	} {
		if err := run(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
