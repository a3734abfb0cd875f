package objstore

import (
	"bytes"
	"context"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Mem is a bucket in memory. Its ETags are counters that never repeat, so here even a change to equal bytes shows.
// Dates come from package time, which lets it run inside a testing/synctest bubble.
type Mem struct {
	mu struct {
		sync.Mutex
		objects map[string]memObject
		writes  uint64
	}
}

// memObject is immutable once it is in the map.
type memObject struct {
	data     []byte
	etag     string
	modified time.Time
}

// NewMem returns an empty bucket.
func NewMem() *Mem {
	m := &Mem{}
	m.mu.objects = map[string]memObject{}
	return m
}

// Get implements Reader.
func (m *Mem) Get(ctx context.Context, name string) (Object, error) {
	return m.GetIfChanged(ctx, name, "")
}

// GetIfChanged implements Reader.
func (m *Mem) GetIfChanged(ctx context.Context, name, etag string) (Object, error) {
	o, err := m.lookup(ctx, name)
	if err != nil {
		return Object{}, wrap("get", name, err)
	}
	if o.etag == etag {
		return Object{ETag: etag, Date: time.Now()}, wrap("get", name, ErrNotModified)
	}
	return Object{Data: bytes.Clone(o.data), ETag: o.etag, Date: time.Now()}, nil
}

// GetRange implements Reader.
func (m *Mem) GetRange(ctx context.Context, name string, off, n int64) ([]byte, error) {
	if err := checkRange(name, off, n); err != nil {
		return nil, err
	}
	if n == 0 {
		return []byte{}, checkName(name)
	}
	o, err := m.lookup(ctx, name)
	if err != nil {
		return nil, wrap("get range of", name, err)
	}
	if size := int64(len(o.data)); off+n > size {
		return nil, errShort(name, off, n, size)
	}
	return bytes.Clone(o.data[off : off+n]), nil
}

func (m *Mem) lookup(ctx context.Context, name string) (memObject, error) {
	if err := checkName(name); err != nil {
		return memObject{}, err
	}
	if err := ctx.Err(); err != nil {
		return memObject{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.mu.objects[name]
	if !ok {
		return memObject{}, ErrNotFound
	}
	return o, nil
}

// List implements Reader. It shows the bucket as it was when the iteration began.
func (m *Mem) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		for _, info := range m.snapshot(prefix, after) {
			if err := ctx.Err(); err != nil {
				yield(Info{}, wrap("list", prefix, err))
				return
			}
			if !yield(info, nil) {
				return
			}
		}
		// An empty listing must not look like an answer when nobody was waiting for one any more.
		if err := ctx.Err(); err != nil {
			yield(Info{}, wrap("list", prefix, err))
		}
	}
}

func (m *Mem) snapshot(prefix, after string) []Info {
	m.mu.Lock()
	defer m.mu.Unlock()
	var infos []Info
	for name, o := range m.mu.objects {
		if strings.HasPrefix(name, prefix) && name > after {
			infos = append(infos, Info{Name: name, Size: int64(len(o.data)), Modified: o.modified})
		}
	}
	slices.SortFunc(infos, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	return infos
}

// Put implements Bucket. Outcomes are never unknown here: an ended context means that nothing was written.
func (m *Mem) Put(ctx context.Context, name string, data []byte, c Condition) (string, error) {
	if err := checkPut(name, c); err != nil {
		return "", err
	}
	if err := ctx.Err(); err != nil {
		return "", wrap("put", name, err)
	}
	data = append([]byte{}, data...)
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	old, exists := m.mu.objects[name]
	if err := c.check(old.etag, exists); err != nil {
		return "", wrap("put", name, err)
	}
	m.mu.writes++
	etag := strconv.FormatUint(m.mu.writes, 10)
	m.mu.objects[name] = memObject{data: data, etag: etag, modified: now}
	return etag, nil
}

// Delete implements Bucket.
func (m *Mem) Delete(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return wrap("delete", name, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.mu.objects, name)
	return nil
}

// check is what a store does with a condition.
func (c Condition) check(etag string, exists bool) error {
	switch {
	case c.kind == ifAbsent && exists:
		return ErrPrecondition
	case c.kind == ifMatch && !exists:
		return ErrNotFound
	case c.kind == ifMatch && etag != c.etag:
		return ErrPrecondition
	default:
		return nil
	}
}
