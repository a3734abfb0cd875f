package wal

import (
	"fmt"
)

// ReplayStats counts what a [Dir.Replay] saw.
type ReplayStats struct {
	Files   int    // in the run
	Frames  uint64 // handed out: batches and seals
	Records uint64 // in them
	Bytes   int64  // of them
	Torn    int    // epochs that did not end with a close
	Dropped uint64 // frames behind a torn end, in the file after it; never reported as synced, moved to lost/
}

// Replay hands out the frames of the epochs from to to, both inclusive, in the order of epoch, file and position; those
// of other epochs are not shown, nor are pads. What fn is given is durable, and fn may keep it. An error of fn ends the
// replay and is returned. It may be called again, but not while a [Log] is
// open.
//
// A crash may leave the last file of an epoch without its end. It may also leave the beginning of the file after that,
// if it came during a rotation: those frames were never reported as synced and have lost their predecessors, so they
// are moved to lost/ and counted. Everything else that cannot be read, or is missing, is *objstore.CorruptError, or
// objstore.ErrUnsupported for a later version; fn may have been given frames by then.
func (d *Dir) Replay(from, to uint64, fn func(epoch uint64, f Frame) error) (ReplayStats, error) {
	if d.log != nil {
		return ReplayStats{}, fmt.Errorf("wal: replay %s: a log is open", d.path)
	}
	r := &replay{dir: d, owner: d.owner(), fn: fn}
	files := d.listFiles()
	for len(files) > 0 {
		n := 1
		for n < len(files) && files[n].epoch == files[0].epoch {
			n++
		}
		if e := files[0].epoch; from <= e && e <= to {
			if err := r.epoch(files[:n]); err != nil {
				return r.stats, err
			}
		}
		files = files[n:]
	}
	return r.stats, nil
}

func (d *Dir) owner() owner { return owner{log: d.State().Log, dir: d.ID()} }

type replay struct {
	dir   *Dir
	owner owner
	fn    func(epoch uint64, f Frame) error
	stats ReplayStats
	next  uint64 // no frame may start below: sequences ascend over files and epochs
}

// epoch replays the files of one epoch, of which there is at least one.
func (r *replay) epoch(files []*localFile) error {
	for i, lf := range files {
		if want := files[0].number + uint64(i); lf.number != want {
			return corrupt(lf.path, 0, "file before it is missing: want number %d", want)
		}
		end, err := r.file(lf)
		if err != nil {
			return err
		}
		if !end.clean {
			r.stats.Torn++
			return r.behindTorn(lf, end, files[i+1:])
		}
	}
	return nil
}

func (r *replay) file(lf *localFile) (fileEnd, error) {
	r.stats.Files++
	var last, seals uint64
	end, err := scanFile(r.dir.fs, lf, r.owner, true, func(f Frame, off int64) error {
		if f.kind() == Pad {
			return nil
		}
		if f.first() < r.next {
			return corrupt(lf.path, int(off), "frame starts at sequence %d, want at least %d", f.first(), r.next)
		}
		r.next = f.End()
		last = f.End()
		if f.kind() == Seal {
			seals = f.first() + 1
		}
		r.stats.Frames++
		r.stats.Records += uint64(f.count())
		r.stats.Bytes += int64(len(f))
		return r.fn(lf.epoch, f)
	})
	if err != nil {
		return end, err
	}
	r.dir.noteScanned(lf, last, seals)
	return end, nil
}

// behindTorn judges the files of the epoch after a torn one. A pad in them that says that the torn file was closed
// proves that it had an end once.
func (r *replay) behindTorn(torn *localFile, end fileEnd, files []*localFile) error {
	var move []*localFile
	for _, lf := range files {
		r.stats.Files++
		frames := uint64(0)
		_, err := scanFile(r.dir.fs, lf, r.owner, false, func(f Frame, _ int64) error {
			if f.kind() != Pad {
				frames++
			} else if f.closedBelow() > torn.number {
				return corrupt(torn.path, int(end.offset), "end is missing, and %s shows that the file was closed", lf.path)
			}
			return nil
		})
		if err != nil {
			return err
		}
		r.dir.noteScanned(lf, 0, 0)
		if frames > 0 {
			r.stats.Dropped += frames
			move = append(move, lf)
		}
	}
	// From the last to the first: a crash in between must leave no file whose torn predecessor is gone.
	for i := len(move) - 1; i >= 0; i-- {
		if err := r.dir.moveToLost(r.owner.log, move[i]); err != nil {
			return fmt.Errorf("wal: drop frames behind a torn end: %w", err)
		}
	}
	return nil
}
