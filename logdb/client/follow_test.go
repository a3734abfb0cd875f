package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/logdb/server"
)

// TestFollowKeysPrefixesAndEverything: history first, then what is appended, of all
// that is followed in one order, over one request.
func TestFollowKeysPrefixesAndEverything(t *testing.T) {
	w := newWorld(t, logdb.Options{Ack: logdb.Applied}, server.Options{})
	c := w.client(Options{}, nil)
	w.appended("t/1", "0", "u", "1", "t/2", "2", "", "3")
	for _, row := range []struct { // the first of them sees the log grow
		name string
		it   *Iterator
		want string
	}{
		{"a key", c.Follow(t.Context(), []byte("t/1"), 0, logdb.ScanOptions{Records: logdb.AtMost(2)}), "[0:t/1=0 4:t/1=4]"},
		{"keys", c.FollowKeys(t.Context(), [][]byte{[]byte("u"), {}}, 0, logdb.ScanOptions{Records: logdb.AtMost(3)}), "[1:u=1 3:=3 5:u=5]"},
		{"a prefix", c.FollowPrefix(t.Context(), []byte("t/"), 1, logdb.ScanOptions{Records: logdb.AtMost(3)}), "[2:t/2=2 4:t/1=4 6:t/new=6]"},
		{"everything", c.FollowPrefix(t.Context(), nil, 2, logdb.ScanOptions{Records: logdb.AtMost(5)}), "[2:t/2=2 3:=3 4:t/1=4 5:u=5 6:t/new=6]"},
		{"by level", c.FollowPrefix(t.Context(), nil, 5, logdb.ScanOptions{Records: logdb.AtMost(1), Visibility: logdb.Remote}), "[5:u=5]"},
		{"by time", c.Follow(t.Context(), []byte("u"), 0, logdb.ScanOptions{Records: logdb.AtMost(1), FromTime: time.Now().Add(-time.Hour)}), "[1:u=1]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := w.requests(func() {
				row.it.Next()
				if w.db.Frontier() == 4 {
					w.appended("t/1", "4", "u", "5", "t/new", "6")
				}
				list := []string{text(row.it.Entry())}
				more, _, err := drain(row.it)
				if list = append(list, more...); fmt.Sprint(list) != row.want || err != nil {
					t.Errorf("%v, %v, want %s", list, err, row.want)
				}
			})
			if got != "Follow:1" {
				t.Errorf("requests %q, want one", got)
			}
		})
	}
	for what, it := range map[string]*Iterator{
		"in reverse": c.Follow(t.Context(), nil, 0, logdb.ScanOptions{Reverse: true}),
		"no keys":    c.FollowKeys(t.Context(), nil, 0, logdb.ScanOptions{}),
	} {
		if list, _, err := drain(it); len(list) > 0 || err == nil {
			t.Errorf("%s: %v, %v, want an error", what, list, err)
		}
	}
}

// TestFollowerOfAnIdleKeyMovesWithTheLog: so that it is not far behind when it
// begins elsewhere. Somebody else may look at its cursor meanwhile.
func TestFollowerOfAnIdleKeyMovesWithTheLog(t *testing.T) {
	w := newWorld(t, logdb.Options{Ack: logdb.Applied}, server.Options{Heartbeat: 5 * time.Millisecond})
	c := w.client(Options{}, nil)
	w.appended("a", "0", "b", "1", "a", "2")
	checkpoint := uint64(1)
	if lag, err := c.Count(t.Context(), []byte("a"), logdb.From(checkpoint)); lag != 1 || err != nil {
		t.Errorf("%d behind, %v, want 1", lag, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	it := c.Follow(ctx, []byte("a"), checkpoint, logdb.ScanOptions{})
	defer it.Close()
	if !it.Next() || text(it.Entry()) != "2:a=2" {
		t.Fatalf("%v, %v", it.Entry(), it.Err())
	}
	waiting := make(chan bool)
	go func() { waiting <- it.Next() }()
	w.appended("b", "3", "b", "4")
	eventually(t, "the cursor is at the frontier", func() bool { return it.NextSequence() == 5 })
	cancel()
	if <-waiting || it.Err() != context.Canceled || it.NextSequence() != 5 {
		t.Errorf("%v at %d, want the context's own error at 5", it.Err(), it.NextSequence())
	}
	w.appended("a", "5")
	if list, _, err := drain(c.Follow(t.Context(), []byte("a"), it.NextSequence(), logdb.ScanOptions{Records: logdb.AtMost(1)})); fmt.Sprint(list) != "[5:a=5]" || err != nil {
		t.Errorf("the next follower got %v, %v", list, err)
	}
}

// TestFollowerHangsUpOnASilentServer: a connection on which nothing comes any more
// is dead, whatever TCP thinks of it.
func TestFollowerHangsUpOnASilentServer(t *testing.T) {
	w := newWorld(t, logdb.Options{Ack: logdb.Applied}, server.Options{Heartbeat: time.Hour})
	w.appended("a", "0")
	var connections atomic.Int64
	c := w.client(Options{Silence: 7 * time.Second}, func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			if connections.Add(1) == 2 {
				<-r.Context().Done() // the connection is made, and then nothing
				return nil, r.Context().Err()
			}
			return next.RoundTrip(r)
		})
	})
	fire := make(chan func(), 100)
	c.after = func(d time.Duration, f func()) timer {
		if d != 7*time.Second {
			t.Errorf("waits %v, want what Silence says", d)
		}
		s := &stopped{}
		fire <- func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if !s.over {
				f()
			}
		}
		return s
	}
	it := c.Follow(t.Context(), []byte("a"), 0, logdb.ScanOptions{Records: logdb.AtMost(2)})
	if !it.Next() {
		t.Fatal(it.Err())
	}
	done := make(chan bool)
	go func() { done <- it.Next() }()
	eventually(t, "the follower has hung up on the first, and on the second", func() bool {
		select {
		case f := <-fire:
			f()
		default:
		}
		return connections.Load() >= 3
	})
	w.appended("a", "1")
	if !<-done || text(it.Entry()) != "1:a=1" {
		t.Errorf("%v, %v, want what came later", it.Entry(), it.Err())
	}
	_ = it.Close()
}

