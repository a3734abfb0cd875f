package logdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// TestScripts runs the stories below testdata/script, each in a bubble with a
// bucket of its own. testdata/script/README.md has the vocabulary. After a
// change that is meant: go test ./logdb -run TestScripts -rewrite
func TestScripts(t *testing.T) {
	var paths []string
	for _, pattern := range []string{"testdata/script/*", "testdata/script/*/*"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	for _, path := range paths {
		if info, err := os.Stat(path); err != nil || info.IsDir() || strings.HasSuffix(path, ".md") {
			continue
		}
		name, _ := filepath.Rel("testdata/script", path)
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript(t)
				datadriven.RunTest(t, path, s.run)
				s.end()
			})
		})
	}
}

// script is the state of one story: a bucket, the disks of its machines, and
// who has the log open.
type script struct {
	t        *testing.T
	ctx      context.Context
	begun    time.Time
	mem      *objstore.Mem
	requests *objstoretest.Requests // between the faults and the store: what reached it
	faulty   *objstoretest.Faulty
	faults   faults
	disks    map[string]*vfs.MemFS // by WAL directory
	logs     map[string]*scriptLog
	readers  map[string]*LogDbReader
	follows  map[string]*following
	pending  map[string]chan string // commands that were left to wait
	foreign  bool                   // the script damaged the bucket itself
}

// scriptLog is a writer, and the name of its disk.
type scriptLog struct {
	*LogDb
	wal string
}

func newScript(t *testing.T) *script {
	s := &script{
		t: t, ctx: context.Background(), begun: time.Now(), mem: objstore.NewMem(),
		disks: map[string]*vfs.MemFS{}, logs: map[string]*scriptLog{}, readers: map[string]*LogDbReader{},
		follows: map[string]*following{}, pending: map[string]chan string{},
	}
	s.requests = objstoretest.NewRequests(s.mem)
	t.Cleanup(s.stop)
	s.faulty = objstoretest.NewFaulty(s.requests, objstoretest.Plan{Hook: s.faults.choose})
	return s
}

// end closes what the script left open, and looks at the bucket as a stranger.
func (s *script) end() {
	for _, d := range s.logs {
		if s.foreign || d.Err() != nil {
			continue
		}
		if err := d.Close(); err != nil && !errors.Is(err, ErrFenced) {
			s.t.Errorf("close: %v", err)
		}
	}
	s.stop()
	if _, err := s.mem.Get(s.ctx, "manifest"); s.foreign || errors.Is(err, objstore.ErrNotFound) {
		return
	}
	checkBucket(s.t, s.mem)
}

// stop ends everything that the script began, also when it failed in the
// middle: a bubble does not end before.
func (s *script) stop() {
	for _, f := range s.follows {
		f.cancel()
	}
	for _, d := range s.logs {
		crash(d.LogDb)
	}
	for _, r := range s.readers {
		if err := r.Close(); err != nil {
			s.t.Error(err)
		}
	}
	settled()
}

type command func(*script, *datadriven.TestData) string

var commands map[string]command

func init() {
	commands = map[string]command{
		"open": (*script).open, "close": (*script).close, "crash": (*script).crash, "advance": (*script).advance,
		"append": (*script).append, "await": (*script).await, "flush": (*script).flush, "seal": (*script).seal,
		"compact": (*script).compact, "watermarks": (*script).watermarks, "lost": (*script).lost,
		"reader": (*script).reader, "refresh": (*script).refresh, "close-reader": (*script).closeReader,
		"scan": (*script).scan, "get": (*script).get, "count": (*script).count, "keys": (*script).keys,
		"segments": (*script).segments, "inspect": (*script).inspect, "frontier": (*script).frontier,
		"follow": (*script).follow, "followed": (*script).followed, "unfollow": (*script).unfollow,
		"objects": (*script).objects, "requests": (*script).requestsMade,
		"fail": (*script).fail, "outage": (*script).outage, "put": (*script).put, "remove": (*script).remove,
	}
}

func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	c, ok := commands[d.Cmd]
	if !ok {
		d.Fatalf(t, "no command %q", d.Cmd)
	}
	if d.Cmd != "requests" && d.Cmd != "objects" {
		settled()
	}
	name := arg(d, "later", "")
	if name == "" {
		if d.Cmd != "advance" {
			stuck := time.AfterFunc(time.Hour, func() { panic(d.Pos + ": " + d.Cmd + " has not come back for an hour") })
			defer stuck.Stop()
		}
		out := c(s, d)
		settled()
		return scrub(out)
	}
	done, own := make(chan string, 1), *d
	s.pending[name] = done
	go func() { done <- c(s, &own) }()
	settled()
	return ""
}

