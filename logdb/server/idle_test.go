package server

import (
	"bufio"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// dial opens a follower by hand: a connection, and no goroutine of a client.
func (f *bench) dial(query string) net.Conn {
	f.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://"))
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { conn.Close() })
	if _, err := fmt.Fprintf(conn, "GET /api/v1/log/follow?%s HTTP/1.1\r\nHost: x\r\n\r\n", query); err != nil {
		f.t.Fatal(err)
	}
	return conn
}

// inUse is what the process holds in heap and stacks once everything is
// collected, and stacks have shrunk.
func inUse() uint64 {
	var m runtime.MemStats
	for range 6 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// An idle follower costs at most 40 KiB in all, its connection included and also
// after it had something to do.
func TestIdleFollowersAreCheap(t *testing.T) {
	const followers, limit = 400, 40 << 10
	f := newBench(t, Options{})
	keys := make([]string, 0, 2*followers)
	for i := range followers {
		keys = append(keys, fmt.Sprintf("k/%d", i), "v")
	}
	f.appended(keys...)
	before := inUse()
	for i := range followers {
		conn := f.dial(fmt.Sprintf("key=k/%d", i))
		in := bufio.NewReaderSize(conn, 16)
		for n := 0; n < 2; { // the entry, the heartbeat
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(line, "data:") {
				n++
			}
		}
	}
	each := (inUse() - before) / followers
	t.Logf("%d bytes for an idle follower", each)
	if each > limit {
		t.Errorf("%d bytes for an idle follower, want at most %d", each, limit)
	}
	if n := f.metric("logdb_followers"); n != fmt.Sprint(followers) {
		t.Errorf("%s followers", n)
	}
}

// A follower that does not read is cut off, and lets go of what it held.
func TestASlowFollowerIsCutOff(t *testing.T) {
	f := newBench(t, Options{WriteTimeout: 50 * time.Millisecond})
	value := strings.Repeat("v", 1<<20)
	for range 20 {
		f.appended("k", value)
	}
	f.dial("key=k")
	f.dial("prefix=")
	f.dial("key=k&key=l")
	eventually(t, "three requests", func() bool {
		return f.metric(`http_requests_total{endpoint="follow",method="GET",status="200"}`) == "3"
	})
	if n := f.metric("logdb_followers"); n != "0" {
		t.Errorf("%s followers", n)
	}
}

// A client that goes away is noticed without a word to it.
func TestAFollowerThatLeavesIsForgotten(t *testing.T) {
	f := newBench(t, Options{})
	conn := f.dial("key=k")
	eventually(t, "a follower", func() bool { return f.metric("logdb_followers") == "1" })
	conn.Close()
	eventually(t, "none", func() bool { return f.metric("logdb_followers") == "0" })
}

// Heartbeats come without a timer for each follower, and carry the tail.
func TestHeartbeats(t *testing.T) {
	f := newBench(t, Options{Heartbeat: 64 * time.Millisecond})
	s := f.follow("key=idle")
	s.until("heartbeat")
	f.appended("busy", "1", "busy", "2")
	eventually(t, "a heartbeat with the tail", func() bool {
		return s.until("heartbeat").data == `{"nextSequence":2,"tailSequence":2}`
	})
}
