package segment

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/logdb-go/logdb/objstore"
)

// MaxKeyBytes is the length of the longest key of a stream.
const MaxKeyBytes = 64 << 10

// Kind is the first byte of a key in a table and says what its value is.
//
// 0x30 (sequence order), 0x40 (stream state) and 0x50 (producer state) are
// reserved. A reader skips a kind below 0x80 that it does not know, and refuses
// one at or above.
type Kind uint8

const (
	// KindListing rows sum up one key's entries in this table. Their suffix is 0.
	KindListing Kind = 0x10
	// KindEntry rows are entries. Their suffix is the sequence.
	KindEntry Kind = 0x20

	kindCritical Kind = 0x80
)

const (
	keyTerminator = 0x00
	// The suffix ends with its own length, so that a table key can be split from its end.
	suffixBytes = 8 + 1
	minTableKey = 1 + 1 + suffixBytes
)

var errTableKey = errors.New("malformed table key")

// AppendEntryKey appends the table key of the entry of key at sequence seq.
func AppendEntryKey(dst, key []byte, seq uint64) []byte {
	dst = appendPrefix(dst, KindEntry, key)
	return appendSuffix(dst, seq)
}

// AppendListingKey appends the table key of the listing row of key.
func AppendListingKey(dst, key []byte) []byte {
	dst = appendPrefix(dst, KindListing, key)
	return appendSuffix(dst, 0)
}

func appendPrefix(dst []byte, kind Kind, key []byte) []byte {
	dst = append(dst, byte(kind))
	dst = append(dst, key...)
	return append(dst, keyTerminator)
}

func appendSuffix(dst []byte, suffix uint64) []byte {
	dst = binary.BigEndian.AppendUint64(dst, suffix)
	return append(dst, suffixBytes)
}

// ParseKey takes a table key apart. key aliases k. A kind this build does not
// know is returned like any other if it may be skipped, and is
// objstore.ErrUnsupported if it may not; anything malformed matches
// objstore.ErrCorrupt.
func ParseKey(k []byte) (kind Kind, key []byte, suffix uint64, err error) {
	n := len(k)
	switch {
	case n < minTableKey:
		return 0, nil, 0, corruptKey("length", n, minTableKey)
	case k[n-1] != suffixBytes:
		return 0, nil, 0, corruptKey("last byte", int(k[n-1]), suffixBytes)
	case k[n-suffixBytes-1] != keyTerminator:
		return 0, nil, 0, corruptKey("terminator", int(k[n-suffixBytes-1]), keyTerminator)
	}
	kind = Kind(k[0])
	if kind >= kindCritical {
		return 0, nil, 0, fmt.Errorf("segment: table key of kind %#02x, want below %#02x: %w", byte(kind), byte(kindCritical), objstore.ErrUnsupported)
	}
	return kind, k[1 : n-suffixBytes-1], suffixOf(k), nil
}

// suffixOf needs a key that ends in a suffix.
func suffixOf(k []byte) uint64 {
	return binary.BigEndian.Uint64(k[len(k)-suffixBytes:])
}

func corruptKey(what string, got, want int) error {
	return &objstore.CorruptError{Object: "table key", Err: fmt.Errorf("%s: got %d, want %d: %w", what, got, want, errTableKey)}
}
