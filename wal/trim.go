package wal

// Trim removes closed files in which every frame ends at or below the given sequence, and files of earlier epochs that
// hold no frame. Files of earlier epochs count only if [Dir.Replay] has read them since the directory was opened:
// whoever has not seen a frame cannot know that it is safe elsewhere. Inside an epoch files go in order; each removal is
// durable before the next one.
func (l *Log) Trim(below uint64) error {
	stop, stopped := uint64(0), false
	for _, lf := range l.dir.listFiles() {
		if stopped && lf.epoch == stop {
			continue
		}
		if !l.dir.trimmable(lf, below) {
			stop, stopped = lf.epoch, true
			continue
		}
		if err := l.dir.removeFile(lf); err != nil {
			l.fail(err)
			return err
		}
	}
	return nil
}

// Size returns the bytes of all WAL files in the directory, those of earlier epochs and the active one included, and
// those moved to lost/ not.
func (l *Log) Size() int64 {
	l.dir.mu.Lock()
	defer l.dir.mu.Unlock()
	var n int64
	for _, lf := range l.dir.mu.files {
		n += lf.size.Load()
	}
	return n
}

func (d *Dir) trimmable(lf *localFile, below uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return lf.closed && lf.scanned && lf.end <= below
}

// noteClosed makes a file known to Trim that this process wrote.
func (d *Dir) noteClosed(lf *localFile, end uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	lf.closed, lf.scanned, lf.end = true, true, end
}

// noteScanned makes a file known to Trim that Replay has read.
func (d *Dir) noteScanned(lf *localFile, end uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	lf.scanned, lf.end = true, end
}
