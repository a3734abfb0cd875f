package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// served is a process that serves.
type served struct {
	*process
	url, admin string
	log        chan string // the rest of its standard error
}

var servingLine = regexp.MustCompile(`msg=serving address=(\S+) admin=(\S*)`)

// startServer waits until the process says where it listens.
func startServer(t testing.TB, env []string, args ...string) *served {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(os.Args[0], append([]string{"serve"}, args...)...)}
	p.cmd.Env = append(append(os.Environ(), "LOGDB_TEST_AS_COMMAND=1", "LOGDB_ADMIN=127.0.0.1:0"), env...)
	out, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	must(t, p.cmd.Start())
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	s := &served{process: p, log: make(chan string, 1)}
	in := bufio.NewReader(out)
	var before bytes.Buffer
	for s.url == "" {
		line, err := in.ReadString('\n')
		before.WriteString(line)
		if err != nil {
			t.Fatalf("it does not serve: %s", &before)
		}
		if m := servingLine.FindStringSubmatch(line); m != nil {
			s.url, s.admin = "http://"+m[1], "http://"+m[2]
		}
	}
	go func() {
		rest, _ := io.ReadAll(in)
		s.log <- before.String() + string(rest)
	}()
	return s
}

// stop sends SIGTERM and wants a clean end.
func (s *served) stop() string {
	s.t.Helper()
	must(s.t, s.cmd.Process.Signal(syscall.SIGTERM))
	log := <-s.log
	if err := s.cmd.Wait(); err != nil {
		s.t.Fatalf("%v: %s", err, log)
	}
	return log
}

func (s *served) ask(method, url, body string, header ...string) (int, string) {
	s.t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(s.t, err)
	return resp.StatusCode, string(b)
}

// Who gives the collector less than the budgets add up to is told so: it would work, and slowly.
func TestServeWarnsOfALowMemoryLimit(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		limit string
		args  []string
		warns bool
	}{
		{"1GiB", nil, true},
		{"2GiB", nil, false},
		{"1GiB", []string{"--cache-bytes", "16MiB", "--body-memory", "64MiB"}, false},
		{"800MiB", []string{"--read-only"}, true},
		{"921MiB", []string{"--read-only"}, false}, // nine tenths of the gigabyte that the chart gives a gateway
	} {
		s := startServer(t, []string{"GOMEMLIMIT=" + c.limit}, append([]string{"--listen", "127.0.0.1:0"}, c.args...)...)
		log := s.stop()
		if got := strings.Contains(log, "memory limit is below what the budgets add up to"); got != c.warns || !strings.Contains(log, "msg=\"memory limit\"") {
			t.Errorf("limit %s, %v: got a warning %v, want %v:\n%s", c.limit, c.args, got, c.warns, log)
		}
	}
}

