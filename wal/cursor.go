package wal

// Record is a key and a value as they were appended. Both alias the frame.
type Record struct{ Key, Value []byte }

// Cursor walks the records of one frame. It is a value: copy it to remember a
// place. It is not for concurrent use, but any number of cursors may walk one
// frame.
type Cursor struct {
	frame Frame
	off   uint32
	left  uint32
}

// Cursor stands before the first record. Seals have none.
func (f Frame) Cursor() Cursor {
	return Cursor{frame: f, off: uint32(frameHeaderSize + f.tlvBytes()), left: f.count()}
}

// Next returns the next record and its offset in the frame, which [Frame.At]
// takes; ok is false after the last. Key and value alias the frame.
func (c *Cursor) Next() (off uint32, key, value []byte, ok bool) {
	if c.left == 0 {
		return 0, nil, nil, false
	}
	off = c.off
	key, value, c.off = c.frame.record(off)
	c.left--
	return off, key, value, true
}

// At returns the record at an offset that a [Cursor] of this frame gave. Key and
// value alias the frame.
func (f Frame) At(off uint32) (key, value []byte) {
	key, value, _ = f.record(off)
	return key, value
}

func (f Frame) record(off uint32) (key, value []byte, end uint32) {
	n, w := uvarint32(f[off:])
	off += uint32(w)
	key = f[off : off+n : off+n]
	off += n
	n, w = uvarint32(f[off:])
	off += uint32(w)
	value = f[off : off+n : off+n]
	return key, value, off + n
}
