package objstore

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"
)

// List implements Reader. It holds the entries of one directory a level in memory, and skips the directories that
// prefix and after leave out.
func (f *File) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		if !mayBegin(prefix) {
			return
		}
		w := fileWalk{ctx: ctx, bucket: f, prefix: prefix, after: after, yield: yield}
		w.walk(prefix[:strings.LastIndexByte(prefix, '/')+1])
	}
}

type fileWalk struct {
	ctx           context.Context
	bucket        *File
	prefix, after string
	yield         func(Info, error) bool
}

// walk yields what is below folder, which is "" or ends in a slash, and reports whether to go on.
func (w *fileWalk) walk(folder string) bool {
	if err := w.ctx.Err(); err != nil {
		return w.fail(err)
	}
	entries, err := os.ReadDir(w.bucket.path(folder))
	if err = storeError(err); errors.Is(err, ErrNotFound) {
		return true // a bucket without objects, a prefix that is none, or a folder that went away meanwhile
	}
	if err != nil {
		return w.fail(err)
	}
	// A folder sorts by the slash that follows its name: "a.b" comes before "a/b", which comes before "a0".
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(sortName(a), sortName(b)) })
	for _, entry := range entries {
		name := folder + sortName(entry)
		visit := w.file
		if entry.IsDir() {
			visit = w.folder
		}
		if !visit(name) {
			return false
		}
	}
	return true
}

func sortName(entry fs.DirEntry) string {
	if entry.IsDir() {
		return entry.Name() + "/"
	}
	return entry.Name()
}

func (w *fileWalk) folder(name string) bool {
	mayMatch := strings.HasPrefix(name, w.prefix) || strings.HasPrefix(w.prefix, name)
	passed := w.after > name && !strings.HasPrefix(w.after, name)
	if !mayMatch || passed || checkName(strings.TrimSuffix(name, "/")) != nil {
		return true
	}
	return w.walk(name)
}

func (w *fileWalk) file(name string) bool {
	if !strings.HasPrefix(name, w.prefix) || name <= w.after || checkName(name) != nil {
		return true
	}
	info, err := os.Stat(w.bucket.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if err != nil {
		return w.fail(storeError(err))
	}
	if !info.Mode().IsRegular() {
		return true
	}
	return w.yield(Info{Name: name, Size: info.Size(), Modified: info.ModTime()}, nil)
}

func (w *fileWalk) fail(err error) bool {
	w.yield(Info{}, wrap("list", w.prefix, err))
	return false
}
