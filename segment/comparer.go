package segment

import (
	"bytes"
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/sstable/colblk"
)

// keyComparer orders table keys by prefix (kind, key, 0x00), then by suffix.
// Its name is in every table and never changes.
var keyComparer = (&sstable.Comparer{
	Name:                 "logdb.key.1",
	Split:                splitKey,
	Compare:              compareKeys,
	Equal:                bytes.Equal,
	ComparePointSuffixes: bytes.Compare,
	CompareRangeSuffixes: bytes.Compare,
	AbbreviatedKey:       abbreviateKey,
	Separator:            separateKeys,
	Successor:            func(dst, a []byte) []byte { return append(dst, a...) },
	ImmediateSuccessor:   func(dst, a []byte) []byte { return append(append(dst, a...), keyTerminator) },
}).EnsureDefaults()

// keySchema stores prefix and suffix of a key in columns of their own.
var keySchema = colblk.DefaultKeySchema(keyComparer, 16)

// splitKey returns where the suffix begins. Pebble also asks it about bare
// prefixes, which end in 0x00, and about bare suffixes.
func splitKey(k []byte) int {
	n := len(k)
	if n >= suffixBytes && k[n-1] == suffixBytes {
		return n - suffixBytes
	}
	return n
}

func compareKeys(a, b []byte) int {
	an, bn := splitKey(a), splitKey(b)
	if c := bytes.Compare(a[:an], b[:bn]); c != 0 {
		return c
	}
	return bytes.Compare(a[an:], b[bn:])
}

func abbreviateKey(k []byte) uint64 {
	p := k[:splitKey(k)]
	if len(p) >= 8 {
		return binary.BigEndian.Uint64(p)
	}
	var b [8]byte
	copy(b[:], p)
	return binary.BigEndian.Uint64(b[:])
}

// separateKeys returns a short bare prefix in [a, b) where there is one: keys
// of 64 KiB would otherwise make an index as large as the data.
func separateKeys(dst, a, b []byte) []byte {
	an, bn := splitKey(a), splitKey(b)
	n := 0
	for n < an && n < bn && a[n] == b[n] {
		n++
	}
	// b[:n+1] is above a and, with a terminator, at most b's prefix, which is
	// below b if b has a suffix.
	if n+2 > bn || n+2 == len(b) || n+2 >= len(a) {
		return append(dst, a...)
	}
	dst = append(dst, b[:n+1]...)
	return append(dst, keyTerminator)
}
