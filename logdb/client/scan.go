package client

import (
	"context"
	"math"
	"time"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/logdb/server/logpb"
)

// pageRecords bounds the entries of one answer. The server ends it earlier, after
// 3 MiB of values.
const pageRecords = 4096

// Scan reads the retained entries of key in r, in sequence order, as
// [logdb.LogDb.Scan] does; the iterator reports errors, and ctx bounds its whole
// life. What was readable when the first answer was given is read to its end, one
// answer after the other; one answer holds up to 4,096 entries.
func (c *Client) Scan(ctx context.Context, key []byte, r logdb.Range, o logdb.ScanOptions) *Iterator {
	p := &pages{c: c, key: append([]byte(nil), key...), o: o, least: c.least, start: r.Start()}
	p.end, p.bounded = r.End()
	p.left, p.limited = o.Records.Get()
	return newIterator(ctx, p, startOf(r, o.Reverse), o)
}

// pages is the feed of a scan.
type pages struct {
	c       *Client
	key     []byte
	o       logdb.ScanOptions
	start   uint64
	end     uint64 // exclusive; in reverse the cursor takes its place
	bounded bool
	least   uint64
	left    uint64 // entries wanted yet, if limited
	limited bool
	begun   bool
}

func (p *pages) next(ctx context.Context, cursor uint64) (piece, error) {
	if p.bounded && max(p.start, cursor) >= p.end && !p.o.Reverse || p.o.Reverse && cursor <= p.start {
		return piece{last: true}, nil
	}
	a, err := read(ctx, p.c, "scan", p.c.rpc.Scan, p.request(cursor))
	if err != nil {
		return piece{}, err
	}
	if !p.begun {
		p.fix(a.TailSequence)
	}
	out := piece{then: a.NextSequence, hasThen: true, entries: make([]logdb.Entry, 0, len(a.Values))}
	for _, v := range a.Values {
		out.entries = append(out.entries, logdb.Entry{Key: p.key, Value: v.Value, Sequence: v.Sequence, Time: time.UnixMilli(v.TimeMs)})
	}
	p.left -= min(p.left, uint64(len(a.Values)))
	out.last = p.exhausted(a, cursor)
	return out, nil
}

func (p *pages) request(cursor uint64) *logpb.ScanRequest {
	q := &logpb.ScanRequest{
		Key: p.key, StartSequence: p.start, Reverse: p.o.Reverse,
		Visibility: logpb.Durability(p.o.Visibility), Strict: p.o.Strict,
	}
	if p.bounded {
		q.EndSequence = &p.end
	}
	switch {
	case !p.o.Reverse:
		q.StartSequence = cursor
	case cursor != math.MaxUint64:
		q.EndSequence = &cursor
	}
	limit := uint64(pageRecords)
	if p.limited {
		limit = min(limit, p.left)
	}
	q.Limit = &limit
	if !p.o.FromTime.IsZero() {
		ms := p.o.FromTime.UnixMilli()
		q.FromTimeMs = &ms
	}
	if p.least > 0 {
		q.MinSequence = &p.least
	}
	return q
}

// fix keeps the scan to what there was when it began, so that it ends however
// fast the log grows; and another server that answers a later page has to show
// as much.
func (p *pages) fix(tail uint64) {
	p.begun = true
	if p.o.Visibility == logdb.Remote {
		return // the tail that was told is of what is visible by default
	}
	p.least = max(p.least, tail)
	if !p.o.Reverse && (!p.bounded || tail < p.end) {
		p.end, p.bounded = max(tail, p.start), true
	}
}

// exhausted tells that no entry is left. A page that a limit ended goes on right
// behind its last entry; one that goes on further away has seen everything. One
// that does not go on at all would be asked for without end.
func (p *pages) exhausted(a *logpb.ScanResponse, cursor uint64) bool {
	n := len(a.Values)
	if n == 0 || p.limited && p.left == 0 {
		return true
	}
	final, then := a.Values[n-1].Sequence, a.NextSequence
	if p.o.Reverse {
		return then != final || final <= p.start || final >= cursor
	}
	return then != final+1 || p.bounded && then >= p.end || then <= cursor
}

func (p *pages) close() {}
