package objstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/logdb-go/logdb/objstore/turn"
)

// File is a bucket in a directory: an object is a file of that name. Any number of processes of one machine may use it
// at once, and its conditions are atomic between them. Over a network file system they are as good as its locks.
//
// Objects and removals survive power loss once Put or Delete has returned; so does whatever made a Put return
// ErrPrecondition. (Readers may see an object a moment earlier.) A file is complete before it gets its name
// and is not written to afterwards, so no reader sees a part of an object.
//
// The ETag is a hash of the content and nothing else: it survives copying and restoring the directory, and it cannot
// tell a change and a change back from none. Inode number and time would not do instead, since a file system may give
// both to two files that follow each other closely, and IfMatch would then overwrite what it has not seen.
//
// Writing uses a folder named .tmp for files that have no name yet and for the lock; reading needs neither it nor write
// permission. Names that differ in case only are two objects only where the file system has it so. Folders are not
// removed when they become empty: each costs a List one more directory to read.
//
// A process that is stopped (SIGSTOP, a debugger) while it replaces an object holds the lock until it goes on or is killed,
// and everybody else waits for it: no takeover gets past a writer that was stopped there.
//
// On systems without flock, writes are errors.ErrUnsupported.
type File struct {
	dir string
	// turn holds one token: which goroutine of this process may wait for the lock between processes.
	turn  chan struct{}
	sweep sync.Once
	// durable holds the paths of folders that this process knows to survive power loss.
	durable sync.Map
	// synced is told of every file and folder whose sync has ended well; nil but in tests.
	synced func(*os.File)
}

// NewFile returns the bucket in dir. It touches nothing: a directory that does not exist is an empty bucket, and the
// first write makes it. A dir that is something else is fs.ErrInvalid.
func NewFile(dir string) (*File, error) {
	if dir == "" {
		return nil, fmt.Errorf("objstore: open directory: no path: %w", fs.ErrInvalid)
	}
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("objstore: open directory %q: %w", dir, err)
	}
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		return nil, fmt.Errorf("objstore: open directory %q: not a directory: %w", dir, fs.ErrInvalid)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("objstore: open directory: %w", err)
	}
	return &File{dir: path, turn: make(chan struct{}, 1)}, nil
}

func (f *File) path(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

// Get implements Reader.
func (f *File) Get(ctx context.Context, name string) (Object, error) {
	return f.GetIfChanged(ctx, name, "")
}

// GetIfChanged implements Reader. It reads and hashes the whole object, changed or not.
func (f *File) GetIfChanged(ctx context.Context, name, etag string) (Object, error) {
	if err := readable(ctx, name); err != nil {
		return Object{}, wrap("get", name, err)
	}
	data, err := f.read(name)
	if err != nil {
		return Object{}, wrap("get", name, err)
	}
	o := Object{Data: data, ETag: contentETag(data), Date: time.Now()}
	if o.ETag == etag {
		o.Data = nil
		return o, wrap("get", name, ErrNotModified)
	}
	return o, nil
}

// GetRange implements Reader.
func (f *File) GetRange(ctx context.Context, name string, off, n int64) ([]byte, error) {
	if err := checkRange(name, off, n); err != nil {
		return nil, err
	}
	if n == 0 {
		return []byte{}, checkName(name)
	}
	if err := readable(ctx, name); err != nil {
		return nil, wrap("get range of", name, err)
	}
	file, size, err := f.open(name)
	if err != nil {
		return nil, wrap("get range of", name, err)
	}
	defer file.Close()
	if off+n > size {
		return nil, errShort(name, off, n, size)
	}
	data := make([]byte, n)
	if _, err := file.ReadAt(data, off); err != nil {
		return nil, wrap("get range of", name, err)
	}
	return data, nil
}

func readable(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	return ctx.Err()
}

func (f *File) read(name string) ([]byte, error) {
	file, size, err := f.open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data := make([]byte, size)
	if _, err := io.ReadFull(file, data); err != nil {
		return nil, fmt.Errorf("read %d bytes: %w", size, err)
	}
	return data, nil
}

// open maps what a file system says to what a store would.
func (f *File) open(name string) (*os.File, int64, error) {
	file, err := os.Open(f.path(name))
	if err != nil {
		return nil, 0, storeError(err)
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = ErrNotFound
	}
	if err != nil {
		_ = file.Close()
		return nil, 0, err
	}
	return file, info.Size(), nil
}

func storeError(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %w", ErrAccessDenied, err)
	default:
		return err
	}
}

// strongETag is the size up to which an ETag is a SHA-256. What conditions are set on, manifests, is smaller; tables are
// larger, never overwritten, and hashing them so was an eighth of what appending takes.
const strongETag = 8 << 20

func contentETag(data []byte) string {
	var h hash.Hash = sha256.New()
	if len(data) > strongETag {
		h = xxhash.New()
	}
	var work turn.Work // a whole table in one go delayed everything else in the process by forty milliseconds
	for piece := range slices.Chunk(data, turn.Bytes) {
		_, _ = h.Write(piece) // never fails
		work.Did(len(piece))
	}
	sum := hex.EncodeToString(h.Sum(nil))
	if len(data) > strongETag {
		return fmt.Sprintf("%s-%x", sum, len(data))
	}
	return sum[:32]
}

// matches is nil if the object has this ETag now; the caller holds the lock, so that it still has it a moment later.
func (f *File) matches(name, etag string) error {
	data, err := f.read(name)
	if err != nil {
		return err
	}
	if contentETag(data) != etag {
		return ErrPrecondition
	}
	return nil
}
