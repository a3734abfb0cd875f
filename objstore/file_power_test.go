//go:build unix

package objstore

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// powered is what a power loss would leave of a directory: of a file what was there when it was last synced, of a folder
// the names that it had when it was.
type powered struct {
	t       *testing.T
	content map[uint64][]byte
	entries map[uint64]map[string]uint64
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}

// note takes in a sync.
func (p *powered) note(file *os.File) {
	path := file.Name()
	info, err := file.Stat()
	if err != nil {
		p.t.Error(err)
		return
	}
	ino := info.Sys().(*syscall.Stat_t).Ino
	if !info.IsDir() {
		if p.content[ino], err = os.ReadFile(path); err != nil {
			p.t.Error(err)
		}
		return
	}
	names, err := os.ReadDir(path)
	if err != nil {
		p.t.Error(err)
	}
	p.entries[ino] = map[string]uint64{}
	for _, n := range names {
		p.entries[ino][n.Name()] = inode(p.t, filepath.Join(path, n.Name()))
	}
}

// get returns what lies under a path below root after a power loss.
func (p *powered) get(root, path string) ([]byte, bool) {
	at := inode(p.t, root)
	for part := range strings.SplitSeq(path, "/") {
		next, ok := p.entries[at][part]
		if !ok {
			return nil, false
		}
		at = next
	}
	data, ok := p.content[at]
	return data, ok
}

// Whatever a bucket of files has said to be there, or to be gone, is so after a power loss, down from a directory that
// was there before: file, name, and every folder on the way.
func TestFileSurvivesPowerLoss(t *testing.T) {
	ctx, root := t.Context(), t.TempDir()
	p := &powered{t: t, content: map[uint64][]byte{}, entries: map[uint64]map[string]uint64{}}
	open := func() *File {
		b, err := NewFile(filepath.Join(root, "a/b/bucket"))
		if err != nil {
			t.Fatal(err)
		}
		b.synced = p.note
		return b
	}
	b := open()
	has := func(what, name, want string) {
		t.Helper()
		if got, ok := p.get(root, "a/b/bucket/"+name); !ok || string(got) != want {
			t.Errorf("%s: after a power loss %q is %q, %v; want %q", what, name, got, ok, want)
		}
	}
	must := func(etag string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return etag
	}
	etag := must(b.Put(ctx, "manifest", []byte("1"), IfAbsent()))
	has("put if absent", "manifest", "1")
	for i := range 3 {
		name := fmt.Sprintf("seg/%d/deep/%d.sst", i, i)
		must(b.Put(ctx, name, bytes.Repeat([]byte{'x'}, 100_000), IfAbsent()))
		has("put below new folders", name, strings.Repeat("x", 100_000))
	}
	must(b.Put(ctx, "manifest", []byte("2"), IfMatch(etag)))
	has("put if it matches", "manifest", "2")
	must(b.Put(ctx, "manifest", []byte("3"), Always()))
	has("put", "manifest", "3")

	// What made a Put fail is built upon, whoever put it there.
	hurried, err := NewFile(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	hurried.synced = func(f *os.File) {
		if info, err := f.Stat(); err == nil && !info.IsDir() {
			p.note(f) // it dies between the name and the folder's sync
		}
	}
	must(hurried.Put(ctx, "fence", []byte("theirs"), IfAbsent()))
	if _, err := open().Put(ctx, "fence", []byte("ours"), IfAbsent()); !errors.Is(err, ErrPrecondition) {
		t.Fatalf("put over another's: %v", err)
	}
	has("refused", "fence", "theirs")

	must("", b.Delete(ctx, "seg/1/deep/1.sst"))
	if _, ok := p.get(root, "a/b/bucket/seg/1/deep/1.sst"); ok {
		t.Error("what was deleted is there after a power loss")
	}
	has("deleted beside it", "seg/2/deep/2.sst", strings.Repeat("x", 100_000))
}
