package objstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// tempFile is a complete, durable file without a name of its own yet. Its writer holds a flock on it as long as it
// lives, so that a sweep tells the leavings of a crash from work in progress without looking at clocks.
type tempFile struct {
	file *os.File
	path string
}

// stage writes data to a new temporary file, durably.
func (f *File) stage(data []byte) (*tempFile, error) {
	temp, err := f.createTemp()
	if err != nil {
		return nil, err
	}
	if _, err = temp.file.Write(data); err == nil {
		err = f.sync(temp.file)
	}
	if err != nil {
		temp.discard()
		return nil, fmt.Errorf("write temporary file: %w", err)
	}
	return temp, nil
}

const createAttempts = 16

func (f *File) createTemp() (*tempFile, error) {
	for range createAttempts {
		temp, err := f.tryCreateTemp()
		if temp != nil || err != nil {
			return temp, err
		}
	}
	return nil, fmt.Errorf("objstore: %d temporary files were swept away before they could be locked", createAttempts)
}

// tryCreateTemp returns neither file nor error if a sweep came between the file's creation and its lock.
func (f *File) tryCreateTemp() (*tempFile, error) {
	var file *os.File
	err := f.inFolder(tempFolder+"/"+NewID().String(), func(path string) (err error) {
		file, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("create temporary file: %w", err)
	}
	temp := &tempFile{file: file, path: file.Name()}
	locked, err := tryLock(file)
	if err != nil {
		temp.discard()
		return nil, fmt.Errorf("lock temporary file: %w", err)
	}
	if _, err := os.Lstat(temp.path); !locked || errors.Is(err, fs.ErrNotExist) {
		temp.discard()
		return nil, nil
	}
	return temp, nil
}

// discard takes the temporary name away; after a rename it is gone already.
func (t *tempFile) discard() {
	_ = os.Remove(t.path)
	_ = t.file.Close()
}

// sweepTemps removes what crashed writers left. What cannot be removed stays, and harms nobody but the disk.
func (f *File) sweepTemps() {
	folder := filepath.Join(f.dir, tempFolder)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if _, err := ParseID(entry.Name()); err == nil {
			sweepTemp(filepath.Join(folder, entry.Name()))
		}
	}
}

func sweepTemp(path string) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer file.Close()
	if locked, err := tryLock(file); locked && err == nil {
		_ = os.Remove(path)
	}
}
