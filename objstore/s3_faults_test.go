package objstore_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// brokenWrite is what must come of a write that breaks.
type brokenWrite struct {
	fault   objstoretest.Fault
	err     error // a sentinel, or nil for an outcome that is unknown
	applied bool
	stalls  bool
}

var brokenWrites = []brokenWrite{
	{fault: objstoretest.Fault{Kind: objstoretest.Refuse}},
	{fault: objstoretest.Fault{Kind: objstoretest.Fail}},
	{fault: objstoretest.Fault{Kind: objstoretest.SlowDown, Delay: 2 * time.Second}},
	{fault: objstoretest.Fault{Kind: objstoretest.Denied}, err: objstore.ErrAccessDenied},
	{fault: objstoretest.Fault{Kind: objstoretest.Stall}, stalls: true},
	{fault: objstoretest.Fault{Kind: objstoretest.ApplyThenError}, applied: true},
	{fault: objstoretest.Fault{Kind: objstoretest.Cut}, applied: true},
	{fault: objstoretest.Fault{Kind: objstoretest.LoseResponse}, applied: true, stalls: true},
}

// TestS3BrokenWrites: a conditional write is sent once. What breaks on its way is never told as somebody else's success,
// and the same bytes sent again, with a read where the store refuses them, settle what became of it.
func TestS3BrokenWrites(t *testing.T) {
	for _, want := range brokenWrites {
		t.Run(want.fault.Kind.String(), func(t *testing.T) {
			unreliably(t, always(objstoretest.Put, want.fault, 1, 1), func(u unreliable) {
				u.breakWrite("absent", objstore.IfAbsent(), want)
				etag := put(u.T, u.behind, "there", "before", objstore.Always())
				u.breakWrite("there", objstore.IfMatch(etag), want)
				if got := u.faults.Injected()[want.fault.Kind]; got != 2 {
					u.Errorf("%d requests broke, want the 2 that were sent", got)
				}
			})
		})
	}
}

func (u unreliable) breakWrite(name string, c objstore.Condition, want brokenWrite) {
	u.Helper()
	ctx := within(u.T, time.Minute)
	if want.stalls {
		ctx = within(u.T, 300*time.Millisecond)
	}
	body := []byte("written by me")
	_, err := u.bucket.Put(ctx, name, body, c)
	wantSentinel(u.T, "put "+name, err, want.err)
	if want.stalls && !errors.Is(err, context.DeadlineExceeded) {
		u.Errorf("put %s: got %v, want the deadline", name, err)
	}
	var busy *objstore.RetryAfterError
	if told := errors.As(err, &busy); told != (want.fault.Kind == objstoretest.SlowDown) || told && busy.After != want.fault.Delay {
		u.Errorf("put %s: got %v, want a wait of %v", name, err, want.fault.Delay)
	}
	o, err := u.behind.Get(u.Context(), name)
	if applied := err == nil && bytes.Equal(o.Data, body); applied != want.applied {
		u.Errorf("put %s: the store holds %q, %v, want applied %v", name, o.Data, err, want.applied)
	}
	_, err = u.bucket.Put(u.Context(), name, body, c)
	if !want.applied && err != nil || want.applied && !errors.Is(err, objstore.ErrPrecondition) {
		u.Errorf("put %s again: got %v", name, err)
	}
	if o, err := u.bucket.Get(u.Context(), name); err != nil || !bytes.Equal(o.Data, body) {
		u.Errorf("put %s: settled as %q, %v", name, o.Data, err)
	}
}

// TestS3LateWrite: a write that its client was told had failed lands after a rival's. Its condition is looked at when it
// lands, so the rival's stays.
func TestS3LateWrite(t *testing.T) {
	late := objstoretest.Fault{Kind: objstoretest.ApplyLater, Gate: "land"}
	unreliably(t, always(objstoretest.Put, late, 1, 1), func(u unreliable) {
		ctx, cancel := context.WithCancel(u.Context())
		for _, name := range []string{"lost", "won"} {
			_, err := u.bucket.Put(ctx, name, []byte("late"), objstore.IfAbsent())
			wantSentinel(u.T, "put "+name, err, nil)
		}
		cancel()
		<-u.faults.Arrived("land")
		put(u.T, u.behind, "lost", "rival", objstore.IfAbsent())
		if _, err := u.behind.Get(u.Context(), "won"); !errors.Is(err, objstore.ErrNotFound) {
			u.Errorf("before it lands: got %v", err)
		}
		u.faults.Open("land")
		u.faults.Wait()
		for name, want := range map[string]string{"lost": "rival", "won": "late"} {
			if o, err := u.behind.Get(u.Context(), name); err != nil || string(o.Data) != want {
				u.Errorf("%s: got %q, %v, want %q", name, o.Data, err, want)
			}
		}
	})
}

