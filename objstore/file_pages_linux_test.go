package objstore

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// resident is how many bytes of a file the page cache holds.
func resident(t *testing.T, path string) int {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	mapped, err := unix.Mmap(int(file.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(mapped) }()
	page := os.Getpagesize()
	in := make([]byte, (len(mapped)+page-1)/page)
	if _, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&mapped[0])), uintptr(len(mapped)), uintptr(unsafe.Pointer(&in[0]))); errno != 0 {
		t.Fatal(errno)
	}
	n := 0
	for _, b := range in {
		n += int(b&1) * page
	}
	return n
}

// A table is not kept in memory beside the log's own caches, neither by writing it nor by a merge's reading it; what is
// read over and over is.
func TestLargeTransfersLeaveThePageCache(t *testing.T) {
	dir := t.TempDir()
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		t.Fatal(err)
	}
	if stat.Type == unix.TMPFS_MAGIC {
		t.Skip("the directory for temporary files is in memory")
	}
	f, err := NewFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	for name, size := range map[string]int{"manifest": 4 << 20, "table": 16 << 20} {
		data := bytes.Repeat([]byte(name), size/len(name))
		if _, err := f.Put(ctx, name, data, Always()); err != nil {
			t.Fatal(err)
		}
	}
	in := func(name string) int { return resident(t, filepath.Join(dir, name)) }
	if got := in("manifest"); got < 3<<20 {
		t.Errorf("a manifest after its Put: %d bytes in the page cache, want all of 4 MiB", got)
	}
	if got := in("table"); got > 1<<20 {
		t.Errorf("a table after its Put: %d bytes in the page cache, want next to none", got)
	}
	for _, c := range []struct{ off, n, least, most int64 }{
		{4 << 20, 4 << 20, 0, 1 << 20},
		{8 << 20, 64 << 10, 64 << 10, 1 << 20},
	} {
		if _, err := f.GetRange(ctx, "table", c.off, c.n); err != nil {
			t.Fatal(err)
		}
		if got := int64(in("table")); got < c.least || got > c.most {
			t.Errorf("a read of %d bytes left %d in the page cache, want from %d to %d", c.n, got, c.least, c.most)
		}
	}
}
