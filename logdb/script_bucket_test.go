package logdb

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/cockroachdb/datadriven"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
	"github.com/logdb-go/logdb/segment"
	"github.com/logdb-go/logdb/wal"
)

var (
	zeros = regexp.MustCompile(`\b([wc]?)0+([0-9]+)`)
	probe = regexp.MustCompile(`probe-(<id>|[0-9a-f]{32})`)
)

// shortNames takes the leading zeros out of object names, wal/1-0 and
// seg/1/w1-1.sst, and the random part out of a probe's.
func shortNames(s string) string {
	s = regexp.MustCompile(`(wal|seg)/[0-9a-z/.-]+`).ReplaceAllStringFunc(s, func(name string) string {
		return zeros.ReplaceAllString(name, "$1$2")
	})
	return probe.ReplaceAllString(s, "probe")
}

// objects prints the bucket: every object, and what the log makes of it.
func (s *script) objects(d *datadriven.TestData) string {
	named := map[string]segment.Table{}
	var lines []string
	for info, err := range s.mem.List(s.ctx, "", "") {
		if err != nil {
			return answer("", err)
		}
		got, err := s.mem.Get(s.ctx, info.Name)
		if err != nil {
			return answer("", err)
		}
		lines = append(lines, objectLine(info.Name, got.Data, named))
	}
	return strings.Join(lines, "\n")
}

// objectLine describes one object. The manifest comes first in a listing, so
// the tables that it names are known.
func objectLine(name string, data []byte, named map[string]segment.Table) string {
	switch {
	case name == segment.ManifestName:
		m, err := segment.DecodeManifest(data)
		if err != nil {
			return name + " " + err.Error()
		}
		for _, g := range m.Segments {
			for _, t := range g.Tables {
				named[t.Name()] = t
			}
		}
		return manifestLine(m)
	case strings.HasPrefix(name, "wal/"):
		obj, err := wal.DecodeObject(name, data)
		if err != nil {
			return name + " " + err.Error()
		}
		line := fmt.Sprintf("%s %s [%d,%d)", shortNames(name), obj.Kind, obj.Start, obj.End)
		if obj.Kind == wal.Fence {
			line += fmt.Sprintf(" next %s", shortNames("wal/"+obj.Next.String()))
		}
		return line
	case strings.HasPrefix(name, "seg/"):
		t, ok := named[name]
		if !ok {
			return shortNames(name) + " not named"
		}
		return fmt.Sprintf("%s [%d,%d) records %d, keys %d", shortNames(name), t.Start, t.End, t.Records, t.Keys)
	}
	return shortNames(name) + " ?"
}

func manifestLine(m *segment.Manifest) string {
	line := fmt.Sprintf("manifest epoch %d, flushed %d, replay %s, limit %s", m.Epoch, m.Flushed, shortNames("wal/"+wal.Position{Epoch: m.ReplayEpoch, Number: m.ReplayNumber}.String()), limitText(m.Limit))
	if m.TrimmedBelow > 0 {
		line += fmt.Sprintf(", trimmed below %d", m.TrimmedBelow)
	}
	for _, g := range m.Segments {
		state := "active"
		switch {
		case g.Consolidated:
			state = "consolidated"
		case g.Sealed:
			state = "sealed"
		}
		line += fmt.Sprintf(", segment %d %s", g.ID, state)
	}
	if m.Closed {
		line += ", closed"
	}
	return line
}

// limitText keeps the big numbers readable.
func limitText(n uint64) string {
	for _, big := range []struct {
		n    uint64
		name string
	}{{1 << 32, "2^32"}, {1 << 20, "2^20"}} {
		if k := n / big.n; k > 0 {
			return fmt.Sprintf("%d*%s+%d", k, big.name, n%big.n)
		}
	}
	return fmt.Sprint(n)
}

// requests [quiet] [only=(KIND,...)] prints what has reached the store since
// the last time, sorted, since some requests run beside each other, and forgets
// it. quiet only forgets. only= leaves out kinds whose number is a matter of
// who came first.
func (s *script) requestsMade(d *datadriven.TestData) string {
	ops := s.requests.Ops()
	s.requests.Reset()
	if d.HasArg("quiet") {
		return ""
	}
	counts := map[string]int{}
	only, _ := d.Arg("only")
	for _, op := range ops {
		if len(only.Vals) > 0 && !slices.Contains(only.Vals, string(op.Kind)) {
			continue
		}
		line := fmt.Sprintf("%s %s", op.Kind, shortNames(op.Name))
		if op.Kind == objstoretest.List {
			line = "list"
		}
		if op.Err != nil {
			out := op.String()
			// A look ahead ends when the object before it is absent.
			line += " " + strings.Replace(out[strings.LastIndexByte(out, ' ')+1:], "canceled", "not-found", 1)
		}
		counts[line]++
	}
	var lines []string
	for line, n := range counts {
		if n > 1 {
			line += fmt.Sprintf(" x%d", n)
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	if len(lines) == 0 {
		return "none"
	}
	return strings.Join(lines, "\n")
}

// faults are the requests that a script has doomed.
type faults struct {
	mu   sync.Mutex
	list []*fault
}

type fault struct {
	kind        objstoretest.Kind
	prefix      string
	skip, times int
	what        objstoretest.FaultKind
}

func (f *faults) choose(op objstoretest.Op) objstoretest.Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, x := range f.list {
		if x.kind != op.Kind || !strings.HasPrefix(op.Name, x.prefix) || x.times == 0 {
			continue
		}
		if x.skip > 0 {
			x.skip--
			continue
		}
		x.times--
		return objstoretest.Fault{Kind: x.what}
	}
	return objstoretest.Fault{Kind: objstoretest.None}
}

// fail op=KIND [name=PREFIX] [nth=N] [times=N] how=FAULT dooms requests from
// now on. "fail clear" ends it.
func (s *script) fail(d *datadriven.TestData) string {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	if d.HasArg("clear") {
		s.faults.list = nil
		return ""
	}
	how := map[string]objstoretest.FaultKind{
		"refuse": objstoretest.Refuse, "applied-but-error": objstoretest.ApplyThenError, "stall": objstoretest.Stall,
		"lose-answer": objstoretest.LoseResponse, "ignore-condition": objstoretest.IgnoreCondition, "flip-bit": objstoretest.FlipBit,
	}[arg(d, "how", "refuse")]
	if how == objstoretest.BySeed {
		d.Fatalf(s.t, "no such fault")
	}
	s.faults.list = append(s.faults.list, &fault{
		kind: objstoretest.Kind(arg(d, "op", "put")), prefix: arg(d, "name", ""),
		skip: int(s.number(d, "nth", 1)) - 1, times: int(s.number(d, "times", 1)), what: how,
	})
	return ""
}

// outage [over] takes the store away, or brings it back.
func (s *script) outage(d *datadriven.TestData) string {
	s.faulty.Down(!d.HasArg("over"))
	return ""
}

// put NAME writes the lines below under a name, as a stranger.
func (s *script) put(d *datadriven.TestData) string {
	s.foreign = true
	_, err := s.mem.Put(s.ctx, d.CmdArgs[0].Key, []byte(d.Input), objstore.Always())
	return answer("", err)
}

// remove NAME deletes an object, as a stranger.
func (s *script) remove(d *datadriven.TestData) string {
	s.foreign = true
	return answer("", s.mem.Delete(s.ctx, d.CmdArgs[0].Key))
}
