package objstoretest_test

import (
	"errors"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// TestPlanInOneLine: a plan is a line, and the line is the plan.
func TestPlanInOneLine(t *testing.T) {
	for line, plan := range map[string]objstoretest.Plan{
		"seed=0": {},
		"seed=7 max-delay=1s unseen=2s refuse=0.25 denied=0.125": {
			Seed: 7, MaxDelay: time.Second, Unseen: 2 * time.Second,
			Rates: map[objstoretest.FaultKind]float64{objstoretest.Refuse: 0.25, objstoretest.Denied: 0.125},
		},
		"seed=1 storm=slow-down,delay=2s,kind=put,prefix=a+b%2C,after=1m0s,for=5s storm=stall,gate=g,skip=3,requests=4": {
			Seed: 1,
			Storms: []objstoretest.Storm{
				{Fault: objstoretest.Fault{Kind: objstoretest.SlowDown, Delay: 2 * time.Second}, Kind: objstoretest.Put,
					Prefix: "a b,", After: time.Minute, For: 5 * time.Second},
				{Fault: objstoretest.Fault{Kind: objstoretest.Stall, Gate: "g"}, Skip: 3, Requests: 4},
			},
		},
	} {
		if got := plan.String(); got != line {
			t.Errorf("got the line  %q\nwant          %q", got, line)
		}
		if got, err := objstoretest.ParsePlan(line); err != nil || !reflect.DeepEqual(got, plan) {
			t.Errorf("%q: got %+v, %v\nwant %+v", line, got, err, plan)
		}
	}
	for _, line := range []string{"seed=x", "flood=1", "refuse=2", "refuse=NaN", "storm=flood", "storm=stall,when=1s", "by-seed=1", "unseen=2"} {
		if p, err := objstoretest.ParsePlan(line); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%q: got %v, %v, want %v", line, p, err, fs.ErrInvalid)
		}
	}
}

// failing is a test that fails; it keeps what was logged.
type failing struct {
	testing.TB
	cleanups []func()
	logged   strings.Builder
}

func (f *failing) Helper()           {}
func (f *failing) Name() string      { return "TestStore/of odd kind" }
func (f *failing) Failed() bool      { return true }
func (f *failing) Cleanup(do func()) { f.cleanups = append(f.cleanups, do) }
func (f *failing) Logf(_ string, a ...any) {
	for _, x := range a {
		f.logged.WriteString(x.(string))
	}
}

// TestReplayable: a test that fails prints a line, and under that line's plan it runs as it did.
func TestReplayable(t *testing.T) {
	rates := map[objstoretest.FaultKind]float64{objstoretest.Refuse: 0.5}
	t.Setenv(objstoretest.PlanVariable, "")
	f := &failing{TB: t}
	first := objstoretest.Replayable(f, objstoretest.Plan{Rates: rates})
	for _, do := range f.cleanups {
		do()
	}
	want := objstoretest.PlanVariable + "='" + first.String() + "' go test -run '^TestStore$/^of odd kind$'"
	if got := f.logged.String(); got != want || first.Seed == 0 {
		t.Fatalf("seed %d, printed %q, want %q", first.Seed, got, want)
	}
	t.Setenv(objstoretest.PlanVariable, first.String())
	if again := objstoretest.Replayable(t, objstoretest.Plan{}); again.String() != first.String() {
		t.Fatalf("replayed under %q, want %q", again, first)
	}
}