// A writer serves and two gateways beside it, with nothing but the bucket
// between them. SIGTERM flushes: what was acknowledged at applied alone is there
// for the next writer, without a gap, although there is no WAL directory.
func TestServeSideBySide(t *testing.T) {
	t.Chdir(t.TempDir())
	must(t, os.WriteFile("logdb.yaml", []byte("listen: 127.0.0.1:0\nship-interval: 10ms\nwal: \"\"\n"), 0o600))
	writer := startServer(t, []string{"LOGDB_LOG_LEVEL=debug"}, "--config", "logdb.yaml")
	status, body := writer.ask("POST", writer.url+"/api/v1/log/append?ack=remote", `{"records":[{"key":"aw==","value":"MQ=="}]}`)
	if status != 200 || !strings.Contains(body, `"startSequence":0`) {
		t.Fatalf("append: %d %s", status, body)
	}
	var gateways []*served
	for range 2 {
		gateways = append(gateways, startServer(t, []string{"LOGDB_READ_ONLY=true"}, "--listen", "127.0.0.1:0", "--refresh-interval", "10ms"))
	}
	status, body = writer.ask("POST", writer.url+"/api/v1/log/append?ack=remote", `{"records":[{"key":"aw==","value":"Mg=="}]}`)
	if status != 200 {
		t.Fatalf("append: %d %s", status, body)
	}
	for _, g := range gateways {
		status, body := g.ask("GET", g.url+"/api/v1/log/scan?key=k&min_seq=2", "")
		if status != 200 || !strings.Contains(body, `"value":"MQ=="`) || !strings.Contains(body, `"value":"Mg=="`) {
			t.Errorf("a gateway: %d %s", status, body)
		}
		if status, _ := g.ask("POST", g.url+"/api/v1/log/append", `{"records":[]}`); status != 404 {
			t.Errorf("append to a gateway: %d", status)
		}
	}
	if status, body := writer.ask("GET", writer.admin+"/metrics", ""); status != 200 || !strings.Contains(body, "logdb_up 1") || !strings.Contains(body, "logdb_store_cost_dollars_total") {
		t.Errorf("metrics: %d", status)
	}
	if status, body := writer.ask("PUT", writer.admin+"/loglevel", "warn"); status != 200 || body != "warn\n" {
		t.Errorf("log level: %d %s", status, body)
	}
	if status, body := writer.ask("POST", writer.url+"/api/v1/log/append?ack=applied", `{"records":[{"key":"aw==","value":"Mw=="}]}`); status != 200 {
		t.Fatalf("append: %d %s", status, body)
	}
	if log := writer.stop(); !strings.Contains(log, "level=DEBUG") || strings.Contains(log, "draining") {
		t.Errorf("it logged at debug, then from warn on: %s", log)
	}
	next := startServer(t, nil, "--config", "logdb.yaml")
	status, body = next.ask("POST", next.url+"/api/v1/log/append?ack=remote", `{"records":[{"key":"aw==","value":"NA=="}]}`)
	if status != 200 || !strings.Contains(body, `"startSequence":3`) {
		t.Errorf("the next writer goes on at: %d %s", status, body)
	}
	g := gateways[0]
	if _, body := g.ask("GET", g.url+"/api/v1/log/count?key=k&min_seq=4", ""); !strings.Contains(body, `"count":4`) {
		t.Errorf("after the next writer: %s", body)
	}
	for _, s := range append(gateways, next) {
		if log := s.stop(); !strings.Contains(log, "draining") {
			t.Errorf("it ended without draining: %s", log)
		}
	}
}

// A follower that is moved from one server to the next by a restart sees every
// record once.
func TestFollowAcrossARestart(t *testing.T) {
	t.Chdir(t.TempDir())
	args := []string{"--listen", "127.0.0.1:0", "--ship-interval", "10ms"}
	last, seen := "0", 0
	for round := range 3 {
		s := startServer(t, nil, args...)
		done := make(chan error, 1)
		r, _ := http.NewRequest("GET", s.url+"/api/v1/log/follow?prefix=", nil)
		r.Header.Set("Last-Event-ID", last)
		resp, err := http.DefaultClient.Do(r)
		must(t, err)
		go func() { // reads until the server sends it away
			in := bufio.NewScanner(resp.Body)
			for in.Scan() {
				if id, ok := strings.CutPrefix(in.Text(), "id: "); ok {
					last = id
				}
				if strings.HasPrefix(in.Text(), `data: {"key"`) {
					if want := fmt.Sprintf(`"sequence":%d,`, seen); !strings.Contains(in.Text(), want) {
						done <- fmt.Errorf("got %s, want %s", in.Text(), want)
						return
					}
					seen++
				}
			}
			done <- nil
		}()
		for range 20 {
			if status, body := s.ask("POST", s.url+"/api/v1/log/append", `{"records":[{"key":"aw==","value":"MQ=="},{"key":"bA==","value":""}]}`); status != 200 {
				t.Fatalf("append: %d %s", status, body)
			}
		}
		s.stop()
		must(t, <-done)
		resp.Body.Close()
		if round == 2 && seen < 80 {
			t.Errorf("%d records were seen before the last restart", seen)
		}
	}
	s := startServer(t, nil, args...)
	r, _ := http.NewRequest("GET", s.url+"/api/v1/log/count?key=k&start_seq="+last, nil)
	resp, err := http.DefaultClient.Do(r)
	must(t, err)
	resp.Body.Close()
	_, body := s.ask("GET", s.url+"/api/v1/log/status", "")
	if !strings.Contains(body, `"frontier":120`) {
		t.Errorf("the log is not dense: %s", body)
	}
	s.stop()
}

