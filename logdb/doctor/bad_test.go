package doctor_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"sync"
	"testing"

	"github.com/logdb-go/logdb/logdb/doctor"
	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// lossy acknowledges writes of some names and drops them.
type lossy struct {
	objstore.Bucket
	drop func(name string) bool
}

func (l lossy) Put(ctx context.Context, name string, data []byte, c objstore.Condition) (string, error) {
	if !l.drop(name) {
		return l.Bucket.Put(ctx, name, data, c)
	}
	return "dropped", nil
}

// stale reads every object as it was before its last write.
type stale struct {
	objstore.Bucket
	mu     sync.Mutex
	before map[string]objstore.Object
}

func (s *stale) Put(ctx context.Context, name string, data []byte, c objstore.Condition) (string, error) {
	old, err := s.Bucket.Get(ctx, name)
	etag, errPut := s.Bucket.Put(ctx, name, data, c)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && errPut == nil {
		s.before[name] = old
	}
	return etag, errPut
}

func (s *stale) Get(ctx context.Context, name string) (objstore.Object, error) {
	s.mu.Lock()
	old, ok := s.before[name]
	s.mu.Unlock()
	if ok {
		return old, nil
	}
	return s.Bucket.Get(ctx, name)
}

// negative remembers that a name was absent, as caches do.
type negative struct {
	objstore.Bucket
	mu     sync.Mutex
	absent map[string]bool
}

func (n *negative) Get(ctx context.Context, name string) (objstore.Object, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.absent[name] {
		return objstore.Object{}, objstore.ErrNotFound
	}
	o, err := n.Bucket.Get(ctx, name)
	n.absent[name] = errors.Is(err, objstore.ErrNotFound)
	return o, err
}

// lister lists in its own way.
type lister struct {
	objstore.Bucket
	change func([]objstore.Info) []objstore.Info
}

func (l lister) List(ctx context.Context, prefix, after string) iter.Seq2[objstore.Info, error] {
	return func(yield func(objstore.Info, error) bool) {
		var infos []objstore.Info
		for info, err := range l.Bucket.List(ctx, prefix, after) {
			if err != nil {
				yield(info, err)
				return
			}
			infos = append(infos, info)
		}
		for _, info := range l.change(infos) {
			if !yield(info, nil) {
				return
			}
		}
	}
}

// racy looks at the condition, and writes a moment later: right as long as nobody else writes.
type racy struct {
	objstore.Bucket
	looked *sync.WaitGroup // holds all racers of a round between look and write
}

func (r racy) Put(ctx context.Context, name string, data []byte, c objstore.Condition) (string, error) {
	if strings.Contains(name, "-race-") {
		_, err := r.Bucket.Get(ctx, name)
		r.looked.Done()
		r.looked.Wait()
		if err == nil {
			return "", objstore.ErrPrecondition
		}
		return r.Bucket.Put(ctx, name, data, objstore.Always())
	}
	return r.Bucket.Put(ctx, name, data, c)
}

func hook(kind objstoretest.FaultKind, of objstoretest.Kind, names string) objstoretest.Plan {
	return objstoretest.Plan{Hook: func(op objstoretest.Op) objstoretest.Fault {
		if op.Kind == of && strings.Contains(op.Name, names) {
			return objstoretest.Fault{Kind: kind}
		}
		return objstoretest.Fault{Kind: objstoretest.None}
	}}
}

func ignoring(condition func(objstore.Condition) bool) objstoretest.Plan {
	return objstoretest.Plan{Hook: func(op objstoretest.Op) objstoretest.Fault {
		if op.Kind == objstoretest.Put && condition(op.Condition) {
			return objstoretest.Fault{Kind: objstoretest.IgnoreCondition}
		}
		return objstoretest.Fault{Kind: objstoretest.None}
	}}
}

type badStore struct {
	name  string
	store func(*objstore.Mem) objstore.Bucket
	broke []string // all findings that are unsafe
}

func badWrites() []badStore {
	matches := func(c objstore.Condition) bool { _, ok := c.Match(); return ok }
	return []badStore{
		{"if-absent ignored", func(m *objstore.Mem) objstore.Bucket {
			return objstoretest.NewFaulty(m, ignoring(objstore.Condition.Absent))
		}, []string{"if-absent", "race to create"}},
		{"if-match ignored", func(m *objstore.Mem) objstore.Bucket {
			return objstoretest.NewFaulty(m, ignoring(matches))
		}, []string{"if-match", "race to replace"}},
		{"conditions not atomic", func(m *objstore.Mem) objstore.Bucket {
			looked := &sync.WaitGroup{}
			looked.Add(16)
			return racy{m, looked}
		}, []string{"race to create"}},
		{"writes lost", func(m *objstore.Mem) objstore.Bucket {
			return lossy{m, func(name string) bool { return strings.Contains(name, "-new-") }}
		}, []string{"read after write"}},
		{"increments lost", func(m *objstore.Mem) objstore.Bucket {
			n := 0
			var mu sync.Mutex
			return lossy{m, func(name string) bool {
				mu.Lock()
				defer mu.Unlock()
				if strings.Contains(name, "-counter-") {
					n++
				}
				return strings.Contains(name, "-counter-") && n%5 == 4
			}}
		}, []string{"race to replace"}},
	}
}

func badReads() []badStore {
	return []badStore{
		{"stale reads", func(m *objstore.Mem) objstore.Bucket {
			return &stale{Bucket: m, before: map[string]objstore.Object{}}
		}, []string{"if-match", "race to replace", "read after overwrite"}},
		{"absence cached", func(m *objstore.Mem) objstore.Bucket {
			return &negative{Bucket: m, absent: map[string]bool{}}
		}, []string{"read after write"}},
		{"listing lags", func(m *objstore.Mem) objstore.Bucket {
			return lister{m, func(l []objstore.Info) []objstore.Info { return l[:max(len(l)-1, 0)] }}
		}, []string{"list after write", "list order"}},
		{"listing unordered", func(m *objstore.Mem) objstore.Bucket {
			return lister{m, func(l []objstore.Info) []objstore.Info {
				if len(l) > 2 {
					l[0], l[1] = l[1], l[0]
				}
				return l
			}}
		}, []string{"list order"}},
		{"ranges damaged", func(m *objstore.Mem) objstore.Bucket {
			return objstoretest.NewFaulty(m, hook(objstoretest.FlipBit, objstoretest.GetRange, "-range-"))
		}, []string{"range reads"}},
		{"large reads damaged", func(m *objstore.Mem) objstore.Bucket {
			return objstoretest.NewFaulty(m, hook(objstoretest.FlipBit, objstoretest.Get, "-timed-"))
		}, []string{"latency"}},
	}
}

// Every store that breaks a promise is named, and what is left in it is nothing.
func TestBadStoresAreNamed(t *testing.T) {
	for _, c := range append(badWrites(), badReads()...) {
		t.Run(c.name, func(t *testing.T) {
			mem := objstore.NewMem()
			r := examine(t, c.store(mem), quick)
			var broke []string
			for _, f := range r.Findings {
				if f.Verdict == doctor.Unsafe {
					broke = append(broke, f.Name)
					if !strings.Contains(r.Sentence(), f.Name) {
						t.Errorf("%q does not name %q", r.Sentence(), f.Name)
					}
				}
			}
			if strings.Join(broke, ", ") != strings.Join(c.broke, ", ") || r.Safe() {
				t.Errorf("got safe %v, broken %q; want %q: %+v", r.Safe(), broke, c.broke, r.Findings)
			}
			wantNothingLeft(t, mem)
		})
	}
}
