//go:build unix

package logdb

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var serverKills = flag.Int("server.kills", 10, "how often TestS3ServerKill kills the server")

// TestS3ServerKill kills the S3 server again and again while a process appends
// and others read, and starts it again on the same data. Nobody else is started
// again for it: appends at Local go on while the server is away, those at
// Remote wait; afterwards everybody goes on by themselves, and all that was
// acknowledged at Remote is there although the writer was killed, too, now and
// then, before it could send it again. The long form:
//
//	.ci/servers with minio go test ./logdb -run TestS3ServerKill -server.kills 50
//
// It is the process that is killed, not the machine: what the server has handed
// to the kernel stays. Neither server promises more with its default settings.
// MinIO syncs the data of objects, not the directories that name them;
// versitygw syncs nothing. (By its source, versitygw with --sidecar, for file
// systems without attributes, stores checksum and ETag of an object before its
// content: a kill in between would leave a manifest that is refused as damaged.)
func TestS3ServerKill(t *testing.T) {
	s := ownServer(t)
	o := &outages{ledger: newLedger(t), server: s, url: below(s.url, "log"), dir: filepath.Join(t.TempDir(), "wal")}
	rng := drawn(t)
	o.begin()
	w := look(t, openURL(t, o.url), true)
	for i := range *serverKills {
		o.writer.goesOn(rng.IntN(200))
		o.outage(i)
		o.recovered(w)
	}
	o.rest(w)
	t.Logf("%d server kills, %d writers, %d followers began again", *serverKills, o.writers, w.begun)
}

// outages is one log, and the writer that its server is taken away from.
type outages struct {
	*ledger
	server  *server
	url     string
	dir     string
	writer  *process
	writers int
}

func (o *outages) begin() {
	o.t.Helper()
	o.writer = o.start(orders{Run: fmt.Sprintf("w%d", o.writers), Bucket: o.url, Dir: o.dir, Workers: 16, Stage: 50 * time.Millisecond})
	o.writers++
	o.writer.awaitOpened()
	if o.writer.lost > 0 {
		o.t.Errorf("%s found %d frames lost in the directory that the log was in", o.writer.Run, o.writer.lost)
	}
}

// outage kills the server, sees that appends at Local go on, and starts it
// again. Now and then that outlasts what memory holds, and now and then the
// writer is killed as well, so that nobody sends again what the server lost.
func (o *outages) outage(i int) {
	o.t.Helper()
	o.server.kill()
	more := 30
	if i%5 == 4 {
		more = 800 // more than four memtables hold
	}
	goal := -1
	o.writer.await("append at Local without a bucket", func() bool {
		if goal < 0 {
			goal = o.writer.acks[Local] + more
		}
		return o.writer.acks[Local] >= goal
	})
	alone := i%3 == 1
	if alone {
		o.writer.kill()
	}
	o.server.start()
	if alone {
		r := openReader(o.t, openURL(o.t, o.url), ReaderOptions{RefreshInterval: -1})
		found := o.batches("a reader after the outage", mustHistory(o.t, r))
		o.holds("a reader after the outage", found, func(_ string, b toldBatch) bool { return b.level == Remote })
		o.begin()
	}
}

// recovered waits until the writer acknowledges at Remote and the readers show
// what it does.
func (o *outages) recovered(w *onlooker) {
	o.t.Helper()
	goal := -1
	o.writer.await("append at Remote again", func() bool {
		if goal < 0 {
			goal = o.writer.acks[Remote] + 3
		}
		return o.writer.acks[Remote] >= goal || len(o.writer.whys) > 0
	})
	if len(o.writer.whys) > 0 {
		o.t.Fatalf("%s told its callers %v", o.writer.Run, o.writer.whys)
	}
	o.mu.Lock()
	durable := o.writer.durable
	o.mu.Unlock()
	w.reaches(durable)
}

// rest ends the writer, who must not have noticed more than a delay, and holds
// the log against all that was ever acknowledged.
func (o *outages) rest(w *onlooker) {
	o.t.Helper()
	o.writer.tell("end")
	if end := o.writer.leave(); end != "ok" {
		o.t.Errorf("%s ended with %q", o.writer.Run, end)
	}
	all := checkBucket(o.t, openURL(o.t, o.url))
	found := o.batches("the log", all)
	o.holds("the log", found, func(_ string, b toldBatch) bool { return b.level > Applied })
	w.caughtUp(all)
}

// server is an S3 server of the test's own, as .ci/servers starts them.
type server struct {
	t    *testing.T
	name string
	dir  string
	port string
	url  string // of its bucket
	cmd  *exec.Cmd
}

// ownServer starts a server of the kind that the environment names.
func ownServer(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, name: os.Getenv("LOGDB_S3_SERVER")}
	parent := os.Getenv("LOGDB_S3_DIR")
	if s.name == "" || parent == "" {
		t.Skip("LOGDB_S3_SERVER names no server that can be started; see .ci/servers")
	}
	var err error
	if s.dir, err = os.MkdirTemp(parent, "own."); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(s.dir) })
	s.port = quietPort(t)
	s.start()
	out, err := exec.Command("../.ci/servers", "bucket", s.name, s.port).Output()
	if err != nil {
		var exit *exec.ExitError
		_ = errors.As(err, &exit)
		t.Fatalf("make a bucket: %v\n%s", err, exit.Stderr)
	}
	s.url = strings.TrimSpace(string(out))
	t.Cleanup(s.kill)
	return s
}

// quietPort finds a free port that no client is given for its end of a
// connection: it stays free while the server is away.
func quietPort(t *testing.T) string {
	t.Helper()
	for range 100 {
		port := fmt.Sprint(20000 + rand.IntN(10000))
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port in 100 tries")
	return ""
}

// start starts the server. It is ready a moment later, which is for its
// clients to find out.
func (s *server) start() {
	s.t.Helper()
	s.cmd = exec.Command("../.ci/servers", "serve", s.name, s.dir, s.port)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}