type stopped struct {
	mu   sync.Mutex
	over bool
}

func (s *stopped) Stop() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	return true
}

// TestFollowerAndRetention: what was dropped is skipped, or is an error that says
// where reading goes on.
func TestFollowerAndRetention(t *testing.T) {
	w := newWorld(t, logdb.Options{Ack: logdb.Remote, Retention: logdb.Retention{Before: 2}}, server.Options{})
	c := w.client(Options{}, nil)
	w.appended("a", "0", "a", "1")
	if _, _, err := w.db.SealSegment(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	w.appended("a", "2")
	w.restart() // retention looks when a log is opened
	eventually(t, "the first segment is dropped", func() bool {
		list, err := w.db.ListSegments(t.Context(), logdb.Range{})
		return err == nil && len(list) > 0 && list[0].Sequences.Start() >= 2
	})
	list, next, err := drain(c.Follow(t.Context(), []byte("a"), 0, logdb.ScanOptions{Records: logdb.AtMost(1)}))
	if fmt.Sprint(list) != "[2:a=2]" || next != 3 || err != nil {
		t.Errorf("%v, next %d, %v, want what is left", list, next, err)
	}
	_, _, err = drain(c.Follow(t.Context(), []byte("a"), 0, logdb.ScanOptions{Strict: true}))
	var trimmed *logdb.TrimmedError
	if !errors.As(err, &trimmed) || trimmed.Oldest != 2 {
		t.Errorf("%v, want that nothing below 2 is left", err)
	}
	_, _, err = drain(c.Scan(t.Context(), []byte("a"), logdb.Range{}, logdb.ScanOptions{Strict: true}))
	if !errors.As(err, &trimmed) || trimmed.Oldest != 2 {
		t.Errorf("a scan: %v, want that nothing below 2 is left", err)
	}
}

// TestGateway: a server without a writer is read like any other, and refuses
// appends for good.
func TestGateway(t *testing.T) {
	w := newWorld(t, logdb.Options{Ack: logdb.Remote}, server.Options{})
	w.appended("a", "0")
	r, err := logdb.OpenReader(t.Context(), w.bucket, logdb.ReaderOptions{RefreshInterval: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := server.NewReadOnly(r, server.Options{})
	defer s.Drain()
	w.web.Config.Handler = s
	c := w.client(Options{}, nil)
	_, err = c.Append(t.Context(), records("a", "1"), logdb.AppendOptions{})
	if got := outcome(logdb.Appended{}, err); got != "did not happen, status 501" {
		t.Errorf("append: %s (%v)", got, err)
	}
	a := w.appended("a", "1")
	list, _, err := drain(c.AtLeast(a.Next).Scan(t.Context(), []byte("a"), logdb.Range{}, logdb.ScanOptions{}))
	if fmt.Sprint(list) != "[0:a=0 1:a=1]" || err != nil {
		t.Errorf("%v, %v, want what was appended elsewhere", list, err)
	}
}
