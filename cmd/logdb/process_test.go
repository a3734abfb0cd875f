package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// process is this binary, running as the command.
type process struct {
	t      testing.TB
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr bytes.Buffer
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(os.Args[0], args...)}
	p.cmd.Env = append(os.Environ(), "LOGDB_TEST_AS_COMMAND=1")
	p.cmd.Stderr = &p.stderr
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout = bufio.NewReader(out)
	must(t, p.cmd.Start())
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

func (p *process) write(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p.stdin, s); err != nil {
		p.t.Fatal(err)
	}
}

// line waits for the next line of standard output.
func (p *process) line() string {
	p.t.Helper()
	line, err := p.stdout.ReadString('\n')
	if err != nil {
		p.t.Fatalf("read %q: %v; stderr: %s", line, err, p.exit())
	}
	return strings.TrimSuffix(line, "\n")
}

// exit waits for the end and returns what was written to standard error.
func (p *process) exit() string {
	_ = p.cmd.Wait() // the code tells
	return p.stderr.String()
}

func (p *process) want(code int, stderr string) {
	p.t.Helper()
	got := p.exit()
	if p.cmd.ProcessState.ExitCode() != code || !strings.Contains(got, stderr) || stderr == "" && got != "" {
		p.t.Fatalf("%q: exit %d, stderr %q; want exit %d, %q", p.cmd.Args[1:], p.cmd.ProcessState.ExitCode(), got, code, stderr)
	}
}

// A reader process follows a writer process with nothing but the bucket; a
// second writer is told who has the log; kill -9 takes nothing that was
// acknowledged.
func TestProcessesBesideEachOther(t *testing.T) {
	t.Chdir(t.TempDir())
	writer := start(t, "append", "k")
	writer.write("first\n")
	if got := writer.line(); got != "0" {
		t.Fatalf("sequence %q, want 0", got)
	}
	writer.write("second\n")
	if got := writer.line(); got != "1" {
		t.Fatalf("sequence %q, want 1", got)
	}

	reader := start(t, "tail", "k", "--from", "0", "--refresh", "10ms", "-o", "json")
	for _, want := range []string{`"value":"first"`, `"value":"second"`} {
		if got := reader.line(); !strings.Contains(got, want) {
			t.Fatalf("tail printed %q, want %s", got, want)
		}
	}
	writer.write("third\n")
	if got := reader.line(); !strings.Contains(got, `"sequence":2`) || !strings.Contains(got, "third") {
		t.Fatalf("tail printed %q, want the third record", got)
	}
	must(t, reader.cmd.Process.Signal(os.Interrupt))
	reader.want(exitOK, "")

	start(t, "append", "k", "v").want(exitError, "in use")
	busy := start(t, "append", "--wal", "other", "k", "v")
	busy.want(exitError, fmt.Sprintf("pid %d,", writer.cmd.Process.Pid))
	if host, _ := os.Hostname(); !strings.Contains(busy.stderr.String(), "host "+host) || !strings.Contains(busy.stderr.String(), "--takeover") {
		t.Fatalf("a busy log is reported as %q, want host and --takeover", busy.stderr.String())
	}

	if got := writer.line(); got != "2" {
		t.Fatalf("sequence %q, want 2", got)
	}
	must(t, writer.cmd.Process.Signal(syscall.SIGKILL))
	writer.exit()
	after := start(t, "append", "k", "fourth") // same directory: it is not polite to itself
	after.want(exitOK, "")
	scan := start(t, "scan", "k", "-o", "json")
	for _, want := range []string{"first", "second", "third", "fourth"} {
		if got := scan.line(); !strings.Contains(got, want) {
			t.Fatalf("scan printed %q, want %q", got, want)
		}
	}
	scan.want(exitOK, "")
	start(t, "check").want(exitOK, "")
}

// A writer that is shut out learns it, exits with 1, and what it was not
// acknowledged is not in the log.
func TestTakeover(t *testing.T) {
	t.Chdir(t.TempDir())
	first := start(t, "append", "k", "--ack", "remote")
	first.write("mine\n")
	first.line()
	second := start(t, "append", "--wal", "other", "--takeover", "k", "theirs")
	second.want(exitOK, "")
	first.write("too late\n")
	first.want(exitError, "fenced")
	scan := start(t, "scan", "k", "-o", "json")
	for _, want := range []string{"mine", "theirs"} {
		if got := scan.line(); !strings.Contains(got, want) {
			t.Fatalf("scan printed %q, want %q", got, want)
		}
	}
	if rest, _ := io.ReadAll(scan.stdout); len(rest) > 0 {
		t.Fatalf("scan printed more: %s", rest)
	}
	scan.want(exitOK, "")
}

// An interrupted append ends well: what it had read is appended, acknowledged
// and in the bucket.
func TestInterruptedAppend(t *testing.T) {
	t.Chdir(t.TempDir())
	p := start(t, "append", "k", "--ack", "applied")
	p.write("v\n")
	p.line()
	must(t, p.cmd.Process.Signal(os.Interrupt))
	p.want(exitOK, "")
	if got := start(t, "count", "k").line(); got != "1" {
		t.Fatalf("count is %s, want 1", got)
	}
}
