package objstore

import (
	"fmt"
	"io"
	"io/fs"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxNameBytes    = 1024 // S3's limit for a key
	maxElementBytes = 255  // of file systems
)

// checkName enforces the grammar of the package comment, so that a name that works in one bucket works in all.
func checkName(name string) error {
	if name == "" || len(name) > maxNameBytes {
		return fmt.Errorf("objstore: name %.40q: got %d bytes, want 1 to %d: %w", name, len(name), maxNameBytes, fs.ErrInvalid)
	}
	if !utf8.ValidString(name) || strings.ContainsFunc(name, unprintable) {
		return fmt.Errorf("objstore: name %q: want UTF-8 without control characters and backslashes: %w", name, fs.ErrInvalid)
	}
	for element := range strings.SplitSeq(name, "/") {
		if element == "" || element[0] == '.' || len(element) > maxElementBytes {
			return fmt.Errorf("objstore: name %q: element %q is empty, begins with a dot or has more than %d bytes: %w",
				name, element, maxElementBytes, fs.ErrInvalid)
		}
	}
	return nil
}

// mayBegin reports whether any name could begin with prefix. Where none can, a listing is empty without asking: files must
// not follow "..", and some servers answer it with an error.
func mayBegin(prefix string) bool {
	return prefix == "" || strings.HasSuffix(prefix, "/") && checkName(prefix[:len(prefix)-1]) == nil || checkName(prefix) == nil
}

// unprintable names what S3's listings cannot carry, being XML, and what one file system would take for a slash.
func unprintable(r rune) bool {
	return unicode.IsControl(r) || r == '\\' || r == '\ufffe' || r == '\uffff'
}

// checkRange refuses what no object can answer.
func checkRange(name string, off, n int64) error {
	if off < 0 || n < 0 || off > math.MaxInt64-n {
		return fmt.Errorf("objstore: %d bytes at %d of %q: %w", n, off, name, fs.ErrInvalid)
	}
	return nil
}

// checkPut refuses what must not be sent. An empty ETag would turn compare-and-set into something else on S3.
func checkPut(name string, c Condition) error {
	if etag, ok := c.Match(); ok && etag == "" {
		return fmt.Errorf("objstore: put %q: if-match with an empty etag: %w", name, fs.ErrInvalid)
	}
	return checkName(name)
}

// errShort is GetRange's answer for an object of size bytes that ends before off+n.
func errShort(name string, off, n, size int64) error {
	return fmt.Errorf("objstore: %d bytes at %d of %q: object has %d bytes: %w", n, off, name, size, io.ErrUnexpectedEOF)
}

// errShortUnsized is errShort where the store does not say how long the object is.
func errShortUnsized(name string, off, n int64) error {
	return fmt.Errorf("objstore: %d bytes at %d of %q: object ends before: %w", n, off, name, io.ErrUnexpectedEOF)
}
