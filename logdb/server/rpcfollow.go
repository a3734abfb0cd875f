package server

import (
	"bytes"
	"context"

	"connectrpc.com/connect"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/logdb/server/logpb"
)

func (p *rpc) Follow(ctx context.Context, req *connect.Request[logpb.FollowRequest], to *connect.ServerStream[logpb.FollowResponse]) error {
	m := req.Msg
	g, err := p.s.o.Tokens.grant(req.Header())
	if err != nil {
		return p.fail(err)
	}
	q := &followQuery{keys: m.Keys, prefix: m.Prefix, from: m.StartSequence, fromTail: m.FromTail, strict: m.Strict}
	if (m.Prefix != nil) == (len(m.Keys) > 0) {
		return p.fail(invalid("want keys, or a prefix"))
	}
	if q.visibility, err = visibility(m.Visibility); err != nil {
		return p.fail(err)
	}
	f, err := p.s.admit(q, g)
	if err != nil {
		return p.fail(err)
	}
	if err := f.run(ctx, &stream{to: to, f: f}); err != nil {
		return p.fail(err)
	}
	return nil
}

// stream gathers entries into messages.
type stream struct {
	to   *connect.ServerStream[logpb.FollowResponse]
	f    *follower
	m    *logpb.FollowResponse // nil: nothing gathered
	size int
}

func (s *stream) message() *logpb.FollowResponse {
	if s.m == nil {
		s.m = &logpb.FollowResponse{}
	}
	return s.m
}

func (s *stream) entry(e logdb.Entry) error {
	m := s.message()
	m.Entries = append(m.Entries, &logpb.Entry{Key: bytes.Clone(e.Key), Sequence: e.Sequence, Value: bytes.Clone(e.Value), TimeMs: e.Time.UnixMilli()})
	m.NextSequence = e.Sequence + 1
	if s.size += cost(e); s.size < pieceBytes {
		return nil
	}
	return s.flush()
}

func (s *stream) trimmed(oldest uint64) error {
	if err := s.flush(); err != nil { // entries before it lie below the hole
		return err
	}
	s.message().TrimmedBelow = &oldest
	s.m.NextSequence = oldest
	return nil
}

func (s *stream) heartbeat(next, _ uint64) error {
	s.message().NextSequence = next
	return nil
}

func (s *stream) flush() error {
	if s.m == nil {
		return nil
	}
	s.m.TailSequence = s.f.s.log.Frontier()
	err := s.to.Send(s.m)
	s.m, s.size = nil, 0
	return err
}
