package wal

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/logdb-go/logdb/objstore"
)

// ErrLocked means that the directory is open already, in this process or in another.
var ErrLocked = errors.New("wal: directory is locked")

// ForeignError means that the directory is bound to another log.
type ForeignError struct {
	Dir  objstore.ID // the log that the directory belongs to
	Want objstore.ID // the log that was asked for
}

// Error implements error.
func (e *ForeignError) Error() string {
	return fmt.Sprintf("wal: directory belongs to log %s, want %s", e.Dir, e.Want)
}

const (
	lockName = "LOCK"
	lostName = "lost"
)

// Dir is a local WAL directory, held by one process at a time.
//
// State, ID and the methods of [Log] that say so may be called at any time; the others are for one goroutine at a time.
type Dir struct {
	fs    vfs.FS
	path  string
	lock  io.Closer
	disk  *stateFile
	state atomic.Pointer[State]
	log   *Log

	mu struct {
		sync.Mutex
		files  []*localFile // ascending by epoch, then number
		staged []*Staged    // ascending by epoch, then number
		stages uint64       // the highest number that a staged file got
	}
}

// OpenDir opens the directory at path, which is created, with a random identity, if it is not there, and locks it until
// [Dir.Close]. Identity and directory entries are durable on return.
//
// Errors: one that wraps [ErrLocked]; *objstore.CorruptError or objstore.ErrUnsupported for a state file that cannot be
// trusted. A directory that holds WAL files but no state is corrupt, for nobody can say whose they are.
func OpenDir(fs vfs.FS, path string) (*Dir, error) {
	path, err := makeDir(fs, path)
	if err != nil {
		return nil, err
	}
	lock, err := lockDir(fs, path)
	if err != nil {
		if pathErr := (*iofs.PathError)(nil); errors.As(err, &pathErr) {
			return nil, fmt.Errorf("wal: lock %s: %w", path, err)
		}
		return nil, fmt.Errorf("%w: %s: %w", ErrLocked, path, err)
	}
	d := &Dir{fs: fs, path: path, lock: lock}
	if err := d.load(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return d, nil
}

// load lists the files and opens, or creates, the state.
func (d *Dir) load() error {
	names, err := d.fs.List(d.path)
	if err != nil {
		return fmt.Errorf("wal: list %s: %w", d.path, err)
	}
	for _, name := range names {
		epoch, number, ok := parseFileName(name)
		if !ok {
			continue
		}
		info, err := d.fs.Stat(d.fs.PathJoin(d.path, name))
		if err != nil {
			return fmt.Errorf("wal: stat %s: %w", name, err)
		}
		lf := &localFile{path: d.fs.PathJoin(d.path, name), epoch: epoch, number: number, closed: true}
		lf.size.Store(info.Size())
		d.mu.files = append(d.mu.files, lf)
	}
	slices.SortFunc(d.mu.files, (*localFile).compare)
	if err := d.loadStaged(names); err != nil {
		return err
	}
	if !slices.Contains(names, stateName) {
		if n := len(d.mu.files) + len(d.mu.staged); n > 0 {
			return corrupt(d.fs.PathJoin(d.path, stateName), 0, "state is missing beside %d wal files", n)
		}
		// A directory found here may be what a crash left of its own creation.
		if err := syncDir(d.fs, d.fs.PathDir(d.path)); err != nil {
			return err
		}
		if err := createState(d.fs, d.path); err != nil {
			return err
		}
	}
	d.disk, err = openState(d.fs, d.path)
	if err != nil {
		return err
	}
	d.state.Store(&d.disk.cur.State)
	return nil
}

// ID returns the directory's identity, which it keeps for ever.
func (d *Dir) ID() objstore.ID { return d.disk.cur.dir }

// State returns what the directory remembers. It may be called at any time.
func (d *Dir) State() State { return *d.state.Load() }

// NoteEpoch remembers the log that is about to be opened, the epoch that is about to be taken and the nonce of the
// attempt. It is durable on return. The epoch may be noted again, never a lower one: that is a store that went back in
// time. The first limit, or the first file, binds the directory to its log; until then another log may be noted, for the
// attempt may have come to nothing.
//
// Errors: *[ForeignError]. Any error of the disk is final.
func (d *Dir) NoteEpoch(log objstore.ID, epoch uint64, nonce objstore.ID) error {
	s := d.State()
	if s.Log != log {
		if s.Bound() || len(d.listFiles())+len(d.listStaged()) > 0 {
			return &ForeignError{Dir: s.Log, Want: log}
		}
		s = State{}
	}
	if epoch < s.Epoch {
		return fmt.Errorf("wal: note epoch %d in %s: epoch %d was noted before", epoch, d.path, s.Epoch)
	}
	s.Log, s.Epoch, s.Nonce = log, epoch, nonce
	return d.setState(s)
}

// SetLimit remembers that nothing at or above limit was shown. It is durable on return. The epoch must be the last one
// noted; the limit may go down, as it does in a clean close. Any error of the disk is final.
func (d *Dir) SetLimit(epoch, limit uint64) error {
	s := d.State()
	if epoch != s.Epoch || s.Log.IsZero() {
		return fmt.Errorf("wal: set limit in %s: got epoch %d, want the noted epoch %d", d.path, epoch, s.Epoch)
	}
	s.Limit, s.LimitEpoch = limit, epoch
	return d.setState(s)
}

func (d *Dir) setState(s State) error {
	if err := d.disk.set(s); err != nil {
		return err
	}
	d.state.Store(&s)
	return nil
}

// Close closes the log, if one is open, and releases the lock. It is idempotent.
func (d *Dir) Close() error {
	if d.lock == nil {
		return nil
	}
	var err error
	if d.log != nil {
		err = d.log.Close()
	}
	err = errors.Join(err, d.disk.f.Close(), d.lock.Close())
	d.lock = nil
	return err
}

// listFiles returns the files there are now.
func (d *Dir) listFiles() []*localFile {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.mu.files)
}