// A writer that another one has taken over from ends, and says why.
func TestServeEndsWhenFenced(t *testing.T) {
	t.Chdir(t.TempDir())
	first := startServer(t, nil, "--listen", "127.0.0.1:0", "--wal", "one")
	second := startServer(t, nil, "--listen", "127.0.0.1:0", "--wal", "two", "--takeover")
	status, body := first.ask("POST", first.url+"/api/v1/log/append?ack=remote&timeout_ms=20000", `{"records":[{"key":"aw==","value":"MQ=="}]}`)
	if status == 200 {
		t.Errorf("a fenced writer acknowledged: %s", body)
	}
	log := <-first.log
	if err := first.cmd.Wait(); err == nil || !strings.Contains(log, "fenced") {
		t.Errorf("the fenced writer ended with %v: %s", err, log)
	}
	second.stop()
}

// Tokens guard a server, and what is wrong with the settings is said at once.
func TestServeWithTokensAndMistakes(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	must(t, os.WriteFile("tokens", []byte("me secret read,append,admin\n"), 0o600))
	s := startServer(t, []string{"LOGDB_TOKENS=" + filepath.Join(dir, "tokens")}, "--listen", "127.0.0.1:0")
	for url, want := range map[string]int{s.url + "/api/v1/log/status": 401, s.url + "/healthz": 200, s.admin + "/metrics": 401, s.admin + "/healthz": 200} {
		if status, _ := s.ask("GET", url, ""); status != want {
			t.Errorf("%s: %d, want %d", url, status, want)
		}
		if status, _ := s.ask("GET", url, "", "Authorization", "Bearer secret"); status != 200 {
			t.Errorf("%s with a token: %d", url, status)
		}
	}
	s.stop()
	for args, want := range map[string]string{
		"--log-level loud": "log level", "--log-format xml": "log format", "--visibility local": "visibility", "--ack never": "ack level",
		"--tokens none": "none", "--listen nowhere": "listen", "--tls-cert x": "TLS", "--read-only --bucket file:empty": "no log in",
		"--config none.yaml": "none.yaml", "extra": "argument",
	} {
		var stderr bytes.Buffer
		code := run(t.Context(), append([]string{"serve", "--admin", "", "--listen", "127.0.0.1:0"}, strings.Fields(args)...), nil, io.Discard, &stderr)
		if code == exitOK || !strings.Contains(stderr.String(), want) {
			t.Errorf("%s: exit %d, %s, want %q", args, code, &stderr, want)
		}
	}
}

// Spans of appends and shipments go where the standard variables say.
func TestServeSendsTraces(t *testing.T) {
	t.Chdir(t.TempDir())
	names := make(chan string, 1000)
	collector := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		for _, name := range []string{"logdb.append", "logdb.shipment", "logdb.flush", "logdb.scan"} {
			if r.URL.Path == "/v1/traces" && bytes.Contains(b, []byte(name)) && bytes.Contains(b, []byte("my-log")) {
				names <- name
			}
		}
	})}
	l := listenLocal(t)
	go func() { _ = collector.Serve(l) }()
	defer collector.Close()
	s := startServer(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + l.Addr().String(), "OTEL_SERVICE_NAME=my-log", "OTEL_BSP_SCHEDULE_DELAY=10"}, "--listen", "127.0.0.1:0")
	s.ask("POST", s.url+"/api/v1/log/append?ack=remote", `{"records":[{"key":"aw==","value":"MQ=="}]}`)
	s.ask("GET", s.url+"/api/v1/log/scan?key=k", "")
	s.stop()
	want := map[string]bool{"logdb.append": true, "logdb.shipment": true, "logdb.flush": true, "logdb.scan": true}
	for len(want) > 0 {
		select {
		case name := <-names:
			delete(want, name)
		case <-time.After(20 * time.Second):
			t.Fatalf("no spans of %v", want)
		}
	}
}

func listenLocal(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	return l
}
