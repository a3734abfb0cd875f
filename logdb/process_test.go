//go:build unix

package logdb

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/logdb-go/logdb/objstore"
)

// process is a child that a test has started, and what it has reported.
type process struct {
	orders
	ledger *ledger
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	read   chan struct{} // closed when all that it reported was read
	said   bytes.Buffer  // on standard output and error
	joined bool
	killed bool // a signal ended it

	// Guarded by ledger.mu.
	ready, opened, stopped, gone bool
	epoch, remote                uint64 // at its opening
	lost                         uint64
	acks                         [Remote + 1]int // by level
	durable                      uint64          // end of what was acknowledged at Remote
	flushes, deletes             int
	whys                         map[string]int // of appends that were not acknowledged
	end                          string         // how it ended, or why it was shut out
}

// start runs this test binary as a child.
func (l *ledger) start(o orders) *process {
	l.t.Helper()
	p := &process{orders: o, ledger: l, read: make(chan struct{}), whys: map[string]int{}}
	text, err := json.Marshal(o)
	if err != nil {
		l.t.Fatal(err)
	}
	out, in, err := os.Pipe()
	if err != nil {
		l.t.Fatal(err)
	}
	p.cmd = exec.Command(os.Args[0], "-test.run=^TestProcessChild$", "-test.count=1")
	p.cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	p.cmd.ExtraFiles = []*os.File{in}
	p.cmd.Stdout, p.cmd.Stderr = &p.said, &p.said
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		l.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	in.Close()
	l.t.Cleanup(p.kill)
	go p.listen(out)
	return p
}

// listen writes down what the child reports, to the end of its life.
func (p *process) listen(out *os.File) {
	defer close(p.read)
	defer out.Close()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		p.ledger.mu.Lock()
		if err := p.note(lines.Text()); err != nil {
			p.ledger.t.Errorf("%s reported %q: %v", p.Run, lines.Text(), err)
		}
		p.ledger.noted()
		p.ledger.mu.Unlock()
	}
	p.ledger.mu.Lock()
	defer p.ledger.mu.Unlock()
	p.gone = true
	p.ledger.noted()
}

// note takes one line of a child's report. ledger.mu is held.
func (p *process) note(line string) (err error) {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "ready":
		p.ready = true
	case "stopping":
		p.stopped = true
	case "flushed":
		p.flushes++
	case "deleted":
		p.deletes++
	case "opened":
		p.opened = true
		_, err = fmt.Sscanf(rest, "%d %d %d", &p.epoch, &p.remote, &p.lost)
	case "shut-out":
		_, err = fmt.Sscanf(rest, "%q", &p.end)
	case "ended":
		_, err = fmt.Sscanf(rest, "%q", &p.end)
	default:
		var why string
		if why, err = p.ledger.outcome(p.Run, line); why != "" {
			p.whys[why]++
		} else if err == nil {
			id, _, _ := strings.Cut(rest, " ")
			b := p.ledger.told[id]
			p.acks[b.level]++
			if b.level == Remote {
				p.durable = max(p.durable, b.first+uint64(b.records))
			}
		}
	}
	return err
}

// await waits for something that the child reports; it fails if the child ends
// before. cond is called with ledger.mu held.
func (p *process) await(what string, cond func() bool) {
	p.ledger.t.Helper()
	ok := false
	p.awaitOrEnd(what, func() bool {
		ok = cond()
		return ok
	})
	if !ok {
		_ = p.join()
		p.ledger.t.Fatalf("%s has ended (%v, %q) before: %s\n%s", p.Run, p.cmd.ProcessState, p.end, what, p.said.String())
	}
}

// awaitOrEnd waits until cond is true or the child has ended. A child that
// lets everybody wait is asked what its goroutines do.
func (p *process) awaitOrEnd(what string, cond func() bool) {
	p.ledger.t.Helper()
	if p.ledger.await(func() bool { return cond() || p.gone }) {
		return
	}
	p.signal(syscall.SIGQUIT)
	p.signal(syscall.SIGCONT)
	_ = p.join()
	p.ledger.t.Fatalf("waited %v for %s: %s\n%s", patience, p.Run, what, p.said.String())
}

func (p *process) awaitOpened() {
	p.ledger.t.Helper()
	p.await("open", func() bool { return p.opened })
}

// goesOn waits until so many more appends are acknowledged.
func (p *process) goesOn(more int) {
	p.ledger.t.Helper()
	goal := -1
	p.await("go on", func() bool {
		if goal < 0 {
			goal = p.total() + more
		}
		return p.total() >= goal
	})
}

// total is how many appends were acknowledged. ledger.mu is held.
func (p *process) total() (n int) {
	for _, acks := range p.acks {
		n += acks
	}
	return n
}

// tell writes one order to a child that listens.
func (p *process) tell(order string) { _, _ = io.WriteString(p.stdin, order+"\n") }

func (p *process) signal(s syscall.Signal) {
	p.ledger.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.ledger.t.Errorf("%s: signal %v: %v", p.Run, s, err)
	}
}

// kill ends the process, wherever it is.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.join()
}

// join waits for the end of a process that is going to end, and until all that
// it reported is in the ledger. It reports whether a signal ended it.
func (p *process) join() (killed bool) {
	<-p.read
	if !p.joined {
		_ = p.cmd.Wait() // the state tells
		p.joined, p.killed = true, p.cmd.ProcessState != nil && !p.cmd.ProcessState.Exited()
	}
	return p.killed
}

// leave waits for the end of a process that ends by itself, and says how it
// ended: "ok", "fenced", what shut it out, or what went wrong.
func (p *process) leave() string {
	p.ledger.t.Helper()
	p.awaitOrEnd("end", func() bool { return false })
	if p.join() || !p.cmd.ProcessState.Success() {
		p.ledger.t.Fatalf("%s: %v\n%s", p.Run, p.cmd.ProcessState, p.said.String())
	}
	return p.end
}

// openURL opens the bucket of a URL as the children do.
func openURL(t *testing.T, url string) objstore.Bucket {
	t.Helper()
	b, err := objstore.Open(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// fileURL is an empty bucket in a directory of the test.
func fileURL(t *testing.T) string { return "file://" + filepath.ToSlash(t.TempDir()) }

// serverURL is an empty prefix on the server that the environment names.
func serverURL(t *testing.T) string {
	t.Helper()
	url := os.Getenv("LOGDB_S3_URL")
	if url == "" {
		t.Skip("LOGDB_S3_URL names no server; see .ci/servers")
	}
	return below(url, strings.ToLower(t.Name())+"-"+objstore.NewID().String())
}

// below puts a prefix into a bucket's URL, before its parameters.
func below(url, prefix string) string {
	base, query, some := strings.Cut(url, "?")
	base = strings.TrimSuffix(base, "/") + "/" + prefix
	if some {
		base += "?" + query
	}
	return base
}
