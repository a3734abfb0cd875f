package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/logdb-go/logdb/objstore"
)

// fileEnd says how the readable part of a file ended.
type fileEnd struct {
	offset int64
	clean  bool // a trailer follows: all that was ever written is there
}

// fileScan reads one file from start to end.
type fileScan struct {
	lf   *localFile
	f    vfs.File
	size int64
	rd   *record.Reader
	off  int64 // end of the last record
	end  fileEnd
}

// scanFile calls fn with every frame of the file, pads included, and the offset of its record; the frame is the
// callee's to keep. With durable it syncs the file first: what is shown from the page cache now must not be gone after
// the next power loss.
//
// A torn end is no error. Errors: *objstore.CorruptError, objstore.ErrUnsupported, those of the disk, and fn's.
func scanFile(fs vfs.FS, lf *localFile, o owner, durable bool, fn func(f Frame, off int64) error) (fileEnd, error) {
	f, err := openForScan(fs, lf.path, durable)
	if err != nil {
		return fileEnd{}, err
	}
	s := &fileScan{lf: lf, f: f}
	err = s.run(o, fn)
	if errClose := f.Close(); err == nil {
		err = errClose
	}
	return s.end, err
}

// ReadFile calls fn with every batch and seal of one file, wherever it lies, and the offset of its record, without
// changing or locking anything; it is for looking into files that were moved to lost/. The file's name must begin as it
// did in the directory. clean says whether the file was closed; if not, it may have lost its end. Errors are those of
// [Dir.Replay].
func ReadFile(fs vfs.FS, path string, fn func(f Frame, off int64) error) (clean bool, err error) {
	epoch, number, ok := parseKeptName(fs.PathBase(path))
	if !ok {
		return false, fmt.Errorf("wal: read %s: not the name of a wal file", path)
	}
	lf := &localFile{path: path, epoch: epoch, number: number}
	end, err := scanFile(fs, lf, owner{}, false, func(f Frame, off int64) error {
		if f.kind() == Pad {
			return nil
		}
		return fn(f, off)
	})
	return end.clean, err
}

func openForScan(fs vfs.FS, path string, durable bool) (vfs.File, error) {
	if !durable {
		f, err := fs.Open(path, vfs.SequentialReadsOption)
		if err != nil {
			return nil, fmt.Errorf("wal: open %s: %w", path, err)
		}
		return f, nil
	}
	f, err := fs.OpenReadWrite(path, diskCategory, vfs.SequentialReadsOption)
	if err != nil {
		return nil, fmt.Errorf("wal: open %s: %w", path, err)
	}
	if err := f.Sync(); err != nil {
		return nil, errors.Join(fmt.Errorf("wal: sync %s: %w", path, err), f.Close())
	}
	return f, nil
}

func (s *fileScan) run(o owner, fn func(f Frame, off int64) error) error {
	info, err := s.f.Stat()
	if err != nil {
		return fmt.Errorf("wal: stat %s: %w", s.lf.path, err)
	}
	s.size = info.Size()
	if err := s.checkChunkNumber(); err != nil {
		return err
	}
	s.rd = numbered(record.NewReader, io.NewSectionReader(s.f, 0, math.MaxInt64), s.lf.chunkNumber())
	header, ok, err := s.next(fileHeaderBytes)
	if err != nil || !ok {
		return err
	}
	if err := s.lf.checkHeader(header, o); err != nil {
		return s.failed(0, err)
	}
	for {
		at := s.off
		b, ok, err := s.next(0)
		if err != nil || !ok {
			return err
		}
		f, rest, err := DecodeFrame(b)
		if err == nil && len(rest) > 0 {
			err = fmt.Errorf("got %d bytes behind the frame, want none", len(rest))
		}
		if err != nil {
			return s.failed(at, err)
		}
		if err := fn(f, at); err != nil {
			return err
		}
	}
}

// numbered calls a constructor of the record package that takes a file number, whose integer type has no exported name.
func numbered[N ~uint64, R any](construct func(io.Reader, N) R, r io.Reader, n uint32) R {
	return construct(r, N(n))
}

