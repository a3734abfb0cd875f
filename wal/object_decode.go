package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"

	"github.com/klauspost/compress/s2"

	"github.com/logdb-go/logdb/objstore"
)

// objectSizes is what a header says about the bytes around it.
type objectSizes struct {
	header, stored, body int
	compression          byte
}

// DecodeObject checks an object against its name and its checksums and decompresses the body. Frames in it are checked
// by [Object.Frames].
//
// Errors: *objstore.CorruptError, or one that wraps objstore.ErrUnsupported. The log id and the nonce are for the caller
// to compare.
func DecodeObject(name string, b []byte) (Object, error) {
	h, sizes, err := decodeObjectHeader(name, b)
	if err != nil {
		return Object{}, err
	}
	want := sizes.header + sizes.stored + objectChecksumBytes
	if len(b) != want {
		return Object{}, corrupt(name, len(b), "object length: got %d bytes, want %d", len(b), want)
	}
	covered := b[sizes.header-objectChecksumBytes : want-objectChecksumBytes]
	if got, want := crc32.Checksum(covered, castagnoli), binary.LittleEndian.Uint32(b[want-objectChecksumBytes:]); got != want {
		return Object{}, corrupt(name, sizes.header, "body checksum: got %08x, want %08x", got, want)
	}
	body, err := decompress(b[sizes.header:sizes.header+sizes.stored], sizes)
	if err != nil {
		return Object{}, corrupt(name, sizes.header, "body: %w", err)
	}
	return Object{ObjectHeader: h, Body: body, Size: len(b)}, nil
}

// DecodeObjectHeader checks and decodes the header alone; b may be the start of an object. Errors as [DecodeObject].
func DecodeObjectHeader(name string, b []byte) (ObjectHeader, error) {
	h, _, err := decodeObjectHeader(name, b)
	return h, err
}

