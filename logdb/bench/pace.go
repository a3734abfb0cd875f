package bench

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// pace is the schedule of an open loop: operation n is due at start + n * interval. An interval of 0 is a closed loop.
type pace struct {
	start    time.Time
	interval time.Duration
}

func newPace(start time.Time, megabytesPerSecond float64, batch int, recordBytes float64) pace {
	p := pace{start: start}
	if megabytesPerSecond > 0 {
		p.interval = time.Duration(float64(batch) * recordBytes / (megabytesPerSecond * 1e6) * float64(time.Second))
	}
	return p
}

func (p pace) due(n uint64) time.Time { return p.start.Add(time.Duration(n) * p.interval) }

// wait returns when due has come, with the time then; false if ctx ended first.
func (p pace) wait(ctx context.Context, due time.Time) (now time.Time, ok bool) {
	now = time.Now()
	if p.interval == 0 || !due.After(now) {
		return now, ctx.Err() == nil
	}
	timer := time.NewTimer(due.Sub(now))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return now, false
	case <-timer.C:
		return time.Now(), true
	}
}

// ticking calls f once a second with the time since now, until the function that it returns is called.
func ticking(f func(passed time.Duration)) (stop func()) {
	done, stopped := make(chan struct{}), make(chan struct{})
	begun := time.Now()
	go func() {
		defer close(stopped)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				f(time.Since(begun))
			}
		}
	}()
	return func() {
		close(done)
		<-stopped
	}
}

// share is a level and how many appends of total ask for it.
type share struct {
	level       logdb.Durability
	upTo, total uint64
}

// parseAcks reads "applied" or "applied=90,local=9,remote=1".
func parseAcks(s string) ([]share, error) {
	var shares []share
	total := uint64(0)
	for part := range strings.SplitSeq(s, ",") {
		name, weight, weighted := strings.Cut(part, "=")
		level, err := logdb.ParseDurability(strings.TrimSpace(name))
		if err == nil && level == logdb.Default {
			err = fmt.Errorf("want applied, local or remote")
		}
		n := uint64(1)
		if err == nil && weighted {
			n, err = strconv.ParseUint(weight, 10, 32)
		}
		if err != nil {
			return nil, fmt.Errorf("bench: acks %q: %w", s, err)
		}
		total += n
		shares = append(shares, share{level: level, upTo: total})
	}
	if total == 0 {
		return nil, fmt.Errorf("bench: acks %q: all shares are 0", s)
	}
	for i := range shares {
		shares[i].total = total
	}
	return shares, nil
}

func pick(shares []share, random uint64) logdb.Durability {
	x := random % shares[0].total
	for _, s := range shares {
		if x < s.upTo {
			return s.level
		}
	}
	return shares[len(shares)-1].level
}

// measure is a stretch of a run.
type measure struct {
	store  *store
	begun  time.Time
	cpu    time.Duration
	counts objstore.Counts
}

// cost is what passed since a measure began.
type cost struct {
	seconds, cpu float64
	counts       objstore.Counts
}

func newMeasure(s *store) *measure {
	return &measure{s, time.Now(), cpuTime(), s.Counts()}
}

func (m *measure) stop() cost {
	return cost{time.Since(m.begun).Seconds(), (cpuTime() - m.cpu).Seconds(), since(m.counts, m.store.Counts())}
}

// Dollars is what requests would cost on S3 Standard in us-east-1.
func Dollars(c objstore.Counts) float64 { return objstoretest.Dollars(c) }
