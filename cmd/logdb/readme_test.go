package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The lines of the README that begin with curl do what they say, against a
// server on another port, with the curl that is there.
func TestCurlLinesOfTheReadme(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl on this machine")
	}
	page, err := os.ReadFile(filepath.Join(root(t), "README.md"))
	must(t, err)
	t.Chdir(t.TempDir())
	s := startServer(t, nil, "--listen", "127.0.0.1:0")
	wants := []string{`"startSequence":0`, `"value":"dg=="`, `"value":"dg=="`} // append, scan, follow
	for line := range strings.Lines(string(page)) {
		if !strings.HasPrefix(line, "curl ") {
			continue
		}
		if len(wants) == 0 || !strings.Contains(line, "localhost:8080") {
			t.Fatalf("no expectation for %s", line)
		}
		prints(t, strings.ReplaceAll(strings.TrimSpace(line), "localhost:8080", strings.TrimPrefix(s.url, "http://")), wants[0])
		wants = wants[1:]
	}
	if len(wants) > 0 {
		t.Errorf("the README has no line for %q", wants)
	}
	s.stop()
}

// prints runs a line in a shell until it has printed what is wanted: a follower
// does not end by itself.
func prints(t *testing.T, line, want string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	cmd := exec.CommandContext(ctx, "sh", "-c", "exec "+line)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	seen := ""
	for buf := make([]byte, 4096); !strings.Contains(seen, want); {
		n, err := out.Read(buf)
		seen += string(buf[:n])
		if err != nil {
			break
		}
	}
	stop()
	_ = cmd.Wait() // killed or not: what it printed counts
	if !strings.Contains(seen, want) {
		t.Errorf("%s\nprinted %s%s\nwant %s", line, seen, &stderr, want)
	}
}
