package objstoretest_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// storms runs a story over a bucket with these storms.
func storms(t *testing.T, run func(s story), list ...objstoretest.Storm) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		mem := objstore.NewMem()
		run(story{T: t, mem: mem, faulty: objstoretest.NewFaulty(mem, objstoretest.Plan{Storms: list})})
	})
}

// TestStormOfBusyAnswers: from the tenth second to the thirtieth the store sheds load, and says for how long to wait.
func TestStormOfBusyAnswers(t *testing.T) {
	busy := objstoretest.Storm{
		Fault: objstoretest.Fault{Kind: objstoretest.SlowDown, Delay: 1500 * time.Millisecond},
		Kind:  objstoretest.Put, After: 10 * time.Second, For: 20 * time.Second,
	}
	storms(t, func(s story) {
		for second := range 40 {
			_, err := s.put("1", objstore.Always())
			var after *objstore.RetryAfterError
			stormy := second >= 10 && second < 30
			if told := errors.As(err, &after); told != stormy || told && after.After != 2*time.Second {
				s.Fatalf("second %d: got %v", second, err)
			}
			if _, err := s.faulty.Get(s.Context(), "m"); err != nil {
				s.Fatalf("second %d: a read in a storm of writes: %v", second, err)
			}
			time.Sleep(time.Second)
		}
		if got := s.faulty.Injected()[objstoretest.SlowDown]; got != 20 {
			s.Errorf("%d puts suffered it, want 20", got)
		}
	}, busy)
}

// TestCredentialsExpire: from the third request on the store refuses, until they are renewed.
func TestCredentialsExpire(t *testing.T) {
	storms(t, func(s story) {
		var denied []bool
		for range 6 {
			_, err := s.put("1", objstore.Always())
			denied = append(denied, errors.Is(err, objstore.ErrAccessDenied))
		}
		if want := []bool{false, false, true, true, true, true}; !slices.Equal(denied, want) {
			s.Fatalf("denied: got %v, want %v", denied, want)
		}
		s.faulty.Calm()
		if _, err := s.put("2", objstore.Always()); err != nil {
			s.Fatalf("after the renewal: %v", err)
		}
		s.want("2")
	}, objstoretest.Storm{Fault: objstoretest.Fault{Kind: objstoretest.Denied}, Skip: 2})
}

// TestStormOfSomeRequests: a storm counts the requests that it concerns and no others.
func TestStormOfSomeRequests(t *testing.T) {
	storms(t, func(s story) {
		var failed []string
		for range 3 {
			for _, name := range []string{"seg/1", "wal/1", "wal/2"} {
				if _, err := s.faulty.Put(s.Context(), name, nil, objstore.Always()); err != nil {
					failed = append(failed, name)
				}
			}
		}
		if want := []string{"wal/2", "wal/1", "wal/2"}; !slices.Equal(failed, want) {
			s.Fatalf("failed: got %v, want %v", failed, want)
		}
	}, objstoretest.Storm{Fault: objstoretest.Fault{Kind: objstoretest.Fail}, Prefix: "wal/", Skip: 1, Requests: 3})
}

// TestUnseen: what was put is not shown by name for two seconds. What had been there before, and what replaces it, is.
func TestUnseen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := objstore.NewMem()
		f := objstoretest.NewFaulty(mem, objstoretest.Plan{Unseen: 2 * time.Second})
		put := func(name, body string, c objstore.Condition) error {
			_, err := f.Put(t.Context(), name, []byte(body), c)
			return err
		}
		if err := put("m", "1", objstore.IfAbsent()); err != nil {
			t.Fatal(err)
		}
		if err := put("m", "2", objstore.IfAbsent()); !errors.Is(err, objstore.ErrPrecondition) {
			t.Fatalf("a second put: got %v: it is there for conditions", err)
		}
		for second := range 4 {
			_, err := f.GetRange(t.Context(), "m", 0, 1)
			if unseen := errors.Is(err, objstore.ErrNotFound); unseen != (second < 2) {
				t.Fatalf("second %d: got %v", second, err)
			}
			time.Sleep(time.Second)
		}
		if err := put("m", "3", objstore.Always()); err != nil {
			t.Fatal(err)
		}
		if o, err := f.Get(t.Context(), "m"); err != nil || string(o.Data) != "3" {
			t.Fatalf("after a replacement: got %q, %v", o.Data, err)
		}
		if err := f.Delete(t.Context(), "m"); err != nil {
			t.Fatal(err)
		}
		if err := put("m", "4", objstore.IfAbsent()); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Get(t.Context(), "m"); !errors.Is(err, objstore.ErrNotFound) {
			t.Fatalf("made anew: got %v, want %v", err, objstore.ErrNotFound)
		}
	})
}

// TestAnswersOfWrites: what a write's caller is told and what became of it.
func TestAnswersOfWrites(t *testing.T) {
	for kind, want := range map[objstoretest.FaultKind]struct {
		body string
		err  error
	}{
		objstoretest.Fail:           {"nothing", objstoretest.ErrInjected},
		objstoretest.SlowDown:       {"nothing", objstoretest.ErrInjected},
		objstoretest.Denied:         {"nothing", objstore.ErrAccessDenied},
		objstoretest.Cut:            {"1", objstoretest.ErrInjected},
		objstoretest.ApplyThenError: {"1", objstoretest.ErrInjected},
		objstoretest.NotFound:       {"1", nil},
	} {
		tell(t, map[string]objstoretest.Fault{"put m": {Kind: kind}}, func(s story) {
			_, err := s.put("1", objstore.IfAbsent())
			if !errors.Is(err, want.err) {
				s.Errorf("%v: got %v, want %v", kind, err, want.err)
			}
			s.want(want.body)
		})
	}
	tell(t, map[string]objstoretest.Fault{"get m": {Kind: objstoretest.NotFound}}, func(s story) {
		_, _ = s.put("1", objstore.IfAbsent())
		if _, err := s.faulty.Get(s.Context(), "m"); !errors.Is(err, objstore.ErrNotFound) {
			s.Errorf("the first read: got %v", err)
		}
		if _, err := s.faulty.Get(s.Context(), "m"); err != nil {
			s.Errorf("the second read: got %v", err)
		}
	})
}
