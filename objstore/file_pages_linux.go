package objstore

import (
	"os"

	"golang.org/x/sys/unix"
)

// forget lets go of the page cache's copy of a part of a file; n of 0 is all from off on. It is advice: pages that are
// dirty, or mapped by somebody, stay, and a file system without a page cache behind it has nothing to let go of.
func forget(file *os.File, off, n int64) {
	_ = unix.Fadvise(int(file.Fd()), off, n, unix.FADV_DONTNEED)
}
