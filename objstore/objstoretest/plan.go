package objstoretest

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// String is the plan in one line, which ParsePlan reads back: "seed=7 refuse=0.05 storm=slow-down,put,for=10s". A Hook
// is not in it.
func (p Plan) String() string {
	words := []string{"seed=" + strconv.FormatUint(p.Seed, 10)}
	if p.MaxDelay != 0 {
		words = append(words, "max-delay="+p.MaxDelay.String())
	}
	if p.Unseen != 0 {
		words = append(words, "unseen="+p.Unseen.String())
	}
	for _, kind := range slices.Sorted(maps.Keys(p.Rates)) {
		words = append(words, kind.String()+"="+strconv.FormatFloat(p.Rates[kind], 'g', -1, 64))
	}
	for _, s := range p.Storms {
		words = append(words, "storm="+s.String())
	}
	return strings.Join(words, " ")
}

// String is the storm as a plan's line has it.
func (s Storm) String() string {
	words := []string{s.Fault.Kind.String()}
	add := func(name, value string, zero bool) {
		if !zero {
			words = append(words, name+"="+value)
		}
	}
	add("delay", s.Fault.Delay.String(), s.Fault.Delay == 0)
	add("gate", url.QueryEscape(s.Fault.Gate), s.Fault.Gate == "")
	add("kind", string(s.Kind), s.Kind == "")
	add("prefix", url.QueryEscape(s.Prefix), s.Prefix == "")
	add("after", s.After.String(), s.After == 0)
	add("for", s.For.String(), s.For == 0)
	add("skip", strconv.Itoa(s.Skip), s.Skip == 0)
	add("requests", strconv.Itoa(s.Requests), s.Requests == 0)
	return strings.Join(words, ",")
}

// ParsePlan reads what Plan.String wrote. What it does not understand is fs.ErrInvalid.
func ParsePlan(line string) (Plan, error) {
	p := Plan{}
	for _, word := range strings.Fields(line) {
		name, value, _ := strings.Cut(word, "=")
		var err error
		switch name {
		case "seed":
			p.Seed, err = strconv.ParseUint(value, 10, 64)
		case "max-delay":
			p.MaxDelay, err = time.ParseDuration(value)
		case "unseen":
			p.Unseen, err = time.ParseDuration(value)
		case "storm":
			var s Storm
			s, err = parseStorm(value)
			p.Storms = append(p.Storms, s)
		default:
			err = p.parseRate(name, value)
		}
		if err != nil {
			return Plan{}, fmt.Errorf("objstoretest: plan: %q: %w: %w", word, err, fs.ErrInvalid)
		}
	}
	return p, nil
}

func (p *Plan) parseRate(name, value string) error {
	kind, err := parseKind(name)
	if err != nil {
		return err
	}
	rate, err := strconv.ParseFloat(value, 64)
	if err != nil || !(rate >= 0 && rate <= 1) {
		return fmt.Errorf("rate %q: want 0 to 1", value)
	}
	if p.Rates == nil {
		p.Rates = map[FaultKind]float64{}
	}
	p.Rates[kind] = rate
	return nil
}

func parseKind(name string) (FaultKind, error) {
	i := slices.Index(faultNames[:], name)
	if i < int(None) {
		return 0, fmt.Errorf("unknown fault %q", name)
	}
	return FaultKind(i), nil
}

func parseStorm(value string) (s Storm, err error) {
	words := strings.Split(value, ",")
	if s.Fault.Kind, err = parseKind(words[0]); err != nil {
		return s, err
	}
	for _, word := range words[1:] {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "delay":
			s.Fault.Delay, err = time.ParseDuration(value)
		case "gate":
			s.Fault.Gate, err = url.QueryUnescape(value)
		case "kind":
			s.Kind = Kind(value)
		case "prefix":
			s.Prefix, err = url.QueryUnescape(value)
		case "after":
			s.After, err = time.ParseDuration(value)
		case "for":
			s.For, err = time.ParseDuration(value)
		case "skip":
			s.Skip, err = strconv.Atoi(value)
		case "requests":
			s.Requests, err = strconv.Atoi(value)
		default:
			err = fmt.Errorf("unknown word %q", name)
		}
		if err != nil {
			return s, err
		}
	}
	return s, nil
}

// PlanVariable is the environment variable in which Replayable looks for a plan.
const PlanVariable = "OBJSTORETEST_PLAN"

// Replayable returns the plan for a test: p, with a seed drawn for it if it has none. If the test fails, it prints one
// line that runs it again under the same plan, which is in PlanVariable then and is returned in place of p. Requests that
// the test makes in another order or at other times may still fare differently where storms or Unseen are in the plan.
func Replayable(t testing.TB, p Plan) Plan {
	t.Helper()
	if line := os.Getenv(PlanVariable); line != "" {
		replay, err := ParsePlan(line)
		if err != nil {
			t.Fatal(err)
		}
		replay.Hook = p.Hook
		p = replay
	}
	for p.Seed == 0 {
		p.Seed = uint64(rand.Uint32()) // short enough to be read aloud
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("replay with: %s", replayLine(t.Name(), p))
		}
	})
	return p
}

// replayLine names each level of a subtest exactly.
func replayLine(test string, p Plan) string {
	levels := strings.Split(test, "/")
	for i := range levels {
		levels[i] = "^" + levels[i] + "$"
	}
	return fmt.Sprintf("%s='%s' go test -run '%s'", PlanVariable, p, strings.Join(levels, "/"))
}
