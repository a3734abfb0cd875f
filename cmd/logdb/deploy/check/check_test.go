// Package check holds the files of deployment against the parsers of the programs that read them. It is a module of
// its own, for they are heavier than the log.
package check

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	dockerfile "github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

func read(t *testing.T, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(append([]string{".."}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// The project loads with Compose's own schema, every dependency is a service,
// and every file that is mounted is there.
func TestCompose(t *testing.T) {
	top, err := filepath.Abs("../../../..")
	if err != nil {
		t.Fatal(err)
	}
	p, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir: top, ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(top, "docker-compose.yml")}}, Environment: types.Mapping{},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"s3", "writer", "gateway-1", "gateway-2", "gateways", "prometheus", "grafana"} {
		if _, there := p.Services[name]; !there {
			t.Errorf("there is no service %s", name)
		}
	}
	for name, s := range p.Services {
		for _, v := range s.Volumes {
			if v.Type != types.VolumeTypeBind {
				continue
			}
			if _, err := os.Stat(v.Source); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s is open to every network", name, port.Published)
			}
		}
	}
}

func TestDockerfile(t *testing.T) {
	r, err := dockerfile.Parse(strings.NewReader(read(t, "Dockerfile")))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Warnings) > 0 {
		t.Errorf("warnings: %+v", r.Warnings)
	}
	stages, user := 0, ""
	for _, n := range r.AST.Children {
		switch strings.ToUpper(n.Value) {
		case "FROM":
			stages++
			if image := n.Next.Value; !strings.Contains(image, ":") || strings.HasSuffix(image, ":latest") {
				t.Errorf("%s is not pinned", image)
			}
		case "USER":
			user = n.Next.Value
		}
	}
	if stages != 2 || user == "" || strings.HasPrefix(user, "0") || strings.HasPrefix(user, "root") {
		t.Errorf("%d stages, the last one as user %q", stages, user)
	}
}

// documented are the series that METRICS.md promises, and two of Prometheus and
// of its client for Go.
func documented(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{"up": true, "process_resident_memory_bytes": true, "process_cpu_seconds_total": true}
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*`) \\| (\\w+) \\|").FindAllStringSubmatch(read(t, "..", "..", "..", "logdb", "server", "METRICS.md"), -1) {
		for name := range strings.SplitSeq(row[1], ", ") {
			name = strings.Trim(name, "`")
			names[name] = row[2] != "histogram"
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				names[name+part] = row[2] == "histogram"
			}
		}
	}
	return names
}

// queries parses an expression and wants every series in it documented.
func queries(t *testing.T, where, query string, known map[string]bool) {
	t.Helper()
	e, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	if err != nil {
		t.Errorf("%s: %v", where, err)
		return
	}
	for _, matchers := range parser.ExtractSelectors(e) {
		for _, m := range matchers {
			if m.Name == labels.MetricName && !known[m.Value] {
				t.Errorf("%s: no metric %s", where, m.Value)
			}
		}
	}
}

// The form of rules is checked here and not by rulefmt, which would bring the
// client of Kubernetes along.
func TestAlerts(t *testing.T) {
	var file struct {
		Groups []struct {
			Name  string `yaml:"name"`
			Rules []struct {
				Alert       string            `yaml:"alert"`
				Expr        string            `yaml:"expr"`
				For         model.Duration    `yaml:"for"`
				Labels      map[string]string `yaml:"labels"`
				Annotations map[string]string `yaml:"annotations"`
			} `yaml:"rules"`
		} `yaml:"groups"`
	}
	d := yaml.NewDecoder(strings.NewReader(read(t, "prometheus", "alerts.yml")))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil {
		t.Fatal(err)
	}
	known, rules := documented(t), 0
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			rules++
			queries(t, r.Alert, r.Expr, known)
			if r.Labels["severity"] == "" || r.Annotations["summary"] == "" {
				t.Errorf("%s says neither how bad it is nor what", r.Alert)
			}
		}
	}
	if rules < 10 {
		t.Errorf("%d rules were found", rules)
	}
}

func TestDashboard(t *testing.T) {
	var d struct {
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "grafana", "dashboards", "logdb.json")), &d); err != nil {
		t.Fatal(err)
	}
	known, ids, seen := documented(t), map[int]bool{}, 0
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("%s has the id of another panel", p.Title)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			seen++
			queries(t, p.Title, strings.ReplaceAll(target.Expr, "$__rate_interval", "1m"), known)
		}
	}
	if seen < 20 {
		t.Errorf("%d queries were found", seen)
	}
}

// What is asked of a metric that is not there is found.
func TestUnknownMetricsAreFound(t *testing.T) {
	known := documented(t)
	for name, want := range map[string]bool{"logdb_up": true, "logdb_append_seconds_bucket": true, "logdb_append_seconds": false, "logdb_nonsense": false, "logdb_up_bucket": false} {
		if known[name] != want {
			t.Errorf("%s: %v, want %v", name, known[name], want)
		}
	}
}

// systemd's own check, with another program in the place of one that is not
// installed.
func TestUnit(t *testing.T) {
	verify, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd-analyze on this machine")
	}
	unit := filepath.Join(t.TempDir(), "logdb.service")
	text := strings.Replace(read(t, "logdb.service"), "/usr/local/bin/logdb serve", "/bin/true", 1)
	if err := os.WriteFile(unit, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(verify, "verify", "--man=no", unit).CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("logdb.service:")) {
		t.Errorf("%v: %s", err, out)
	}
}