func decodeObjectHeader(name string, b []byte) (ObjectHeader, objectSizes, error) {
	sizes, err := checkObjectHeader(name, b)
	if err != nil {
		return ObjectHeader{}, sizes, err
	}
	u64 := func(at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
	h := ObjectHeader{
		Kind:            ObjectKind(b[objectKindAt]),
		Log:             objstore.ID(b[objectLogAt:objectNonceAt]),
		Nonce:           objstore.ID(b[objectNonceAt:objectEpochAt]),
		At:              Position{u64(objectEpochAt), u64(objectNumberAt)},
		Start:           u64(objectStartAt),
		End:             u64(objectEndAt),
		MinMs:           int64(u64(objectMinMsAt)),
		MaxMs:           int64(u64(objectMaxMsAt)),
		ManifestVersion: u64(objectManifestAt),
		Next:            Position{u64(objectNextEpochAt), u64(objectNextNumberAt)},
	}
	if err := h.validate(name, u64(objectBodyBytesAt)); err != nil {
		return ObjectHeader{}, sizes, err
	}
	sizes.stored, sizes.body, err = bodySizes(b)
	if err != nil {
		return ObjectHeader{}, sizes, corrupt(name, objectStoredBytesAt, "%w", err)
	}
	return h, sizes, nil
}

// checkObjectHeader rejects by magic, version, reserved bits and checksum, in that order, so that the newest thing that
// can be wrong about an intact object is said, and then by what it needs of a reader.
func checkObjectHeader(name string, b []byte) (sizes objectSizes, err error) {
	if len(b) < objectMinHeaderBytes {
		return sizes, corrupt(name, len(b), "object header: got %d bytes, want at least %d", len(b), objectMinHeaderBytes)
	}
	if got := string(b[:len(objectMagic)]); got != objectMagic {
		return sizes, corrupt(name, 0, "magic: got %q, want %q", got, objectMagic)
	}
	if v := b[objectVersionAt]; v != objectVersion {
		return sizes, unsupported(name, "version: got %d, want %d", v, objectVersion)
	}
	if f := b[objectFlagsAt]; f != 0 {
		return sizes, unsupported(name, "flags: got %#x, want 0", f)
	}
	n := int64(binary.LittleEndian.Uint32(b[objectHeaderBytesAt:]))
	if limit := int64(min(len(b), objectMaxHeaderBytes)); n < objectMinHeaderBytes || n > limit {
		return sizes, corrupt(name, objectHeaderBytesAt, "header length: got %d, want %d to %d", n, objectMinHeaderBytes, limit)
	}
	sizes.header = int(n)
	sumAt := sizes.header - objectChecksumBytes
	if got, want := crc32.Checksum(b[:sumAt], castagnoli), binary.LittleEndian.Uint32(b[sumAt:]); got != want {
		return sizes, corrupt(name, 0, "header checksum: got %08x, want %08x", got, want)
	}
	return sizes, checkObjectNeeds(name, b[:sumAt], &sizes)
}

// checkObjectNeeds refuses an intact object that needs a reader of a later version.
func checkObjectNeeds(name string, header []byte, sizes *objectSizes) error {
	if k := ObjectKind(header[objectKindAt]); k < Data || k > Fence {
		return unsupported(name, "object kind: got %d, want %d to %d", k, Data, Fence)
	}
	sizes.compression = header[objectCompressionAt]
	if sizes.compression > compressionS2 {
		return unsupported(name, "compression: got %d, want 0 or %d", sizes.compression, compressionS2)
	}
	if err := checkTLVs(header[objectTLVsAt:]); err != nil {
		if errors.Is(err, objstore.ErrUnsupported) {
			return fmt.Errorf("wal object %s: %w", name, err)
		}
		return corrupt(name, objectTLVsAt, "header %w", err)
	}
	return nil
}

func (h ObjectHeader) validate(name string, bodyBytes uint64) error {
	if got := ObjectName(h.At.Epoch, h.At.Number); got != name {
		return corrupt(name, objectEpochAt, "name in the object: got %s, want %s", got, name)
	}
	if h.Start > h.End {
		return corrupt(name, objectStartAt, "start %d lies above end %d", h.Start, h.End)
	}
	if h.MinMs > h.MaxMs {
		return corrupt(name, objectMinMsAt, "first time %d lies above last time %d", h.MinMs, h.MaxMs)
	}
	if h.Kind != Fence {
		if h.Next != (Position{}) {
			return corrupt(name, objectNextEpochAt, "next of a %s object: got %s, want none", h.Kind, h.Next)
		}
		return nil
	}
	if h.Start != h.End || bodyBytes != 0 {
		return corrupt(name, objectStartAt, "fence: got [%d, %d) and %d bytes of body, want none", h.Start, h.End, bodyBytes)
	}
	if h.Next.Epoch <= h.At.Epoch {
		return corrupt(name, objectNextEpochAt, "next of the fence: got epoch %d, want one above %d", h.Next.Epoch, h.At.Epoch)
	}
	return nil
}

// bodySizes returns the stored and the decompressed length of the body, bounded by each other and by maxBodyBytes.
func bodySizes(header []byte) (stored, body int, err error) {
	s := binary.LittleEndian.Uint64(header[objectStoredBytesAt:])
	n := binary.LittleEndian.Uint64(header[objectBodyBytesAt:])
	if s > maxBodyBytes || n > maxBodyBytes {
		return 0, 0, fmt.Errorf("body length: got %d stored and %d decompressed, want at most %d", s, n, maxBodyBytes)
	}
	if header[objectCompressionAt] == compressionNone && s != n {
		return 0, 0, fmt.Errorf("body length: got %d stored and %d decompressed, want the same without compression", s, n)
	}
	if n > s*maxExpansion {
		return 0, 0, fmt.Errorf("body length: %d bytes cannot decompress to %d, want at most %d times as many", s, n, maxExpansion)
	}
	return int(s), int(n), nil
}

func decompress(stored []byte, sizes objectSizes) ([]byte, error) {
	if sizes.compression == compressionNone {
		return stored[:len(stored):len(stored)], nil
	}
	// The block states its length once more and the decoder trusts that, so it is compared before anything is allocated.
	n, err := s2.DecodedLen(stored)
	if err != nil {
		return nil, err
	}
	if n != sizes.body {
		return nil, fmt.Errorf("decompressed length: got %d, want %d", n, sizes.body)
	}
	return s2.Decode(make([]byte, n), stored)
}

// Frames yields the frames of a data object in order. It checks each one, that sequences ascend inside [Start, End) and
// reach End, and that times lie inside [MinMs, MaxMs]. An error ends it; its offset counts in the decompressed body.
// Frames alias Body. Other kinds have none.
func (o Object) Frames() iter.Seq2[Frame, error] {
	return func(yield func(Frame, error) bool) {
		if o.Kind != Data {
			return
		}
		name := ObjectName(o.At.Epoch, o.At.Number)
		next, rest := o.Start, o.Body
		for len(rest) > 0 {
			off := len(o.Body) - len(rest)
			f, r, err := DecodeFrame(rest)
			if err == nil {
				err = o.checkFrame(f.Header(), f.End(), next)
			}
			if err != nil {
				yield(nil, objectFrameError(name, off, err))
				return
			}
			if !yield(f, nil) {
				return
			}
			next, rest = f.End(), r
		}
		if next != o.End {
			yield(nil, corrupt(name, len(o.Body), "frames end at sequence %d, want %d", next, o.End))
		}
	}
}

func (o Object) checkFrame(h Header, end, next uint64) error {
	if h.Kind == Pad {
		return errors.New("pad frame, which belongs in local files only")
	}
	if h.First < next || end > o.End {
		return fmt.Errorf("frame sequences [%d, %d): want them inside [%d, %d)", h.First, end, next, o.End)
	}
	if h.TimeMs < o.MinMs || h.TimeMs > o.MaxMs {
		return fmt.Errorf("frame time %d: want %d to %d", h.TimeMs, o.MinMs, o.MaxMs)
	}
	return nil
}

func objectFrameError(name string, off int, err error) error {
	if errors.Is(err, objstore.ErrUnsupported) {
		return fmt.Errorf("wal object %s: body byte %d: %w", name, off, err)
	}
	return corrupt(name, off, "body: %w", err)
}

func corrupt(object string, off int, format string, args ...any) error {
	return &objstore.CorruptError{Object: object, Offset: int64(off), Err: fmt.Errorf(format, args...)}
}

func unsupported(object string, format string, args ...any) error {
	return fmt.Errorf("wal object %s: %s: %w", object, fmt.Sprintf(format, args...), objstore.ErrUnsupported)
}
