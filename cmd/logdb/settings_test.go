package main

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write the pages that are generated")

// serveFlags are the flags of serve, those of every command included.
func serveFlags(t *testing.T) *pflag.FlagSet {
	t.Helper()
	a := &app{stderr: io.Discard}
	cmd, _, err := a.root().Find([]string{"serve"})
	if err != nil {
		t.Fatal(err)
	}
	flags := cmd.Flags()
	flags.AddFlagSet(cmd.InheritedFlags())
	return flags
}

func TestSettingsPage(t *testing.T) {
	flags := serveFlags(t)
	want := settingsPage(flags)
	if *update {
		if err := os.WriteFile("SETTINGS.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("SETTINGS.md")
	if err != nil || string(got) != want {
		t.Errorf("SETTINGS.md is not what the flags say (%v): go test ./cmd/logdb -run SettingsPage -update", err)
	}
}

// A flag goes before the environment, that before the file, that before the
// default.
func TestSettingsPrecedence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "logdb.yaml")
	must(t, os.WriteFile(file, []byte("# a comment\nlisten: file:1\nadmin: file:2\nheartbeat: 3s\nread-only: true\nbody-bytes: 1MiB\nbucket: file:b\n"), 0o600))
	env := map[string]string{"LOGDB_LISTEN": "env:1", "LOGDB_ADMIN": "env:2", "LOGDB_SHIP_INTERVAL": "1s", "LOGDB_OUTPUT": "nonsense"}
	flags := serveFlags(t)
	must(t, flags.Parse([]string{"--listen", "flag:1", "--cache-bytes", "2GiB"}))
	must(t, settle(flags, func(name string) (string, bool) { v, ok := env[name]; return v, ok }, file))
	for name, want := range map[string]string{
		"listen": "flag:1", "admin": "env:2", "heartbeat": "3s", "read-only": "true", "ship-interval": "1s", "body-bytes": "1MiB",
		"bucket": "file:b", "cache-bytes": "2GiB", "flush-interval": "1m0s", "output": "text",
	} {
		if got := flags.Lookup(name).Value.String(); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

func TestSettingsThatAreWrong(t *testing.T) {
	file := filepath.Join(t.TempDir(), "logdb.yaml")
	none := func(string) (string, bool) { return "", false }
	for content, want := range map[string]string{
		"listne: x":            "listne is no setting",
		"output: json":         "output is no setting",
		"heartbeat: often":     "heartbeat",
		"listen: [a, b]":       "want one value",
		"- listen":             "logdb.yaml",
		"body-bytes: 12 acres": "size",
	} {
		must(t, os.WriteFile(file, []byte(content), 0o600))
		flags := serveFlags(t)
		if err := settle(flags, none, file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", content, err, want)
		}
	}
	flags := serveFlags(t)
	err := settle(flags, func(name string) (string, bool) { return "often", name == "LOGDB_HEARTBEAT" }, "")
	if err == nil || !strings.Contains(err.Error(), "LOGDB_HEARTBEAT") {
		t.Errorf("the environment: %v", err)
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "17": 17, "17B": 17, "2KiB": 2 << 10, "3 MiB": 3 << 20, "1GiB": 1 << 30, "5MB": 5e6} {
		var s sizeFlag
		if err := s.Set(text); err != nil || int64(s) != want {
			t.Errorf("%q is %d, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "-1", "1.5GiB", "GiB", "9999999999GiB", "1TiB"} {
		if s := new(sizeFlag); s.Set(text) == nil {
			t.Errorf("%q is taken for %d", text, *s)
		}
	}
}
