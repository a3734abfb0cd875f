package wal

import (
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/logdb-go/logdb/objstore"
)

// Staged is a stretch of the log, [Start, End) of one segment, whose records lie in a file of their own on this disk:
// sorted, so that they can be read there and need no memory while the bucket is away. What the bodies are is for the
// caller to know.
type Staged struct {
	Epoch                 uint64 // of the writer that staged it
	Start, End            uint64
	Segment, SegmentStart uint64
	OpenedMs              int64  // of the segment
	Frames                uint64 // batches and seals that it stands for
	Seal                  Frame  // the stretch is the last of its segment; else nil
	About                 []byte // of the bodies, the caller's own

	log    objstore.ID
	number uint64 // of the file
	path   string
	fs     vfs.FS
	bodies []stagedBody
	size   int64
}

type stagedBody struct {
	off, size int64
	sum       uint32
}

const stageCategory = vfs.DiskWriteCategory("logdb-stage")

// Stage writes bodies, and what s says of them, into a new file. On return it is durable, and what it stands for may be
// trimmed from the WAL files. An error leaves the directory as it was, or with a file that the next open removes: a full
// disk is not the end of it. For one goroutine at a time.
func (d *Dir) Stage(s Staged, bodies ...[]byte) (*Staged, error) {
	state := d.State()
	if state.Log.IsZero() || state.Epoch != s.Epoch {
		return nil, fmt.Errorf("wal: stage in %s: got epoch %d, want the noted epoch %d", d.path, s.Epoch, state.Epoch)
	}
	s.log, s.number = state.Log, d.nextStage()
	s.fs, s.path = d.fs, d.fs.PathJoin(d.path, stageName(s.Epoch, s.number))
	head := s.encode(d.owner(), bodies)
	if err := d.writeStage(s.path, head, bodies); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.staged = append(d.mu.staged, &s)
	return &s, nil
}

// nextStage returns the number of the next file. A failed one leaves a gap.
func (d *Dir) nextStage() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.stages++
	return d.mu.stages
}

func (d *Dir) writeStage(path string, head []byte, bodies [][]byte) (err error) {
	tmp := path + tmpSuffix
	f, err := d.fs.Create(tmp, stageCategory)
	if err != nil {
		return fmt.Errorf("wal: create %s: %w", tmp, err)
	}
	f = vfs.NewSyncingFile(f, vfs.SyncingFileOptions{BytesPerSync: bytesPerSync})
	for _, b := range append([][]byte{head}, bodies...) {
		if err == nil {
			_, err = f.Write(b)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = d.fs.Rename(tmp, path)
	}
	if err != nil {
		err = fmt.Errorf("wal: write %s: %w", path, err)
		return errors.Join(err, d.fs.Remove(tmp))
	}
	return syncDir(d.fs, d.path)
}

// Staged returns what is staged in the epochs from to to, both inclusive, in the order in which it was staged: for one
// goroutine at a time, and not beside [Dir.Stage]. *objstore.CorruptError, or objstore.ErrUnsupported, for a file whose
// header cannot be read.
func (d *Dir) Staged(from, to uint64) ([]*Staged, error) {
	var in []*Staged
	for _, s := range d.listStaged() {
		if s.Epoch < from || s.Epoch > to {
			continue
		}
		if s.bodies == nil {
			if err := s.load(d.owner()); err != nil {
				return nil, err
			}
		}
		in = append(in, s)
	}
	return in, nil
}

func (d *Dir) listStaged() []*Staged {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.mu.staged)
}

// StagedBytes returns the size of all staged files.
func (d *Dir) StagedBytes() (n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.mu.staged {
		n += s.size
	}
	return n
}

// Unstage removes a staged file, whose records are safe elsewhere.
func (d *Dir) Unstage(s *Staged) error {
	if err := d.fs.Remove(s.path); err != nil {
		return fmt.Errorf("wal: remove %s: %w", s.path, err)
	}
	d.dropStaged(s)
	return syncDir(d.fs, d.path)
}

func (d *Dir) dropStaged(s *Staged) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.staged = slices.DeleteFunc(d.mu.staged, func(o *Staged) bool { return o == s })
}

// Log returns the log that it belongs to.
func (s *Staged) Log() objstore.ID { return s.log }

// Path returns where the file is.
func (s *Staged) Path() string { return s.path }

// Size returns the size of the file.
func (s *Staged) Size() int64 { return s.size }

