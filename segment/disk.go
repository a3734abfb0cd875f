package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/maphash"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/logdb-go/logdb/objstore"
)

// Disk keeps pieces of tables in files of a local directory, below the blocks
// that a Cache has in memory. It is a copy of what the bucket holds and no more:
// nothing waits for it to be durable, the directory may be deleted at any time,
// and what fails a checksum, or cannot be read or written, is as if it were not
// there.
//
// Tails of tables are kept at once, and so are the first blocks that an iterator
// reads; what a scan reads beyond, when it is read a second time: one scan of
// everything leaves what is there alone. What is full goes oldest first, a
// sixteenth at a time.
//
// Nothing of it is locked during I/O, and it has no goroutine: who reads also
// writes.
type Disk struct {
	fs    vfs.FS
	dir   string
	lock  io.Closer
	each  int64 // bytes of a file
	seed  maphash.Seed
	limit int64

	mu struct {
		sync.Mutex
		files   []*diskFile // oldest first; the last takes what comes
		slots   map[uint64]*diskSlot
		seen    [][seenWays]uint64 // pieces that were read once, by the low bits of their hash, newest first
		next    uint64             // number of the next file
		rolling bool               // somebody is making it
		mended  time.Time
		stats   DiskStats
		closed  bool
	}
}

// DiskStats counts since OpenDisk, and measures the present.
type DiskStats struct {
	// Bytes of Budget are in use, by Pieces.
	Bytes, Budget, Pieces int64
	Hits, Misses          int64
	// Failures are pieces that could not be read or written, or failed their checksum.
	Failures int64
}

// diskFile is one file of pieces. The directory's number orders it.
type diskFile struct {
	number uint64
	file   vfs.File
	size   int64
	hashes []uint64
	refs   int // reads and writes under way
	dead   bool
}

// diskSlot is where a piece lies.
type diskSlot struct {
	file  *diskFile
	at    int64
	bytes int64 // without the header
	hit   bool
}

// piece names a range of a table for ever.
type piece struct {
	log   objstore.ID
	table tableKey
	off   int64
	bytes int64
}

const (
	diskFiles = 16
	// seenWays is how many pieces with the same low bits are remembered side by
	// side. With one, two of a table's pieces that share them would drive each
	// other out at every scan, and neither would ever be kept.
	seenWays = 4
	// MinDiskBytes is the least that a Disk may hold.
	MinDiskBytes = 16 << 20
	// diskPause is how long nothing is written after a write has failed.
	diskPause = time.Minute
	diskMagic = 0x3144444c // "LDD1"
	diskHead  = 4 + 4 + 4 + 16 + 16 + 1 + 8 + 8 + 8 + 8 + 8
)

// OpenDisk opens or makes a directory that holds at most so many bytes. It fails
// if another process has it open, or if it cannot be made.
func OpenDisk(fs vfs.FS, dir string, bytes int64) (*Disk, error) {
	if bytes < MinDiskBytes {
		return nil, fmt.Errorf("segment: disk cache of %d bytes, want at least %d", bytes, MinDiskBytes)
	}
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("segment: disk cache: %w", err)
	}
	lock, err := fs.Lock(fs.PathJoin(dir, "LOCK"))
	if err != nil {
		return nil, fmt.Errorf("segment: disk cache %s is in use: %w", dir, err)
	}
	d := &Disk{fs: fs, dir: dir, lock: lock, each: bytes / diskFiles, limit: bytes, seed: maphash.MakeSeed()}
	d.mu.slots = make(map[uint64]*diskSlot)
	seen := 1 << 10
	for int64(seen) < min(bytes/DefaultBlockBytes, 1<<20) {
		seen *= 2
	}
	d.mu.seen = make([][seenWays]uint64, seen/seenWays)
	d.find()
	return d, nil
}

func (d *Disk) path(number uint64) string {
	return d.fs.PathJoin(d.dir, fmt.Sprintf("%010d.pieces", number))
}

