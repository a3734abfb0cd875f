package segment

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/logdb-go/logdb/objstore"
)

var errMessage = errors.New("malformed message")

// Messages are protobuf messages with one rule of their own: a field number
// that the reader does not know may be skipped if it is odd, and must be
// refused if it is even.

func appendUint(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	b = protowire.AppendTag(b, num, protowire.VarintType)
	return protowire.AppendVarint(b, v)
}

func appendSint(b []byte, num protowire.Number, v int64) []byte {
	return appendUint(b, num, protowire.EncodeZigZag(v))
}

func appendBool(b []byte, num protowire.Number, v bool) []byte {
	if !v {
		return b
	}
	return appendUint(b, num, 1)
}

func appendBytes(b []byte, num protowire.Number, v []byte) []byte {
	if len(v) == 0 {
		return b
	}
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return protowire.AppendBytes(b, v)
}

func appendID(b []byte, num protowire.Number, id objstore.ID) []byte {
	if id.IsZero() {
		return b
	}
	return appendBytes(b, num, id[:])
}

// field is one field of a message. Its accessors keep the first error in bad.
type field struct {
	num  protowire.Number
	typ  protowire.Type
	v    uint64 // of a varint
	data []byte // of bytes, aliasing the message
	bad  *error
}

// eachField calls f for every field of the message b. f reports whether it
// knows the field's number.
func eachField(what string, b []byte, f func(field) (known bool)) error {
	var bad error
	for len(b) > 0 {
		fd, n := nextField(b)
		if n < 0 {
			return fmt.Errorf("%s: %w: %w", what, protowire.ParseError(n), errMessage)
		}
		b = b[n:]
		fd.bad = &bad
		if !f(fd) && fd.num%2 == 0 {
			return fmt.Errorf("%s: field %d: got an even number, want a known or an odd one: %w", what, fd.num, objstore.ErrUnsupported)
		}
		if bad != nil {
			return fmt.Errorf("%s: field %d: %w", what, fd.num, bad)
		}
	}
	return nil
}

func nextField(b []byte) (field, int) {
	num, typ, n := protowire.ConsumeTag(b)
	if n < 0 {
		return field{}, n
	}
	fd, m := field{num: num, typ: typ}, 0
	switch typ {
	case protowire.VarintType:
		fd.v, m = protowire.ConsumeVarint(b[n:])
	case protowire.BytesType:
		fd.data, m = protowire.ConsumeBytes(b[n:])
	default:
		m = protowire.ConsumeFieldValue(num, typ, b[n:])
	}
	if m < 0 {
		return field{}, m
	}
	return fd, n + m
}

func (f field) fail(format string, args ...any) {
	if *f.bad == nil {
		*f.bad = fmt.Errorf(format+": %w", append(args, errMessage)...)
	}
}

func (f field) want(t protowire.Type) bool {
	if f.typ != t {
		f.fail("got wire type %d, want %d", f.typ, t)
	}
	return f.typ == t
}

func (f field) uint() uint64 {
	f.want(protowire.VarintType)
	return f.v
}

func (f field) sint() int64 { return protowire.DecodeZigZag(f.uint()) }

// size is a number of bytes.
func (f field) size() int64 {
	v := f.uint()
	if v > math.MaxInt64 {
		f.fail("got %d, want at most %d", v, int64(math.MaxInt64))
	}
	return int64(v)
}

func (f field) bool() bool {
	v := f.uint()
	if v > 1 {
		f.fail("got %d, want 0 or 1", v)
	}
	return v == 1
}

// bytes returns a copy.
func (f field) bytes() []byte {
	if !f.want(protowire.BytesType) || len(f.data) == 0 {
		return nil
	}
	return append([]byte(nil), f.data...)
}

func (f field) id() (id objstore.ID) {
	if f.want(protowire.BytesType) && len(f.data) != len(id) {
		f.fail("got an identity of %d bytes, want %d", len(f.data), len(id))
	}
	copy(id[:], f.data)
	return id
}
