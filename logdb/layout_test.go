package logdb

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// arrows lists who may import whom inside this module. The files are parsed
// here and not asked of the go command: its answer would be served from the
// test cache after an import was added.
var arrows = map[string][]string{
	"objstore/turn":           nil,
	"objstore":                {"objstore/turn"},
	"objstore/objstoretest":   {"objstore"},
	"segment":                 {"objstore/turn", "objstore"},
	"wal":                     {"objstore/turn", "objstore"},
	"listing":                 {"segment", "objstore"},
	"logdb/internal/memtable": {"objstore/turn", "wal", "listing"},
	"logdb/internal/view":     {"logdb/internal/memtable", "listing", "segment", "objstore"},
	"logdb/internal/compact":  {"objstore/turn", "logdb/internal/view", "listing", "segment", "objstore"},
	"logdb/internal/inspect":  {"wal", "listing", "segment", "objstore"},
	"logdb": {"logdb/internal/memtable", "logdb/internal/view", "logdb/internal/compact", "logdb/internal/inspect",
		"wal", "listing", "segment", "objstore"},
	"logdb/bench":        {"logdb", "objstore", "objstore/objstoretest"},
	"logdb/doctor":       {"objstore"},
	"logdb/server":       {"logdb/server/logpb", "logdb/server/page", "logdb"},
	"logdb/server/page":  nil,
	"logdb/server/logpb": nil,
	"logdb/client":       {"logdb/server/logpb", "logdb"},
	"cmd/logdb":          {"logdb", "logdb/doctor", "logdb/server", "logdb/bench", "objstore"},
	"cmd/jetbench":       {"logdb", "logdb/bench"}, // a module of its own

	"logdb/server/page/browsertest": nil, // another one, of tests
}

// vendors may be imported by one package each, so that they can be replaced in
// one place. Pebble has three: its record log, its tables and, for tests of
// the former, its file systems.
var vendors = map[string][]string{
	"github.com/aws/":                     {"objstore"},
	"github.com/thanos-io/":               {"objstore"},
	"github.com/cockroachdb/pebble/v2/":   {"segment", "wal", "logdb"},
	"github.com/klauspost/compress/":      {"wal", "segment", "cmd/logdb"},
	"github.com/cespare/xxhash/":          {"objstore"},
	"github.com/spf13/cobra":              {"cmd/logdb"},
	"github.com/schollz/progressbar/":     {"cmd/logdb"},
	"github.com/HdrHistogram/":            {"logdb/bench"},
	"github.com/nats-io/":                 {"cmd/jetbench"},
	"github.com/cenkalti/backoff/":        {"logdb", "logdb/client"},
	"google.golang.org/protobuf/encoding": {"segment", "logdb/bench", "logdb/server"},
	"github.com/prometheus/":              {"wal", "logdb/server"},
	"go.opentelemetry.io/":                {"logdb/server", "cmd/logdb"},
	"connectrpc.com/":                     {"logdb/server", "logdb/server/logpb", "logdb/client"},
}

const module = "github.com/logdb-go/logdb/"

func TestImportsRunOneWay(t *testing.T) {
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return fs.SkipDir // nested tool modules
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		checkImports(t, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkImports(t *testing.T, path string) {
	rel, err := filepath.Rel("..", path)
	if err != nil {
		t.Fatal(err)
	}
	pkg := filepath.ToSlash(filepath.Dir(rel))
	allowed, known := arrows[pkg]
	if !known {
		t.Errorf("%s: package %s has no line in the table of arrows", path, pkg)
		return
	}
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range f.Imports {
		name := strings.Trim(spec.Path.Value, `"`)
		if ours, ok := strings.CutPrefix(name, module); ok && !contains(allowed, ours) {
			t.Errorf("%s: %s must not import %s", path, pkg, ours)
		}
		for prefix, users := range vendors {
			if strings.HasPrefix(name, prefix) && !contains(users, pkg) {
				t.Errorf("%s: %s must not import %s", path, pkg, name)
			}
		}
	}
}

func contains(list []string, x string) bool {
	for _, y := range list {
		if x == y {
			return true
		}
	}
	return false
}
