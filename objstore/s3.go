package objstore

import (
	"context"
	"iter"
	"net/http"
)

// S3 is a bucket on S3.
type S3 struct{ o S3Options }

// NewS3 returns a bucket on S3.
func NewS3(ctx context.Context, o S3Options) (*S3, error) { return &S3{o: o}, nil }

// Get implements Reader.
func (s *S3) Get(ctx context.Context, name string) (Object, error) { return Object{}, errUnfinished }

// GetIfChanged implements Reader.
func (s *S3) GetIfChanged(ctx context.Context, name, etag string) (Object, error) {
	return Object{}, errUnfinished
}

// GetRange implements Reader.
func (s *S3) GetRange(ctx context.Context, name string, off, n int64) ([]byte, error) {
	return nil, errUnfinished
}

// List implements Reader.
func (s *S3) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) { yield(Info{}, errUnfinished) }
}

// Put implements Bucket.
func (s *S3) Put(ctx context.Context, name string, data []byte, c Condition) (string, error) {
	return "", errUnfinished
}

// Delete implements Bucket.
func (s *S3) Delete(ctx context.Context, name string) error { return errUnfinished }

// S3Options says which bucket, and how it is reached.
type S3Options struct {
	// Bucket is the name of an existing bucket. Required.
	Bucket string
	// Prefix is a folder in it that all names are below; empty is the whole bucket.
	Prefix string
	// Region of the bucket; empty is what the environment says, and us-east-1 where Endpoint is set.
	Region string
	// Endpoint is the base URL of another server than Amazon's, "http://127.0.0.1:9000" for one.
	Endpoint string
	// PathStyle puts the bucket's name into the path and not into the host name, as most other servers need it.
	PathStyle bool
	// Transport, where it is set, wraps the HTTP transport: tests put faults and recorders there.
	Transport func(http.RoundTripper) http.RoundTripper
}