// TestS3IgnoredConditions: a server, or something in front of it, that drops conditions is found out by the probe.
func TestS3IgnoredConditions(t *testing.T) {
	ignore := objstoretest.Fault{Kind: objstoretest.IgnoreCondition}
	unreliably(t, always(objstoretest.Put, ignore, 1, 99), func(u unreliable) {
		if err := objstore.Probe(u.Context(), u.bucket); !errors.Is(err, objstore.ErrUnsafe) {
			u.Errorf("probe: got %v, want %v", err, objstore.ErrUnsafe)
		}
		if err := objstore.Probe(u.Context(), u.behind); err != nil {
			u.Errorf("probe without the faults: %v", err)
		}
	})
}

// TestS3BrokenReads: a read that breaks once is tried again; one that breaks for good is an error, and never data.
func TestS3BrokenReads(t *testing.T) {
	content := bytes.Repeat([]byte("content "), 4096)
	for _, kind := range []objstoretest.FaultKind{
		objstoretest.Fail, objstoretest.Refuse, objstoretest.Truncate, objstoretest.FlipBit, objstoretest.SlowAnswer,
	} {
		t.Run(kind.String(), func(t *testing.T) {
			unreliably(t, always(objstoretest.Get, objstoretest.Fault{Kind: kind}, 1, 1), func(u unreliable) {
				put(u.T, u.behind, "o", string(content), objstore.Always())
				o, err := u.bucket.Get(u.Context(), "o")
				if err != nil || !bytes.Equal(o.Data, content) {
					u.Errorf("broken once: got %d bytes, %v", len(o.Data), err)
				}
			})
		})
	}
	for _, kind := range []objstoretest.FaultKind{objstoretest.Truncate, objstoretest.FlipBit} {
		t.Run(kind.String()+" for good", func(t *testing.T) {
			unreliably(t, always(objstoretest.Get, objstoretest.Fault{Kind: kind}, 1, 99), func(u unreliable) {
				put(u.T, u.behind, "o", string(content), objstore.Always())
				o, err := u.bucket.Get(u.Context(), "o")
				wantSentinel(u.T, "get", err, nil)
				if len(o.Data) > 0 {
					u.Errorf("got %d bytes beside an error", len(o.Data))
				}
			})
		})
	}
	t.Run("a range, truncated", func(t *testing.T) {
		unreliably(t, always(objstoretest.GetRange, objstoretest.Fault{Kind: objstoretest.Truncate}, 1, 99), func(u unreliable) {
			put(u.T, u.behind, "o", string(content), objstore.Always())
			data, err := u.bucket.GetRange(u.Context(), "o", 100, 1000)
			wantSentinel(u.T, "get range", err, nil)
			if len(data) > 0 {
				u.Errorf("got %d bytes beside an error", len(data))
			}
		})
	})
}

// TestS3StaleAndDeniedReads: what a store says wrongly is still told as what it said.
func TestS3StaleAndDeniedReads(t *testing.T) {
	plan := func() objstoretest.Plan {
		return objstoretest.Plan{Storms: []objstoretest.Storm{
			{Fault: objstoretest.Fault{Kind: objstoretest.NotFound}, Kind: objstoretest.Get, Requests: 1},
			{Fault: objstoretest.Fault{Kind: objstoretest.Denied}, Kind: objstoretest.List},
		}}
	}
	unreliably(t, plan, func(u unreliable) {
		put(u.T, u.bucket, "o", "content", objstore.IfAbsent())
		_, err := u.bucket.Get(u.Context(), "o")
		wantSentinel(u.T, "get right after put", err, objstore.ErrNotFound)
		if o, err := u.bucket.Get(u.Context(), "o"); err != nil || string(o.Data) != "content" {
			u.Errorf("get a moment later: got %q, %v", o.Data, err)
		}
		for _, err := range u.bucket.List(u.Context(), "", "") {
			wantSentinel(u.T, "list", err, objstore.ErrAccessDenied)
		}
		if got := u.faults.Injected(); got[objstoretest.Denied] == 0 || got[objstoretest.NotFound] != 1 {
			u.Errorf("injected %v: want a denied list and a read of nothing", got)
		}
	})
}
