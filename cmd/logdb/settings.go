package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// environment is the variable that sets a flag.
func environment(flag string) string {
	return "LOGDB_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// unset are flags that belong to one call: they come from the command line only.
var unset = map[string]bool{"help": true, "config": true, "output": true, "verbose": true}

// settle gives the flags that were not given on the command line the values of
// the environment, and then those of a YAML file: a mapping from names of flags
// to values. file may be "".
func settle(flags *pflag.FlagSet, getenv func(string) (string, bool), file string) error {
	var wrong error
	flags.VisitAll(func(f *pflag.Flag) {
		value, there := getenv(environment(f.Name))
		if !there || f.Changed || unset[f.Name] || wrong != nil {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			wrong = badUsage("%s: %w", environment(f.Name), err)
		}
	})
	if wrong != nil || file == "" {
		return wrong
	}
	values, err := readSettings(file)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		f := flags.Lookup(name)
		if f == nil || unset[name] {
			return badUsage("%s: %s is no setting", file, name)
		}
		if f.Changed {
			continue
		}
		if err := flags.Set(name, values[name]); err != nil {
			return badUsage("%s: %s: %w", file, name, err)
		}
	}
	return nil
}

// readSettings reads a mapping of scalars, as they are written.
func readSettings(file string) (map[string]string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	nodes := map[string]yaml.Node{}
	if err := yaml.Unmarshal(data, &nodes); err != nil {
		return nil, badUsage("%s: %w", file, err)
	}
	values := map[string]string{}
	for name, node := range nodes {
		if node.Kind != yaml.ScalarNode {
			return nil, badUsage("%s: %s: want one value", file, name)
		}
		values[name] = node.Value
	}
	return values, nil
}

// sizeFlag is a number of bytes, with or without a unit.
type sizeFlag int64

var units = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1}}

func (s *sizeFlag) Set(text string) error {
	number, scale := text, int64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(text, u.name); ok {
			number, scale = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/scale {
		return fmt.Errorf("size %q, want bytes, or a number with KiB, MiB or GiB", text)
	}
	*s = sizeFlag(n * scale)
	return nil
}

// String uses the largest unit that loses nothing.
func (s *sizeFlag) String() string {
	for _, u := range units[:3] {
		if n := int64(*s); n > 0 && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(*s), 10)
}

func (s *sizeFlag) Type() string { return "size" }

// settingsPage is the page that lists every setting of serve.
func settingsPage(flags *pflag.FlagSet) string {
	var b strings.Builder
	b.WriteString(settingsHead)
	flags.VisitAll(func(f *pflag.Flag) {
		if unset[f.Name] {
			return
		}
		_, usage := pflag.UnquoteUsage(f)
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", f.Name, environment(f.Name), settingDefault(f), strings.ReplaceAll(usage, "|", "\\|"))
	})
	return b.String()
}

func settingDefault(f *pflag.Flag) string {
	if f.DefValue == "" {
		return ""
	}
	return "`" + f.DefValue + "`"
}

const settingsHead = `# Settings of logdb serve

Every setting is a flag (--listen), a variable of the environment (LOGDB_LISTEN), and a line of the YAML file that --config names
(listen: 0.0.0.0:8080). A flag goes before the environment, that before the file, and that before the default. Times are
written like 250ms, 30s or 1h; sizes in bytes or like 64MiB. An empty value means none.

Traces are sent where the variables of OpenTelemetry say: OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT turn
them on, over OTLP and HTTP; OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER and the others work, and OTEL_SDK_DISABLED=true turns them off.

This page is generated: go test ./cmd/logdb -run SettingsPage -update.

| setting | variable | default | |
|---|---|---|---|
`
