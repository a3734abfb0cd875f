package segment

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/logdb-go/logdb/objstore"
)

// Flags is the first byte of an entry's value in a table.
type Flags uint8

const (
	// FlagKind masks the bits that say what the entry is: 0 for data, else one of the next three. 4 to 7 are reserved.
	FlagKind Flags = 0x07
	// FlagTrimBefore says that entries of the key below a sequence are to be taken as gone.
	FlagTrimBefore Flags = 0x01
	// FlagDeleteKey says that all earlier entries of the key are to be taken as gone.
	FlagDeleteKey Flags = 0x02
	// FlagSystem entries belong to the log and not to its user.
	FlagSystem Flags = 0x03
	// FlagLastOfBatch marks the batch's last entry.
	FlagLastOfBatch Flags = 0x08
	// FlagTLVs says that a section made by AppendTLVs precedes the value.
	FlagTLVs Flags = 0x10

	flagReserved Flags = 0xe0
)

// Kind returns the FlagKind bits: 0 for data.
func (f Flags) Kind() Flags { return f & FlagKind }

// check refuses flags that a later version may have given a meaning.
func (f Flags) check() error {
	if f&flagReserved != 0 || f.Kind() > FlagSystem {
		return fmt.Errorf("entry flags: got %#02x, want kind at most %d and no bits of %#02x: %w", byte(f), FlagSystem, byte(flagReserved), objstore.ErrUnsupported)
	}
	return nil
}

var errEntry = errors.New("malformed entry")

// appendEntryHead appends what precedes TLVs and value. delta is the entry's
// time in ms above the table's base.
func appendEntryHead(dst []byte, flags Flags, delta uint64) []byte {
	return binary.AppendUvarint(append(dst, byte(flags)), delta)
}

// parseEntry takes an entry's value apart: rest is TLVs and value.
func parseEntry(b []byte) (flags Flags, delta uint64, rest []byte, err error) {
	if len(b) < 2 {
		return 0, 0, nil, fmt.Errorf("entry of %d bytes, want at least 2: %w", len(b), errEntry)
	}
	flags = Flags(b[0])
	if err := flags.check(); err != nil {
		return 0, 0, nil, err
	}
	delta, n := binary.Uvarint(b[1:])
	if n <= 0 {
		return 0, 0, nil, fmt.Errorf("time of an entry of %d bytes: no uvarint: %w", len(b), errEntry)
	}
	return flags, delta, b[1+n:], nil
}

// TLV is an attribute of an entry or of a listing row. Odd types may be
// skipped by who does not know them, even types must be refused. No type is
// defined yet.
type TLV struct {
	Type  uint64
	Value []byte
}

// AppendTLVs appends a section of attributes: what FlagTLVs announces.
func AppendTLVs(dst []byte, tlvs []TLV) []byte {
	size := 0
	for _, t := range tlvs {
		size += uvarintLen(t.Type) + uvarintLen(uint64(len(t.Value))) + len(t.Value)
	}
	dst = binary.AppendUvarint(dst, uint64(size))
	for _, t := range tlvs {
		dst = binary.AppendUvarint(dst, t.Type)
		dst = binary.AppendUvarint(dst, uint64(len(t.Value)))
		dst = append(dst, t.Value...)
	}
	return dst
}

// CutTLVs splits b behind the section that AppendTLVs wrote at its beginning.
// A type that this build must not skip is objstore.ErrUnsupported.
func CutTLVs(b []byte) (section, rest []byte, err error) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, nil, fmt.Errorf("attributes of %d bytes in %d: %w", size, len(b), errEntry)
	}
	section, rest = b[:n+int(size)], b[n+int(size):]
	for p := section[n:]; len(p) > 0; {
		typ, n := binary.Uvarint(p)
		if n <= 0 {
			return nil, nil, fmt.Errorf("attribute type: no uvarint: %w", errEntry)
		}
		if typ%2 == 0 {
			return nil, nil, fmt.Errorf("attribute type: got %d, want a known or an odd one: %w", typ, objstore.ErrUnsupported)
		}
		p = p[n:]
		length, n := binary.Uvarint(p)
		if n <= 0 || length > uint64(len(p)-n) {
			return nil, nil, fmt.Errorf("attribute %d of %d bytes in %d: %w", typ, length, len(p), errEntry)
		}
		p = p[n+int(length):]
	}
	return section, rest, nil
}

func uvarintLen(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}
