package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// composed is what a test needs of docker-compose.yml.
type composed struct {
	Services map[string]struct {
		Command     []string          `yaml:"command"`
		Environment map[string]string `yaml:"environment"`
	} `yaml:"services"`
}

func readCompose(t *testing.T) (c composed) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root(t), "docker-compose.yml"))
	must(t, err)
	must(t, yaml.Unmarshal(data, &c))
	return c
}

// root is the top of the clone, whatever directory the test is in.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	must(t, err)
	return dir
}

// TestDeployNamesSettings holds every variable and every flag of the files that
// are deployed against the settings that there are.
func TestDeployNamesSettings(t *testing.T) {
	flags := serveFlags(t)
	known := map[string]bool{}
	flags.VisitAll(func(f *pflag.Flag) { known[environment(f.Name)] = !unset[f.Name] })
	files := []string{filepath.Join(root(t), "docker-compose.yml")}
	must(t, filepath.WalkDir("deploy", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.HasSuffix(path, ".go") && !strings.HasPrefix(d.Name(), "go.") {
			files = append(files, path)
		}
		return err
	}))
	variable := regexp.MustCompile(`\bLOGDB_[A-Z_]*[A-Z]\b`)
	elsewhere := map[string]bool{"LOGDB_S3_URL": true} // of the tests
	seen := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		must(t, err)
		for _, name := range variable.FindAllString(string(data), -1) {
			seen++
			if !known[name] && !elsewhere[name] {
				t.Errorf("%s: %s sets nothing", file, name)
			}
		}
	}
	if seen < 10 {
		t.Errorf("%d settings in %d files: what was looked for is no longer there", seen, len(files))
	}
	for name, s := range readCompose(t).Services {
		if len(s.Command) > 0 && s.Command[0] == "serve" {
			if err := serveFlags(t).Parse(s.Command[1:]); err != nil {
				t.Errorf("docker-compose.yml: %s: %v", name, err)
			}
		}
	}
}

// bare are the arguments and variables of a service of docker-compose.yml, with
// the bucket, the addresses and the WAL directory moved to this machine.
func bare(t *testing.T, c composed, name, dir string) (env, args []string) {
	t.Helper()
	s, there := c.Services[name]
	if !there || len(s.Command) == 0 || s.Command[0] != "serve" {
		t.Fatalf("docker-compose.yml has no service %s that serves: %+v", name, s)
	}
	here := map[string]string{
		"LOGDB_BUCKET": "file:" + filepath.Join(dir, "bucket"), "LOGDB_WAL": filepath.Join(dir, "wal"), "LOGDB_DRAIN_DELAY": "1ms",
		"LOGDB_LISTEN": "127.0.0.1:0", "LOGDB_ADMIN": "127.0.0.1:0",
	}
	for key, value := range s.Environment {
		if moved, there := here[key]; there {
			value = moved
		}
		env = append(env, key+"="+value)
	}
	return env, s.Command[1:]
}

// onePort is nginx as docker-compose.yml has it or, where that is not installed,
// a proxy in its place: requests go to the servers in turn.
func onePort(t *testing.T, servers []*served) string {
	t.Helper()
	if nginx, err := exec.LookPath("nginx"); err == nil {
		return startNginx(t, nginx, servers)
	}
	var turn atomic.Uint64
	proxy := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		to, err := url.Parse(servers[turn.Add(1)%uint64(len(servers))].url)
		if err == nil {
			r.SetURL(to)
		}
	}}
	s := &http.Server{Handler: proxy}
	l := listenLocal(t)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	return "http://" + l.Addr().String()
}

// startNginx runs nginx with the configuration that is deployed, in a directory
// and on a port of its own. Names that only Compose's network has are replaced.
func startNginx(t *testing.T, nginx string, servers []*served) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("deploy", "nginx", "nginx.conf"))
	must(t, err)
	l := listenLocal(t)
	address, dir := l.Addr().String(), t.TempDir()
	must(t, l.Close())
	text := string(data)
	replace := func(old, by string) {
		t.Helper()
		if !strings.Contains(text, old) {
			t.Fatalf("nginx.conf lacks %q", old)
		}
		text = strings.ReplaceAll(text, old, by)
	}
	for i, s := range servers {
		// nginx before 1.27.3 does not know resolve.
		replace(fmt.Sprintf("gateway-%d:8080 resolve ", i+1), strings.TrimPrefix(s.url, "http://")+" ")
	}
	replace("listen 8080;", "listen "+address+";")
	replace("/tmp/", dir+"/")
	file := filepath.Join(dir, "nginx.conf")
	must(t, os.WriteFile(file, []byte(text), 0o666))
	cmd := exec.Command(nginx, "-c", file, "-e", "stderr", "-g", "daemon off;")
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	must(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		if t.Failed() {
			t.Logf("nginx ended with %v:\n%s", cmd.ProcessState, &log)
		}
	})
	for {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return "http://" + address
		}
		select {
		case <-ended:
			t.Fatal("nginx did not start")
		case <-time.After(time.Millisecond): // it does not say when it listens
		}
	}
}

