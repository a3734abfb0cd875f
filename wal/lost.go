package wal

import (
	"errors"
	"fmt"

	"github.com/logdb-go/logdb/objstore"
)

// MoveToLost moves the files of every epoch outside [keepFrom, keepTo], both inclusive, to lost/<log>-<epoch>/ in the
// directory, where nothing reads, recycles or counts them again. It returns how many files it moved and how many
// batches and seals could be read in them. A range with keepFrom above keepTo keeps nothing. It may not be called while
// a [Log] is open. The moves are durable on return, and one that a crash interrupted is continued by the next call.
func (d *Dir) MoveToLost(log objstore.ID, keepFrom, keepTo uint64) (moved int, frames uint64, err error) {
	if d.log != nil {
		return 0, 0, fmt.Errorf("wal: move to lost in %s: a log is open", d.path)
	}
	for _, lf := range d.listFiles() {
		if keepFrom <= lf.epoch && lf.epoch <= keepTo {
			continue
		}
		n, err := d.countFrames(lf)
		if err != nil {
			return moved, frames, err
		}
		if err := d.moveToLost(log, lf); err != nil {
			return moved, frames, err
		}
		moved++
		frames += n
	}
	return moved, frames, nil
}

// countFrames counts what can be read: bytes that cannot are no reason to keep a file where it would be replayed.
func (d *Dir) countFrames(lf *localFile) (n uint64, err error) {
	_, err = scanFile(d.fs, lf, d.owner(), false, func(f Frame, _ int64) error {
		if f.kind() != Pad {
			n++
		}
		return nil
	})
	if errors.Is(err, objstore.ErrCorrupt) || errors.Is(err, objstore.ErrUnsupported) {
		err = nil
	}
	return n, err
}

func (d *Dir) moveToLost(log objstore.ID, lf *localFile) error {
	fs := d.fs
	dir := fs.PathJoin(d.path, lostName, fmt.Sprintf("%s-%d", log, lf.epoch))
	if err := mkdirSynced(fs, dir); err != nil {
		return err
	}
	to := fs.PathJoin(dir, fileName(lf.epoch, lf.number))
	// A bucket that was reset can bring an epoch back: never overwrite what was moved before.
	for i := 1; ; i++ {
		if _, err := fs.Stat(to); err != nil {
			break
		}
		to = fs.PathJoin(dir, fmt.Sprintf("%s.%d", fileName(lf.epoch, lf.number), i))
	}
	if err := fs.Rename(lf.path, to); err != nil {
		return fmt.Errorf("wal: move %s to lost: %w", lf.path, err)
	}
	d.dropFile(lf)
	for _, dir := range []string{dir, fs.PathDir(dir), d.path} {
		if err := syncDir(fs, dir); err != nil {
			return err
		}
	}
	return nil
}
