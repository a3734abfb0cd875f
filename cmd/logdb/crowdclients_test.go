package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
)

// follower has one key, and comes back whenever its connection ends.
type follower struct {
	c       *crowd
	k       int
	waiting bool   // for the first heartbeat
	cursor  uint64 // id of the last whole event
	last    uint64 // sequence of the last entry and one

	event struct { // the one that is being read
		id, sequence uint64
		index        int
		entry, beat  bool
	}
}

func (f *follower) run() {
	for {
		f.c.dials <- struct{}{}
		conn, err := f.c.places[f.c.at(f.k)].dial(f.c.ctx)
		<-f.c.dials
		if err == nil {
			err = f.read(conn)
			conn.Close()
		}
		if f.c.ctx.Err() != nil {
			return
		}
		if err != nil {
			f.c.t.Errorf("the follower of %s: %v", f.c.key(f.k), err)
			return
		}
	}
}

// read reads until the connection ends, which is no error, as it is none that the
// server goes away.
func (f *follower) read(conn net.Conn) error {
	defer context.AfterFunc(f.c.ctx, func() { conn.Close() })()
	if _, err := fmt.Fprintf(conn, "GET /api/v1/log/follow?key=%s HTTP/1.1\r\nHost: x\r\nLast-Event-ID: %d\r\n\r\n", f.c.key(f.k), f.cursor); err != nil {
		return nil
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 512), nil)
	if err != nil {
		return nil
	}
	if resp.StatusCode != http.StatusOK {
		if resp.StatusCode == http.StatusServiceUnavailable {
			return nil
		}
		return refused{resp.StatusCode}
	}
	in := bufio.NewReaderSize(resp.Body, 512)
	f.event.entry, f.event.beat = false, false
	for {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		if err != nil {
			return nil // what was read of an event is nothing
		}
		if err := f.line(line); err != nil {
			return fmt.Errorf("line %q behind sequence %d: %w", line, int64(f.last)-1, err)
		}
	}
}

var (
	dataField     = []byte(`data: {"key":"`)
	sequenceField = []byte(`"sequence":`)
	valueField    = []byte(`"value":"`)

	errRepeat = errors.New("a repeated or foreign entry")
	errForm   = errors.New("not what an event looks like")
)

// line takes the bytes that matter out of a line: the machine is to be the
// server's.
func (f *follower) line(line []byte) (err error) {
	switch {
	case len(line) == 1:
		return f.dispatch()
	case bytes.HasPrefix(line, []byte("id: ")):
		f.event.id, err = strconv.ParseUint(string(line[4:len(line)-1]), 10, 64)
		return err
	case bytes.HasPrefix(line, []byte("event: ")):
		if f.event.beat = string(line) == "event: heartbeat\n"; !f.event.beat {
			return errForm
		}
		return nil
	case !bytes.HasPrefix(line, dataField):
		return nil
	}
	f.event.entry = true
	if f.event.sequence, err = strconv.ParseUint(string(upTo(line, sequenceField, ',')), 10, 64); err != nil {
		return err
	}
	var value [12]byte
	if n, err := base64.StdEncoding.Decode(value[:], upTo(line, valueField, '"')); err != nil || n != 8 {
		return errForm
	}
	f.event.index = int(binary.BigEndian.Uint64(value[:]))
	return nil
}

// upTo is what stands between a field's name and a byte.
func upTo(line, field []byte, end byte) []byte {
	_, rest, _ := bytes.Cut(line, field)
	if i := bytes.IndexByte(rest, end); i >= 0 && i <= 20 {
		return rest[:i]
	}
	return nil
}

// dispatch ends an event: only now it counts, and its id with it.
func (f *follower) dispatch() error {
	e := f.event
	f.event.entry, f.event.beat = false, false
	if e.entry {
		if e.sequence < f.last || e.id != e.sequence+1 || e.index >= len(f.c.fates) || e.index%f.c.keys != f.k ||
			!f.c.fates[e.index].seen.CompareAndSwap(0, e.sequence+1) {
			return fmt.Errorf("%w: append %d at %d, with the id %d", errRepeat, e.index, e.sequence, e.id)
		}
		f.last = e.sequence + 1
		f.c.fates[e.index].arrived.Store(f.c.now())
	}
	if e.entry || e.beat {
		f.cursor = e.id
	}
	if e.beat && f.waiting {
		f.waiting = false
		f.c.ready.Add(1)
	}
	return nil
}

// producer appends over one connection that is kept. Its value is the number of
// the append, under which the time that it was sent is found.
type producer struct {
	c    *crowd
	conn net.Conn
	in   *bufio.Reader
	out  []byte
}

func (p *producer) hangUp() {
	if p.conn != nil {
		p.conn.Close()
		p.conn = nil
	}
}

// append sends a record until it is acknowledged or nobody can say what became of
// it.
func (p *producer) append(i int) error {
	for {
		if p.conn == nil {
			conn, err := p.c.places[0].dial(p.c.ctx)
			if err != nil {
				return nil // everybody is leaving
			}
			p.conn, p.in = conn, bufio.NewReaderSize(conn, 512)
		}
		p.c.fates[i].sent.Store(p.c.now())
		sequence, err := p.send(i)
		if err == nil {
			p.c.fates[i].told.Store(sequence + 1)
			p.c.fates[i].acked.Store(p.c.now())
			return nil
		}
		p.hangUp()
		var r refused
		switch {
		case !errors.As(err, &r):
			p.c.fates[i].lost.Store(true)
			return nil
		case r.status == http.StatusGatewayTimeout: // pending
			p.c.fates[i].lost.Store(true)
			return nil
		case r.status != http.StatusServiceUnavailable && r.status != http.StatusTooManyRequests:
			return err
		}
	}
}

// send is one request.
func (p *producer) send(i int) (uint64, error) {
	key := p.c.key(i)
	record := fmt.Appendf(nil, "\n%c%s\x12\x08", len(key), key) // as Protobuf, of lengths that take a byte
	record = binary.BigEndian.AppendUint64(record, uint64(i))
	body := fmt.Appendf(nil, "\n%c%s", len(record), record)
	p.out = fmt.Appendf(p.out[:0], "POST /api/v1/log/append?ack=%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/protobuf\r\nContent-Length: %d\r\n\r\n%s", p.c.ack, len(body), body)
	if _, err := p.conn.Write(p.out); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(p.in, nil)
	if err != nil {
		return 0, err
	}
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	if resp.StatusCode != http.StatusOK {
		return 0, refused{resp.StatusCode}
	}
	_, rest, _ := bytes.Cut(answer, []byte(`"startSequence":`))
	n, _, _ := bytes.Cut(rest, []byte(","))
	return strconv.ParseUint(string(n), 10, 64)
}