// The services of docker-compose.yml, with their own arguments and variables but
// without containers: a writer, two gateways behind one port, and the scrapes of
// Prometheus.
func TestComposeWithoutContainers(t *testing.T) {
	c, targets, dir := readCompose(t), scraped(t), t.TempDir()
	env, args := bare(t, c, "writer", dir)
	writer := startServer(t, env, args...)
	sequences := 0
	post := func() {
		t.Helper()
		status, body := writer.ask("POST", writer.url+"/api/v1/log/append?ack=remote", `{"records":[{"key":"aw==","value":"MQ=="},{"key":"bA==","value":""}]}`)
		if status != 200 || !strings.Contains(body, fmt.Sprintf(`"startSequence":%d,`, sequences)) {
			t.Fatalf("append %d: %d %s", sequences, status, body)
		}
		sequences += 2
	}
	post()
	processes := map[string]*served{"writer": writer}
	var gateways []*served
	for _, name := range []string{"gateway-1", "gateway-2"} {
		env, args := bare(t, c, name, dir)
		g := startServer(t, env, append(args, "--refresh-interval", "10ms")...)
		gateways, processes[name] = append(gateways, g), g
	}
	port := onePort(t, gateways)
	for range 4 { // each gateway twice
		post()
		url := fmt.Sprintf("%s/api/v1/log/count?key=k&min_seq=%d&timeout_ms=20000", port, sequences)
		if status, body := writer.ask("GET", url, ""); status != 200 || !strings.Contains(body, fmt.Sprintf(`"count":%d`, sequences/2)) {
			t.Errorf("a gateway, at %d: %d %s", sequences, status, body)
		}
	}
	for _, target := range targets {
		name, _, _ := strings.Cut(target, ":")
		p := processes[name]
		if p == nil {
			t.Fatalf("prometheus.yml scrapes %s, which docker-compose.yml does not have", target)
		}
		want := "http_requests_total{endpoint=\"count\""
		if p == writer {
			want = fmt.Sprintf("log_append_records_total %d", sequences)
		}
		if status, body := p.ask("GET", p.admin+"/metrics", ""); status != 200 || !strings.Contains(body, want) || !strings.Contains(body, "logdb_up 1") {
			t.Errorf("metrics of %s: %d, without %s", target, status, want)
		}
	}
	writer.stop() // reads go on without a writer, and the next one goes on where it ended
	if status, body := gateways[0].ask("GET", port+"/api/v1/log/scan?key=k&limit=1", ""); status != 200 || !strings.Contains(body, `"value":"MQ=="`) {
		t.Errorf("a gateway without a writer: %d %s", status, body)
	}
	writer = startServer(t, env, args...)
	post()
	follows(t, port, sequences)
	for _, s := range append(gateways, writer) {
		if log := s.stop(); !strings.Contains(log, "draining") {
			t.Errorf("it ended without draining: %s", log)
		}
	}
}

// scraped are the targets of prometheus.yml.
func scraped(t *testing.T) (targets []string) {
	t.Helper()
	var p struct {
		Jobs []struct {
			Static []struct {
				Targets []string `yaml:"targets"`
			} `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	data, err := os.ReadFile(filepath.Join("deploy", "prometheus", "prometheus.yml"))
	must(t, err)
	must(t, yaml.Unmarshal(data, &p))
	for _, j := range p.Jobs {
		for _, s := range j.Static {
			targets = append(targets, s.Targets...)
		}
	}
	slices.Sort(targets)
	if want := []string{"gateway-1:8081", "gateway-2:8081", "writer:8081"}; !slices.Equal(targets, want) {
		t.Fatalf("prometheus.yml scrapes %v, want %v", targets, want)
	}
	return targets
}

// follows reads a stream through the one port until it has seen the last record
// below end.
func follows(t *testing.T, port string, end int) {
	t.Helper()
	client := &http.Client{Timeout: 20 * time.Second}
	resp, err := client.Get(port + "/api/v1/log/follow?prefix=")
	must(t, err)
	defer resp.Body.Close()
	want, seen := fmt.Sprintf(`"sequence":%d,`, end-1), ""
	for buf := make([]byte, 4096); !strings.Contains(seen, want); {
		n, err := resp.Body.Read(buf)
		seen += string(buf[:n])
		if err != nil {
			t.Fatalf("the stream ended with %v, without %s: %s", err, want, seen)
		}
	}
}

// The schema of the chart knows the settings that there are, less those that the
// chart gives itself.
func TestChartNamesSettings(t *testing.T) {
	var schema struct {
		Defs struct {
			Settings struct {
				Names struct {
					Enum []string `json:"enum"`
				} `json:"propertyNames"`
			} `json:"settings"`
		} `json:"$defs"`
	}
	data, err := os.ReadFile(filepath.Join("deploy", "helm", "logdb", "values.schema.json"))
	must(t, err)
	must(t, json.Unmarshal(data, &schema))
	own := []string{"bucket", "listen", "admin", "wal", "read-only", "tokens", "tls-cert", "tls-key", "tls-client-ca"}
	var want []string
	serveFlags(t).VisitAll(func(f *pflag.Flag) {
		if !unset[f.Name] && !slices.Contains(own, f.Name) {
			want = append(want, f.Name)
		}
	})
	got := schema.Defs.Settings.Names.Enum
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the schema has %v, want %v", got, want)
	}
}
