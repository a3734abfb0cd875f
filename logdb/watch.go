package logdb

import (
	"bytes"
	"context"
)

// Watch tells which of many keys have new records. It costs no goroutine, no
// timer, no snapshot and no request, so it is the way to follow thousands of
// keys, or all below a prefix: wait for C, Take, and scan what Take names.
//
// Any number of goroutines may wake it; one may Take. It must be closed.
type Watch struct {
	src *source
	o   WatchOptions
	c   chan struct{}

	// Guarded by followers.mu. A mark is the sequence below which the records
	// lie that it is for: one that is not visible yet stays.
	from    uint64 // applied when it began
	marks   map[string]uint64
	all     bool // in place of marks: any key
	allMark uint64
	closed  bool
}

// WatchOptions say what to watch: keys, and all keys that begin with one of the
// prefixes, of which an empty one is every key.
type WatchOptions struct {
	Keys, Prefixes [][]byte
	Visibility     Durability
}

// Changes is what a Watch has seen since the last Take: every record below Next
// that the last Take did not cover belongs to one of Keys, or, with All, to any
// key that is watched.
type Changes struct {
	Keys [][]byte // each once, in no order; the caller's
	All  bool
	Next uint64 // never falls, and never above what a scan shows now
}

// maxMarks is the number of keys above which a watch remembers no more which.
const maxMarks = 4096

// Watch begins to watch. The first Take says All, with the frontier of now.
func (d *LogDb) Watch(o WatchOptions) *Watch { return d.source().watch(o) }

// Watch begins to watch. The first Take says All, with the frontier of now.
func (r *LogDbReader) Watch(o WatchOptions) *Watch { return r.source().watch(o) }

// WaitFrontier returns nil once every record below sequence is readable at a
// visibility, ctx's error, or why the log ended.
func (d *LogDb) WaitFrontier(ctx context.Context, sequence uint64, visibility Durability) error {
	if visibility == Default {
		visibility = d.opts.Visibility
	}
	if visibility == Remote {
		return d.remote.wait(ctx, sequence)
	}
	return d.applied.wait(ctx, sequence)
}

// WaitFrontier returns nil once every record below sequence is readable, ctx's
// error, or ErrClosed. A reader knows one visibility, which is Remote.
func (r *LogDbReader) WaitFrontier(ctx context.Context, sequence uint64, _ Durability) error {
	return r.frontier.wait(ctx, sequence)
}

func (s *source) watch(o WatchOptions) *Watch {
	w := &Watch{src: s, o: o, c: make(chan struct{}, 1)}
	s.followers.addWatch(w, s.lags(o.Visibility))
	// After the registration: what is committed from here on is marked, and what
	// was committed before may become visible later.
	if _, applied, err := s.current(Applied); err == nil {
		w.begin(applied)
	}
	return w
}

func (w *Watch) begin(applied uint64) {
	f := w.src.followers
	f.mu.Lock()
	defer f.mu.Unlock()
	w.from = applied
	w.markAll(applied)
}

// C holds a token when Take may have something to tell, and when the log ended.
func (w *Watch) C() <-chan struct{} { return w.c }

// Wake puts a token into C, for owners that have other reasons to look, too.
func (w *Watch) Wake() { wake(w.c) }

// Take returns what changed. Its error is why the log ended: ErrClosed or
// ErrFenced.
func (w *Watch) Take() (Changes, error) {
	_, frontier, err := w.src.current(w.o.Visibility)
	if err != nil {
		return Changes{}, err
	}
	f := w.src.followers
	f.mu.Lock()
	defer f.mu.Unlock()
	c := Changes{Next: min(frontier, max(w.from, f.mu.marked)), All: w.all}
	if w.allMark <= c.Next {
		w.all = false
	}
	for key, mark := range w.marks {
		if !c.All {
			c.Keys = append(c.Keys, []byte(key))
		}
		if mark <= c.Next {
			delete(w.marks, key)
		}
	}
	if len(w.marks) == 0 {
		w.marks = nil
	}
	return c, nil
}

// Close ends the watch. It can be called more than once.
func (w *Watch) Close() { w.src.followers.removeWatch(w) }

// mark notes that a key has records below end. The followers' lock is held.
func (w *Watch) mark(key string, end uint64) {
	if w.marks == nil {
		w.marks = make(map[string]uint64, 1)
	}
	w.marks[key] = end
	if len(w.marks) > maxMarks {
		w.markAll(end)
	}
	wake(w.c)
}

func (w *Watch) markAll(end uint64) {
	for _, mark := range w.marks {
		end = max(end, mark)
	}
	w.all, w.allMark, w.marks = true, max(w.allMark, end), nil
	wake(w.c)
}

// covers tells whether a prefix of the watch is one of key.
func (w *Watch) covers(key []byte) bool {
	for _, p := range w.o.Prefixes {
		if bytes.HasPrefix(key, p) {
			return true
		}
	}
	return false
}

// watchers are the watches, below the followers' lock.
type watchers struct {
	byKey    map[string][]*Watch
	prefixed map[*Watch]struct{}
	lagging  map[*Watch]struct{} // see records only once they are remote
}

func (f *followers) addWatch(w *Watch, lags bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	x := &f.mu.watchers
	if x.byKey == nil {
		x.byKey, x.prefixed, x.lagging = map[string][]*Watch{}, map[*Watch]struct{}{}, map[*Watch]struct{}{}
	}
	for _, key := range w.o.Keys {
		x.byKey[string(key)] = append(x.byKey[string(key)], w)
	}
	if len(w.o.Prefixes) > 0 {
		x.prefixed[w] = struct{}{}
	}
	if lags {
		x.lagging[w] = struct{}{}
	}
	f.count.Add(1)
}

func (f *followers) removeWatch(w *Watch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if w.closed {
		return
	}
	w.closed, w.marks = true, nil
	x := &f.mu.watchers
	for _, key := range w.o.Keys {
		list := x.byKey[string(key)]
		for i := range list {
			if list[i] == w {
				list[i] = list[len(list)-1]
				list[len(list)-1] = nil
				list = list[:len(list)-1]
				break
			}
		}
		if len(list) == 0 {
			delete(x.byKey, string(key))
		} else {
			x.byKey[string(key)] = list
		}
	}
	delete(x.prefixed, w)
	delete(x.lagging, w)
	f.count.Add(-1)
}

// mark tells the watches of a key.
func (x *watchers) mark(key []byte, end uint64) {
	list := x.byKey[string(key)]
	if len(list) == 0 && len(x.prefixed) == 0 {
		return
	}
	name := string(key)
	for _, w := range list {
		w.mark(name, end)
	}
	for w := range x.prefixed {
		if w.covers(key) {
			w.mark(name, end)
		}
	}
}

func (x *watchers) markAll(end uint64) {
	for _, list := range x.byKey {
		for _, w := range list {
			w.markAll(end)
		}
	}
	for w := range x.prefixed {
		w.markAll(end)
	}
}

// visible wakes the watches that had to wait for the remote watermark.
func (f *followers) visible() {
	if f.count.Load() == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.mu.watchers.lagging {
		if len(w.marks) > 0 || w.all {
			wake(w.c)
		}
	}
}
