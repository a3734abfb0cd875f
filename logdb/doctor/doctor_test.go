package doctor_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/logdb/doctor"
	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// quick is enough for stores that break their promises always.
var quick = doctor.Options{Rounds: 4, Samples: 2, RequestTimeout: time.Minute}

func examine(t *testing.T, b objstore.Bucket, o doctor.Options) doctor.Report {
	t.Helper()
	r, err := doctor.Run(t.Context(), b, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// wantNothingLeft fails if a probe object is still there.
func wantNothingLeft(t *testing.T, b objstore.Reader) {
	t.Helper()
	for info, err := range b.List(context.Background(), "probe-", "") {
		if err != nil {
			t.Fatal(err)
		}
		t.Errorf("%s was left behind", info.Name)
	}
}

func finding(t *testing.T, r doctor.Report, name string) doctor.Finding {
	t.Helper()
	for _, f := range r.Findings {
		if f.Name == name {
			return f
		}
	}
	t.Fatalf("no finding %q in %+v", name, r.Findings)
	return doctor.Finding{}
}

func TestGoodStoresAreSafe(t *testing.T) {
	file, err := objstore.NewFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]objstore.Bucket{"memory": objstore.NewMem(), "file": file} {
		t.Run(name, func(t *testing.T) {
			told := 0
			o := quick
			o.Found = func(doctor.Finding) { told++ }
			r := examine(t, b, o)
			if !r.Safe() || r.Verdict() != doctor.OK || r.LeftBehind != nil {
				t.Errorf("got %s, left %v: %+v", r.Sentence(), r.LeftBehind, r.Findings)
			}
			if told != len(r.Findings) || len(r.Latencies) != 4 {
				t.Errorf("told of %d findings of %d, %d latencies, want 4", told, len(r.Findings), len(r.Latencies))
			}
			if f := finding(t, r, "checksum"); f.Verdict != doctor.Unknown || !f.Optional {
				t.Errorf("checksum: got %+v, want an optional unknown", f)
			}
			wantNothingLeft(t, b)
		})
	}
}

// The examination must not cost more than it says.
func TestRequestsAreBounded(t *testing.T) {
	requests := objstoretest.NewRequests(objstore.NewMem())
	r := examine(t, requests, doctor.Options{})
	n := len(requests.Ops())
	counted := uint64(0)
	for _, c := range r.Requests.Requests {
		counted += c
	}
	if n > 1500 || uint64(n) != counted {
		t.Errorf("took %d requests and counted %d, want the same and at most 1500", n, counted)
	}
	if dollars := doctor.S3Standard.Of(r.Requests); dollars > 0.01 {
		t.Errorf("took $%.4f", dollars)
	}
}

// A request that fails now and then says nothing about safety; one that always fails leaves it open.
func TestFailuresAreNoVerdict(t *testing.T) {
	mem := objstore.NewMem()
	some := objstoretest.NewFaulty(mem, objstoretest.Plan{Hook: func(op objstoretest.Op) objstoretest.Fault {
		if op.Kind == objstoretest.Put && op.Attempt == 1 && strings.HasSuffix(op.Name, "5") {
			return objstoretest.Fault{Kind: objstoretest.ApplyThenError}
		}
		return objstoretest.Fault{Kind: objstoretest.None}
	}})
	if r := examine(t, some, quick); !r.Safe() {
		t.Errorf("some failed: got %s: %+v", r.Sentence(), r.Findings)
	}
	wantNothingLeft(t, mem)

	all := objstoretest.NewFaulty(mem, hook(objstoretest.Refuse, objstoretest.GetRange, ""))
	r := examine(t, all, quick)
	if r.Safe() || r.Verdict() != doctor.Unknown || finding(t, r, "range reads").Verdict != doctor.Unknown {
		t.Errorf("all failed: got %s: %+v", r.Sentence(), r.Findings)
	}
}

func TestAStoreOutOfReachIsAnError(t *testing.T) {
	down := objstoretest.NewFaulty(objstore.NewMem(), objstoretest.Plan{})
	down.Down(true)
	r, err := doctor.Run(t.Context(), down, quick)
	if !errors.Is(err, objstoretest.ErrInjected) || r.Safe() || r.LeftBehind == nil {
		t.Errorf("got safe %v, left %v, %v", r.Safe(), r.LeftBehind, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	o := quick
	o.Found = func(f doctor.Finding) {
		if f.Name == "race to create" {
			cancel()
		}
	}
	mem := objstore.NewMem()
	if r, err := doctor.Run(ctx, mem, o); !errors.Is(err, context.Canceled) || len(r.Findings) != 5 {
		t.Errorf("canceled: got %v after %d findings", err, len(r.Findings))
	}
	wantNothingLeft(t, mem)
}

func TestThePrefixIsNamed(t *testing.T) {
	b := objstore.NewMem()
	db, err := logdb.Open(t.Context(), b, logdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if f := finding(t, examine(t, b, quick), "prefix"); f.Verdict != doctor.OK || !strings.Contains(f.Saw, "a log") {
		t.Errorf("a log: got %+v", f)
	}
	if err := db.Close(); err != nil { // it was not disturbed
		t.Error(err)
	}
	other := objstore.NewMem()
	if _, err := other.Put(t.Context(), "photos/1.jpg", nil, objstore.Always()); err != nil {
		t.Fatal(err)
	}
	if f := finding(t, examine(t, other, quick), "prefix"); f.Verdict != doctor.Unsafe || !strings.Contains(f.Saw, "photos/1.jpg") {
		t.Errorf("something else: got %+v", f)
	}
}
