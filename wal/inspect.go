package wal

import (
	"cmp"
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/logdb-go/logdb/objstore"
)

// Inspection is what a directory held at one look.
type Inspection struct {
	Dir      objstore.ID
	State    State
	StateErr error      // why ID and State are not known; nil if they are
	Files    []FileInfo // by epoch and number
	Staged   []StagedInfo
	Lost     []LostInfo // by name
	// InUse says that a process has the directory open; InUseKnown, whether that could be found out.
	InUse, InUseKnown bool
}

const stateLooks = 3

// LostInfo is one directory below lost/.
type LostInfo struct {
	Path   string
	Files  []FileInfo
	Staged []StagedInfo
}

// StagedInfo is one file of tables that wait for the bucket.
type StagedInfo struct {
	Path       string
	Epoch      uint64
	Bytes      int64  // of the file
	Frames     uint64 // batches and seals that it stands for
	First, End uint64
	Err        error // why its header could not be read; nil is the rule
}

// FileInfo is what can be read in one WAL file.
type FileInfo struct {
	Path           string
	Epoch, Number  uint64
	Bytes          int64 // of the file
	Batches, Seals uint64
	Records        uint64 // in the batches
	// First and End are the sequences [First, End) that the records lie in. They mean nothing without records.
	First, End uint64
	// Closed says that the file ends as a writer ends it. Else it is written to at this moment, or its writer was
	// killed and may have left an end that is torn: Torn bytes that hold nothing whole.
	Closed bool
	Torn   int64
	// Err is why the file could not be read on; the counts are of what lies before. Nil is the rule.
	Err error
}

// Inspect looks into the directory at path without changing, creating or locking anything, whether a process has it
// open or not. A file that is removed meanwhile is left out; one that is written to is read as far as it goes.
//
// The error is that of a directory that is not there or cannot be listed, or one that says that path is no WAL
// directory. What is damaged is told in the Inspection.
func Inspect(fs vfs.FS, path string) (Inspection, error) {
	names, err := fs.List(path)
	if err != nil {
		return Inspection{}, fmt.Errorf("wal: list %s: %w", path, err)
	}
	in := Inspection{}
	if in.Files, err = inspectFiles(fs, path, names); err != nil {
		return Inspection{}, err
	}
	if in.Staged, err = inspectStaged(fs, path, names); err != nil {
		return Inspection{}, err
	}
	hasState := slices.Contains(names, stateName)
	if !hasState && len(in.Files)+len(in.Staged) == 0 && !slices.Contains(names, lostName) {
		return Inspection{}, fmt.Errorf("wal: %s: neither %s nor wal files: not a wal directory: %w", path, stateName, iofs.ErrNotExist)
	}
	in.InUse, in.InUseKnown = inUse(fs, path)
	var cur slot
	if cur, in.StateErr = readState(fs, path); in.StateErr == nil {
		in.Dir, in.State = cur.dir, cur.State
	}
	if slices.Contains(names, lostName) {
		in.Lost, err = inspectLost(fs, fs.PathJoin(path, lostName))
	}
	return in, err
}

// readState reads the state as it is. The slot that a writer is about to fill may be half there: another look settles
// that.
func readState(fs vfs.FS, dir string) (slot, error) {
	name := fs.PathJoin(dir, stateName)
	for try := 1; ; try++ {
		f, err := fs.Open(name)
		if err != nil {
			return slot{}, fmt.Errorf("wal: open state %s: %w", name, err)
		}
		cur, err := decodeStateFrom(f, name)
		if errClose := f.Close(); err == nil {
			err = errClose
		}
		if try == stateLooks || err == nil && cur.Limit > 0 {
			return cur, err
		}
	}
}

// inspectStaged looks into those of the names that are staged files.
func inspectStaged(fs vfs.FS, dir string, names []string) ([]StagedInfo, error) {
	var staged []StagedInfo
	for _, name := range names {
		base, _, found := strings.Cut(name, stageSuffix)
		if _, _, ok := parseStageName(base + stageSuffix); !ok || !found || strings.HasSuffix(name, tmpSuffix) {
			continue
		}
		s, err := ReadStaged(fs, fs.PathJoin(dir, name))
		if errors.Is(err, iofs.ErrNotExist) {
			continue // in the bucket, or moved
		}
		if s == nil {
			return nil, err
		}
		staged = append(staged, StagedInfo{Path: s.path, Epoch: s.Epoch, Bytes: s.size, Frames: s.Frames, First: s.Start, End: s.End, Err: err})
	}
	slices.SortStableFunc(staged, func(a, b StagedInfo) int { return cmp.Compare(a.Path, b.Path) })
	return staged, nil
}

// inspectFiles looks into those of the names that are WAL files, or what they became in lost/.
func inspectFiles(fs vfs.FS, dir string, names []string) ([]FileInfo, error) {
	var files []FileInfo
	for _, name := range names {
		epoch, number, ok := parseKeptName(name)
		if !ok {
			continue
		}
		info, err := inspectFile(fs, &localFile{path: fs.PathJoin(dir, name), epoch: epoch, number: number})
		if errors.Is(err, iofs.ErrNotExist) {
			continue // trimmed, or moved
		}
		if err != nil {
			return nil, err
		}
		files = append(files, info)
	}
	slices.SortStableFunc(files, func(a, b FileInfo) int {
		return (&localFile{epoch: a.Epoch, number: a.Number}).compare(&localFile{epoch: b.Epoch, number: b.Number})
	})
	return files, nil
}

func inspectFile(fs vfs.FS, lf *localFile) (FileInfo, error) {
	info := FileInfo{Path: lf.path, Epoch: lf.epoch, Number: lf.number}
	stat, err := fs.Stat(lf.path)
	if err != nil {
		return info, fmt.Errorf("wal: stat %s: %w", lf.path, err)
	}
	info.Bytes = stat.Size()
	end, err := scanFile(fs, lf, owner{}, false, func(f Frame, _ int64) error {
		info.count(f)
		return nil
	})
	if errors.Is(err, objstore.ErrCorrupt) || errors.Is(err, objstore.ErrUnsupported) {
		info.Err = err
		return info, nil
	}
	if info.Closed = end.clean; !end.clean {
		info.Torn = max(info.Bytes-end.offset, 0)
	}
	return info, err
}

func (info *FileInfo) count(f Frame) {
	switch f.kind() {
	case Seal:
		info.Seals++
	case Batch:
		if info.Batches == 0 {
			info.First = f.first()
		}
		info.Batches++
		info.Records += uint64(f.count())
		info.End = f.End()
	}
}

func inspectLost(fs vfs.FS, path string) ([]LostInfo, error) {
	dirs, err := fs.List(path)
	if err != nil {
		return nil, fmt.Errorf("wal: list %s: %w", path, err)
	}
	slices.Sort(dirs)
	var lost []LostInfo
	for _, dir := range dirs {
		l := LostInfo{Path: fs.PathJoin(path, dir)}
		if info, err := fs.Stat(l.Path); err != nil || !info.IsDir() {
			continue // nobody put it there who sets files aside
		}
		names, err := fs.List(l.Path)
		if err != nil {
			return nil, fmt.Errorf("wal: list %s: %w", l.Path, err)
		}
		if l.Files, err = inspectFiles(fs, l.Path, names); err != nil {
			return nil, err
		}
		if l.Staged, err = inspectStaged(fs, l.Path, names); err != nil {
			return nil, err
		}
		lost = append(lost, l)
	}
	return lost, nil
}
