package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// By hand, with the limits that are promised:
//
//	go test ./cmd/logdb -run FollowersOfProcesses -v -load.followers 10000 -load.limits
var (
	loadFollowers = flag.Int("load.followers", 200, "keys with one follower each, half of them at a gateway")
	loadAppends   = flag.Int("load.appends", 0, "single records; default: three for each follower")
	loadRate      = flag.Int("load.rate", 2000, "appends in a second")
	loadShip      = flag.Duration("load.ship", 100*time.Millisecond, "ship interval of the writer")
	loadRefresh   = flag.Duration("load.refresh", 100*time.Millisecond, "refresh interval of the gateway")
	loadLimits    = flag.Bool("load.limits", false, "fail where p99 is above 50 ms at the writer or ship + refresh + 100 ms at the gateway, or an idle follower above 40 KiB")
	loadProfiles  = flag.String("load.profiles", "", "`directory` for CPU profiles of both servers")
)

// land is a writer and a gateway, as processes with nothing but a bucket between
// them, and their crowd.
type land struct {
	*crowd
	servers [2]*served
}

func newLand(t *testing.T, ack string) *land {
	t.Chdir(t.TempDir())
	appends := *loadAppends
	if appends == 0 {
		appends = 3 * *loadFollowers
	}
	l := &land{crowd: newCrowd(t, *loadFollowers, appends, ack)}
	l.start(0)
	// A gateway needs a log, which the writer makes with its first flush.
	l.start(1)
	return l
}

func (l *land) start(i int) {
	l.t.Helper()
	args := [2][]string{
		{"--listen", "127.0.0.1:0", "--ship-interval", loadShip.String()},
		{"--listen", "127.0.0.1:0", "--read-only", "--refresh-interval", loadRefresh.String()},
	}[i]
	l.servers[i] = startServer(l.t, nil, args...)
	l.places[i].comes(strings.TrimPrefix(l.servers[i].url, "http://"))
}

// end ends a server, and starts another one in its place.
func (l *land) end(i int, how syscall.Signal) {
	l.t.Helper()
	l.places[i].goes()
	if how == syscall.SIGTERM {
		l.servers[i].stop()
	} else {
		must(l.t, l.servers[i].cmd.Process.Signal(how))
		<-l.servers[i].log
		_ = l.servers[i].cmd.Wait()
	}
	l.start(i)
}

