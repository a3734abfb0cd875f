package objstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"

	thanos "github.com/thanos-io/objstore"

	"github.com/logdb-go/logdb/objstore"
)

// TestFromThanos reads through their bucket in memory, and through ours shown as theirs and back.
func TestFromThanos(t *testing.T) {
	for what, bucket := range map[string]thanos.Bucket{
		"theirs": thanos.NewInMemBucket(), "ours": objstore.AsThanos(objstore.NewMem()), "our files": objstore.AsThanos(openFile(t, t.TempDir())),
	} {
		t.Run(what, func(t *testing.T) {
			for _, name := range []string{"a/b", "a-b", "a0", "wal/1", "wal/2"} {
				if err := bucket.Upload(t.Context(), name, strings.NewReader("this is "+name)); err != nil {
					t.Fatal(err)
				}
			}
			testThanosReads(t, bucket)
			testThanosRanges(t, objstore.FromThanos(bucket))
			testThanosLists(t, objstore.FromThanos(bucket))
		})
	}
}

func testThanosReads(t *testing.T, bucket thanos.Bucket) {
	ctx, r := t.Context(), objstore.FromThanos(bucket)
	o, err := r.Get(ctx, "wal/1")
	if err != nil || string(o.Data) != "this is wal/1" {
		t.Fatalf("get: got %q, %v", o.Data, err)
	}
	if _, err := r.GetIfChanged(ctx, "wal/1", o.ETag); !errors.Is(err, objstore.ErrNotModified) {
		t.Errorf("get if changed: got %v", err)
	}
	if err := bucket.Upload(ctx, "wal/1", strings.NewReader("another")); err != nil {
		t.Fatal(err)
	}
	if o, err := r.GetIfChanged(ctx, "wal/1", o.ETag); err != nil || string(o.Data) != "another" {
		t.Errorf("get if changed: got %q, %v", o.Data, err)
	}
	if _, err := r.Get(ctx, "nothing"); !errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("get: got %v", err)
	}
	if _, err := r.Get(ctx, "../up"); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("get: got %v", err)
	}
}

func testThanosRanges(t *testing.T, r objstore.Reader) {
	ctx := t.Context()
	if data, err := r.GetRange(ctx, "wal/2", 5, 4); err != nil || string(data) != "is w" {
		t.Errorf("get range: got %q, %v", data, err)
	}
	for _, off := range []int64{9, 13, 14, 1 << 40} {
		if _, err := r.GetRange(ctx, "wal/2", off, 5); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("5 bytes at %d: got %v", off, err)
		}
	}
	if _, err := r.GetRange(ctx, "nothing", 0, 1); !errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("get range: got %v", err)
	}
	if _, err := r.GetRange(ctx, "wal/2", -1, 1); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("get range: got %v", err)
	}
}

func testThanosLists(t *testing.T, r objstore.Reader) {
	for _, list := range []struct{ prefix, after, want string }{
		{"", "", "a-b:11 a/b:11 a0:10 wal/1:7 wal/2:13"}, {"a", "a-b", "a/b:11 a0:10"}, {"wal/", "wal/1", "wal/2:13"}, {"wal/1", "", "wal/1:7"}, {"x/", "", ""},
	} {
		var got []string
		for info, err := range r.List(t.Context(), list.prefix, list.after) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%s:%d", info.Name, info.Size))
		}
		if strings.Join(got, " ") != list.want {
			t.Errorf("list %q after %q: got %q, want %q", list.prefix, list.after, got, list.want)
		}
	}
}

// brokenThanos gives bodies that break off, as a connection does.
type brokenThanos struct{ thanos.Bucket }

func (b brokenThanos) Get(context.Context, string) (io.ReadCloser, error) {
	return io.NopCloser(io.MultiReader(bytes.NewReader([]byte("this")), cut{})), nil
}

func (b brokenThanos) GetRange(ctx context.Context, name string, _, _ int64) (io.ReadCloser, error) {
	return b.Get(ctx, name)
}

func TestFromThanosBrokenBody(t *testing.T) {
	bucket := brokenThanos{thanos.NewInMemBucket()}
	if err := bucket.Upload(t.Context(), "o", strings.NewReader("this is long enough")); err != nil {
		t.Fatal(err)
	}
	r := objstore.FromThanos(bucket)
	_, err := r.Get(t.Context(), "o")
	wantSentinel(t, "get", err, nil)
	_, err = r.GetRange(t.Context(), "o", 0, 10)
	wantSentinel(t, "get range", err, nil)
}