// Bodies returns how many there are.
func (s *Staged) Bodies() int { return len(s.bodies) }

// ReadAt reads len(p) bytes of a body, unchecked: what a body consists of has checksums of its own.
func (s *Staged) ReadAt(p []byte, body int, off int64) error {
	b := s.bodies[body]
	if off < 0 || off+int64(len(p)) > b.size {
		return fmt.Errorf("wal: read %s: got [%d, %d) of body %d, which has %d bytes", s.path, off, off+int64(len(p)), body, b.size)
	}
	f, err := s.fs.Open(s.path)
	if err != nil {
		return fmt.Errorf("wal: open %s: %w", s.path, err)
	}
	_, err = f.ReadAt(p, b.off+off)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("wal: read %s: %w", s.path, err)
	}
	return nil
}

// Body returns a whole body, compared with its checksum: *objstore.CorruptError if it is not what was staged.
func (s *Staged) Body(body int) ([]byte, error) {
	b := s.bodies[body]
	p := make([]byte, b.size)
	if err := s.ReadAt(p, body, 0); err != nil {
		return nil, err
	}
	if sum := crc32.Checksum(p, castagnoli); sum != b.sum {
		return nil, corrupt(s.path, int(b.off), "checksum of body %d: got %#x, want %#x", body, sum, b.sum)
	}
	return p, nil
}

const (
	stageSuffix = ".staged"
	tmpSuffix   = ".tmp"
)

func stageName(epoch, number uint64) string {
	return fmt.Sprintf("%010d-%010d%s", epoch, number, stageSuffix)
}

func parseStageName(name string) (epoch, number uint64, ok bool) {
	e, n, _ := strings.Cut(strings.TrimSuffix(name, stageSuffix), "-")
	epoch, errEpoch := strconv.ParseUint(e, 10, 64)
	number, errNumber := strconv.ParseUint(n, 10, 64)
	return epoch, number, errEpoch == nil && errNumber == nil && stageName(epoch, number) == name
}

// loadStaged lists the staged files, and removes what a crash left of one.
func (d *Dir) loadStaged(names []string) error {
	for _, name := range names {
		path := d.fs.PathJoin(d.path, name)
		if strings.HasSuffix(name, stageSuffix+tmpSuffix) {
			if err := d.fs.Remove(path); err != nil {
				return fmt.Errorf("wal: remove %s: %w", path, err)
			}
			continue
		}
		epoch, number, ok := parseStageName(name)
		if !ok {
			continue
		}
		info, err := d.fs.Stat(path)
		if err != nil {
			return fmt.Errorf("wal: stat %s: %w", path, err)
		}
		d.mu.staged = append(d.mu.staged, &Staged{Epoch: epoch, number: number, path: path, fs: d.fs, size: info.Size()})
		d.mu.stages = max(d.mu.stages, number)
	}
	slices.SortFunc(d.mu.staged, func(a, b *Staged) int {
		return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.number, b.number))
	})
	return nil
}

// load reads a file's header.
func (s *Staged) load(o owner) error {
	f, err := s.fs.Open(s.path)
	if err != nil {
		return fmt.Errorf("wal: open %s: %w", s.path, err)
	}
	head, err := readStageHead(f, s.size)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("wal: read %s: %w", s.path, err)
	}
	return s.decode(head, o)
}

// readStageHead reads as much as the header says that it has, and no more than there is.
func readStageHead(r io.Reader, size int64) ([]byte, error) {
	head := make([]byte, min(size, stageFixedBytes))
	if _, err := io.ReadFull(r, head); err != nil || len(head) < stageFixedBytes {
		return head, err
	}
	rest := make([]byte, max(0, min(size, stageHeadBytes(head))-stageFixedBytes))
	_, err := io.ReadFull(r, rest)
	return append(head, rest...), err
}

// ReadStaged reads the header of one staged file, whoever it belongs to: for a look at what was left behind.
func ReadStaged(fs vfs.FS, path string) (*Staged, error) {
	info, err := fs.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("wal: stat %s: %w", path, err)
	}
	s := &Staged{fs: fs, path: path, size: info.Size()}
	base, _, _ := strings.Cut(fs.PathBase(path), stageSuffix)
	var ok bool
	if s.Epoch, s.number, ok = parseStageName(base + stageSuffix); !ok {
		return nil, fmt.Errorf("wal: %s: not the name of a staged file", path)
	}
	return s, s.load(owner{})
}
