package wal

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
	"sync"

	"github.com/klauspost/compress/s2"

	"github.com/logdb-go/logdb/objstore/turn"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// scratch buffers hold a compressed body on its way into an object. One that grew beyond maxScratchBytes is left to the
// garbage collector: a single huge batch must not be remembered for ever.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

const maxScratchBytes = 16 << 20

func putScratch(p *[]byte) {
	if cap(*p) <= maxScratchBytes {
		scratch.Put(p)
	}
}

// AppendData appends to dst an object that holds a run of frames, which must ascend in sequence from h.Start; pads are
// left out. Kind, End, MinMs and MaxMs are taken from the frames, where there are any. The frames are neither kept nor
// changed.
//
// It does not check its input: an object that breaks a rule of [ObjectHeader], or whose frames together exceed 1 GiB, is
// refused by [DecodeObject].
func AppendData(dst []byte, h ObjectHeader, frames []Frame) []byte {
	h.Kind = Data
	size := 0
	for _, f := range frames {
		size += len(f)
	}
	dst = slices.Grow(dst, objectMinHeaderBytes+size+objectChecksumBytes)
	start := len(dst)
	return finishObject(gather(dst[:start+objectMinHeaderBytes], &h, frames), start, h)
}

// gather appends the frames to dst, in the order and by the rule of AppendData, and fills in what h says about them.
func gather(dst []byte, h *ObjectHeader, frames []Frame) []byte {
	var work turn.Work
	first := true
	for _, f := range frames {
		fh := f.Header()
		if fh.Kind == Pad {
			continue
		}
		if first {
			h.MinMs, h.MaxMs = fh.TimeMs, fh.TimeMs
		}
		h.MinMs, h.MaxMs = min(h.MinMs, fh.TimeMs), max(h.MaxMs, fh.TimeMs)
		h.End = f.End()
		first = false
		dst = append(dst, f...)
		work.Did(len(f))
	}
	return dst
}

// EncodeTables encodes an object that stands for the records of [h.Start, h.End); payload is opaque here and not kept.
func EncodeTables(h ObjectHeader, payload []byte) []byte {
	h.Kind = Tables
	return encodeObject(h, payload)
}

// EncodeFence encodes the object that ends h.At's epoch; h.Next must lie in a later one.
func EncodeFence(h ObjectHeader) []byte {
	h.Kind = Fence
	return encodeObject(h, nil)
}

func encodeObject(h ObjectHeader, body []byte) []byte {
	b := make([]byte, objectMinHeaderBytes, objectMinHeaderBytes+len(body)+objectChecksumBytes)
	return finishObject(append(b, body...), 0, h)
}

// finishObject makes an object of b[start:], which is room for the header and the body as it is: most of a writer's
// bytes do not shrink, and stay where they are.
func finishObject(b []byte, start int, h ObjectHeader) []byte {
	packed := scratch.Get().(*[]byte)
	defer putScratch(packed)
	body := b[start+objectMinHeaderBytes:]
	stored, compression := compress(packed, body)
	header := appendObjectHeader(b[:start], h, compression, len(stored), len(body))
	_ = binary.LittleEndian.AppendUint32(header, checksum(header[start:]))
	if compression != compressionNone {
		b = append(b[:start+objectMinHeaderBytes], stored...)
	}
	covered := start + objectMinHeaderBytes - objectChecksumBytes
	return binary.LittleEndian.AppendUint32(b, checksum(b[covered:]))
}

// checksum is the CRC32-C of b.
func checksum(b []byte) (sum uint32) {
	var work turn.Work
	for piece := range slices.Chunk(b, turn.Bytes) {
		sum = crc32.Update(sum, castagnoli, piece)
		work.Did(len(piece) / 4)
	}
	return sum
}

// compress returns what to store for body, in *packed's memory or body itself. S2 was chosen over zstd because the
// writer is bound by CPU before it is bound by the network: three times the speed for 1.75 times the bytes.
func compress(packed *[]byte, body []byte) (stored []byte, compression byte) {
	limit := s2.MaxEncodedLen(len(body))
	if len(body) == 0 || limit < 0 || !shrinks(packed, body) {
		return body, compressionNone
	}
	stored = s2.Encode(room(packed, limit), body)
	saved := len(body) - len(stored)
	if saved < len(body)/16 || len(body) > maxExpansion*len(stored) {
		return body, compressionNone
	}
	return stored, compressionS2
}

// Of a body that takes longer to compress than a turn lasts, samples of sampleBytes are compressed first, one of every
// sampleEvery.
const (
	sampleBytes = 32 << 10
	sampleEvery = 512 << 10
)

// shrinks reports whether it is worth the time to compress body.
func shrinks(packed *[]byte, body []byte) bool {
	if len(body) < 2*sampleEvery {
		return true
	}
	space := room(packed, s2.MaxEncodedLen(sampleBytes))
	sampled, stored := 0, 0
	for piece := range slices.Chunk(body, sampleEvery) {
		if len(piece) < sampleBytes {
			break
		}
		sampled += sampleBytes
		stored += len(s2.Encode(space, piece[:sampleBytes]))
	}
	return sampled-stored >= sampled/32
}

// room returns n bytes of *packed, which grows if it must.
func room(packed *[]byte, n int) []byte {
	if cap(*packed) < n {
		*packed = make([]byte, n)
	}
	return (*packed)[:cap(*packed)]
}

func appendObjectHeader(b []byte, h ObjectHeader, compression byte, storedBytes, bodyBytes int) []byte {
	b = append(b, objectMagic...)
	b = append(b, objectVersion, byte(h.Kind), compression, 0)
	b = binary.LittleEndian.AppendUint32(b, objectMinHeaderBytes)
	b = append(b, h.Log[:]...)
	b = append(b, h.Nonce[:]...)
	for _, v := range [...]uint64{
		h.At.Epoch, h.At.Number,
		h.Start, h.End,
		0, 0, // first and next dense batch number, reserved
		uint64(h.MinMs), uint64(h.MaxMs),
		h.ManifestVersion,
		h.Next.Epoch, h.Next.Number,
		uint64(storedBytes), uint64(bodyBytes),
	} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}
