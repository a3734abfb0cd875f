package logdb

import (
	"errors"
	"io/fs"
	"iter"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/logdb-go/logdb/wal"
)

// WALInspection is what a WAL directory held at one look.
type WALInspection = wal.Inspection

// WALFile is what could be read in one file of a WAL directory.
type WALFile = wal.FileInfo

// InspectWAL looks into a WAL directory without changing or locking anything,
// also while a writer has it open. fs.ErrNotExist where there is none. Damage
// is no error; it is told in the inspection.
func InspectWAL(dir string) (WALInspection, error) {
	return wal.Inspect(vfs.Default, dir)
}

// ReadWAL yields the records in the WAL files of a directory, or in one WAL
// file, as they were appended: in the order of epochs and sequences. It
// changes and locks nothing. A directory's lost/ is not read with it: each
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
		files, err := walFiles(path)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		for _, file := range files {
			_, err := wal.ReadFile(vfs.Default, file, func(f wal.Frame, _ int64) error { return yieldFrame(f, yield) })
			if errors.Is(err, errEnough) {
				return
			}
			if errors.Is(err, fs.ErrNotExist) && file != path {
				continue // trimmed meanwhile: its records are in the log
			}
			if err != nil && !yield(Entry{}, err) {
				return
			}
		}
	}
}

// walFiles lists the WAL files that path stands for.
func walFiles(path string) ([]string, error) {
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		return []string{path}, nil
	}
	in, err := InspectWAL(path)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, f := range in.Files {
		files = append(files, f.Path)
	}
	return files, nil
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
