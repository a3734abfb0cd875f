package segment

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/logdb-go/logdb/objstore"
)

// TableID identifies a table inside a log.
type TableID struct {
	// Compacted tells a table of the compactor from one of the writer. Their epochs are apart.
	Compacted bool
	// Epoch is that of whoever wrote the table.
	Epoch uint64
	// N numbers the tables of an epoch.
	N uint64
}

// String returns the last part of the object's name, without its extension.
func (id TableID) String() string {
	who := 'w'
	if id.Compacted {
		who = 'c'
	}
	return fmt.Sprintf("%c%010d-%010d", who, id.Epoch, id.N)
}

// Table is what the manifest and `tables` WAL objects say about a table: enough
// to open it with one read, and to leave it alone where it cannot matter. It is
// not changed once made; copies share Lo and Hi.
type Table struct {
	ID      TableID
	Segment uint64
	// Nonce is of this object, and stands in it too.
	Nonce objstore.ID

	// Size of the object in bytes.
	Size int64
	// Tail is the offset where data ends and index, filter and properties begin: reading [Tail, Size) opens the table.
	Tail int64

	// Records counts the entries, control entries included.
	Records uint64
	// KeyBytes and ValueBytes sum the keys and values of all entries, as they were appended.
	KeyBytes, ValueBytes uint64
	// Keys counts the different keys.
	Keys uint64

	// Start and End bound the sequences: every entry lies in [Start, End).
	Start, End uint64
	// FirstMs and LastMs bound the times, both inclusive, in ms since 1970.
	FirstMs, LastMs int64

	// Lo and Hi bound the keys, both inclusive, cut to 64 bytes.
	Lo, Hi []byte
	// HiOpen says that the largest key, cut, could not be rounded up: there is no upper bound.
	HiOpen bool
}

// maxBoundBytes is where key bounds are cut.
const maxBoundBytes = 64

// Name returns the name of the object: seg/<segment>/<w|c><epoch>-<n>.sst.
func (t Table) Name() string {
	return fmt.Sprintf("seg/%010d/%s.sst", t.Segment, t.ID)
}

// ParseTableName takes apart what Table.Name returned; ok is false for any
// other name.
func ParseTableName(name string) (segment uint64, id TableID, ok bool) {
	rest, ok1 := strings.CutPrefix(name, "seg/")
	dir, file, ok2 := strings.Cut(rest, "/")
	file, ok3 := strings.CutSuffix(file, ".sst")
	epoch, n, ok4 := strings.Cut(file, "-")
	if !ok1 || !ok2 || !ok3 || !ok4 || epoch == "" {
		return 0, TableID{}, false
	}
	id.Compacted = epoch[0] == 'c'
	for _, part := range []struct {
		digits string
		v      *uint64
	}{{dir, &segment}, {epoch[1:], &id.Epoch}, {n, &id.N}} {
		v, err := strconv.ParseUint(part.digits, 10, 64)
		if err != nil {
			return 0, TableID{}, false
		}
		*part.v = v
	}
	if (Table{ID: id, Segment: segment}).Name() != name {
		return 0, TableID{}, false
	}
	return segment, id, true
}

// MayContain reports whether key lies between the bounds. It reads nothing.
func (t Table) MayContain(key []byte) bool {
	return bytes.Compare(key, t.Lo) >= 0 && (t.HiOpen || bytes.Compare(key, t.Hi) <= 0)
}

// lowBound is a prefix of key, and so not above it.
func lowBound(key []byte) []byte {
	return bytes.Clone(key[:min(len(key), maxBoundBytes)])
}

// highBound returns a short bound that is not below key, or open if the cut
// key is all 0xff.
func highBound(key []byte) (hi []byte, open bool) {
	if len(key) <= maxBoundBytes {
		return bytes.Clone(key), false
	}
	hi = bytes.Clone(key[:maxBoundBytes])
	for i := len(hi) - 1; i >= 0; i-- {
		if hi[i] != 0xff {
			hi[i]++
			return hi[:i+1], false
		}
	}
	return nil, true
}