// find takes over what an earlier process left.
func (d *Disk) find() {
	names, _ := d.fs.List(d.dir)
	slices.Sort(names)
	var numbers []uint64
	for _, name := range names {
		var n uint64
		if _, err := fmt.Sscanf(name, "%010d.pieces", &n); err == nil {
			numbers = append(numbers, n)
			d.mu.next = max(d.mu.next, n+1)
		}
	}
	for i, n := range numbers {
		if len(numbers)-i > diskFiles || !d.scan(n) {
			_ = d.fs.Remove(d.path(n))
		}
	}
}

// scan reads the headers of a file. What is behind the first bad one is lost.
func (d *Disk) scan(number uint64) bool {
	f, err := d.fs.OpenReadWrite(d.path(number), vfs.WriteCategoryUnspecified)
	if err != nil {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Size() > d.each {
		_ = f.Close()
		return false
	}
	file := &diskFile{number: number, file: f}
	head := make([]byte, diskHead)
	for {
		if _, err := f.ReadAt(head, file.size); err != nil {
			break
		}
		p, _, ok := decodePiece(head)
		if !ok || p.bytes > info.Size()-file.size-diskHead {
			break
		}
		d.place(file, p, file.size)
		file.size += diskHead + p.bytes
	}
	d.mu.files = append(d.mu.files, file)
	d.mu.stats.Bytes += file.size
	return true
}

// place notes where a piece lies.
func (d *Disk) place(f *diskFile, p piece, at int64) {
	h := maphash.Comparable(d.seed, p)
	d.mu.slots[h] = &diskSlot{file: f, at: at, bytes: p.bytes}
	f.hashes = append(f.hashes, h)
}

// Stats returns counters and present sizes; of no disk, nothing.
func (d *Disk) Stats() DiskStats {
	if d == nil {
		return DiskStats{}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.mu.stats
	s.Budget, s.Pieces = d.limit, int64(len(d.mu.slots))
	return s
}

// Close lets the directory go; what reads are under way closes its file when it
// is done. It may be called more than once, and of no disk.
func (d *Disk) Close() error {
	if d == nil {
		return nil
	}
	d.mu.Lock()
	if d.mu.closed {
		d.mu.Unlock()
		return nil
	}
	d.mu.closed = true
	var idle []*diskFile
	for _, f := range d.mu.files {
		f.dead = true
		if f.refs == 0 {
			idle = append(idle, f)
		}
	}
	d.mu.files, d.mu.slots = nil, nil
	d.mu.Unlock()
	var errs []error
	for _, f := range idle {
		errs = append(errs, f.file.Close())
	}
	return errors.Join(append(errs, d.lock.Close())...)
}

// appendPiece writes the header of a piece with that content.
func appendPiece(b []byte, p piece, data []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, diskMagic)
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(data, castagnoli))
	b = append(b, p.log[:]...)
	b = append(b, p.table.nonce[:]...)
	compacted := byte(0)
	if p.table.id.Compacted {
		compacted = 1
	}
	b = append(b, compacted)
	for _, v := range []uint64{p.table.segment, p.table.id.Epoch, p.table.id.N, uint64(p.off), uint64(p.bytes)} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b[8:], castagnoli))
	return b
}

// decodePiece reads a header, and the checksum of what follows it.
func decodePiece(b []byte) (p piece, sum uint32, ok bool) {
	if len(b) < diskHead || binary.LittleEndian.Uint32(b) != diskMagic || binary.LittleEndian.Uint32(b[4:]) != crc32.Checksum(b[8:diskHead], castagnoli) {
		return p, 0, false
	}
	sum = binary.LittleEndian.Uint32(b[8:])
	copy(p.log[:], b[12:])
	copy(p.table.nonce[:], b[28:])
	p.table.id.Compacted = b[44] == 1
	at := func(i int) uint64 { return binary.LittleEndian.Uint64(b[45+8*i:]) }
	p.table.segment, p.table.id.Epoch, p.table.id.N = at(0), at(1), at(2)
	p.off, p.bytes = int64(at(3)), int64(at(4))
	return p, sum, p.off >= 0 && p.bytes >= 0 && p.bytes < 1<<40
}
