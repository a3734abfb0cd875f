package wal

import (
	"encoding/binary"
	"hash/crc32"
	"sync"

	"github.com/klauspost/compress/s2"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// scratch buffers hold a body on its way into an object. One that grew beyond maxScratchBytes is left to the garbage
// collector: a single huge batch must not be remembered for ever.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

const maxScratchBytes = 16 << 20

func putScratch(p *[]byte) {
	if cap(*p) <= maxScratchBytes {
		scratch.Put(p)
	}
}

// EncodeData encodes a run of frames, which must ascend in sequence from h.Start; pads are left out. Kind, End, MinMs
// and MaxMs are taken from the frames, where there are any. The frames are neither kept nor changed.
//
// It does not check its input: an object that breaks a rule of [ObjectHeader], or whose frames together exceed 1 GiB, is
// refused by [DecodeObject].
func EncodeData(h ObjectHeader, frames []Frame) []byte {
	h.Kind = Data
	body := scratch.Get().(*[]byte)
	defer putScratch(body)
	*body = gather((*body)[:0], &h, frames)
	return encodeObject(h, *body)
}

// gather appends the frames to dst, in the order and by the rule of EncodeData, and fills in what h says about them.
func gather(dst []byte, h *ObjectHeader, frames []Frame) []byte {
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
	packed := scratch.Get().(*[]byte)
	defer putScratch(packed)
	stored, compression := compress(packed, body)

	b := make([]byte, 0, objectMinHeaderBytes+len(stored)+objectChecksumBytes)
	b = appendObjectHeader(b, h, compression, len(stored), len(body))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	covered := len(b) - objectChecksumBytes
	b = append(b, stored...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[covered:], castagnoli))
}

// compress returns what to store for body, in *packed's memory or body itself. S2 was chosen over zstd because the
// writer is bound by CPU before it is bound by the network: three times the speed for 1.75 times the bytes.
func compress(packed *[]byte, body []byte) (stored []byte, compression byte) {
	limit := s2.MaxEncodedLen(len(body))
	if len(body) == 0 || limit < 0 {
		return body, compressionNone
	}
	if cap(*packed) < limit {
		*packed = make([]byte, limit)
	}
	stored = s2.Encode((*packed)[:cap(*packed)], body)
	saved := len(body) - len(stored)
	if saved < len(body)/16 || len(body) > maxExpansion*len(stored) {
		return body, compressionNone
	}
	return stored, compressionS2
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
