package server

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/logdb-go/logdb/logdb"
)

// By hand: go test ./logdb/server -run FollowersUnderLoad -v -load.followers 10000 -load.appends 20000
var (
	loadFollowers = flag.Int("load.followers", 200, "followers, half of them on a gateway")
	loadAppends   = flag.Int("load.appends", 600, "single records, at 2,000/s")
)

// crowd is followers on raw connections, and when what they were pushed arrived.
type crowd struct {
	mu   sync.Mutex
	late []time.Duration
	seen map[string]int
}

// read notes the age of every entry of one key: its value is when it was
// appended. Sequences of a key never repeat or go back.
func (c *crowd) read(t *testing.T, conn net.Conn, key string, ready *sync.WaitGroup) {
	in := bufio.NewReaderSize(conn, 512)
	last := int64(-1)
	for waiting := true; ; {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		if strings.HasPrefix(line, "event: heartbeat") && waiting {
			waiting = false
			ready.Done()
		}
		data, isEntry := strings.CutPrefix(line, `data: {"key"`)
		if !isEntry {
			continue
		}
		var e struct {
			Sequence int64
			Value    []byte
		}
		if err := json.Unmarshal([]byte(`{"key"`+data), &e); err != nil || len(e.Value) != 8 || e.Sequence <= last {
			t.Errorf("%s after %d: %v", line, last, err)
			return
		}
		last = e.Sequence
		appended := time.Unix(0, int64(binary.BigEndian.Uint64(e.Value)))
		c.mu.Lock()
		c.late = append(c.late, time.Since(appended))
		c.seen[key]++
		c.mu.Unlock()
	}
}

func (c *crowd) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.late)
}

func (c *crowd) percentile(p float64) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.Sort(c.late)
	return c.late[int(p*float64(len(c.late)-1))]
}

// Thousands of keys with a follower each, half at the writer and half at a
// gateway, while single records are appended: each sees its own key's records,
// all of them, once, and the ages at arrival are logged. No figure is asserted:
// machines differ.
func TestFollowersUnderLoad(t *testing.T) {
	f := newBenchOn(t, logdb.Options{Ack: logdb.Applied}, Options{})
	f.appended("first", "x")
	f.flushed()
	const refresh = 100 * time.Millisecond
	r, err := logdb.OpenReader(t.Context(), f.bucket, logdb.ReaderOptions{RefreshInterval: refresh})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	g := &bench{t: t, bucket: f.bucket, s: NewReadOnly(r, Options{})}
	g.listen(g.s)
	crowds := []*crowd{{seen: map[string]int{}}, {seen: map[string]int{}}}
	keys := *loadFollowers / 2
	var ready sync.WaitGroup
	for i := range keys {
		key := fmt.Sprintf("key/%06d", i)
		for j, b := range []*bench{f, g} {
			ready.Add(1)
			go crowds[j].read(t, b.dial("key="+key), key, &ready)
		}
	}
	ready.Wait()
	begun := time.Now()
	for i := range *loadAppends {
		time.Sleep(time.Until(begun.Add(time.Duration(i) * 500 * time.Microsecond))) // the load's own pace
		record := logdb.Record{Key: fmt.Appendf(nil, "key/%06d", i%keys), Value: binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixNano()))}
		if _, err := f.db.Append(context.Background(), []logdb.Record{record}, logdb.AppendOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	rate := float64(*loadAppends) / time.Since(begun).Seconds()
	for j, name := range []string{"writer", "gateway"} {
		c := crowds[j]
		eventually(t, name+": every record", func() bool { return c.count() >= *loadAppends })
		for i := range keys {
			want := *loadAppends / keys
			if i < *loadAppends%keys {
				want++
			}
			if got := c.seen[fmt.Sprintf("key/%06d", i)]; got != want {
				t.Errorf("%s: key %d was seen %d times, want %d", name, i, got, want)
			}
		}
		t.Logf("%s: %d followers, %.0f appends/s: from append to arrival p50 %v, p99 %v, most %v",
			name, keys, rate, c.percentile(.5), c.percentile(.99), c.percentile(1))
	}
}
