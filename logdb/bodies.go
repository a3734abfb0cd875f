package logdb

// bodies are buffers of objects that are in the bucket, for those that come
// next. A table is as large as a memtable: as garbage, a few of them would take
// the process far beyond its budget before a collector is there, and memory that
// is new costs more than what is written into it.
type bodies chan []byte

// take returns a buffer, or nil if there is none.
func (b bodies) take() []byte {
	select {
	case body := <-b:
		return body
	default:
		return nil
	}
}

// keep lets go of all but n of them.
func (b bodies) keep(n int) {
	for len(b) > n {
		b.take()
	}
}

// give returns a buffer whose object is in the bucket. Its bytes may only be
// overwritten if the first attempt went well: after one that was given up, a
// client may still be sending them.
func (b bodies) give(body []byte, sent *retry) {
	if sent.pauses > 0 {
		return
	}
	select {
	case b <- body[:0]:
	default:
	}
}
