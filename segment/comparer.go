package segment

import (
	"bytes"
	"cmp"
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
	ComparePointSuffixes: compareSuffixes,
	CompareRangeSuffixes: compareSuffixes,
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
	if n == 0 || k[n-1] > maxSuffixBytes || int(k[n-1]) > n {
		return n
	}
	return n - int(k[n-1]) // 0x00 is the length of no suffix
}

// compareSuffixes compares numbers, which in tables of version 1 have leading zeros. No suffix comes first.
func compareSuffixes(a, b []byte) int {
	switch {
	case len(a) == len(b):
		return bytes.Compare(a, b)
	case len(a) == 0 || len(b) == 0:
		return cmp.Compare(len(a), len(b))
	default:
		return cmp.Compare(suffixOf(a), suffixOf(b))
	}
}

func compareKeys(a, b []byte) int {
	an, bn := splitKey(a), splitKey(b)
	if c := bytes.Compare(a[:an], b[:bn]); c != 0 {
		return c
	}
	return compareSuffixes(a[an:], b[bn:])
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
