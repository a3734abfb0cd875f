package client

import (
	"context"
	"fmt"
	"time"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/logdb/server/logpb"
)

// appendWait is how long the server is asked to wait for a level where the context
// has no end. It is also the server's default.
const appendWait = time.Minute

// Append appends records as one atomic batch, as [logdb.LogDb.Append] does, and
// returns once it has reached the level that o asks for.
//
// Its error is an *Error, unless ctx ended before anything was sent. Where
// MayHaveHappened is not set, nothing was written: the server had no room, or was
// away, for all of Patience. Where it is set, the batch may be in the log, and
// appending it again may append it twice. A full queue, a writer that is fenced
// or a server that is going away are waited out; see the package comment for what
// is repeated and why no batch is appended twice by that.
//
// A deadline of ctx reaches the server a little early, so that it can answer how
// far the batch came.
func (c *Client) Append(ctx context.Context, records []logdb.Record, o logdb.AppendOptions) (logdb.Appended, error) {
	q := &logpb.AppendRequest{Records: make([]*logpb.Record, len(records)), Ack: logpb.Durability(o.Ack)}
	for i, r := range records {
		// A nil slice would be an absent field, which the server takes for none.
		q.Records[i] = &logpb.Record{Key: present(r.Key), Value: present(r.Value)}
	}
	for p := c.pauses("append"); ; {
		if err := ctx.Err(); err != nil {
			return logdb.Appended{}, err
		}
		wait := ackWait(ctx)
		ms := uint64(wait.Milliseconds())
		q.TimeoutMs = &ms
		a, failed := attempt(ctx, wait+c.o.Silence, c.rpc.Append, q)
		if failed == nil {
			return appended(a, len(records))
		}
		if !failed.refused || !failed.passes {
			return logdb.Appended{}, unknown(ctx, failed)
		}
		if err := p.pause(ctx, failed); err != nil {
			return logdb.Appended{}, gaveUp(err, failed)
		}
	}
}

func present(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// ackWait leaves the answer some time to come back before ctx ends.
func ackWait(ctx context.Context) time.Duration {
	end, bounded := ctx.Deadline()
	if !bounded {
		return appendWait
	}
	left := max(time.Until(end), 0)
	return min(appendWait, left-min(left/4, time.Second))
}

// unknown is the error of an attempt that is not repeated.
func unknown(ctx context.Context, failed *Error) error {
	if failed.refused {
		return failed
	}
	failed.MayHaveHappened = true
	if failed.Code == "" && ctx.Err() != nil {
		failed.Message, failed.Err = "the answer was not waited for: "+ctx.Err().Error(), ctx.Err()
	}
	return failed
}

// gaveUp is the error of a call whose last attempt wrote nothing.
func gaveUp(err error, failed *Error) error {
	if err == error(failed) {
		return failed
	}
	return fmt.Errorf("%w; the last attempt: %v", err, failed)
}

// appended checks an answer: what is not right there is right nowhere.
func appended(a *logpb.AppendResponse, records int) (logdb.Appended, error) {
	if a.NextSequence-a.StartSequence != uint64(records) || a.NextSequence < a.StartSequence {
		return logdb.Appended{}, &Error{MayHaveHappened: true, Message: fmt.Sprintf(
			"the server answered that %d records lie in [%d,%d)", records, a.StartSequence, a.NextSequence)}
	}
	return logdb.Appended{First: a.StartSequence, Next: a.NextSequence, Time: time.UnixMilli(a.TimeMs)}, nil
}
