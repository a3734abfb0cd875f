package client

import (
	"bytes"
	"context"
	"errors"
	"time"

	"connectrpc.com/connect"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/logdb/server/logpb"
)

// Follow reads the entries of key from a sequence on and then waits for more,
// without gap or repeat, as [logdb.LogDb.Follow] does: Next blocks, and reports
// false with ctx's error when ctx ends.
//
// Connections that break, servers that restart and heartbeats that stay away are
// no errors: the follower connects again, for as long as ctx lives, and goes on
// behind the entry that Next returned last. What ends it is in Err: a question
// that the server refuses, *[logdb.TrimmedError] with o.Strict, or answers that
// are wrong for all of Patience. Without o.Strict it goes on behind what retention
// has dropped. NextSequence is where another follower goes on.
//
// It has no goroutine and opens its connection in Next. While nobody is in Next,
// the server waits for the network, and hangs up after a while; nothing is lost
// by that.
func (c *Client) Follow(ctx context.Context, key []byte, from uint64, o logdb.ScanOptions) *Iterator {
	return c.FollowKeys(ctx, [][]byte{key}, from, o)
}

// FollowKeys is Follow for several keys, whose entries come in the order of their
// sequences. There must be one key at least, and by default 10,000 at most.
func (c *Client) FollowKeys(ctx context.Context, keys [][]byte, from uint64, o logdb.ScanOptions) *Iterator {
	q := &logpb.FollowRequest{}
	for _, key := range keys {
		q.Keys = append(q.Keys, bytes.Clone(key))
	}
	return c.follow(ctx, q, from, o)
}

// FollowPrefix is Follow for all keys that begin with prefix, also those that do
// not exist yet, in the order of their sequences. An empty prefix is every key.
func (c *Client) FollowPrefix(ctx context.Context, prefix []byte, from uint64, o logdb.ScanOptions) *Iterator {
	return c.follow(ctx, &logpb.FollowRequest{Prefix: append([]byte{}, prefix...)}, from, o)
}

func (c *Client) follow(ctx context.Context, q *logpb.FollowRequest, from uint64, o logdb.ScanOptions) *Iterator {
	q.Visibility, q.Strict = logpb.Durability(o.Visibility), o.Strict
	it := newIterator(ctx, &live{c: c, q: q, p: c.pauses("follow")}, from, o)
	if o.Reverse {
		it.err, it.over = errors.New("client: follow cannot go in reverse"), true
	}
	return it
}

// live is the feed of a follower: one stream after the other.
type live struct {
	c *Client
	q *logpb.FollowRequest
	p *pauses

	stream *connect.ServerStreamForClient[logpb.FollowResponse] // nil: none
	seen   *answer
	cancel context.CancelFunc
	pieces int // that the stream has brought
}

func (l *live) next(ctx context.Context, cursor uint64) (piece, error) {
	for {
		m, failed := l.receive(ctx, cursor)
		if failed == nil {
			return pieceOf(m), nil
		}
		l.close()
		if err := ctx.Err(); err != nil {
			return piece{}, err
		}
		if err := l.again(ctx, failed); err != nil {
			return piece{}, err
		}
	}
}

func pieceOf(m *logpb.FollowResponse) piece {
	p := piece{then: max(m.NextSequence, m.GetTrimmedBelow()), hasThen: true, entries: make([]logdb.Entry, 0, len(m.Entries))}
	for _, e := range m.Entries {
		p.entries = append(p.entries, logdb.Entry{Key: e.Key, Value: e.Value, Sequence: e.Sequence, Time: time.UnixMilli(e.TimeMs)})
	}
	return p
}

// receive returns the stream's next message, which is a heartbeat at least, and
// opens the stream if there is none. A server that says nothing for too long is
// hung up on.
func (l *live) receive(ctx context.Context, cursor uint64) (*logpb.FollowResponse, *Error) {
	if l.stream == nil {
		l.seen, l.pieces = &answer{}, 0
		ctx, l.cancel = context.WithCancel(context.WithValue(ctx, answerKey{}, l.seen))
	}
	silence := l.c.after(l.c.o.Silence, l.cancel)
	defer silence.Stop()
	if l.stream == nil {
		l.q.StartSequence = cursor
		var err error
		if l.stream, err = l.c.rpc.Follow(ctx, connect.NewRequest(l.q)); err != nil {
			return nil, failure(err, l.seen)
		}
	}
	if l.stream.Receive() {
		l.progress(len(l.stream.Msg().Entries) > 0)
		return l.stream.Msg(), nil
	}
	if err := l.stream.Err(); err != nil {
		return nil, failure(err, l.seen)
	}
	return nil, &Error{Status: int(l.seen.status.Load()), Message: "the server ended the stream", passes: true, away: true}
}

// progress: a stream that brings something is a good one. The first heartbeat
// alone does not make the pauses short again: every stream begins with one.
func (l *live) progress(entries bool) {
	l.p.extend()
	if l.pieces++; entries || l.pieces > 1 {
		l.p.delay.Reset()
	}
}

// again waits before the next stream, and returns why there is none.
func (l *live) again(ctx context.Context, failed *Error) error {
	switch {
	case !failed.passes || l.c.o.Patience < 0:
		return failed
	case failed.away:
		l.p.extend()
		return l.p.rest(ctx, failed, l.p.wait(failed))
	}
	return l.p.pause(ctx, failed)
}

// close hangs up.
func (l *live) close() {
	if l.cancel != nil {
		l.cancel()
	}
	if l.stream != nil {
		_ = l.stream.Close() // it was cut off, and has nothing more to say
	}
	l.stream, l.cancel = nil, nil
}
