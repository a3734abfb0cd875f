package wal

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/logdb-go/logdb/objstore"
)

// localFile is one WAL file of a directory. The fields from closed on are guarded by Dir.mu.
type localFile struct {
	path   string
	epoch  uint64
	number uint64
	size   atomic.Int64 // bytes written

	closed  bool   // nobody writes to it any more
	scanned bool   // end is known
	end     uint64 // no frame in it ends above
	seals   uint64 // no seal in it lies at or above
}

func (lf *localFile) compare(o *localFile) int {
	return cmp.Or(cmp.Compare(lf.epoch, o.epoch), cmp.Compare(lf.number, o.number))
}

// chunkNumber tags every chunk of the file in the record format: a block that strayed in from another file is refused.
func (lf *localFile) chunkNumber() uint32 {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], lf.epoch)
	binary.LittleEndian.PutUint64(b[8:], lf.number)
	return crc32.Checksum(b[:], castagnoli)
}

const fileSuffix = ".wal"

func fileName(epoch, number uint64) string {
	return fmt.Sprintf("%010d-%010d%s", epoch, number, fileSuffix)
}

func parseFileName(name string) (epoch, number uint64, ok bool) {
	e, n, _ := strings.Cut(strings.TrimSuffix(name, fileSuffix), "-")
	epoch, errEpoch := strconv.ParseUint(e, 10, 64)
	number, errNumber := strconv.ParseUint(n, 10, 64)
	if errEpoch != nil || errNumber != nil || fileName(epoch, number) != name {
		return 0, 0, false
	}
	return epoch, number, true
}

// parseKeptName is parseFileName for names that MoveToLost gives, too: with a number behind the suffix where the name was
// taken.
func parseKeptName(name string) (epoch, number uint64, ok bool) {
	base, _, _ := strings.Cut(name, fileSuffix)
	return parseFileName(base + fileSuffix)
}

// The first record of a file says whose it is.
const (
	fileMagic         = "LDBWFILE"
	fileVersion       = 1
	fileVersionAt     = 8
	fileReservedAt    = 9
	fileLogAt         = 16
	fileDirAt         = 32
	fileEpochAt       = 48
	fileNumberAt      = 56
	fileChecksumAt    = 64
	fileHeaderBytes   = 68
	fileReservedBytes = fileLogAt - fileReservedAt
)

// owner is what all files of a directory share.
type owner struct{ log, dir objstore.ID }

func (lf *localFile) header(o owner) []byte {
	b := make([]byte, 0, fileHeaderBytes)
	b = append(b, fileMagic...)
	b = append(b, fileVersion)
	b = append(b, make([]byte, fileReservedBytes)...)
	b = append(b, o.log[:]...)
	b = append(b, o.dir[:]...)
	b = binary.LittleEndian.AppendUint64(b, lf.epoch)
	b = binary.LittleEndian.AppendUint64(b, lf.number)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// checkHeader compares a file's first record with what the file should be. A zero owner is nobody in particular.
func (lf *localFile) checkHeader(b []byte, want owner) error {
	if len(b) != fileHeaderBytes {
		return fmt.Errorf("file header: got %d bytes, want %d", len(b), fileHeaderBytes)
	}
	if got := string(b[:len(fileMagic)]); got != fileMagic {
		return fmt.Errorf("file header magic: got %q, want %q", got, fileMagic)
	}
	if v := b[fileVersionAt]; v != fileVersion {
		return fmt.Errorf("file header version: got %d, want %d: %w", v, fileVersion, objstore.ErrUnsupported)
	}
	for i := fileReservedAt; i < fileLogAt; i++ {
		if b[i] != 0 {
			return fmt.Errorf("file header reserved byte %d: got %#x, want 0: %w", i, b[i], objstore.ErrUnsupported)
		}
	}
	sum := crc32.Checksum(b[:fileChecksumAt], castagnoli)
	if w := binary.LittleEndian.Uint32(b[fileChecksumAt:]); sum != w {
		return fmt.Errorf("file header checksum: got %08x, want %08x", sum, w)
	}
	if got := (owner{objstore.ID(b[fileLogAt:fileDirAt]), objstore.ID(b[fileDirAt:fileEpochAt])}); want != (owner{}) && got != want {
		return fmt.Errorf("file header: got log %s and directory %s, want %s and %s", got.log, got.dir, want.log, want.dir)
	}
	epoch, number := binary.LittleEndian.Uint64(b[fileEpochAt:]), binary.LittleEndian.Uint64(b[fileNumberAt:])
	if epoch != lf.epoch || number != lf.number {
		return fmt.Errorf("file header: got file %s, want %s", fileName(epoch, number), fileName(lf.epoch, lf.number))
	}
	return nil
}
