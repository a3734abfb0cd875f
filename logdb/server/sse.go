package server

import (
	"net/http"
	"strconv"
	"time"

	"github.com/logdb-go/logdb/logdb"
)

// follow is GET /api/v1/log/follow: server-sent events. The id of every event is
// the cursor after it, so that a client that comes back with Last-Event-ID goes
// on without gap or repeat.
func (s *Server) follow(w http.ResponseWriter, r *http.Request, p *params) error {
	q, err := followParams(r, p)
	if err != nil {
		return err
	}
	g, err := s.o.Tokens.grant(r.Header)
	if err != nil {
		return err
	}
	if r.Method == http.MethodHead { // there is no body to push
		w.Header().Set("Content-Type", "text/event-stream")
		return nil
	}
	f, err := s.admit(q, g)
	if err != nil {
		return err
	}
	e := &events{w: w, timeout: s.o.WriteTimeout, strings: u64AsString(r), control: http.NewResponseController(w)}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	e.b = append(e.b, "retry: 1000\n\n"...)
	if err := e.send(); err != nil {
		e.b = nil
	}
	if err := f.run(r.Context(), e); err != nil {
		e.failed(s, r, err)
	}
	return errAnswered
}

func followParams(r *http.Request, p *params) (*followQuery, error) {
	q := &followQuery{keys: p.keyList(), strict: p.bool("strict"), visibility: p.level("visibility", logdb.Applied, logdb.Remote)}
	prefix, byPrefix := p.bytes("prefix")
	q.prefix = prefix
	if byPrefix == (len(q.keys) > 0) {
		p.wrong("key", "want keys, or one prefix")
	}
	if s, ok := p.one("start_seq"); ok && s == "tail" {
		q.fromTail = true
	} else {
		q.from, _ = p.uint64("start_seq", 0)
	}
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		n, err := strconv.ParseUint(id, 10, 64)
		if err != nil {
			p.wrong("Last-Event-ID", "got %q, want the id of an event", clip(id))
		}
		q.from, q.fromTail = n, false
	}
	p.u64()
	return q, p.failed()
}

// events writes server-sent events. Between two of them it holds no buffer.
type events struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	strings bool
	b       []byte
}

func (e *events) begin(name string, id uint64) {
	if e.b == nil {
		e.b = (*pieces.Get().(*[]byte))[:0]
	}
	e.b = append(e.b, "id: "...)
	e.b = strconv.AppendUint(e.b, id, 10)
	if name != "" {
		e.b = append(e.b, "\nevent: "...)
		e.b = append(e.b, name...)
	}
	e.b = append(e.b, "\ndata: "...)
}

func (e *events) end() { e.b = append(e.b, '\n', '\n') }

func (e *events) entry(x logdb.Entry) error {
	e.begin("", x.Sequence+1)
	e.b = append(e.b, `{"key":`...)
	e.b = appendBytes(e.b, x.Key)
	e.b = append(e.b, `,"sequence":`...)
	e.b = appendU64(e.b, x.Sequence, e.strings)
	e.b = append(e.b, `,"value":`...)
	e.b = appendBytes(e.b, x.Value)
	e.b = append(e.b, `,"timeMs":`...)
	e.b = strconv.AppendInt(e.b, x.Time.UnixMilli(), 10)
	e.b = append(e.b, '}')
	e.end()
	if len(e.b) < pieceBytes {
		return nil
	}
	return e.send()
}

func (e *events) trimmed(oldest uint64) error {
	e.begin("trimmed", oldest)
	e.b = append(e.b, `{"oldestSequence":`...)
	e.b = appendU64(e.b, oldest, e.strings)
	e.b = append(e.b, '}')
	e.end()
	return nil
}

func (e *events) heartbeat(next, tail uint64) error {
	e.begin("heartbeat", next)
	e.b = append(e.b, `{"nextSequence":`...)
	e.b = appendU64(e.b, next, e.strings)
	e.b = append(e.b, `,"tailSequence":`...)
	e.b = appendU64(e.b, tail, e.strings)
	e.b = append(e.b, '}')
	e.end()
	return nil
}

func (e *events) flush() error {
	if e.b == nil {
		return nil
	}
	err := e.send()
	if b := e.b[:0]; cap(b) <= 2*pieceBytes {
		pieces.Put(&b)
	}
	e.b = nil
	return err
}

func (e *events) send() error {
	_ = e.control.SetWriteDeadline(time.Now().Add(e.timeout))
	_, err := e.w.Write(e.b)
	e.b = e.b[:0]
	if err == nil {
		err = e.control.Flush()
	}
	if err != nil {
		return errAnswered
	}
	_ = e.control.SetWriteDeadline(time.Time{})
	return nil
}

// failed tells the client, in an event, why it is left.
func (e *events) failed(s *Server, r *http.Request, err error) {
	if err == errAnswered {
		return
	}
	x := translate(err)
	if x.status >= http.StatusInternalServerError {
		s.o.Logger.Warn("server: follower ended", "path", r.URL.Path, "code", x.code, "err", err)
	}
	e.b = append(e.b, "event: error\ndata: "...)
	e.b = appendJSON(e.b, x.response().ProtoReflect(), e.strings)
	e.end()
	_ = e.flush()
}