// checkChunkNumber refuses a file that was written under another name. The record reader would take its first chunk for
// the garbage behind a torn end, and the file for an empty one.
func (s *fileScan) checkChunkNumber() error {
	block := make([]byte, chunkBlockBytes)
	n, err := s.f.ReadAt(block, 0)
	if err != nil && err != io.EOF {
		return fmt.Errorf("wal: read %s: %w", s.lf.path, err)
	}
	if n < chunkHeaderBytes {
		return nil
	}
	got, want := binary.LittleEndian.Uint32(block[chunkNumberAt:]), s.lf.chunkNumber()
	if _, ok := validChunk(block[:n], got); ok && got != want {
		return s.failed(0, fmt.Errorf("chunk number: got %08x, want %08x: not written as this file", got, want))
	}
	return nil
}

// next returns the next record; ok is false at the end of the readable part, which s.end then describes. room is how
// long the record should be; if it is 0 the length that a frame starts with says so, which the rest of the file bounds.
func (s *fileScan) next(room int) (b []byte, ok bool, err error) {
	r, err := s.rd.Next()
	if err != nil {
		return nil, false, s.ended(err)
	}
	var head [4]byte
	n, err := io.ReadFull(r, head[:])
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, false, s.ended(err)
	}
	if room == 0 {
		room = int(min(int64(binary.LittleEndian.Uint32(head[:])), s.size-s.off))
	}
	// One byte more than the record should have, so that its end is seen without growing.
	b = append(make([]byte, 0, max(room, len(head))+1), head[:n]...)
	for err == nil {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err = r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
	}
	if err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, false, s.ended(err)
	}
	if err := s.advance(len(b)); err != nil {
		return nil, false, err
	}
	return b, true, nil
}

// advance moves over a record of n bytes. The record reader skips, in silence, chunks that begin no record where one
// should begin: nobody writes those, so that the position tells.
func (s *fileScan) advance(n int) error {
	want, got := recordEnd(s.off, n), s.rd.Offset()
	if got != want {
		return s.failed(s.off, fmt.Errorf("record ends at byte %d, want %d: records before it are missing", got, want))
	}
	s.off = got
	return nil
}

// ended settles why there is no further record.
func (s *fileScan) ended(err error) error {
	s.end = fileEnd{offset: s.off}
	switch {
	case errors.Is(err, record.ErrInvalidChunk), errors.Is(err, record.ErrZeroedChunk):
		return s.failed(s.off, fmt.Errorf("%w, and a later chunk shows that it was synced", err))
	case errors.Is(err, record.ErrUnexpectedEOF):
		return s.checkTorn()
	case err != io.EOF:
		return fmt.Errorf("wal: read %s after byte %d: %w", s.lf.path, s.off, err)
	}
	var b [trailerBytes]byte
	n, err := s.f.ReadAt(b[:], s.rd.Offset())
	if err != nil && err != io.EOF {
		return fmt.Errorf("wal: read %s: %w", s.lf.path, err)
	}
	s.end.clean = n == len(b) && b == trailer(s.lf.chunkNumber())
	return nil
}

// checkTorn looks behind a torn end for proof that the bytes there were synced once, which makes them corrupt. The
// record reader does so, too, but looks in later blocks only and at chunk headers only, and those lag behind: the
// record writer does not count full blocks. A flipped bit would cost all the records behind it.
func (s *fileScan) checkTorn() error {
	number := s.lf.chunkNumber()
	block := make([]byte, chunkBlockBytes)
	torn, found := s.off, false
	for at := s.off - s.off%chunkBlockBytes; ; at += chunkBlockBytes {
		n, err := s.f.ReadAt(block, at)
		if err != nil && err != io.EOF {
			return fmt.Errorf("wal: read %s: %w", s.lf.path, err)
		}
		i := 0
		if !found {
			i, found = chunksEnd(block[:n], int(max(torn-at, 0)), number)
			torn = at + int64(i)
		}
		if synced := syncedClaim(block[i:n], number); found && synced > uint64(torn) {
			return s.failed(torn, fmt.Errorf("unreadable chunk, and a later one shows that bytes up to %d were synced", synced))
		}
		if n < len(block) {
			return nil
		}
	}
}

func (s *fileScan) failed(at int64, err error) error {
	if errors.Is(err, objstore.ErrUnsupported) {
		return fmt.Errorf("wal file %s: byte %d: %w", s.lf.path, at, err)
	}
	return &objstore.CorruptError{Object: s.lf.path, Offset: at, Err: err}
}
