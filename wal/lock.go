package wal

import (
	"io"
	"path/filepath"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// lockFiles knows the directories that this process has locked. Where such locks belong to the process, as on Unix, to
// open and close a lock file a second time gives its lock away: nobody may look at one while another takes it, so that
// for once a mutex is held over calls of the file system.
var lockFiles struct {
	sync.Mutex
	held map[string]bool // by the directory's path, resolved
}

type dirLock struct {
	io.Closer
	path string
}

// lockDir locks the directory at path, which is resolved. A file system of tests has locks of its own.
func lockDir(fs vfs.FS, path string) (io.Closer, error) {
	if !isOS(fs) {
		return fs.Lock(fs.PathJoin(path, lockName))
	}
	lockFiles.Lock()
	defer lockFiles.Unlock()
	lock, err := fs.Lock(fs.PathJoin(path, lockName))
	if err != nil {
		return nil, err
	}
	if lockFiles.held == nil {
		lockFiles.held = map[string]bool{}
	}
	lockFiles.held[path] = true
	return dirLock{lock, path}, nil
}

// Close gives the lock back.
func (l dirLock) Close() error {
	lockFiles.Lock()
	defer lockFiles.Unlock()
	delete(lockFiles.held, l.path)
	return l.Closer.Close()
}

// inUse reports whether a process has the directory at path locked, and whether that can be known, without locking it.
func inUse(fs vfs.FS, path string) (used, known bool) {
	if !isOS(fs) {
		return false, false
	}
	path, err := filepath.Abs(path)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return false, false
	}
	lockFiles.Lock()
	defer lockFiles.Unlock()
	if lockFiles.held[path] {
		return true, true
	}
	return lockHeld(filepath.Join(path, lockName))
}
