package objstore

import (
	"context"
	"errors"
	"iter"
)

var errUnfinished = errors.New("objstore: not implemented yet")

// File is a bucket in a directory.
type File struct{ dir string }

// NewFile returns the bucket in dir.
func NewFile(dir string) (*File, error) { return &File{dir: dir}, nil }

// Get implements Reader.
func (f *File) Get(ctx context.Context, name string) (Object, error) { return Object{}, errUnfinished }

// GetIfChanged implements Reader.
func (f *File) GetIfChanged(ctx context.Context, name, etag string) (Object, error) {
	return Object{}, errUnfinished
}

// GetRange implements Reader.
func (f *File) GetRange(ctx context.Context, name string, off, n int64) ([]byte, error) {
	return nil, errUnfinished
}

// List implements Reader.
func (f *File) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) { yield(Info{}, errUnfinished) }
}

// Put implements Bucket.
func (f *File) Put(ctx context.Context, name string, data []byte, c Condition) (string, error) {
	return "", errUnfinished
}

// Delete implements Bucket.
func (f *File) Delete(ctx context.Context, name string) error { return errUnfinished }
