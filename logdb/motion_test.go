package logdb

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
)

// inMotion refuses writes of the manifest, as if another one were there, and
// shows none for so many reads: a server that was killed in the middle of a write.
type inMotion struct {
	objstore.Bucket
	reads atomic.Int64
}

func (m *inMotion) Put(ctx context.Context, name string, data []byte, c objstore.Condition) (string, error) {
	if name == segment.ManifestName && m.reads.Load() > 0 {
		return "", objstore.ErrPrecondition
	}
	return m.Bucket.Put(ctx, name, data, c)
}

func (m *inMotion) Get(ctx context.Context, name string) (objstore.Object, error) {
	if name == segment.ManifestName && m.reads.Load() > 0 {
		m.reads.Add(-1)
		return objstore.Object{}, objstore.ErrNotFound
	}
	return m.Bucket.Get(ctx, name)
}

// A manifest that refuses a write by being there, and then is not there to be
// read, is looked for again: whoever creates or writes the log goes on.
func TestManifestInMotion(t *testing.T) {
	const most = 1 << 40
	for _, c := range []struct {
		name           string
		opening, later int64 // reads that show nothing
		want           error
	}{
		{"at the creation", 3, 0, nil},
		{"at the creation, for longer than anybody looks", 3 * motionLooks, 0, nil},
		{"at an edit", 0, 3, nil},
		{"for good", 0, most, ErrForeign},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &inMotion{Bucket: objstore.NewMem()}
				b.reads.Store(c.opening)
				d := openLog(t, b, Options{})
				b.reads.Store(c.later)
				mustAppend(t, d, Remote, "a", "1")
				_, _, err := d.SealSegment(t.Context(), nil)
				time.Sleep(time.Minute)
				if err == nil {
					err = d.Err()
				}
				if !errors.Is(err, c.want) {
					t.Fatalf("the log ended with %v, want %v", err, c.want)
				}
				if got := scanAll(t, d, "a", Range{}, ScanOptions{}); c.want == nil && len(got) != 1 {
					t.Errorf("%d records, want 1", len(got))
				}
			})
		})
	}
}
