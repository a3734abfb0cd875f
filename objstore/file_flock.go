//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package objstore

import (
	"errors"
	"os"
	"syscall"
)

// tryLock takes an exclusive lock on an open file and reports whether it got it. The lock belongs to the open file, not to
// the process, and ends when the file is closed or the process dies.
func tryLock(file *os.File) (bool, error) {
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, syscall.EINTR):
			return false, os.NewSyscallError("flock", err)
		}
	}
}
