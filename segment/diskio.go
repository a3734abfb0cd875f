package segment

import (
	"hash/crc32"
	"hash/maphash"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// read returns the piece, nil if it is not there.
func (d *Disk) read(p piece) []byte {
	if d == nil {
		return nil
	}
	h := maphash.Comparable(d.seed, p)
	slot := d.hold(h)
	if slot == nil {
		return nil
	}
	buf := make([]byte, diskHead+slot.bytes)
	_, err := slot.file.file.ReadAt(buf, slot.at)
	ok := err == nil
	if ok {
		found, sum, sound := decodePiece(buf)
		ok = sound && found == p && crc32.Checksum(buf[diskHead:], castagnoli) == sum
	}
	d.done(slot.file, func() {
		if ok {
			d.mu.stats.Hits++
			return
		}
		d.mu.stats.Misses++
		d.mu.stats.Failures++
		if d.mu.slots[h] == slot {
			delete(d.mu.slots, h)
		}
	})
	if !ok {
		return nil
	}
	return buf[diskHead:]
}

// has reports whether the piece is there, as far as is known without a look.
func (d *Disk) has(p piece) bool {
	if d == nil {
		return false
	}
	h := maphash.Comparable(d.seed, p)
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.slots[h] != nil
}

// hold returns the piece's slot, with its file held, or nil.
func (d *Disk) hold(h uint64) *diskSlot {
	d.mu.Lock()
	defer d.mu.Unlock()
	slot := d.mu.slots[h]
	if slot == nil {
		if !d.mu.closed {
			d.mu.stats.Misses++
		}
		return nil
	}
	slot.hit = true
	slot.file.refs++
	return slot
}

// done lets a file go, and is the last thing that a dead one sees.
func (d *Disk) done(f *diskFile, note func()) {
	d.mu.Lock()
	note()
	f.refs--
	last := f.dead && f.refs == 0
	d.mu.Unlock()
	if last {
		d.remove(f)
	}
}

// remove closes a file that nobody uses, and deletes it unless the whole cache
// is closed.
func (d *Disk) remove(f *diskFile) {
	_ = f.file.Close()
	d.mu.Lock()
	closed := d.mu.closed
	d.mu.Unlock()
	if !closed {
		_ = d.fs.Remove(d.path(f.number))
	}
}

// add keeps a piece: at once, or when it is read the second time.
func (d *Disk) add(p piece, data []byte, atOnce bool) {
	if d == nil || int64(len(data)) != p.bytes || diskHead+p.bytes > d.each/4 {
		return
	}
	h := maphash.Comparable(d.seed, p)
	f, at := d.reserve(h, diskHead+p.bytes, atOnce)
	if f == nil {
		return
	}
	_, err := f.file.WriteAt(append(appendPiece(make([]byte, 0, diskHead+len(data)), p, data), data...), at)
	d.done(f, func() {
		switch {
		case err != nil:
			d.failedLocked()
		case !f.dead:
			d.place(f, p, at)
		}
	})
}

// failedLocked gives the disk a rest. A hole is left where the piece should be.
func (d *Disk) failedLocked() {
	d.mu.stats.Failures++
	d.mu.mended = time.Now().Add(diskPause)
}

// seenLocked says whether a piece was seen before, and remembers it in place of
// the one that was seen longest ago among those with the same low bits.
func (d *Disk) seenLocked(h uint64) bool {
	ways := &d.mu.seen[h%uint64(len(d.mu.seen))]
	if slices.Contains(ways[:], h) {
		return true
	}
	copy(ways[1:], ways[:seenWays-1])
	ways[0] = h
	return false
}

// reserve returns a file, held, and a place in it for so many bytes; nil if
// the piece is there, was not read before, or cannot be written now.
func (d *Disk) reserve(h uint64, bytes int64, atOnce bool) (*diskFile, int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.closed || d.mu.slots[h] != nil {
		return nil, 0
	}
	if !atOnce && !d.seenLocked(h) {
		return nil, 0
	}
	if d.mu.rolling || !d.mu.mended.IsZero() && time.Now().Before(d.mu.mended) {
		return nil, 0
	}
	if n := len(d.mu.files); n == 0 || d.mu.files[n-1].size+bytes > d.each {
		d.mu.rolling = true
		d.mu.Unlock()
		ok := d.roll()
		d.mu.Lock()
		d.mu.rolling = false
		if !ok || d.mu.closed {
			return nil, 0
		}
	}
	f := d.mu.files[len(d.mu.files)-1]
	at := f.size
	f.size += bytes
	f.refs++
	d.mu.stats.Bytes += bytes
	return f, at
}

// roll begins a new file, after the oldest has made room for it.
func (d *Disk) roll() bool {
	if old := d.oldest(); old != nil {
		d.remove(old)
	}
	d.mu.Lock()
	number := d.mu.next
	d.mu.next++
	d.mu.Unlock()
	file, err := d.fs.OpenReadWrite(d.path(number), vfs.WriteCategoryUnspecified)
	d.mu.Lock()
	closed := d.mu.closed
	switch {
	case err != nil:
		d.failedLocked()
	case !closed:
		d.mu.files = append(d.mu.files, &diskFile{number: number, file: file})
	}
	d.mu.Unlock()
	if err == nil && closed {
		_ = file.Close()
	}
	return err == nil && !closed
}

// oldest takes the oldest file out where there are as many as there may be.
// What was read from it counts as read once: it is kept again when it is missed.
// It returns the file if nobody uses it.
func (d *Disk) oldest() *diskFile {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.mu.files) < diskFiles {
		return nil
	}
	f := d.mu.files[0]
	d.mu.files = d.mu.files[1:]
	d.mu.stats.Bytes -= f.size
	for _, h := range f.hashes {
		slot := d.mu.slots[h]
		if slot == nil || slot.file != f {
			continue
		}
		if slot.hit {
			d.seenLocked(h)
		}
		delete(d.mu.slots, h)
	}
	f.dead = true
	if f.refs > 0 {
		return nil
	}
	return f
}
