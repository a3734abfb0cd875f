package segment

import (
	"sync"

	"github.com/cockroachdb/pebble/v2/objstorage"

	"github.com/logdb-go/logdb/objstore/turn"
)

const sinkChunk = 1 << 20

var sinkChunks = sync.Pool{New: func() any { return new([sinkChunk]byte) }}

// sink takes a table's bytes as they come. Chunks instead of one growing
// slice: growing copies everything several times and leaves garbage as large
// as the table. A buffer that was given, of a table before, is better still:
// what fits into it stays there.
type sink struct {
	buffer []byte // filled first, and not grown
	chunks []*[sinkChunk]byte
	used   int // of the last chunk
	done   []byte
}

var _ objstorage.Writable = (*sink)(nil)

// Write implements objstorage.Writable.
func (s *sink) Write(p []byte) error {
	n := min(len(p), cap(s.buffer)-len(s.buffer))
	s.buffer, p = append(s.buffer, p[:n]...), p[n:]
	for len(p) > 0 {
		if len(s.chunks) == 0 || s.used == sinkChunk {
			s.chunks, s.used = append(s.chunks, sinkChunks.Get().(*[sinkChunk]byte)), 0
		}
		n := copy(s.chunks[len(s.chunks)-1][s.used:], p)
		s.used += n
		p = p[n:]
	}
	return nil
}

// Finish implements objstorage.Writable.
func (s *sink) Finish() error {
	if len(s.chunks) == 0 {
		s.done = s.buffer
		return nil
	}
	size := len(s.buffer) + (len(s.chunks)-1)*sinkChunk + s.used
	b := make([]byte, 0, size+size/16) // room for the next table that is written into it
	b = turn.Copy(b, s.buffer)
	for i, c := range s.chunks {
		n := sinkChunk
		if i == len(s.chunks)-1 {
			n = s.used
		}
		b = turn.Copy(b, c[:n])
	}
	s.done = b
	s.release()
	return nil
}

// Abort implements objstorage.Writable.
func (s *sink) Abort() { s.release() }

func (s *sink) release() {
	for _, c := range s.chunks {
		sinkChunks.Put(c)
	}
	s.chunks = nil
}

func (s *sink) bytes() []byte { return s.done }
