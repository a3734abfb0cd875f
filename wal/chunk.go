package wal

import (
	"encoding/binary"
	"hash/crc32"
)

// Geometry of the record format, as far as it is needed here; FORMAT.md describes it.
const (
	chunkBlockBytes  = 32 << 10
	chunkHeaderBytes = 19
	chunkLengthAt    = 4
	chunkTypeAt      = 6
	chunkNumberAt    = 7
	chunkSyncedAt    = 11
	chunkFullType    = 9
	chunkLastType    = 12

	trailerBytes = 11
	trailerType  = 5
)

// trailer returns what ends a file that was closed.
func trailer(number uint32) (b [trailerBytes]byte) {
	b[chunkTypeAt] = trailerType
	binary.LittleEndian.PutUint32(b[chunkNumberAt:], number+1)
	return b
}

// recordEnd returns where a record of n bytes ends that is written at off.
func recordEnd(off int64, n int) int64 {
	for first := true; first || n > 0; first = false {
		room := chunkBlockBytes - off%chunkBlockBytes
		if room < chunkHeaderBytes {
			off += room
			room = chunkBlockBytes
		}
		payload := min(int64(n), room-chunkHeaderBytes)
		off += chunkHeaderBytes + payload
		n -= int(payload)
	}
	return off
}

// validChunk checks the chunk at the start of b, which ends with its block at the latest, and returns it, header
// included.
func validChunk(b []byte, number uint32) (chunk []byte, ok bool) {
	if len(b) < chunkHeaderBytes || b[chunkTypeAt] < chunkFullType || b[chunkTypeAt] > chunkLastType {
		return nil, false
	}
	if binary.LittleEndian.Uint32(b[chunkNumberAt:]) != number {
		return nil, false
	}
	size := chunkHeaderBytes + int(binary.LittleEndian.Uint16(b[chunkLengthAt:]))
	if size > len(b) || chunkChecksum(b[chunkTypeAt:size]) != binary.LittleEndian.Uint32(b) {
		return nil, false
	}
	return b[:size], true
}

// chunkChecksum is the masked CRC32C of the record format.
func chunkChecksum(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

// chunksEnd walks the chunks of a block from i; torn is whether it met one that is not valid, at end.
func chunksEnd(block []byte, i int, number uint32) (end int, torn bool) {
	for i+chunkHeaderBytes <= len(block) {
		chunk, ok := validChunk(block[i:], number)
		if !ok {
			return i, true
		}
		i += len(chunk)
	}
	return i, len(block) < chunkBlockBytes
}

// syncedClaim returns the highest offset that any valid chunk in b, wherever it starts, says was synced before it was
// written: in its header, or in the pad that it holds.
func syncedClaim(b []byte, number uint32) (synced uint64) {
	for i := range b {
		chunk, ok := validChunk(b[i:], number)
		if !ok {
			continue
		}
		synced = max(synced, binary.LittleEndian.Uint64(chunk[chunkSyncedAt:]))
		if chunk[chunkTypeAt] != chunkFullType {
			continue
		}
		if f, _, err := DecodeFrame(chunk[chunkHeaderBytes:]); err == nil && f.kind() == Pad {
			synced = max(synced, f.syncedBytes())
		}
	}
	return synced
}
