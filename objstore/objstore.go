package objstore

import (
	"context"
	"iter"
	"time"
)

// Object is a whole object as one read found it.
type Object struct {
	// Data is the content, owned by the caller.
	Data []byte
	// ETag names this content to GetIfChanged and IfMatch. It is opaque and belongs to this bucket.
	ETag string
	// Date is the store's own clock when it answered, zero where it is not known.
	Date time.Time
}

// Info is one line of a listing.
type Info struct {
	Name string
	// Size in bytes.
	Size int64
	// Modified is when the content was written, by the store's clock; zero where it is not known.
	Modified time.Time
}

// Reader reads objects. It needs permission to get objects and to list them (GetObject and ListBucket on S3), and
// nothing else: without the second, S3 answers ErrAccessDenied where ErrNotFound would be true.
//
// All methods return ErrNotFound, ErrAccessDenied, or what the transport or the context said, wrapped with the name.
// Reads may be repeated inside an implementation; they are safe to repeat outside of it.
type Reader interface {
	// Get reads a whole object.
	Get(ctx context.Context, name string) (Object, error)

	// GetIfChanged is Get unless the object still has this ETag: then the error is ErrNotModified and the Object
	// carries ETag and Date but no Data. Buckets without a conditional read fetch everything and compare.
	GetIfChanged(ctx context.Context, name, etag string) (Object, error)

	// GetRange reads exactly the n bytes of [off, off+n). Where the object ends before that, the error wraps
	// io.ErrUnexpectedEOF, and no bytes are returned; memory is bounded by what the object holds and not by n.
	// n of 0 answers without asking the store; negative arguments are fs.ErrInvalid.
	GetRange(ctx context.Context, name string, off, n int64) ([]byte, error)

	// List yields the objects whose name begins with prefix and is greater than after, in byte order of names.
	// prefix is text and need not end at a slash; "" is everything; after of "" leaves nothing out. An error
	// is yielded once, with a zero Info, and ends the sequence. Objects that come or go meanwhile may show or not.
	List(ctx context.Context, prefix, after string) iter.Seq2[Info, error]
}

// Bucket is a Reader that can be written to.
type Bucket interface {
	Reader

	// Put replaces the whole object atomically: no reader sees a part of it, and once Put has returned nil the
	// object is as durable as the bucket makes anything. data is neither kept nor changed.
	//
	// nil means applied, and the ETag is that of data. ErrPrecondition means that the condition did not hold when the
	// store looked, or that it saw a rival at work; ErrNotFound that IfMatch met no object; both are to be
	// settled by reading, see the package comment. fs.ErrInvalid (a bad name, an empty ETag) means that nothing was
	// sent. After any other error, the context's included, the object may have been written or may yet be.
	// Put never repeats a request by itself.
	Put(ctx context.Context, name string, data []byte, c Condition) (etag string, err error)

	// Delete removes an object; an absent one is no error. After an error it may have been removed or may yet be.
	Delete(ctx context.Context, name string) error
}

// Condition says what Put must find for it to write. The zero Condition is Always.
type Condition struct {
	kind conditionKind
	etag string
}

type conditionKind uint8

const (
	always conditionKind = iota
	ifAbsent
	ifMatch
)

// Always writes whatever is there.
func Always() Condition { return Condition{} }

// IfAbsent writes only where no object of that name exists.
func IfAbsent() Condition { return Condition{kind: ifAbsent} }

// IfMatch writes only over the object that has this ETag, which came from a read or a Put on the same bucket.
func IfMatch(etag string) Condition { return Condition{kind: ifMatch, etag: etag} }

// Absent reports whether c is IfAbsent.
func (c Condition) Absent() bool { return c.kind == ifAbsent }

// Match returns the ETag of an IfMatch, and whether c is one.
func (c Condition) Match() (etag string, ok bool) { return c.etag, c.kind == ifMatch }

// String names the condition for messages.
func (c Condition) String() string {
	switch c.kind {
	case ifAbsent:
		return "if-absent"
	case ifMatch:
		return "if-match " + c.etag
	default:
		return "always"
	}
}