func (d *Dir) addFile(lf *localFile) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.files = append(d.mu.files, lf)
}

func (d *Dir) dropFile(lf *localFile) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.files = slices.DeleteFunc(d.mu.files, func(f *localFile) bool { return f == lf })
}

// removeFile removes a file for good. The directory is synced each time: if two removals could be undone separately, a
// crash might leave a hole in an epoch's numbers.
func (d *Dir) removeFile(lf *localFile) error {
	if err := d.fs.Remove(lf.path); err != nil {
		return fmt.Errorf("wal: remove %s: %w", lf.path, err)
	}
	d.dropFile(lf)
	return syncDir(d.fs, d.path)
}

// makeDir creates path with every parent that is missing, each entry durable, and returns the one spelling of it that
// the lock goes by: the process's own table of locks compares paths as strings.
func makeDir(fs vfs.FS, path string) (string, error) {
	if isOS(fs) {
		abs, err := filepath.Abs(path)
		if err != nil {
			return "", fmt.Errorf("wal: directory %s: %w", path, err)
		}
		path = abs
	}
	if err := mkdirSynced(fs, path); err != nil {
		return "", err
	}
	if isOS(fs) {
		resolved, err := filepath.EvalSymlinks(path)
		if err != nil {
			return "", fmt.Errorf("wal: directory %s: %w", path, err)
		}
		path = resolved
	}
	return path, nil
}

func mkdirSynced(fs vfs.FS, path string) error {
	if _, err := fs.Stat(path); err == nil || strings.Trim(path, "./") == "" {
		return nil
	}
	parent := fs.PathDir(path)
	if parent != path {
		if err := mkdirSynced(fs, parent); err != nil {
			return err
		}
	}
	if err := fs.MkdirAll(path, 0o755); err != nil {
		return fmt.Errorf("wal: make directory %s: %w", path, err)
	}
	return syncDir(fs, parent)
}

func isOS(fs vfs.FS) bool {
	for fs.Unwrap() != nil {
		fs = fs.Unwrap()
	}
	return fs == vfs.Default
}

func syncDir(fs vfs.FS, path string) error {
	f, err := fs.OpenDir(path)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err != nil {
		return fmt.Errorf("wal: sync directory %s: %w", path, err)
	}
	return nil
}
