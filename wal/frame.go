package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"

	"github.com/logdb-go/logdb/objstore"
)

// Kind says what a frame is.
type Kind uint8

const (
	// Batch holds the records of one append.
	Batch Kind = 1
	// Seal ends a segment. Its First is the segment's exclusive end.
	Seal Kind = 2
	// Pad exists in local files only, to carry a sync. It is never handed out.
	Pad Kind = 3
)

// String names the kind.
func (k Kind) String() string {
	switch k {
	case Batch:
		return "batch"
	case Seal:
		return "seal"
	case Pad:
		return "pad"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// MaxFrameBytes bounds the length of one frame, header included.
const MaxFrameBytes = 1 << 30

// Offsets of the fixed header; FORMAT.md draws it.
const (
	frameLength       = 0
	frameKind         = 4
	frameFlags        = 5
	frameReserved     = 6
	frameFirst        = 8
	frameTime         = 16
	frameSegment      = 24
	frameSegmentStart = 32
	frameCount        = 40
	frameTLV          = 44
	frameHeaderSize   = 48
)

// tlvMetadata is the TLV of a seal that holds the segment's metadata.
const tlvMetadata = 1

// Frame is one encoded batch or seal. Its methods require bytes that
// [DecodeFrame] returned or this package built.
type Frame []byte

// Header is the fixed part of a frame.
type Header struct {
	Kind         Kind
	First        uint64 // sequence of the first record; of a seal: the segment's exclusive end
	TimeMs       int64  // milliseconds since the Unix epoch
	Segment      uint64 // opaque here
	SegmentStart uint64 // opaque here
	Count        uint32 // records; 0 in a seal
}

// BatchSize returns the exact length of the frame that [AppendBatch] would
// build of the n records that rec yields.
func BatchSize(n int, rec func(i int) (key, value []byte)) int {
	size := frameHeaderSize
	for i := range n {
		key, value := rec(i)
		size += RecordSize(len(key), len(value))
	}
	return size
}

// RecordSize returns how many bytes a record takes inside a frame.
func RecordSize(keyBytes, valueBytes int) int {
	return uvarintSize(keyBytes) + keyBytes + uvarintSize(valueBytes) + valueBytes
}

// AppendBatch encodes n records behind dst and returns the new frame alone,
// without what dst held; it lies in dst's array if that has room and in one new
// allocation of the exact size otherwise. Sequence, time and segment are zero
// until [Frame.Stamp].
//
// rec is called twice for every i in [0, n), in order, and must answer the same
// both times. The result is nil if n is not positive or the frame would exceed
// MaxFrameBytes.
func AppendBatch(dst []byte, n int, rec func(i int) (key, value []byte)) Frame {
	if n <= 0 || int64(n) > math.MaxUint32 {
		return nil
	}
	size := BatchSize(n, rec)
	if size > MaxFrameBytes {
		return nil
	}
	b := frameSpace(dst, size)
	b = appendFrameHeader(b, size, Header{Kind: Batch, Count: uint32(n)}, 0)
	for i := range n {
		key, value := rec(i)
		b = binary.AppendUvarint(b, uint64(len(key)))
		b = append(b, key...)
		b = binary.AppendUvarint(b, uint64(len(value)))
		b = append(b, value...)
	}
	return Frame(b)
}

// frameSpace returns an empty slice with room for size bytes, behind dst if it
// fits there.
func frameSpace(dst []byte, size int) []byte {
	if cap(dst)-len(dst) >= size {
		return dst[len(dst):len(dst):cap(dst)]
	}
	return make([]byte, 0, size)
}

func appendFrameHeader(b []byte, size int, h Header, tlvBytes int) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(size))
	b = append(b, byte(h.Kind), 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, h.First)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.TimeMs))
	b = binary.LittleEndian.AppendUint64(b, h.Segment)
	b = binary.LittleEndian.AppendUint64(b, h.SegmentStart)
	b = binary.LittleEndian.AppendUint32(b, h.Count)
	return binary.LittleEndian.AppendUint32(b, uint32(tlvBytes))
}

