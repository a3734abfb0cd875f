package objstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const tempFolder = ".tmp"

// Put implements Bucket.
func (f *File) Put(ctx context.Context, name string, data []byte, c Condition) (string, error) {
	if err := checkPut(name, c); err != nil {
		return "", err
	}
	if err := ctx.Err(); err != nil {
		return "", wrap("put", name, err)
	}
	f.sweep.Do(f.sweepTemps)
	temp, err := f.stage(data)
	if err != nil {
		return "", wrap("put", name, err)
	}
	defer temp.discard()
	if c.Absent() {
		err = f.link(ctx, temp, name)
	} else {
		err = f.replace(ctx, temp, name, c)
	}
	if err != nil {
		return "", wrap("put", name, err)
	}
	return contentETag(data), nil
}

// link gives the staged file its name if nothing has it: the file system decides, so no lock is needed. No
// IfMatch or Delete can be in the way either, since neither makes an object where there is none.
func (f *File) link(ctx context.Context, temp *tempFile, name string) error {
	err := f.inFolder(name, func(path string) error { return os.Link(temp.path, path) })
	if errors.Is(err, syscall.EPERM) || errors.Is(err, errors.ErrUnsupported) {
		return f.renameIfAbsent(ctx, temp, name)
	}
	if errors.Is(err, fs.ErrExist) {
		return f.refuse(name)
	}
	if err != nil {
		return err
	}
	return f.syncFolder(filepath.Dir(f.path(name)))
}

// renameIfAbsent is link for file systems without hard links.
func (f *File) renameIfAbsent(ctx context.Context, temp *tempFile, name string) error {
	unlock, err := f.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Lstat(f.path(name)); !errors.Is(err, fs.ErrNotExist) {
		if err != nil {
			return err
		}
		return f.refuse(name)
	}
	return f.rename(temp, name)
}

// replace gives the staged file the name whatever has it, or only over the object that IfMatch means.
func (f *File) replace(ctx context.Context, temp *tempFile, name string, c Condition) error {
	unlock, err := f.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if etag, ok := c.Match(); ok {
		switch err := f.matches(name, etag); {
		case errors.Is(err, ErrPrecondition):
			return f.refuse(name)
		case err != nil:
			return err
		}
	}
	return f.rename(temp, name)
}

func (f *File) rename(temp *tempFile, name string) error {
	if err := f.inFolder(name, func(path string) error { return os.Rename(temp.path, path) }); err != nil {
		return err
	}
	return f.syncFolder(filepath.Dir(f.path(name)))
}

// refuse is ErrPrecondition once the object that stood in the way is durable: the caller is going to read it and to build
// on it, and its writer may not have come to that yet.
func (f *File) refuse(name string) error {
	path := f.path(name)
	if info, err := os.Lstat(path); err == nil && info.IsDir() {
		return fmt.Errorf("name is a path prefix of other objects: %w", fs.ErrInvalid)
	}
	if err := f.syncFolder(filepath.Dir(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return ErrPrecondition
}

// inFolder makes the folder of name, durably, and calls do with the object's path. If the folder that this process
// made earlier has been removed behind its back, it is made again.
func (f *File) inFolder(name string, do func(path string) error) error {
	path := f.path(name)
	if err := f.makeFolder(filepath.Dir(path)); err != nil {
		return err
	}
	err := do(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f.durable.Clear()
	if err := f.makeFolder(filepath.Dir(path)); err != nil {
		return err
	}
	return do(path)
}

// makeFolder makes path and what is missing above it, and returns once all of it survives power loss. A folder
// that is there may be another process's and not durable yet, hence the sync of every parent, once per process.
func (f *File) makeFolder(path string) error {
	if _, ok := f.durable.Load(path); ok {
		return nil
	}
	top := f.dir
	for _, err := os.Stat(top); errors.Is(err, fs.ErrNotExist) && top != filepath.Dir(top); _, err = os.Stat(top) {
		top = filepath.Dir(top)
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	for folder := path; folder != top; folder = filepath.Dir(folder) {
		if err := f.syncFolder(filepath.Dir(folder)); err != nil {
			return err
		}
	}
	if err := f.syncFolder(filepath.Dir(top)); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err // above the bucket we may have no permission to look, but then we did not make top either
	}
	f.durable.Store(path, nil)
	return nil
}

// Delete implements Bucket.
func (f *File) Delete(ctx context.Context, name string) error {
	if err := readable(ctx, name); err != nil {
		return wrap("delete", name, err)
	}
	path := f.path(name)
	if info, err := os.Lstat(path); absent(info, err) {
		return nil
	}
	unlock, err := f.lock(ctx)
	if err != nil {
		return wrap("delete", name, err)
	}
	defer unlock()
	if info, err := os.Lstat(path); absent(info, err) {
		return nil
	}
	if err := os.Remove(path); err != nil {
		return wrap("delete", name, err)
	}
	return wrap("delete", name, f.syncFolder(filepath.Dir(path)))
}

// absent: nothing by that name, or a folder, which is nothing either.
func absent(info fs.FileInfo, err error) bool {
	if err != nil {
		return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
	}
	return info.IsDir()
}

// syncFolder makes the entries of a directory durable.
func (f *File) syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	err = f.sync(folder)
	return errors.Join(err, folder.Close())
}

func (f *File) sync(file *os.File) error {
	err := file.Sync()
	if err == nil && f.synced != nil {
		f.synced(file)
	}
	return err
}