// truth is what the log holds of a key, by the number of the append: the sequence
// and one.
func (l *land) truth(key string) map[int]uint64 {
	l.t.Helper()
	status, body := l.servers[0].ask("GET", l.servers[0].url+"/api/v1/log/scan?limit=1000000&key="+key, "")
	var answer struct {
		Values []struct {
			Sequence uint64
			Value    []byte
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); status != http.StatusOK || err != nil {
		l.t.Fatalf("%s: %d %s: %v", key, status, body, err)
	}
	in := map[int]uint64{}
	for _, v := range answer.Values {
		i := int(binary.BigEndian.Uint64(v.Value))
		if in[i] != 0 {
			l.t.Errorf("append %d is in the log at %d and at %d", i, in[i]-1, v.Sequence)
		}
		in[i] = v.Sequence + 1
	}
	return in
}

// Thousands of keys with a follower each, half of them at the writer and half at a
// gateway, while single records are appended: what a follower costs, and how late
// it learns. No figure is asserted unless asked for: machines differ.
func TestFollowersOfProcesses(t *testing.T) {
	l := newLand(t, "applied")
	var before [2]usage
	for i, s := range l.servers {
		before[i] = s.usage()
	}
	l.come()
	const limit = 40 << 10
	var idle [2]usage
	for i, s := range l.servers {
		idle[i] = s.usage()
		each := (idle[i].resident - before[i].resident) / (l.keys / 2)
		t.Logf("%s: %d idle followers, %d bytes of RSS each; connecting took %.2f s of CPU", l.places[i].name, l.keys/2, each, idle[i].seconds-before[i].seconds)
		if *loadLimits && each > limit {
			t.Errorf("%s: %d bytes for an idle follower, want at most %d", l.places[i].name, each, limit)
		}
	}
	profiled := l.profile()
	begun, own := time.Now(), ownSeconds()
	l.produce(*loadRate)
	l.settle()
	took := time.Since(begun)
	if lost, _ := l.check(l.truth); lost > 0 {
		t.Errorf("%d appends had no answer", lost)
	}
	t.Logf("%d appends, %.0f/s, on %d CPUs; CPU seconds: writer %.2f, gateway %.2f, this process %.2f", len(l.fates), float64(len(l.fates))/took.Seconds(),
		runtime.NumCPU(), l.servers[0].usage().seconds-idle[0].seconds, l.servers[1].usage().seconds-idle[1].seconds, ownSeconds()-own)
	l.judge()
	_, metrics := l.servers[0].ask("GET", l.servers[0].admin+"/metrics", "")
	count, slow := metric(metrics, `_count{work="shipment"}`), metric(metrics, `_count{work="shipment"}`)-metric(metrics, `_bucket{work="shipment",le="0.05"}`)
	t.Logf("%.0f shipments to the bucket, %.1f ms on average, %.0f of them over 50 ms: they are part of what the gateway is late",
		count, 1000*metric(metrics, `_sum{work="shipment"}`)/count, slow)
	profiled()
	l.leave()
	for _, s := range l.servers {
		s.stop()
	}
}

// judge tells how late events were, by place.
func (l *land) judge() {
	bounds := [2]time.Duration{50 * time.Millisecond, *loadShip + *loadRefresh + 100*time.Millisecond}
	var sent, acked [2][]int64
	var acks []int64
	for i := range l.fates {
		f := &l.fates[i]
		arrived := f.arrived.Load()
		sent[l.at(i)] = append(sent[l.at(i)], arrived-f.sent.Load())
		acked[l.at(i)] = append(acked[l.at(i)], max(0, arrived-f.acked.Load()))
		acks = append(acks, f.acked.Load()-f.sent.Load())
	}
	l.t.Logf("append sent to acknowledged: %v", spread(acks))
	for i, p := range l.places {
		l.t.Logf("%s: append sent to event %v; acknowledged to event %v; p99 wanted %v", p.name, spread(sent[i]), spread(acked[i]), bounds[i])
		if p99 := percentile(sent[i], .99); *loadLimits && p99 > bounds[i] {
			l.t.Errorf("%s: p99 %v, want at most %v", p.name, p99, bounds[i])
		}
	}
}

// metric is one of the seconds of work in the background.
func metric(page, name string) float64 {
	_, rest, _ := strings.Cut(page, "\nlogdb_background_seconds"+name+" ")
	line, _, _ := strings.Cut(rest, "\n")
	v, _ := strconv.ParseFloat(line, 64)
	return v
}

func percentile(list []int64, p float64) time.Duration {
	slices.Sort(list)
	return time.Duration(list[int(p*float64(len(list)-1))])
}

func spread(list []int64) string {
	at := func(p float64) time.Duration { return percentile(list, p).Round(10 * time.Microsecond) }
	return fmt.Sprintf("p50 %v, p99 %v, most %v", at(.5), at(.99), at(1))
}

// Both servers end under load, the writer by the signal and then the gateway, and
// others take their places: no follower misses or repeats anything.
func TestFollowersSeeRestarts(t *testing.T) {
	for name, c := range map[string]struct {
		how syscall.Signal
		ack string
	}{
		"drained": {syscall.SIGTERM, "applied"}, // which puts into the bucket what was acknowledged
		"killed":  {syscall.SIGKILL, "local"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLand(t, c.ack)
			l.come()
			l.produce(*loadRate)
			for i := range l.servers { // the last third shows that every follower is back
				until(t, "a third of the appends", func() bool { return l.begins() > (i+1)*len(l.fates)/3 })
				l.end(i, c.how)
			}
			l.settle()
			lost, kept := l.check(l.truth)
			t.Logf("%d followers, %d appends, %d of which had no answer; %d of these are in the log", l.keys, len(l.fates), lost, kept)
			l.leave()
			for _, s := range l.servers {
				s.stop()
			}
		})
	}
}

// usage is what a process holds and has used.
type usage struct {
	resident int // bytes
	seconds  float64
}

var residentLine = regexp.MustCompile(`VmRSS:\s*(\d+) kB`)

// usage is zero where there is no /proc.
func (s *served) usage() (u usage) {
	dir := filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid))
	if status, err := os.ReadFile(filepath.Join(dir, "status")); err == nil {
		if m := residentLine.FindSubmatch(status); m != nil {
			u.resident, _ = strconv.Atoi(string(m[1]))
			u.resident <<= 10
		}
	}
	if stat, err := os.ReadFile(filepath.Join(dir, "stat")); err == nil {
		const userTicks, systemTicks, tick = 11, 12, 100 // behind the name, which may have spaces
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+2:])
		for _, n := range []int{userTicks, systemTicks} {
			ticks, _ := strconv.ParseFloat(string(fields[n]), 64)
			u.seconds += ticks / tick
		}
	}
	return u
}

// ownSeconds is the CPU time of this process.
func ownSeconds() float64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()).Seconds()
}

// profile begins to profile both servers. The function that it returns waits for
// the profiles.
func (l *land) profile() (wait func()) {
	if *loadProfiles == "" {
		return func() {}
	}
	done := make(chan error, len(l.servers))
	seconds := max(1, len(l.fates) / *loadRate)
	for i, s := range l.servers {
		go func() {
			resp, err := http.Get(fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", s.admin, seconds))
			if err == nil {
				var b []byte
				b, err = io.ReadAll(resp.Body)
				resp.Body.Close()
				err = errors.Join(err, os.WriteFile(filepath.Join(*loadProfiles, l.places[i].name+".pprof"), b, 0o600))
			}
			done <- err
		}()
	}
	return func() {
		for range l.servers {
			must(l.t, <-done)
		}
	}
}
