package compact

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/logdb-go/logdb/segment"
)

// TestPlan runs testdata/plan, where sizes of tables are in MiB.
func TestPlan(t *testing.T) {
	datadriven.RunTest(t, "testdata/plan", func(t *testing.T, d *datadriven.TestData) string {
		var o Options
		for _, arg := range d.CmdArgs {
			n := uint64(0)
			if len(arg.Vals) > 0 {
				n = number(t, arg.Vals[0])
			}
			switch arg.Key {
			case "flushed":
				o.Flushed = n
			case "table-bytes":
				o.TableBytes = int64(n) << 20
			case "small-bytes":
				o.SmallBytes = int64(n) << 20
			case "keep-sealed":
				o.KeepSealed = true
			default:
				t.Fatalf("unknown argument %s", arg.Key)
			}
		}
		var out strings.Builder
		for _, j := range Plan(parseSegments(t, d.Input), o) {
			what := "merge"
			switch {
			case j.MarkOnly:
				what = "mark"
			case j.Consolidates:
				what = "consolidate"
			}
			fmt.Fprintf(&out, "segment %d: %s", j.Segment, what)
			for _, table := range j.Tables {
				fmt.Fprintf(&out, " %d", table.Size>>20)
			}
			out.WriteByte('\n')
		}
		return out.String()
	})
}

func parseSegments(t *testing.T, input string) []segment.Segment {
	var segments []segment.Segment
	for line := range strings.Lines(input) {
		words := strings.Fields(line)
		s := segment.Segment{ID: number(t, words[1])}
		for _, w := range words[2:] {
			end, isEnd := strings.CutPrefix(w, "end=")
			switch {
			case w == "sealed":
				s.Sealed = true
			case w == "consolidated":
				s.Consolidated = true
			case isEnd:
				s.End = number(t, end)
			default:
				s.Tables = append(s.Tables, segment.Table{Segment: s.ID, Size: int64(number(t, w)) << 20})
			}
		}
		segments = append(segments, s)
	}
	return segments
}

func number(t *testing.T, s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A trickle of small tables, merged whenever the plan says so, is rewritten a
// few times and not once per flush, and never leaves many tables behind.
func TestTrickleIsRewrittenAFewTimes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	s := segment.Segment{ID: 1}
	flushed, written, most := int64(0), int64(0), 0
	for range 3000 {
		size := 1 + rng.Int64N(400<<10)
		flushed += size
		s.Tables = append(s.Tables, segment.Table{Size: size})
		for jobs := Plan([]segment.Segment{s}, Options{}); len(jobs) > 0; jobs = Plan([]segment.Segment{s}, Options{}) {
			j := jobs[0]
			written += j.Bytes()
			var tables []segment.Table
			merged := false
			for i := range s.Tables {
				switch {
				case i+len(j.Tables) <= len(s.Tables) && &s.Tables[i] == &j.Tables[0]:
					tables, merged = append(tables, segment.Table{Size: j.Bytes()}), true
					tables = append(tables, s.Tables[i+len(j.Tables):]...)
				case !merged:
					tables = append(tables, s.Tables[i])
				}
			}
			s.Tables = tables
		}
		small := 0
		for _, table := range s.Tables {
			if table.Size < DefaultTableBytes/4 {
				small++
			}
		}
		most = max(most, small)
	}
	times := float64(written) / float64(flushed)
	t.Logf("%.2f rewrites, at most %d small tables, %d tables of %d MiB at the end", times, most, len(s.Tables), flushed>>20)
	if times > 6 || most > 30 {
		t.Errorf("got %.1f rewrites of each byte and up to %d small tables, want at most 6 and 30", times, most)
	}
}
