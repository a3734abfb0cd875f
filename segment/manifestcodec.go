package segment

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/s2"

	"github.com/logdb-go/logdb/objstore"
)

// The header, all integers big endian; FORMAT.md has the drawing.
const (
	manifestMagic  = "LOGDBMAN"
	manifestFormat = 1

	offFormat   = 8
	offFlags    = 9
	offReserved = 10 // 6 bytes
	offVersion  = 16
	offNonce    = 24
	offSize     = 40
	offRawSize  = 48
	offReserve2 = 56 // 4 bytes
	offCRC      = 60

	// ManifestHeaderBytes is the length of what DecodeManifestHeader reads.
	ManifestHeaderBytes = 64

	manifestSnappy = 0x01

	// Below this a body is not worth compressing.
	minCompressBytes = 512
	// A body claims at most this much more than it has, so that a few bytes cannot ask for a lot of memory.
	maxExpansion = 64
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// EncodeManifest returns the object's bytes. It does not validate.
func EncodeManifest(m *Manifest) []byte {
	raw := appendManifest(nil, m)
	body, flags := raw, byte(0)
	if len(raw) >= minCompressBytes {
		packed := s2.EncodeSnappyBetter(nil, raw)
		if len(packed) < len(raw) && len(raw) <= maxExpansion*len(packed) {
			body, flags = packed, manifestSnappy
		}
	}
	b := make([]byte, ManifestHeaderBytes, ManifestHeaderBytes+len(body)+crc32.Size)
	copy(b, manifestMagic)
	b[offFormat], b[offFlags] = manifestFormat, flags
	binary.BigEndian.PutUint64(b[offVersion:], m.Version)
	copy(b[offNonce:], m.Nonce[:])
	binary.BigEndian.PutUint64(b[offSize:], uint64(cap(b)))
	binary.BigEndian.PutUint64(b[offRawSize:], uint64(len(raw)))
	binary.BigEndian.PutUint32(b[offCRC:], crc32.Checksum(b[:offCRC], castagnoli))
	b = append(b, body...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// DecodeManifestHeader reads the first ManifestHeaderBytes of a manifest; more
// is not looked at.
func DecodeManifestHeader(b []byte) (ManifestHeader, error) {
	h, err := decodeManifestHeader(b)
	return h.ManifestHeader, err
}

type manifestHeader struct {
	ManifestHeader
	flags   byte
	rawSize uint64
}

func decodeManifestHeader(b []byte) (h manifestHeader, err error) {
	corrupt := func(off int64, format string, args ...any) (manifestHeader, error) {
		return h, &objstore.CorruptError{Object: ManifestName, Offset: off, Err: fmt.Errorf(format, args...)}
	}
	if len(b) < ManifestHeaderBytes {
		return corrupt(0, "header: got %d bytes, want %d", len(b), ManifestHeaderBytes)
	}
	b = b[:ManifestHeaderBytes]
	if got := string(b[:offFormat]); got != manifestMagic {
		return corrupt(0, "magic: got %q, want %q", got, manifestMagic)
	}
	if b[offFormat] != manifestFormat {
		return h, fmt.Errorf("segment: manifest format: got %d, want %d: %w", b[offFormat], manifestFormat, objstore.ErrUnsupported)
	}
	if f := b[offFlags]; f&^manifestSnappy != 0 {
		return h, fmt.Errorf("segment: manifest flags: got %#02x, want no bits but %#02x: %w", f, manifestSnappy, objstore.ErrUnsupported)
	}
	for _, r := range [][2]int{{offReserved, offVersion}, {offReserve2, offCRC}} {
		for i := r[0]; i < r[1]; i++ {
			if b[i] != 0 {
				return h, fmt.Errorf("segment: manifest reserved byte %d: got %#02x, want 0: %w", i, b[i], objstore.ErrUnsupported)
			}
		}
	}
	if got, want := binary.BigEndian.Uint32(b[offCRC:]), crc32.Checksum(b[:offCRC], castagnoli); got != want {
		return corrupt(offCRC, "header checksum: got %08x, want %08x", got, want)
	}
	size := binary.BigEndian.Uint64(b[offSize:])
	if size < ManifestHeaderBytes+crc32.Size || size > 1<<40 {
		return corrupt(offSize, "size: got %d, want at least %d and at most 1 TiB", size, ManifestHeaderBytes+crc32.Size)
	}
	h.Version, h.Size = binary.BigEndian.Uint64(b[offVersion:]), int64(size)
	copy(h.Nonce[:], b[offNonce:])
	h.flags, h.rawSize = b[offFlags], binary.BigEndian.Uint64(b[offRawSize:])
	return h, nil
}

// DecodeManifest reads and validates what EncodeManifest wrote. Nothing aliases b.
func DecodeManifest(b []byte) (*Manifest, error) {
	h, err := decodeManifestHeader(b)
	if err != nil {
		return nil, err
	}
	corrupt := func(off int64, format string, args ...any) (*Manifest, error) {
		return nil, &objstore.CorruptError{Object: ManifestName, Offset: off, Err: fmt.Errorf(format, args...)}
	}
	if int64(len(b)) != h.Size {
		return corrupt(offSize, "size: got %d bytes, want %d", len(b), h.Size)
	}
	end := len(b) - crc32.Size
	if got, want := binary.BigEndian.Uint32(b[end:]), crc32.Checksum(b[:end], castagnoli); got != want {
		return corrupt(int64(end), "checksum: got %08x, want %08x", got, want)
	}
	raw, err := unpackManifest(h, b[ManifestHeaderBytes:end])
	if err != nil {
		return corrupt(ManifestHeaderBytes, "body: %w", err)
	}
	m := &Manifest{Version: h.Version, Nonce: h.Nonce}
	if err = m.decode(raw); err == nil {
		err = m.Validate()
	}
	if err != nil {
		return nil, decodeError(ManifestName, ManifestHeaderBytes, err)
	}
	return m, nil
}

func unpackManifest(h manifestHeader, body []byte) ([]byte, error) {
	if h.flags&manifestSnappy == 0 {
		if h.rawSize != uint64(len(body)) {
			return nil, fmt.Errorf("got %d bytes, want %d", len(body), h.rawSize)
		}
		return body, nil
	}
	n, err := s2.DecodedLen(body)
	if err != nil {
		return nil, err
	}
	if uint64(n) != h.rawSize || n > maxExpansion*len(body) {
		return nil, fmt.Errorf("%d bytes unpack to %d, want %d and at most %d times as many", len(body), n, h.rawSize, maxExpansion)
	}
	return s2.Decode(nil, body)
}
