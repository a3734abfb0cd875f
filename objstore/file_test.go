//go:build unix

package objstore_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/logdb-go/logdb/objstore"
)

// TestFileReadsLeaveNoTrace: a reader may have no right to write, so it must not try, not even for a lock.
func TestFileReadsLeaveNoTrace(t *testing.T) {
	dir := t.TempDir()
	for _, file := range []string{"manifest", "wal/1", "wal/2"} {
		path := filepath.Join(dir, file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(file), 0o444)); err != nil {
			t.Fatal(err)
		}
	}
	for _, folder := range []string{dir, dir + "/wal"} {
		if err := os.Chmod(folder, 0o555); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(folder, 0o755) })
	}
	before := tree(t, dir)
	b := openFile(t, dir)
	o, err := b.Get(t.Context(), "manifest")
	if err != nil || string(o.Data) != "manifest" {
		t.Fatalf("get: got %q, %v", o.Data, err)
	}
	if _, err := b.GetIfChanged(t.Context(), "manifest", o.ETag); !errors.Is(err, objstore.ErrNotModified) {
		t.Fatalf("get if changed: got %v", err)
	}
	if data, err := b.GetRange(t.Context(), "wal/1", 4, 1); err != nil || string(data) != "1" {
		t.Fatalf("get range: got %q, %v", data, err)
	}
	if got := strings.Join(listNames(t, b, ""), " "); got != "manifest wal/1 wal/2" {
		t.Fatalf("list: got %q", got)
	}
	if _, err := b.Get(t.Context(), "nothing"); !errors.Is(err, objstore.ErrNotFound) {
		t.Fatalf("get: got %v", err)
	}
	if after := tree(t, dir); after != before {
		t.Fatalf("reading changed the directory:\n%s\nto\n%s", before, after)
	}
}

func tree(t *testing.T, dir string) string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		paths = append(paths, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(paths, "\n")
}

// TestFileAbsentDirectory: it is an empty bucket, and looking at it does not make it.
func TestFileAbsentDirectory(t *testing.T) {
	dir := t.TempDir() + "/absent"
	b := openFile(t, dir)
	if got := listNames(t, b, ""); len(got) != 0 {
		t.Fatalf("list: got %q", got)
	}
	if err := b.Delete(t.Context(), "o"); err != nil {
		t.Fatalf("delete: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("stat: got %v, want no directory", err)
	}
	put(t, b, "o", "1", objstore.IfAbsent())
	if got := listNames(t, b, ""); len(got) != 1 {
		t.Fatalf("list: got %q", got)
	}
}

func TestFileNotADirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{path, ""} {
		if _, err := objstore.NewFile(dir); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("open %q: got %v, want %v", dir, err, fs.ErrInvalid)
		}
	}
}

