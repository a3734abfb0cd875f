package wal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/logdb-go/logdb/objstore"
)

// The header of a staged file, which its bodies follow.
const (
	stageMagic   = "LDBSTAGE"
	stageVersion = 1

	stageVersionAt      = 8
	stageReservedAt     = 9
	stageLogAt          = 16
	stageDirAt          = 32
	stageEpochAt        = 48
	stageNumberAt       = 56
	stageStartAt        = 64
	stageEndAt          = 72
	stageSegmentAt      = 80
	stageSegmentStartAt = 88
	stageOpenedAt       = 96
	stageFramesAt       = 104
	stageSealAt         = 112 // bytes of the seal's frame, 0: no seal
	stageAboutAt        = 116 // bytes
	stageBodiesAt       = 120 // number
	stagePaddingAt      = 124
	stageFixedBytes     = 128

	stageBodyBytes = 12 // size u64, crc u32
	maxStageBodies = 1 << 10
)

func (s *Staged) encode(o owner, bodies [][]byte) []byte {
	off := int64(stageFixedBytes + len(bodies)*stageBodyBytes + len(s.Seal) + len(s.About) + 4)
	b := make([]byte, 0, off)
	b = append(b, stageMagic...)
	b = append(b, stageVersion)
	b = append(b, make([]byte, stageLogAt-stageReservedAt)...)
	b = append(b, o.log[:]...)
	b = append(b, o.dir[:]...)
	for _, v := range []uint64{s.Epoch, s.number, s.Start, s.End, s.Segment, s.SegmentStart, uint64(s.OpenedMs), s.Frames} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	for _, v := range []int{len(s.Seal), len(s.About), len(bodies), 0} {
		b = binary.LittleEndian.AppendUint32(b, uint32(v))
	}
	s.bodies = make([]stagedBody, 0, len(bodies))
	for _, body := range bodies {
		x := stagedBody{off: off, size: int64(len(body)), sum: crc32.Checksum(body, castagnoli)}
		b = binary.LittleEndian.AppendUint64(b, uint64(x.size))
		b = binary.LittleEndian.AppendUint32(b, x.sum)
		off += x.size
		s.bodies = append(s.bodies, x)
	}
	b = append(append(b, s.Seal...), s.About...)
	s.size = off
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// stageHeadBytes is the size of a header by its fixed part, which nothing has checked yet.
func stageHeadBytes(fixed []byte) int64 {
	u32 := func(at int) int64 { return int64(binary.LittleEndian.Uint32(fixed[at:])) }
	return stageFixedBytes + u32(stageBodiesAt)*stageBodyBytes + u32(stageSealAt) + u32(stageAboutAt) + 4
}

// decode fills s from a header. A zero owner takes any.
func (s *Staged) decode(b []byte, o owner) error {
	if err := s.checkHead(b); err != nil {
		return err
	}
	u64 := func(at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
	log, dir := objstore.ID(b[stageLogAt:stageDirAt]), objstore.ID(b[stageDirAt:stageEpochAt])
	switch {
	case o != (owner{}) && (log != o.log || dir != o.dir):
		return corrupt(s.path, stageLogAt, "got log %s and directory %s, want %s and %s", log, dir, o.log, o.dir)
	case u64(stageEpochAt) != s.Epoch || u64(stageNumberAt) != s.number:
		return corrupt(s.path, stageEpochAt, "got epoch %d and number %d, the name says %d and %d",
			u64(stageEpochAt), u64(stageNumberAt), s.Epoch, s.number)
	case u64(stageStartAt) > u64(stageEndAt):
		return corrupt(s.path, stageStartAt, "starts at %d and ends at %d", u64(stageStartAt), u64(stageEndAt))
	case u64(stageOpenedAt) > math.MaxInt64:
		return corrupt(s.path, stageOpenedAt, "time %#x", u64(stageOpenedAt))
	}
	s.log = log
	s.Start, s.End = u64(stageStartAt), u64(stageEndAt)
	s.Segment, s.SegmentStart = u64(stageSegmentAt), u64(stageSegmentStartAt)
	s.OpenedMs, s.Frames = int64(u64(stageOpenedAt)), u64(stageFramesAt)
	return s.decodeRest(b)
}

// checkHead rejects by magic, version, reserved bytes and checksum.
func (s *Staged) checkHead(b []byte) error {
	if len(b) < stageFixedBytes {
		return corrupt(s.path, 0, "header: got %d bytes, want at least %d", len(b), stageFixedBytes)
	}
	if got := string(b[:len(stageMagic)]); got != stageMagic {
		return corrupt(s.path, 0, "magic: got %q, want %q", got, stageMagic)
	}
	if v := b[stageVersionAt]; v != stageVersion {
		return fmt.Errorf("wal: %s: version: got %d, want %d: %w", s.path, v, stageVersion, objstore.ErrUnsupported)
	}
	for _, reserved := range [][2]int{{stageReservedAt, stageLogAt}, {stagePaddingAt, stageFixedBytes}} {
		for i := reserved[0]; i < reserved[1]; i++ {
			if b[i] != 0 {
				return fmt.Errorf("wal: %s: reserved byte %d: got %#x, want 0: %w", s.path, i, b[i], objstore.ErrUnsupported)
			}
		}
	}
	if want := stageHeadBytes(b); int64(len(b)) != want {
		return corrupt(s.path, stageSealAt, "header: got %d bytes, want %d", len(b), want)
	}
	end := len(b) - 4
	if got, want := crc32.Checksum(b[:end], castagnoli), binary.LittleEndian.Uint32(b[end:]); got != want {
		return corrupt(s.path, end, "header checksum: got %#x, want %#x", got, want)
	}
	return nil
}

// decodeRest takes what follows the fixed part: bodies, seal, about.
func (s *Staged) decodeRest(b []byte) error {
	n := int(binary.LittleEndian.Uint32(b[stageBodiesAt:]))
	if n > maxStageBodies {
		return corrupt(s.path, stageBodiesAt, "got %d bodies, limit %d", n, maxStageBodies)
	}
	at, off := stageFixedBytes, int64(len(b))
	bodies := make([]stagedBody, 0, n)
	for range n {
		x := stagedBody{off: off, size: int64(binary.LittleEndian.Uint64(b[at:])), sum: binary.LittleEndian.Uint32(b[at+8:])}
		if x.size < 0 || x.size > s.size-off {
			return corrupt(s.path, at, "body of %d bytes at %d, the file has %d", x.size, x.off, s.size)
		}
		off += x.size
		at += stageBodyBytes
		bodies = append(bodies, x)
	}
	if off != s.size {
		return corrupt(s.path, at, "file has %d bytes, want %d", s.size, off)
	}
	sealEnd := at + int(binary.LittleEndian.Uint32(b[stageSealAt:]))
	if seal := b[at:sealEnd]; len(seal) > 0 {
		f, rest, err := DecodeFrame(seal)
		if err != nil || len(rest) > 0 || f.kind() != Seal || f.first() != s.End || f.Header().Segment != s.Segment {
			return corrupt(s.path, at, "no seal of segment %d at %d: %v", s.Segment, s.End, err)
		}
		s.Seal = f
	}
	s.About, s.bodies = b[sealEnd:len(b)-4], bodies
	return nil
}
