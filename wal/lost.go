package wal

import (
	"errors"
	"fmt"

	"github.com/logdb-go/logdb/objstore"
)

// MoveToLost moves the files, staged ones too, of every epoch outside [keepFrom, keepTo], both inclusive, to lost/<log>-<epoch>/ in the
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
	for _, s := range d.listStaged() {
		if keepFrom <= s.Epoch && s.Epoch <= keepTo {
			continue
		}
		if s.bodies == nil {
			_ = s.load(d.owner()) // as with frames: what cannot be read is not counted
		}
		if err := d.rename(log, s.Epoch, s.path, stageName(s.Epoch, s.number)); err != nil {
			return moved, frames, err
		}
		d.dropStaged(s)
		moved++
		frames += s.Frames
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
	if err := d.rename(log, lf.epoch, lf.path, fileName(lf.epoch, lf.number)); err != nil {
		return err
	}
	d.dropFile(lf)
	return nil
}

// rename moves one file below lost/, durably.
func (d *Dir) rename(log objstore.ID, epoch uint64, path, name string) error {
	fs := d.fs
	dir := fs.PathJoin(d.path, lostName, fmt.Sprintf("%s-%d", log, epoch))
	if err := mkdirSynced(fs, dir); err != nil {
		return err
	}
	to := fs.PathJoin(dir, name)
	// A bucket that was reset can bring an epoch back: never overwrite what was moved before.
	for i := 1; ; i++ {
		if _, err := fs.Stat(to); err != nil {
			break
		}
		to = fs.PathJoin(dir, fmt.Sprintf("%s.%d", name, i))
	}
	if err := fs.Rename(path, to); err != nil {
		return fmt.Errorf("wal: move %s to lost: %w", path, err)
	}
	for _, dir := range []string{dir, fs.PathDir(dir), d.path} {
		if err := syncDir(fs, dir); err != nil {
			return err
		}
	}
	return nil
}
