package wal

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/logdb-go/logdb/objstore"
)

// ObjectKind says what a WAL object holds.
type ObjectKind uint8

const (
	// Data holds frames.
	Data ObjectKind = 1
	// Tables names the tables that hold exactly the records of [Start, End), in place of their frames.
	Tables ObjectKind = 2
	// Fence ends an epoch's numbers and names the object that follows.
	Fence ObjectKind = 3
)

// String names the kind.
func (k ObjectKind) String() string {
	switch k {
	case Data:
		return "data"
	case Tables:
		return "tables"
	case Fence:
		return "fence"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Position is the place of a WAL object: numbers are dense inside an epoch, and a fence leads from one epoch to a later
// one.
type Position struct{ Epoch, Number uint64 }

// String returns both numbers as they stand in the object's name.
func (p Position) String() string { return fmt.Sprintf("%010d-%020d", p.Epoch, p.Number) }

// Less orders by epoch, then number.
func (p Position) Less(q Position) bool {
	return p.Epoch < q.Epoch || p.Epoch == q.Epoch && p.Number < q.Number
}

const objectPrefix = "wal/"

// ObjectName returns the name of a WAL object below the log's prefix. Up to epoch 9,999,999,999 names sort as positions
// do.
func ObjectName(epoch, number uint64) string {
	return objectPrefix + Position{epoch, number}.String()
}

// ParseObjectName undoes [ObjectName]; ok is false for every other name.
func ParseObjectName(name string) (epoch, number uint64, ok bool) {
	e, n, _ := strings.Cut(strings.TrimPrefix(name, objectPrefix), "-")
	epoch, errEpoch := strconv.ParseUint(e, 10, 64)
	number, errNumber := strconv.ParseUint(n, 10, 64)
	if errEpoch != nil || errNumber != nil || ObjectName(epoch, number) != name {
		return 0, 0, false
	}
	return epoch, number, true
}

// ObjectHeader is what a WAL object says about itself.
type ObjectHeader struct {
	Kind  ObjectKind
	Log   objstore.ID
	At    Position
	Nonce objstore.ID // of this object alone: it settles whose put took the name

	// Start is the end of what precedes the object, so that a gap is stated and never guessed. Sequences in it are in
	// [Start, End). A fence has Start = End.
	Start, End uint64

	// MinMs and MaxMs bound the times of the records, both inclusive; zero in a fence.
	MinMs, MaxMs int64

	// ManifestVersion is the newest version that the writer knew: a reader with an older one has reason to look.
	ManifestVersion uint64

	// Next is what follows a fence, in a later epoch. Zero in the other kinds.
	Next Position
}

// Object is a decoded WAL object.
type Object struct {
	ObjectHeader
	Body []byte // decompressed: frames or the tables payload; may alias the bytes that were decoded
	Size int    // bytes in the bucket
}

// Offsets of the fixed header; FORMAT.md draws it.
const (
	objectVersionAt      = 8
	objectKindAt         = 9
	objectCompressionAt  = 10
	objectFlagsAt        = 11
	objectHeaderBytesAt  = 12
	objectLogAt          = 16
	objectNonceAt        = 32
	objectEpochAt        = 48
	objectNumberAt       = 56
	objectStartAt        = 64
	objectEndAt          = 72
	objectFirstBatchAt   = 80
	objectNextBatchAt    = 88
	objectMinMsAt        = 96
	objectMaxMsAt        = 104
	objectManifestAt     = 112
	objectNextEpochAt    = 120
	objectNextNumberAt   = 128
	objectStoredBytesAt  = 136
	objectBodyBytesAt    = 144
	objectTLVsAt         = 152
	objectChecksumBytes  = 4
	objectMinHeaderBytes = objectTLVsAt + objectChecksumBytes
	objectMaxHeaderBytes = 64 << 10
)

const (
	objectMagic   = "LDBWOBJ\n"
	objectVersion = 1

	compressionNone = 0
	compressionS2   = 1

	// maxBodyBytes bounds what a body may decompress to.
	maxBodyBytes = 1 << 30
	// maxExpansion bounds what a byte of a compressed body may decompress to, so that what a decoder allocates stays
	// in proportion to what it was given. A body that compresses better is stored as it is.
	maxExpansion = 1000
)
