package objstore

import (
	"errors"
	"fmt"
	"time"
)

// What a bucket answers.
var (
	// ErrNotFound: the store says that there is no such object. It is no proof that none is on its way.
	ErrNotFound = errors.New("objstore: object not found")

	// ErrPrecondition: the condition of a Put did not hold (412), or a concurrent request made the store give up
	// (409). To be settled by reading the object: it may be one's own, from an earlier attempt.
	ErrPrecondition = errors.New("objstore: precondition failed")

	// ErrNotModified: the object still has the ETag that GetIfChanged was given.
	ErrNotModified = errors.New("objstore: object not modified")

	// ErrAccessDenied: the store refuses (403), or no longer takes the credentials. S3 also answers so for a name that
	// does not exist when the caller may not list the bucket.
	ErrAccessDenied = errors.New("objstore: access denied")

	// ErrUnsafe: Probe found a store that takes conditional writes and does not look at the condition, or does not
	// show what it has acknowledged.
	ErrUnsafe = errors.New("objstore: bucket ignores conditional writes")
)

// What a decoder of an object's bytes answers.
var (
	// ErrCorrupt: bytes failed a check. The error is a *CorruptError, which says where.
	ErrCorrupt = errors.New("objstore: corrupt object")

	// ErrUnsupported: the bytes are of a version, or need a feature, that this build does not know.
	ErrUnsupported = errors.New("objstore: unsupported format")
)

// CorruptError says which object failed a check, and where. It is passed as a pointer and matches ErrCorrupt.
type CorruptError struct {
	// Object is the name of the object, or of the local file.
	Object string
	// Offset is the position in bytes, from the start of the object, of what failed the check.
	Offset int64
	// Err is the check that failed, with got and want.
	Err error
}

// Error implements error.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("objstore: corrupt object %q at byte %d: %v", e.Object, e.Offset, e.Err)
}

// Unwrap returns the check that failed.
func (e *CorruptError) Unwrap() error { return e.Err }

// Is matches ErrCorrupt.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// RetryAfterError is an answer of a store that is busy and says for how long: 503 or 429 with a Retry-After. It is passed
// as a pointer. Whoever repeats a request waits at least that long, within reason: the number is the store's word.
type RetryAfterError struct {
	After time.Duration
	// Err is the answer itself.
	Err error
}

// Error implements error.
func (e *RetryAfterError) Error() string {
	return fmt.Sprintf("%v (the store asks to wait for %v)", e.Err, e.After)
}

// Unwrap returns the answer itself.
func (e *RetryAfterError) Unwrap() error { return e.Err }

// wrap says what was asked of which object.
func wrap(verb, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %q: %w", verb, name, err)
}