// NewSeal builds the frame that ends segment h.Segment at sequence h.First.
// h.Kind and h.Count are ignored. Empty metadata and none are the same. The
// result is nil if it would exceed MaxFrameBytes.
func NewSeal(h Header, metadata []byte) Frame {
	h.Kind, h.Count = Seal, 0
	tlv := 0
	if len(metadata) > 0 {
		tlv = uvarintSize(tlvMetadata) + uvarintSize(len(metadata)) + len(metadata)
	}
	size := frameHeaderSize + tlv
	if size > MaxFrameBytes {
		return nil
	}
	b := appendFrameHeader(make([]byte, 0, size), size, h, tlv)
	if tlv > 0 {
		b = binary.AppendUvarint(b, tlvMetadata)
		b = binary.AppendUvarint(b, uint64(len(metadata)))
		b = append(b, metadata...)
	}
	return Frame(b)
}

// stampPad builds a pad in place. It says where the sequences stand, that the epoch's files with a number below
// closedBelow were closed and synced, and that so many bytes of its own file were synced.
func (f Frame) stampPad(first, closedBelow, syncedBytes uint64) {
	h := Header{Kind: Pad, First: first, Segment: closedBelow, SegmentStart: syncedBytes}
	appendFrameHeader(f[:0], frameHeaderSize, h, 0)
}

func (f Frame) closedBelow() uint64 { return f.Header().Segment }
func (f Frame) syncedBytes() uint64 { return f.Header().SegmentStart }

// Stamp sets sequence, time and segment in place. Nobody else may read or write
// the frame meanwhile.
func (f Frame) Stamp(first uint64, timeMs int64, segment, segmentStart uint64) {
	_ = f[frameHeaderSize-1]
	binary.LittleEndian.PutUint64(f[frameFirst:], first)
	binary.LittleEndian.PutUint64(f[frameTime:], uint64(timeMs))
	binary.LittleEndian.PutUint64(f[frameSegment:], segment)
	binary.LittleEndian.PutUint64(f[frameSegmentStart:], segmentStart)
}

// Header decodes the fixed part.
func (f Frame) Header() Header {
	_ = f[frameHeaderSize-1]
	return Header{
		Kind:         f.kind(),
		First:        f.first(),
		TimeMs:       int64(binary.LittleEndian.Uint64(f[frameTime:])),
		Segment:      binary.LittleEndian.Uint64(f[frameSegment:]),
		SegmentStart: binary.LittleEndian.Uint64(f[frameSegmentStart:]),
		Count:        f.count(),
	}
}

// End returns the exclusive end of the frame's sequences: First + Count.
func (f Frame) End() uint64 { return f.first() + uint64(f.count()) }

func (f Frame) kind() Kind    { return Kind(f[frameKind]) }
func (f Frame) first() uint64 { return binary.LittleEndian.Uint64(f[frameFirst:]) }
func (f Frame) count() uint32 { return binary.LittleEndian.Uint32(f[frameCount:]) }
func (f Frame) tlvBytes() int { return int(binary.LittleEndian.Uint32(f[frameTLV:])) }

// Metadata returns what was given to [NewSeal], or nil. It aliases the frame.
func (f Frame) Metadata() []byte {
	if f.kind() != Seal {
		return nil
	}
	tlvs := f[frameHeaderSize : frameHeaderSize+f.tlvBytes()]
	for len(tlvs) > 0 {
		typ, value, rest, err := cutTLV(tlvs)
		if err != nil {
			return nil
		}
		if typ == tlvMetadata {
			return value
		}
		tlvs = rest
	}
	return nil
}

// DecodeFrame checks the frame at the start of b, every length and every
// record in it, and returns it with the bytes behind it. Both alias b. The
// frame's capacity ends with it.
//
// The error says what is wrong with the bytes, not where they came from; it
// wraps objstore.ErrUnsupported for a kind, flag or TLV of a later version.
// Frames carry no checksum: what holds them does.
func DecodeFrame(b []byte) (f Frame, rest []byte, err error) {
	size, err := frameSize(b)
	if err != nil {
		return nil, nil, err
	}
	f = Frame(b[:size:size])
	if err := f.validate(); err != nil {
		return nil, nil, err
	}
	return f, b[size:], nil
}

