package wal

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	// Blocks beyond a file's end that the file system hands out in advance spare it work at every sync. One such piece
	// per file may stay unused.
	preallocateBytes = 4 << 20
	// Dirty pages are written out in the background in pieces of this size, so that the fsync that somebody waits for
	// has little left to do.
	bytesPerSync = 512 << 10
)

// notYet is the gate of a file whose predecessor is not closed.
const notYet = math.MaxUint64

// logFile is a file that a Log has open. It stands between the record writer and the disk to count bytes and to learn
// of an error at once, which the record writer tells only those who wait for a sync. The fields from end on are guarded
// by Log.mu.
type logFile struct {
	log  *Log
	info *localFile
	f    vfs.File
	w    *record.LogWriter

	end         uint64    // no frame ends above, once it is full
	seals       uint64    // no seal lies at or above, once it is full
	requests    markQueue // file positions behind the records that a sync was asked for
	syncedBytes uint64    // of the file, known to be synced
	claimed     uint64    // the last pad says that so many are

	settled uint64 // index up to which the file is synced
	gate    uint64 // nothing is reported before settled reaches this
	last    uint64 // index of the last record, once it is full
	closed  bool
}

func (lf *logFile) Write(p []byte) (int, error) {
	n, err := lf.f.Write(p)
	lf.info.size.Add(int64(n))
	if err != nil {
		lf.log.fail(fmt.Errorf("wal: write %s: %w", lf.info.path, err))
	}
	return n, err
}

func (lf *logFile) Sync() error {
	err := lf.f.Sync()
	if err != nil {
		lf.log.fail(fmt.Errorf("wal: sync %s: %w", lf.info.path, err))
	}
	return err
}

func (lf *logFile) Close() error { return lf.f.Close() }

// onSynced is called by the record writer's flush goroutine.
func (lf *logFile) onSynced(done record.PendingSyncIndex, err error) {
	l := lf.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failLocked(fmt.Errorf("wal: sync %s: %w", lf.info.path, err))
		return
	}
	lf.settled = max(lf.settled, uint64(done.Index))
	if end, ok := lf.requests.popThrough(lf.settled); ok {
		lf.syncedBytes = end
	}
	l.signal()
}

// noLatency is given to the record writer because it stops recording in the file how far that was synced, and with it
// corruption goes undetected, when it is given no histogram.
type noLatency struct{ prometheus.Histogram }

func (noLatency) Observe(float64) {}

// createFile creates a file and makes its directory entry durable.
func (l *Log) createFile(number uint64) (*logFile, error) {
	fs := l.dir.fs
	info := &localFile{path: fs.PathJoin(l.dir.path, fileName(l.epoch, number)), epoch: l.epoch, number: number}
	f, err := fs.Create(info.path, diskCategory)
	if err != nil {
		return nil, fmt.Errorf("wal: create %s: %w", info.path, err)
	}
	if err := syncDir(fs, l.dir.path); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	lf := &logFile{log: l, info: info}
	lf.f = vfs.NewSyncingFile(f, vfs.SyncingFileOptions{BytesPerSync: bytesPerSync, PreallocateSize: preallocateBytes})
	lf.w = newLogWriter(lf)
	l.dir.addFile(info)
	if _, err := lf.w.SyncRecordGeneralized(info.header(l.owner), &record.PendingSyncIndex{Index: record.NoSyncIndex}); err != nil {
		return nil, errors.Join(fmt.Errorf("wal: write %s: %w", info.path, err), lf.w.Close())
	}
	return lf, nil
}

func newLogWriter(lf *logFile) *record.LogWriter {
	return numberedWriter(record.NewLogWriter, lf, lf.info.chunkNumber(), record.LogWriterConfig{
		WALFsyncLatency:           noLatency{},
		ExternalSyncQueueCallback: lf.onSynced,
		WriteWALSyncOffsets:       func() bool { return true },
	})
}

// numberedWriter is [numbered] for the writer.
func numberedWriter[N ~uint64](
	construct func(io.Writer, N, record.LogWriterConfig) *record.LogWriter,
	w io.Writer, n uint32, c record.LogWriterConfig,
) *record.LogWriter {
	return construct(w, N(n), c)
}

// discard closes and removes a file that was created ahead of time and is not needed.
func (l *Log) discard(lf *logFile) error {
	if lf == nil {
		return nil
	}
	if err := lf.w.Close(); err != nil {
		return fmt.Errorf("wal: close %s: %w", lf.info.path, err)
	}
	return l.dir.removeFile(lf.info)
}

// changeFiles closes full files and creates the ones that follow, in that order, so that at most one file at a time
// waits to be closed. The first job closes nothing.
func (l *Log) changeFiles() {
	defer l.done.Done()
	for number := uint64(1); ; number++ {
		full, ok := <-l.jobs
		if !ok {
			return
		}
		if full != nil {
			l.closeFull(full)
		}
		l.next <- l.createNext(number)
	}
}

func (l *Log) createNext(number uint64) *logFile {
	if l.failed() != nil {
		return nil
	}
	next, err := l.createFile(number)
	if err != nil {
		l.fail(err)
		return nil
	}
	next.gate = notYet
	return next
}

// closeFull closes a file and then writes into its successor that it is closed. Only with that pad durable is anything
// in the successor reported: should the closed file be found without its end one day, the pad tells damage from a crash.
func (l *Log) closeFull(full *logFile) {
	err := l.finish(full)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failLocked(err)
	}
	if l.mu.err != nil {
		return
	}
	cur := l.mu.files[len(l.mu.files)-1]
	if l.padLocked(true) == nil {
		cur.gate = l.mu.index
	}
	l.signal()
}

// finish closes a file, syncing it, and records what that settled.
func (l *Log) finish(lf *logFile) error {
	err := lf.w.CloseWithLastQueuedRecord(record.PendingSyncIndex{Index: int64(lf.last)})
	if err != nil {
		return fmt.Errorf("wal: close %s: %w", lf.info.path, err)
	}
	l.mu.Lock()
	lf.closed = true
	end, seals := lf.end, lf.seals
	l.mu.Unlock()
	l.dir.noteClosed(lf.info, end, seals)
	return nil
}
