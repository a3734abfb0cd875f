package segment

import (
	"errors"
	"fmt"
	"math/bits"

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
	maxSuffixBytes = 8 + 1
	minTableKey    = 1 + 1 + 1
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

// appendSuffix appends as few bytes as suffix needs: none for 0. Tables hold few bytes beside keys and values, and most
// of them would be these.
func appendSuffix(dst []byte, suffix uint64) []byte {
	n := (bits.Len64(suffix) + 7) / 8
	for i := n - 1; i >= 0; i-- {
		dst = append(dst, byte(suffix>>(8*i)))
	}
	return append(dst, byte(n+1))
}

// ParseKey takes a table key apart. key aliases k. A kind this build does not
// know is returned like any other if it may be skipped, and is
// objstore.ErrUnsupported if it may not; anything malformed matches
// objstore.ErrCorrupt.
func ParseKey(k []byte) (kind Kind, key []byte, suffix uint64, err error) {
	if len(k) < minTableKey {
		return 0, nil, 0, corruptKey("length", len(k), minTableKey)
	}
	n := splitKey(k)
	switch {
	case n == len(k):
		return 0, nil, 0, &objstore.CorruptError{Object: "table key", Err: fmt.Errorf("length of the suffix: got %d, want 1 to %d: %w", k[n-1], min(n, maxSuffixBytes), errTableKey)}
	case n < 2:
		return 0, nil, 0, corruptKey("length", len(k), len(k)-n+2)
	case k[n-1] != keyTerminator:
		return 0, nil, 0, corruptKey("terminator", int(k[n-1]), keyTerminator)
	case k[n] == 0 && len(k)-n != maxSuffixBytes: // version 1 always has eight bytes
		return 0, nil, 0, corruptKey("first byte of the suffix", 0, 1)
	}
	kind = Kind(k[0])
	if kind >= kindCritical {
		return 0, nil, 0, fmt.Errorf("segment: table key of kind %#02x, want below %#02x: %w", byte(kind), byte(kindCritical), objstore.ErrUnsupported)
	}
	return kind, k[1 : n-1], suffixOf(k), nil
}

// suffixOf needs a key that ends in a suffix: of others it is 0.
func suffixOf(k []byte) (suffix uint64) {
	for at := splitKey(k); at < len(k)-1; at++ {
		suffix = suffix<<8 | uint64(k[at])
	}
	return suffix
}

func corruptKey(what string, got, want int) error {
	return &objstore.CorruptError{Object: "table key", Err: fmt.Errorf("%s: got %d, want %d: %w", what, got, want, errTableKey)}
}
