package objstore

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io/fs"
)

// ID is a random identity of 16 bytes: of a log, of one attempt to write, of a directory. The zero ID is none.
type ID [16]byte

// NewID returns an ID from the system's secure random source.
func NewID() ID {
	var id ID
	// Since Go 1.24 this either fills the slice or ends the process.
	_, _ = rand.Read(id[:])
	return id
}

// ParseID reads what String wrote: exactly 32 lower-case hex digits. Anything else is fs.ErrInvalid.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 2*len(id) {
		return ID{}, fmt.Errorf("objstore: id %q: got %d characters, want %d: %w", s, len(s), 2*len(id), fs.ErrInvalid)
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil || id.String() != s {
		return ID{}, fmt.Errorf("objstore: id %q: want lower-case hex digits: %w", s, fs.ErrInvalid)
	}
	return id, nil
}

// String returns 32 lower-case hex digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether id is none.
func (id ID) IsZero() bool { return id == ID{} }
