package inspect

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
)

// Checked counts what a check has looked at.
type Checked struct {
	Objects    uint64 // everything below the prefix
	Bytes      uint64 // their sizes
	Segments   uint64
	Tables     uint64 // named by the manifest, or by a WAL object that counts
	Records    uint64 // in those tables, and in WAL objects that are not in tables yet
	WALObjects uint64 // from where recovery starts
	Orphans    uint64 // objects that the log does not name: left for collection
}

// Check yields what is wrong with the log in a bucket, each an
// *objstore.CorruptError, and goes on. Another error is no finding:
// objstore.ErrUnsupported skips an object, the rest (noLog, the store's, ctx's)
// end the check.
func Check(ctx context.Context, b objstore.Reader, noLog error, n *Checked) iter.Seq[error] {
	return func(yield func(error) bool) {
		c := &checker{
			ctx: ctx, bucket: b, noLog: noLog, n: n, yield: yield,
			cache: segment.NewCache(dataCache, metaCache), named: make(map[string]int64),
		}
		defer c.cache.Close()
		if err := c.run(); err != nil && !errors.Is(err, errStopped) {
			yield(err)
		}
	}
}

// Blocks are read once: the cache only serves the two passes over listings.
const (
	dataCache = 16 << 20
	metaCache = 64 << 20
)

// checker is one check. Its steps return an error only when it is over.
type checker struct {
	ctx    context.Context
	bucket objstore.Reader
	noLog  error
	n      *Checked
	yield  func(error) bool
	cache  *segment.Cache

	m     *segment.Manifest // nil if there is none that can be read
	named map[string]int64  // objects that the log names, and their sizes; -1: not stated
	chain *chain            // the last walk; nil without a manifest
}

// errStopped: the caller has seen enough.
var errStopped = errors.New("stopped")

func (c *checker) run() error {
	if err := c.manifest(); err != nil {
		return err
	}
	if c.m != nil {
		if err := c.segments(); err != nil {
			return err
		}
		if err := c.wal(); err != nil {
			return err
		}
	}
	return c.objects()
}

// found reports one finding.
func (c *checker) found(object string, offset int64, format string, args ...any) error {
	return c.tell(finding(object, offset, format, args...))
}

func finding(object string, offset int64, format string, args ...any) error {
	return &objstore.CorruptError{Object: object, Offset: offset, Err: fmt.Errorf(format, args...)}
}

func (c *checker) tell(err error) error {
	if !c.yield(err) {
		return errStopped
	}
	return nil
}

// failed sorts out why an object could not be read: what is wrong with its
// bytes is reported and the check goes on, anything else ends it.
func (c *checker) failed(object string, err error) error {
	var corrupt *objstore.CorruptError
	switch {
	case errors.As(err, &corrupt):
		if corrupt.Object != object { // a codec that does not know where its bytes came from
			return c.found(object, corrupt.Offset, "%w", err)
		}
		return c.tell(corrupt)
	case errors.Is(err, objstore.ErrUnsupported):
		return c.tell(err)
	}
	return err
}

func (c *checker) manifest() error {
	m, err := readManifest(c.ctx, c.bucket)
	if errors.Is(err, objstore.ErrNotFound) {
		return nil // what that means depends on what else is there
	}
	c.named[segment.ManifestName] = -1
	if err != nil {
		return c.failed(segment.ManifestName, err)
	}
	c.m = m
	c.name(m)
	return nil
}

// name remembers what a manifest names.
func (c *checker) name(m *segment.Manifest) {
	for i := range m.Segments {
		for j := range m.Segments[i].Tables {
			t := &m.Segments[i].Tables[j]
			c.named[t.Name()] = t.Size
		}
	}
}

func readManifest(ctx context.Context, b objstore.Reader) (*segment.Manifest, error) {
	got, err := b.Get(ctx, segment.ManifestName)
	if err != nil {
		return nil, err
	}
	return segment.DecodeManifest(got.Data)
}

// gone decides what it means that an object was not there although the log
// named it: nothing, if the log no longer does.
func (c *checker) gone(name string, names func(*segment.Manifest) bool) error {
	m, err := readManifest(c.ctx, c.bucket)
	if err != nil {
		return c.failed(segment.ManifestName, err)
	}
	if !names(m) {
		return nil
	}
	return c.found(name, 0, "the log names it, and it is not there")
}

func tableNamed(name string) func(*segment.Manifest) bool {
	return func(m *segment.Manifest) bool {
		for i := range m.Segments {
			for j := range m.Segments[i].Tables {
				if m.Segments[i].Tables[j].Name() == name {
					return true
				}
			}
		}
		return false
	}
}
