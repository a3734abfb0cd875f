package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/klauspost/compress/zstd"
)

// TestMain lets the tests start this binary as the command itself.
func TestMain(m *testing.M) {
	if os.Getenv("LOGDB_TEST_AS_COMMAND") != "" {
		main()
	}
	if n := os.Getenv("LOGDB_TEST_APPENDS"); n != "" {
		if err := appendAsChild(os.Getenv("LOGDB_BUCKET"), n); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestScripts runs the transcripts in testdata, each in an empty directory.
//
//	run             the first line is a command line, the rest its standard
//	                input; prints standard output, then the lines of standard
//	                error behind "! ", and the exit code unless it is 0
//	                ($TEST: a name for a bucket in memory; $LOST: what was set
//	                aside in the WAL directory w1)
//	file NAME       makes a file of the input; pack=gzip or zstd packs it
//	damage NAME     flips a bit in the middle of a file
//	remove NAME     removes a file
//	fenced DIR      leaves a WAL directory whose writer lost the log of the default
//	                bucket to another one, before its records were shipped
//
// Times, ids and what else differs from run to run is masked. After a change
// that is meant: go test ./cmd/logdb -run TestScripts -rewrite
func TestScripts(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	datadriven.Walk(t, filepath.Join(here, "testdata"), func(t *testing.T, path string) {
		t.Chdir(t.TempDir())
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "run":
				command, stdin, _ := strings.Cut(d.Input, "\n")
				command = strings.ReplaceAll(command, "$TEST", memName(t))
				command = strings.ReplaceAll(command, "$LOST", lostName(t))
				return transcript(t, words(t, command), stdin)
			case "file":
				writeFile(t, d)
			case "damage":
				name := d.CmdArgs[0].Key
				data, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				data[len(data)/2] ^= 1
				must(t, os.WriteFile(name, data, 0o644))
			case "fenced":
				fencedDir(t, d.CmdArgs[0].Key)
			case "remove":
				must(t, os.Remove(d.CmdArgs[0].Key))
			default:
				d.Fatalf(t, "unknown command %q", d.Cmd)
			}
			return ""
		})
	})
}

// memName names a bucket in memory that only this run of the test has.
func memName(t *testing.T) string {
	dir, err := os.Getwd()
	must(t, err)
	return strings.ReplaceAll(dir, string(filepath.Separator), "-")
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// transcript runs the command in this process.
func transcript(t *testing.T, args []string, stdin string) string {
	if len(args) == 0 || args[0] != "logdb" {
		t.Fatalf("command %q, want one of logdb", args)
	}
	var stdout, stderr bytes.Buffer
	code := run(context.Background(), args[1:], strings.NewReader(stdin), &stdout, &stderr)
	out := stdout.String()
	for line := range strings.Lines(stderr.String()) {
		out += "! " + line
	}
	if code != exitOK {
		out += fmt.Sprintf("exit %d\n", code)
	}
	return mask(out)
}

var masks = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), timeFormat},
	{regexp.MustCompile(`[0-9a-f]{32}`), "ID"},
	{regexp.MustCompile(`(?m)^( +3 .* |\{"file":")0000000003-\d+\.wal.*\n`), ""}, // which of them are trimmed is a matter of time
	{regexp.MustCompile(`in [\d.]+ s: \d+ records/s, [\d.]+ k?M?B/s`), "in SECONDS: RATE"},
	{regexp.MustCompile(`merged into [\d.]+ k?M?B in [\d.]+ s`), "merged into BYTES in SECONDS"},
	{regexp.MustCompile(`replaced, [\d.]+ k?M?B written`), "replaced, BYTES written"},
	{regexp.MustCompile(` +\d+  (may hold|rules out)`), "        BYTES  $1"},
	{regexp.MustCompile(`"seconds":[\d.e-]+`), `"seconds":SECONDS`},
	{regexp.MustCompile(`host [^,]+, pid \d+`), "host HOST, pid PID"},
	{regexp.MustCompile(`\d+ objects?, [\d.]+ k?M?B: `), "OBJECTS: "},
	{regexp.MustCompile(`; \d+ objects? left over`), "; REST left over"},
	{regexp.MustCompile(`at byte [1-9]\d*`), "at byte N"},
	{regexp.MustCompile(`pebble: file.*`), "PEBBLE'S REASON"},
	{regexp.MustCompile(`go1\.\S+ \S+`), "GO PLATFORM"},
}

func mask(s string) string {
	if dir, err := os.Getwd(); err == nil {
		s = strings.ReplaceAll(s, dir, "$DIR")
	}
	for _, m := range masks {
		s = m.pattern.ReplaceAllString(s, m.with)
	}
	return s
}

// words splits a command line at spaces, but for '...' and for $'...' with
// Go's escapes.
func words(t *testing.T, line string) (out []string) {
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		var word string
		switch quoted, escaped := strings.CutPrefix(line, "$'"); {
		case escaped:
			inside, rest, _ := strings.Cut(quoted, "'")
			var err error
			if word, err = strconv.Unquote(`"` + inside + `"`); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			line = rest
		case line[0] == '\'':
			word, line, _ = strings.Cut(line[1:], "'")
		default:
			word, line, _ = strings.Cut(line, " ")
		}
		out = append(out, word)
	}
	return out
}

func writeFile(t *testing.T, d *datadriven.TestData) {
	data := []byte(d.Input + "\n")
	pack := ""
	d.MaybeScanArgs(t, "pack", &pack)
	var packed bytes.Buffer
	switch pack {
	case "gzip":
		w := gzip.NewWriter(&packed)
		_, err := w.Write(data)
		must(t, err)
		must(t, w.Close())
		data = packed.Bytes()
	case "zstd":
		w, err := zstd.NewWriter(&packed)
		must(t, err)
		_, err = w.Write(data)
		must(t, err)
		must(t, w.Close())
		data = packed.Bytes()
	}
	must(t, os.WriteFile(d.CmdArgs[0].Key, data, 0o644))
}