// TestFileSweep: the leavings of a crash go with the next writer's first write; the work of a live one stays.
func TestFileSweep(t *testing.T) {
	dir := t.TempDir()
	put(t, openFile(t, dir), "o", "1", objstore.Always())
	dead := filepath.Join(dir, ".tmp", objstore.NewID().String())
	live := filepath.Join(dir, ".tmp", objstore.NewID().String())
	for _, path := range []string{dead, live} {
		if err := os.WriteFile(path, []byte("half an obj"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	held, err := os.Open(live)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := syscall.Flock(int(held.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	b := openFile(t, dir)
	if got := listNames(t, b, ""); len(got) != 1 || got[0] != "o" {
		t.Fatalf("list: got %q, want no temporary file", got)
	}
	put(t, b, "o", "2", objstore.Always())
	if _, err := os.Stat(dead); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the dead writer's file: got %v, want it swept", err)
	}
	if _, err := os.Stat(live); err != nil {
		t.Errorf("the live writer's file: %v", err)
	}
}

// TestFileLockIsWaitedFor: while another process holds the lock, a replacement waits as long as its context does, and
// if-absent and reads, which need no lock, go on.
func TestFileLockIsWaitedFor(t *testing.T) {
	dir := t.TempDir()
	b := openFile(t, dir)
	etag := put(t, b, "m", "1", objstore.Always())
	lock, err := os.OpenFile(filepath.Join(dir, ".tmp", "lock"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	put(t, b, "w/1", "free of it", objstore.IfAbsent())
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error, 2)
	go func() {
		_, err := b.Put(ctx, "m", []byte("2"), objstore.IfMatch(etag))
		waiting <- err
	}()
	go func() { waiting <- b.Delete(ctx, "m") }()
	cancel()
	for range 2 {
		if err := <-waiting; !errors.Is(err, context.Canceled) {
			t.Fatalf("behind the lock: got %v, want %v", err, context.Canceled)
		}
	}
	if o, err := b.Get(t.Context(), "m"); err != nil || string(o.Data) != "1" {
		t.Fatalf("get: got %q, %v", o.Data, err)
	}
	go func() {
		_, err := b.Put(t.Context(), "m", []byte("3"), objstore.IfMatch(etag))
		waiting <- err
	}()
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; err != nil {
		t.Fatalf("after the lock: %v", err)
	}
}

// TestFileFoldersRemoved: somebody empties the directory under a running writer. It is a new, empty bucket then, and
// the writer makes its folders and its lock again.
func TestFileFoldersRemoved(t *testing.T) {
	dir := t.TempDir() + "/bucket"
	b := openFile(t, dir)
	put(t, b, "a/b/c", "1", objstore.IfAbsent())
	etag := put(t, b, "a/b/c", "2", objstore.Always())
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Put(t.Context(), "a/b/c", []byte("3"), objstore.IfMatch(etag)); !errors.Is(err, objstore.ErrNotFound) {
		t.Fatalf("put if match: got %v, want %v", err, objstore.ErrNotFound)
	}
	put(t, b, "a/b/c", "4", objstore.IfAbsent())
	put(t, b, "a/b/d", "5", objstore.Always())
	if got := strings.Join(listNames(t, b, ""), " "); got != "a/b/c a/b/d" {
		t.Fatalf("list: got %q", got)
	}
}

// TestFilePathPrefix: a name that is a folder cannot be an object. The caller is told, and not sent to read
// the rival that an ErrPrecondition speaks of.
func TestFilePathPrefix(t *testing.T) {
	b := openFile(t, t.TempDir())
	put(t, b, "a/b", "1", objstore.IfAbsent())
	for what, c := range map[string]objstore.Condition{"if-absent": objstore.IfAbsent(), "always": objstore.Always()} {
		for _, name := range []string{"a", "a/b/c"} {
			_, err := b.Put(t.Context(), name, []byte("2"), c)
			if err == nil || errors.Is(err, objstore.ErrPrecondition) || errors.Is(err, objstore.ErrNotFound) {
				t.Errorf("put %q %s: got %v, want an error of its own", name, what, err)
			}
		}
	}
	if err := b.Delete(t.Context(), "a"); err != nil {
		t.Errorf("delete of a folder's name: %v", err)
	}
	if o, err := b.Get(t.Context(), "a/b"); err != nil || string(o.Data) != "1" {
		t.Fatalf("get: got %q, %v", o.Data, err)
	}
}

// TestFileForeignFiles: what is no object does not show.
func TestFileForeignFiles(t *testing.T) {
	dir := t.TempDir()
	b := openFile(t, dir)
	put(t, b, "f/o", "1", objstore.IfAbsent())
	for _, path := range []string{"f/.hidden", ".DS_Store", "lost+found\\x"} {
		if err := os.WriteFile(filepath.Join(dir, path), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "dangling")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(listNames(t, b, ""), " "); got != "f/o" {
		t.Fatalf("list: got %q", got)
	}
}

// What is larger than a manifest gets is hashed faster, and all of it is.
func TestETagsOfLargeObjects(t *testing.T) {
	b := openFile(t, t.TempDir())
	for _, size := range []int{8 << 20, 8<<20 + 1, 9 << 20} {
		data := make([]byte, size)
		first := put(t, b, "large", string(data), objstore.Always())
		if _, err := b.GetIfChanged(t.Context(), "large", first); !errors.Is(err, objstore.ErrNotModified) {
			t.Errorf("%d bytes: read with the etag of the put: got %v, want ErrNotModified", size, err)
		}
		for _, at := range []int{0, size / 2, size - 1} {
			data[at]++
			etag := put(t, b, "large", string(data), objstore.IfMatch(first))
			if etag == first {
				t.Errorf("%d bytes: another byte at %d has the same etag, %s", size, at, etag)
			}
			data[at]--
			put(t, b, "large", string(data), objstore.IfMatch(etag))
		}
	}
}
