package logdb

import (
	"errors"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/logdb-go/logdb/wal"
)

// WALInspection is what a WAL directory held at one look.
type WALInspection = wal.Inspection

// WALFile is what could be read in one file of a WAL directory.
type WALFile = wal.FileInfo

// WALStaged is one file of a WAL directory that holds tables, written while
// the bucket was away.
type WALStaged = wal.StagedInfo

// InspectWAL looks into a WAL directory without changing or locking anything,
// also while a writer has it open. fs.ErrNotExist where there is none. Damage
// is no error; it is told in the inspection.
func InspectWAL(dir string) (WALInspection, error) {
	return wal.Inspect(vfs.Default, dir)
}

// ReadWAL yields the records in the files of a WAL directory, or in one such
// file, in the order of their sequences: first those of staged memtables, then
// those of the WAL files. It changes and locks nothing. A directory's lost/ is not read with it: each
// directory below that is one of its own.
//
// The records may be in the log, too. Of those that are not, this is what
// there is: appended and applied, perhaps acknowledged at Local, and set aside
// because another directory opened the log before they were shipped. In the
// directory of a writer that was killed and will open again, they are yet to
// be recovered.
//
// Key and Value are valid until the next step. An error is that of one file,
// *CorruptError for one, and what follows it are the records of the next.
func ReadWAL(path string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		files, staged, err := walFiles(path)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		covered := uint64(0) // exclusive sequence below which frames are staged, too
		read := func(file string, read func() error) bool {
			err := read()
			if errors.Is(err, fs.ErrNotExist) && file != path {
				return true // trimmed meanwhile: its records are in the log
			}
			return !errors.Is(err, errEnough) && (err == nil || yield(Entry{}, err))
		}
		for _, file := range staged {
			if !read(file, func() error { return yieldStaged(file, &covered, yield) }) {
				return
			}
		}
		for _, file := range files {
			if !read(file, func() error {
				_, err := wal.ReadFile(vfs.Default, file, func(f wal.Frame, _ int64) error {
					if f.Header().First < covered {
						return nil
					}
					return yieldFrame(f, yield)
				})
				return err
			}) {
				return
			}
		}
	}
}

// yieldStaged yields the records of one staged file and notes where it ends.
func yieldStaged(file string, covered *uint64, yield func(Entry, error) bool) error {
	s, err := wal.ReadStaged(vfs.Default, file)
	if err != nil {
		return err
	}
	tables, err := stagedTables(s)
	if err != nil {
		return err
	}
	entries, err := stagedEntries(s, tables, 0)
	if err != nil {
		return err
	}
	*covered = max(*covered, s.End)
	for _, e := range entries {
		if !yield(Entry{Key: e.key, Value: e.value, Sequence: e.seq, Time: time.UnixMilli(e.ms)}, nil) {
			return errEnough
		}
	}
	return nil
}

// walFiles lists the files that path stands for.
func walFiles(path string) (files, staged []string, err error) {
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		if strings.Contains(filepath.Base(path), ".staged") {
			return nil, []string{path}, nil
		}
		return []string{path}, nil, nil
	}
	in, err := InspectWAL(path)
	if err != nil {
		return nil, nil, err
	}
	for _, f := range in.Files {
		files = append(files, f.Path)
	}
	for _, f := range in.Staged {
		staged = append(staged, f.Path)
	}
	return files, staged, nil
}

func yieldFrame(f wal.Frame, yield func(Entry, error) bool) error {
	h := f.Header()
	e := Entry{Sequence: h.First, Time: time.UnixMilli(h.TimeMs)}
	for c := f.Cursor(); ; e.Sequence++ {
		var ok bool
		if _, e.Key, e.Value, ok = c.Next(); !ok {
			return nil
		}
		if !yield(e, nil) {
			return errEnough
		}
	}
}
