package segment

import (
	"bytes"
	"slices"

	"github.com/logdb-go/logdb/objstore"
)

// ManifestName is the name of the manifest's object, the only one that is ever
// replaced.
const ManifestName = "manifest"

// Manifest says what a log is made of. A zero Dir, and every zero number, means
// itself and not "none"; the fields that can be absent say so.
type Manifest struct {
	// Log is the identity of the log.
	Log objstore.ID
	// Version grows by one with every write.
	Version uint64
	// Nonce is of this write, by which its author knows it again.
	Nonce objstore.ID

	// Epoch is that of the newest writer.
	Epoch uint64
	// Dir is the WAL directory that holds Epoch; zero where the writer has none.
	Dir objstore.ID
	// DirSince is the first epoch of Dir's unbroken run.
	DirSince uint64
	// Host and PID of the writer, for people.
	Host string
	PID  int
	// WrittenMs is the author's clock at this write, for people.
	WrittenMs int64
	// Closed tells that the writer of Epoch ended cleanly and Limit is exactly the next sequence.
	Closed bool
	// CompactorEpoch is that of the newest compactor.
	CompactorEpoch uint64

	// Flushed is exclusive: every record below it is in Segments, none at or above it is.
	Flushed uint64
	// Limit is exclusive: no writer up to Epoch has shown or will show a sequence at or above it. It may lie below
	// Flushed only where a WAL directory holds a higher one.
	Limit uint64
	// LastMs is the time of the last record below Flushed.
	LastMs int64
	// NextSegment is the id of the next segment to be opened.
	NextSegment uint64
	// TrimmedBelow is exclusive: retention has removed all records below it.
	TrimmedBelow uint64

	// ReplayEpoch and ReplayNumber name the WAL object where recovery and fresh readers start.
	ReplayEpoch, ReplayNumber uint64
	// OldestEpoch and OldestNumber name the oldest WAL object that is kept.
	OldestEpoch, OldestNumber uint64

	// Segments ascend by ID and by sequence.
	Segments []Segment
}

// Segment is a window of the sequence space, over all keys.
type Segment struct {
	ID uint64
	// Start is the segment's first sequence. End is exclusive and means something only once Sealed.
	Start, End uint64
	Sealed     bool
	// OpenedMs, LastMs and SealedMs are the times of opening, of the last record and, once Sealed, of sealing.
	OpenedMs, LastMs, SealedMs int64
	// Records and Bytes sum what is in Tables.
	Records, Bytes uint64
	// Metadata is the user's, opaque here.
	Metadata []byte
	// Consolidated tells that Tables are the one sorted run that consolidation makes.
	Consolidated bool
	// Tables are in concatenation order: for every key, the entries of the tables in this order ascend.
	Tables []Table
}

// Clone returns a copy whose edits never touch m. Tables are immutable, so
// their key bounds are shared.
func (m *Manifest) Clone() *Manifest {
	c := *m
	c.Segments = slices.Clone(m.Segments)
	for i := range c.Segments {
		s := &c.Segments[i]
		s.Metadata = bytes.Clone(s.Metadata)
		s.Tables = slices.Clone(s.Tables)
	}
	return &c
}

// ManifestHeader is what the first 64 bytes of a manifest say.
type ManifestHeader struct {
	Version uint64
	Nonce   objstore.ID
	// Size of the whole object in bytes.
	Size int64
}
