package server

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	typeProtobuf = "application/protobuf"
	typeJSON     = "application/json"
)

// isProtobuf tells binary protobuf from its JSON form, which is served as JSON.
func isProtobuf(mediaType string) bool {
	binary := strings.Contains(mediaType, typeProtobuf) || strings.Contains(mediaType, "application/x-protobuf")
	return binary && !strings.Contains(mediaType, "protobuf+json")
}

// body is a request's body and what was made of it, within the memory that all
// of them share.
type body struct {
	s     *Server
	held  int64
	bytes []byte
	batch batch
}

// bodyPool keeps the buffers of ordinary requests.
var bodyPool = sync.Pool{New: func() any { return &body{} }}

const keptBody = 256 << 10 // a larger buffer is left to the garbage collector

// hold takes n bytes of the shared memory.
func (b *body) hold(n int64) error {
	if !b.s.bodies.TryAcquire(n) {
		return overloaded("too much is being received; nothing was written")
	}
	b.held += n
	return nil
}

func (b *body) release() {
	b.s.bodies.Release(b.held)
	if b.held > keptBody {
		return
	}
	clear(b.batch.records)
	*b = body{bytes: b.bytes[:0], batch: batch{records: b.batch.records[:0]}}
	bodyPool.Put(b)
}

// readBody reads a whole body. The caller releases it, also after an error.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request) (*body, error) {
	b := bodyPool.Get().(*body)
	b.s = s
	if r.ContentLength > s.o.BodyLimit {
		return b, tooLarge(s.o.BodyLimit)
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(s.o.BodyTimeout)) // not every writer can: then the listener's limits hold
	err := b.read(r)
	if err == nil {
		_ = control.SetReadDeadline(time.Time{})
	}
	return b, err
}

func (b *body) read(r *http.Request) error {
	limit := b.s.o.BodyLimit
	if err := b.hold(int64(cap(b.bytes))); err != nil {
		return err
	}
	for {
		if len(b.bytes) == cap(b.bytes) {
			if err := b.grow(r.ContentLength); err != nil {
				return err
			}
		}
		n, err := r.Body.Read(b.bytes[len(b.bytes):cap(b.bytes)])
		b.bytes = b.bytes[:len(b.bytes)+n]
		switch {
		case int64(len(b.bytes)) > limit:
			return tooLarge(limit)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return &apiError{status: http.StatusRequestTimeout, code: "timeout", message: "the body did not arrive; nothing was written", cause: err}
		}
	}
}

// grow makes room for more, at most twice what has arrived: who announces much
// and sends nothing holds nothing.
func (b *body) grow(announced int64) error {
	size := max(2*int64(cap(b.bytes)), 4<<10)
	if announced >= 0 {
		size = max(min(size, announced+1), int64(cap(b.bytes))+1)
	}
	if err := b.hold(size - int64(cap(b.bytes))); err != nil {
		return err
	}
	b.bytes = append(make([]byte, 0, size), b.bytes...)
	return nil
}

func tooLarge(limit int64) error {
	return &apiError{status: http.StatusRequestEntityTooLarge, code: "too_large", message: fmt.Sprintf("the body has more than %d bytes; nothing was written", limit)}
}
