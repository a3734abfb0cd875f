package logdb

import (
	"context"
	"errors"
	"io/fs"
	"sync"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
	"github.com/logdb-go/logdb/wal"
)

// localTables reads tables that are staged from the local disk and everything
// else from the bucket. A name means the same bytes in both.
type localTables struct {
	objstore.Reader
	mu struct {
		sync.RWMutex
		bodies map[string]localBody
	}
}

type localBody struct {
	file *wal.Staged
	body int
}

func newLocalTables(b objstore.Reader) *localTables {
	l := &localTables{Reader: b}
	l.mu.bodies = map[string]localBody{}
	return l
}

func (l *localTables) add(file *wal.Staged, tables []segment.Table) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range tables {
		l.mu.bodies[tables[i].Name()] = localBody{file, i}
	}
}

func (l *localTables) drop(file *wal.Staged) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, b := range l.mu.bodies {
		if b.file == file {
			delete(l.mu.bodies, name)
		}
	}
}

// GetRange implements objstore.Reader.
func (l *localTables) GetRange(ctx context.Context, name string, off, n int64) ([]byte, error) {
	l.mu.RLock()
	b, ok := l.mu.bodies[name]
	l.mu.RUnlock()
	if !ok {
		return l.Reader.GetRange(ctx, name, off, n)
	}
	data := make([]byte, n)
	err := b.file.ReadAt(data, b.body, off)
	if errors.Is(err, fs.ErrNotExist) { // removed meanwhile: it is in the bucket, or its view is old
		return l.Reader.GetRange(ctx, name, off, n)
	}
	return data, err
}
