package wal

// Trim removes closed files in which every frame ends at or below the given sequence, and files of earlier epochs that
// hold no frame. Files of earlier epochs count only if [Dir.Replay] has read them since the directory was opened:
// whoever has not seen a frame cannot know that it is safe elsewhere. Inside an epoch files go in order; each removal is
// durable before the next one.
//
// A seal lies between two records: one at the given sequence itself is kept, for the records below it may be safe
// elsewhere while it is not.
func (l *Log) Trim(below uint64) error { return l.trim(below, below) }

// TrimSealed is Trim where a seal at the given sequence is safe elsewhere, too.
func (l *Log) TrimSealed(below uint64) error { return l.trim(below, below+1) }

// trim removes files whose frames end at or below end and whose seals lie below seals.
func (l *Log) trim(end, seals uint64) error {
	stop, stopped := uint64(0), false
	for _, lf := range l.dir.listFiles() {
		if stopped && lf.epoch == stop {
			continue
		}
		if !l.dir.trimmable(lf, end, seals) {
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

func (d *Dir) trimmable(lf *localFile, below, seals uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return lf.closed && lf.scanned && lf.end <= below && lf.seals <= seals
}

// noteClosed makes a file known to Trim that this process wrote.
func (d *Dir) noteClosed(lf *localFile, end, seals uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	lf.closed, lf.scanned, lf.end, lf.seals = true, true, end, seals
}

// noteScanned makes a file known to Trim that Replay has read.
func (d *Dir) noteScanned(lf *localFile, end, seals uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	lf.scanned, lf.end, lf.seals = true, end, seals
}
