//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package wal

import (
	"errors"
	"io"
	iofs "io/fs"
	"os"
	"syscall"
)

// lockHeld reports whether another process holds the lock on a file, without taking it. A lock of this process is not
// seen, and is lost.
func lockHeld(name string) (held, known bool) {
	f, err := os.Open(name)
	if errors.Is(err, iofs.ErrNotExist) {
		return false, true
	}
	if err != nil {
		return false, false
	}
	defer f.Close()
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &lock); err != nil {
		return false, false
	}
	return lock.Type != syscall.F_UNLCK, true
}