// frameSize returns the length that b's frame states, checked against b.
func frameSize(b []byte) (int, error) {
	if len(b) < frameHeaderSize {
		return 0, fmt.Errorf("frame header: got %d bytes, want %d", len(b), frameHeaderSize)
	}
	size := int64(binary.LittleEndian.Uint32(b[frameLength:]))
	if size < frameHeaderSize || size > MaxFrameBytes {
		return 0, fmt.Errorf("frame length: got %d, want %d to %d", size, frameHeaderSize, MaxFrameBytes)
	}
	if size > int64(len(b)) {
		return 0, fmt.Errorf("frame length: got %d, want at most the %d bytes there are", size, len(b))
	}
	return int(size), nil
}

func (f Frame) validate() error {
	if k := f.kind(); k != Batch && k != Seal && k != Pad {
		return fmt.Errorf("frame kind: got %d, want 1 to 3: %w", k, objstore.ErrUnsupported)
	}
	if f[frameFlags] != 0 {
		return fmt.Errorf("frame flags: got %#x, want 0: %w", f[frameFlags], objstore.ErrUnsupported)
	}
	if r := binary.LittleEndian.Uint16(f[frameReserved:]); r != 0 {
		return fmt.Errorf("frame reserved bits: got %#x, want 0: %w", r, objstore.ErrUnsupported)
	}
	if f.first() > math.MaxUint64-uint64(f.count()) {
		return fmt.Errorf("frame sequences: %d records from %d exceed the sequence space", f.count(), f.first())
	}
	tlv := int64(binary.LittleEndian.Uint32(f[frameTLV:]))
	if tlv > int64(len(f)-frameHeaderSize) {
		return fmt.Errorf("frame tlv bytes: got %d, want at most %d", tlv, len(f)-frameHeaderSize)
	}
	if err := checkTLVs(f[frameHeaderSize : frameHeaderSize+tlv]); err != nil {
		return fmt.Errorf("frame %w", err)
	}
	return f.validateRecords(frameHeaderSize + int(tlv))
}

// validateRecords walks the records from off; a seal and a pad have none.
func (f Frame) validateRecords(off int) error {
	count := f.count()
	if isBatch := f.kind() == Batch; isBatch != (count > 0) {
		return fmt.Errorf("%s frame: got %d records", f.kind(), count)
	}
	for i := range count {
		for _, part := range [...]string{"key", "value"} {
			n, w := uvarint32(f[off:])
			if w == 0 {
				return fmt.Errorf("frame record %d of %d: bad %s length at byte %d", i, count, part, off)
			}
			off += w
			if int64(n) > int64(len(f)-off) {
				return fmt.Errorf("frame record %d of %d: %s: got length %d, want at most %d", i, count, part, n, len(f)-off)
			}
			off += int(n)
		}
	}
	if off != len(f) {
		return fmt.Errorf("frame: got %d bytes behind its %d records, want none", len(f)-off, count)
	}
	return nil
}

// checkTLVs checks structure and refuses what must be understood and is not: every even type, for none is known yet.
func checkTLVs(b []byte) error {
	for len(b) > 0 {
		typ, _, rest, err := cutTLV(b)
		if err != nil {
			return err
		}
		if typ%2 == 0 {
			return fmt.Errorf("tlv type: got %d, which must be understood and is not: %w", typ, objstore.ErrUnsupported)
		}
		b = rest
	}
	return nil
}

var errTLV = errors.New("tlv: bad length")

func cutTLV(b []byte) (typ uint32, value, rest []byte, err error) {
	typ, w := uvarint32(b)
	if w == 0 {
		return 0, nil, nil, errTLV
	}
	b = b[w:]
	n, w := uvarint32(b)
	if w == 0 || int64(n) > int64(len(b)-w) {
		return 0, nil, nil, errTLV
	}
	b = b[w:]
	return typ, b[:n:n], b[n:], nil
}

func uvarintSize(n int) int { return (bits.Len64(uint64(n)|1) + 6) / 7 }

// uvarint32 decodes a uvarint that fits 32 bits and is as short as it can be;
// the width is 0 for anything else. One spelling per number keeps equal batches
// equal bytes.
func uvarint32(b []byte) (v uint32, width int) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint32(b[0]), 1
	}
	if len(b) > 1 && b[1] < 0x80 && b[1] != 0 {
		return uint32(b[0]&0x7f) | uint32(b[1])<<7, 2
	}
	u, w := binary.Uvarint(b)
	if w <= 0 || u > math.MaxUint32 || (w > 1 && b[w-1] == 0) {
		return 0, 0
	}
	return uint32(u), w
}
