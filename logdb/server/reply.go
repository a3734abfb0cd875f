package server

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/logdb-go/logdb/logdb"
)

// pieceBytes is how much of an answer is gathered before it is sent. An answer
// that is shorter is sent whole, so that an error can still take its place.
const pieceBytes = 64 << 10

// answer is a response that may be too long to gather.
type answer struct {
	w        http.ResponseWriter
	timeout  time.Duration
	protobuf bool
	strings  bool // 64-bit numbers of JSON
	b        []byte
	began    bool
	elements int
}

var pieces = sync.Pool{New: func() any { return new([]byte) }}

func (s *Server) answer(w http.ResponseWriter, r *http.Request) *answer {
	return &answer{
		w: w, timeout: s.o.WriteTimeout, protobuf: isProtobuf(r.Header.Get("Accept")), strings: u64AsString(r),
		b: (*pieces.Get().(*[]byte))[:0],
	}
}

func (a *answer) release() {
	if cap(a.b) > 2*pieceBytes {
		return
	}
	b := a.b[:0]
	a.b = nil
	pieces.Put(&b)
}

// spill sends what was gathered if it is a piece.
func (a *answer) spill() error {
	if len(a.b) < pieceBytes {
		return nil
	}
	a.head()
	return a.send()
}

func (a *answer) head() {
	if a.began {
		return
	}
	a.began = true
	a.w.Header().Set("Content-Type", typeJSON)
	if a.protobuf {
		a.w.Header().Set("Content-Type", typeProtobuf)
	}
}

// send writes within the timeout. A client that does not read is cut off.
func (a *answer) send() error {
	control := http.NewResponseController(a.w)
	_ = control.SetWriteDeadline(time.Now().Add(a.timeout)) // a writer that cannot is a test's, or has limits of its own
	_, err := a.w.Write(a.b)
	a.b = a.b[:0]
	if err != nil {
		return errAnswered
	}
	_ = control.SetWriteDeadline(time.Time{})
	return nil
}

// finish sends the rest.
func (a *answer) finish() error {
	if !a.began {
		a.w.Header().Set("Content-Length", strconv.Itoa(len(a.b)))
	}
	a.head()
	return a.send()
}

// broken ends an answer that cannot be completed. If a part of it was sent, the
// connection is cut, so that no client takes the part for the whole.
func (a *answer) broken(err error) error {
	if a.began {
		panic(http.ErrAbortHandler)
	}
	return err
}

// reply sends a message that is short.
func (s *Server) reply(w http.ResponseWriter, r *http.Request, m proto.Message) error {
	a := s.answer(w, r)
	defer a.release()
	if a.protobuf {
		var err error
		if a.b, err = (proto.MarshalOptions{}).MarshalAppend(a.b, m); err != nil {
			return err
		}
	} else {
		a.b = appendJSON(a.b, m.ProtoReflect(), a.strings)
	}
	return a.finish()
}

// element adds one message of a repeated field; between them, JSON has commas.
func (a *answer) element(field protowire.Number, m proto.Message) error {
	if a.protobuf {
		a.b = protowire.AppendTag(a.b, field, protowire.BytesType)
		a.b = protowire.AppendVarint(a.b, uint64(proto.Size(m)))
		var err error
		if a.b, err = (proto.MarshalOptions{}).MarshalAppend(a.b, m); err != nil {
			return a.broken(err)
		}
	} else {
		a.comma()
		a.b = appendJSON(a.b, m.ProtoReflect(), a.strings)
	}
	return a.spill()
}

func (a *answer) comma() {
	if a.elements > 0 {
		a.b = append(a.b, ',')
	}
	a.elements++
}

// status begins a message whose first field is the status.
func (a *answer) status() {
	if a.protobuf {
		a.b = protowire.AppendTag(a.b, 1, protowire.BytesType)
		a.b = protowire.AppendString(a.b, "success")
		return
	}
	a.b = append(a.b, `{"status":"success"`...)
}

// beginScan writes a ScanResponse up to its values.
func (a *answer) beginScan(key []byte) {
	a.status()
	if a.protobuf {
		a.b = protowire.AppendTag(a.b, 2, protowire.BytesType)
		a.b = protowire.AppendBytes(a.b, key)
		return
	}
	a.b = append(a.b, `,"key":`...)
	a.b = appendBytes(a.b, key)
	a.b = append(a.b, `,"values":[`...)
}

// value adds a Value. It writes what element would, without the message.
func (a *answer) value(e logdb.Entry) error {
	ms := e.Time.UnixMilli()
	if a.protobuf {
		size := protowire.SizeTag(2)*min(len(e.Value), 1) + protowire.SizeBytes(len(e.Value))*min(len(e.Value), 1)
		if e.Sequence > 0 {
			size += protowire.SizeTag(1) + protowire.SizeVarint(e.Sequence)
		}
		if ms != 0 {
			size += protowire.SizeTag(16) + protowire.SizeVarint(uint64(ms))
		}
		a.b = protowire.AppendTag(a.b, 3, protowire.BytesType)
		a.b = protowire.AppendVarint(a.b, uint64(size))
		a.varint(1, e.Sequence)
		if len(e.Value) > 0 {
			a.b = protowire.AppendTag(a.b, 2, protowire.BytesType)
			a.b = protowire.AppendBytes(a.b, e.Value)
		}
		a.varint(16, uint64(ms))
		return a.spill()
	}
	a.comma()
	a.b = append(a.b, `{"sequence":`...)
	a.b = appendU64(a.b, e.Sequence, a.strings)
	a.b = append(a.b, `,"value":`...)
	a.b = appendBytes(a.b, e.Value)
	a.b = append(a.b, `,"timeMs":`...)
	a.b = strconv.AppendInt(a.b, ms, 10)
	a.b = append(a.b, '}')
	return a.spill()
}

// endScan completes the ScanResponse and sends it.
func (a *answer) endScan(next, tail uint64) error {
	if a.protobuf {
		a.varint(4, next)
		a.varint(16, tail)
		return a.finish()
	}
	a.b = append(a.b, `],"nextSequence":`...)
	a.b = appendU64(a.b, next, a.strings)
	a.b = append(a.b, `,"tailSequence":`...)
	a.b = appendU64(a.b, tail, a.strings)
	a.b = append(a.b, '}')
	return a.finish()
}

func (a *answer) varint(field protowire.Number, v uint64) {
	if v == 0 {
		return
	}
	a.b = protowire.AppendTag(a.b, field, protowire.VarintType)
	a.b = protowire.AppendVarint(a.b, v)
}
