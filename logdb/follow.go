package logdb

import (
	"sync"
	"sync/atomic"

	"github.com/logdb-go/logdb/wal"
)

// followers knows who waits for which key, one by one or in a Watch, so that a commit wakes only those
// whose key it holds. A follower registers before it looks at the frontier, and
// a commit moves the frontier before it looks for followers: no wake is lost.
type followers struct {
	count atomic.Int64
	mu    struct {
		sync.Mutex
		byKey    map[string]map[*follower]struct{}
		watchers watchers
		marked   uint64 // records below it were told to everybody who was there
	}
}

// follower is one registration. ready holds a token when its key has, or may
// have, something new.
type follower struct {
	key   string
	ready chan struct{}
}

func newFollowers() *followers {
	f := &followers{}
	f.mu.byKey = make(map[string]map[*follower]struct{})
	return f
}

func (f *followers) add(key []byte) *follower {
	w := &follower{key: string(key), ready: make(chan struct{}, 1)}
	f.mu.Lock()
	defer f.mu.Unlock()
	set := f.mu.byKey[w.key]
	if set == nil {
		set = make(map[*follower]struct{}, 1)
		f.mu.byKey[w.key] = set
	}
	set[w] = struct{}{}
	f.count.Add(1)
	return w
}

func (f *followers) remove(w *follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	set := f.mu.byKey[w.key]
	if _, there := set[w]; !there {
		return
	}
	delete(set, w)
	if len(set) == 0 {
		delete(f.mu.byKey, w.key)
	}
	f.count.Add(-1)
}

// wake tells the followers of the keys in these frames, the last of those that
// are readable below end.
func (f *followers) wake(frames []wal.Frame, end uint64) {
	if f.count.Load() == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, frame := range frames {
		if frame.Header().Kind != wal.Batch {
			continue
		}
		for c := frame.Cursor(); ; {
			_, key, _, ok := c.Next()
			if !ok {
				break
			}
			for w := range f.mu.byKey[string(key)] {
				wake(w.ready)
			}
			f.mu.watchers.mark(key, frame.End())
		}
	}
	f.mu.marked = max(f.mu.marked, end)
}

// wakeAll tells every follower: where keys are not known without reading, and
// when the log ends. What is new is readable below end.
func (f *followers) wakeAll(end uint64) {
	if f.count.Load() == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, set := range f.mu.byKey {
		for w := range set {
			wake(w.ready)
		}
	}
	f.mu.watchers.markAll(end)
	f.mu.marked = max(f.mu.marked, end)
}
