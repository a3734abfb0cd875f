package wal

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/logdb-go/logdb/objstore"
)

// ErrLocked means that another process, or this one, has the directory open.
var ErrLocked = errors.New("wal: directory is locked")

// ForeignError means that the directory belongs to another log.
type ForeignError struct {
	Dir  objstore.ID // the log that the directory belongs to
	Want objstore.ID // the log that was asked for
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("wal: directory belongs to log %s, want %s", e.Dir, e.Want)
}

// State is what a directory remembers.
type State struct {
	Log        objstore.ID
	Epoch      uint64
	Nonce      objstore.ID
	Limit      uint64
	LimitEpoch uint64
}

// ReplayStats counts what a Replay saw.
type ReplayStats struct {
	Files, Frames, Records uint64
	Bytes                  int64
	Torn                   int    // files that did not end with a clean close
	Dropped                uint64 // frames behind a torn file's end, never acknowledged
}

// Dir is a local WAL directory.
type Dir struct{}

func OpenDir(fs vfs.FS, path string) (*Dir, error)                              { return nil, errTodo }
func (d *Dir) ID() objstore.ID                                                  { return objstore.ID{} }
func (d *Dir) State() State                                                     { return State{} }
func (d *Dir) NoteEpoch(log objstore.ID, epoch uint64, nonce objstore.ID) error { return errTodo }
func (d *Dir) SetLimit(epoch, limit uint64) error                               { return errTodo }
func (d *Dir) Replay(from, to uint64, fn func(epoch uint64, f Frame) error) (ReplayStats, error) {
	return ReplayStats{}, errTodo
}
func (d *Dir) MoveToLost(log objstore.ID, keepFrom, keepTo uint64) (moved int, frames uint64, err error) {
	return 0, 0, errTodo
}
func (d *Dir) NewLog(epoch uint64, synced func(end uint64, err error)) (*Log, error) {
	return nil, errTodo
}
func (d *Dir) Close() error { return errTodo }