var random = regexp.MustCompile(`\b[0-9a-f]{32}\b`)

// scrub replaces what differs from run to run and machine to machine.
func scrub(out string) string {
	host, _ := os.Hostname()
	out = random.ReplaceAllString(out, "<id>")
	if host != "" {
		out = strings.ReplaceAll(out, "host "+host+",", "host <host>,")
	}
	out = strings.ReplaceAll(out, fmt.Sprintf("pid %d,", os.Getpid()), "pid <pid>,")
	return shortNames(out)
}

// answer is a command's result in one line.
func answer(result string, err error) string {
	if err == nil {
		return result
	}
	kinds := []struct {
		name string
		is   error
	}{
		{"ErrUnsafeBucket", ErrUnsafeBucket}, {"ErrNoLog", ErrNoLog}, {"ErrForeign", ErrForeign}, {"ErrLocked", ErrLocked},
		{"ErrClosed", ErrClosed}, {"ErrFenced", ErrFenced}, {"ErrQueueFull", ErrQueueFull}, {"ErrNotFound", ErrNotFound},
		{"ErrStale", ErrStale},
	}
	var names []string
	var pending *PendingError
	if errors.As(err, &pending) {
		names = append(names, "PendingError")
	}
	for _, k := range kinds {
		if errors.Is(err, k.is) {
			names = append(names, k.name)
		}
	}
	for name, target := range map[string]any{"LimitError": new(*LimitError), "TrimmedError": new(*TrimmedError), "BusyError": new(*BusyError), "CorruptError": new(*CorruptError)} {
		if errors.As(err, target) {
			names = append(names, name)
		}
	}
	text := strings.ReplaceAll(err.Error(), "\n", "\n  ")
	if corrupt := new(CorruptError); errors.As(err, &corrupt) { // where the damage shows differs from build to build
		text = fmt.Sprintf("corrupt object %q", corrupt.Object)
	}
	if result != "" {
		result += "\n"
	}
	return result + fmt.Sprintf("error %s: %s", strings.Join(names, "+"), text)
}

// log is the writer that a command speaks to: as=NAME, by default "a".
func (s *script) log(d *datadriven.TestData) *scriptLog {
	name := arg(d, "as", "a")
	l := s.logs[name]
	if l == nil {
		d.Fatalf(s.t, "log %q is not open", name)
	}
	return l
}

// face is what a reading command reads through: on=NAME is a reader, else the
// writer.
func (s *script) face(d *datadriven.TestData) LogRead {
	if name := arg(d, "on", ""); name != "" {
		if r := s.readers[name]; r != nil {
			return r
		}
		d.Fatalf(s.t, "reader %q is not open", name)
	}
	return s.log(d)
}

func arg(d *datadriven.TestData, key, fallback string) string {
	for _, a := range d.CmdArgs {
		if a.Key == key && len(a.Vals) > 0 {
			return a.Vals[0]
		}
	}
	return fallback
}

func (s *script) number(d *datadriven.TestData, key string, fallback uint64) uint64 {
	v := arg(d, key, "")
	if v == "" {
		return fallback
	}
	scale := uint64(1)
	for suffix, x := range map[string]uint64{"k": 1 << 10, "m": 1 << 20} {
		if strings.HasSuffix(v, suffix) {
			v, scale = strings.TrimSuffix(v, suffix), x
		}
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		d.Fatalf(s.t, "%s: %v", key, err)
	}
	return n * scale
}

func (s *script) duration(d *datadriven.TestData, key string) time.Duration {
	v := arg(d, key, "0")
	n, err := time.ParseDuration(v)
	if err != nil {
		d.Fatalf(s.t, "%s: %v", key, err)
	}
	return n
}

func (s *script) level(d *datadriven.TestData, key string) Durability {
	l, err := ParseDurability(arg(d, key, "default"))
	if err != nil {
		d.Fatalf(s.t, "%v", err)
	}
	return l
}

// since is a time as the bubble's clock has it, from the script's beginning.
func (s *script) since(t time.Time) string { return t.Sub(s.begun).String() }
