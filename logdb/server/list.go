package server

import (
	"bytes"
	"context"
	"maps"
	"net/http"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/logdb/server/logpb"
)

// fresh waits for what min_seq asks for.
func (s *Server) fresh(ctx context.Context, p *params) error {
	sequence, _ := p.uint64("min_seq", 0)
	wait := p.millis("timeout_ms", defaultWait, s.o.MaxWait)
	p.u64()
	if err := p.failed(); err != nil {
		return err
	}
	return s.await(ctx, sequence, logdb.Default, wait)
}

// keys is GET /api/v1/log/keys.
func (s *Server) keys(w http.ResponseWriter, r *http.Request, p *params) error {
	o := logdb.KeyOptions{Segments: p.between("start_segment", "end_segment")}
	limit, _ := p.uint64("limit", defaultLimit)
	o.Prefix, _ = p.bytes("prefix")
	o.After, _ = p.bytes("after")
	g, err := s.o.Tokens.grant(r.Header)
	if err == nil {
		err = g.prefix(mayRead, o.Prefix)
	}
	if err == nil {
		err = s.fresh(r.Context(), p)
	}
	if err != nil {
		return err
	}
	a := s.answer(w, r)
	defer a.release()
	a.status()
	if !a.protobuf {
		a.b = append(a.b, `,"keys":[`...)
	}
	after, more, err := s.listKeys(r.Context(), o, limit, s.o.ResponseLimit, func(k *logpb.Key) error { return a.element(2, k) })
	if err != nil {
		return a.broken(err)
	}
	if a.protobuf && more {
		a.b = protowire.AppendTag(a.b, 16, protowire.BytesType)
		a.b = protowire.AppendBytes(a.b, after)
	}
	if !a.protobuf {
		a.b = append(a.b, ']')
		if more {
			a.b = append(a.b, `,"nextAfter":`...)
			a.b = appendBytes(a.b, after)
		}
		a.b = append(a.b, '}')
	}
	return a.finish()
}

// listKeys gives up to limit keys, and the last of them if there are more.
func (s *Server) listKeys(ctx context.Context, o logdb.KeyOptions, limit uint64, most int64, emit func(*logpb.Key) error) (after []byte, more bool, err error) {
	if limit == 0 {
		return nil, false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.o.ScanTimeout)
	defer cancel()
	o.Limit = logdb.AtMost(max(limit+1, limit)) // one more tells whether there are more
	it := s.log.ListKeys(ctx, o)
	defer it.Close()
	size := int64(0)
	for n := uint64(0); it.Next(); n++ {
		k := it.Key()
		if n == limit || size > most {
			return after, true, nil
		}
		size += int64(len(k.Key))
		after = append(after[:0], k.Key...)
		if err := emit(keyMessage(k)); err != nil {
			return nil, false, err
		}
	}
	return nil, false, it.Err()
}

func keyMessage(k logdb.Key) *logpb.Key {
	return &logpb.Key{
		Key: bytes.Clone(k.Key), Count: k.Count, ValueBytes: k.ValueBytes,
		FirstSequence: k.First, LastSequence: k.Last, LastTimeMs: k.LastTime.UnixMilli(),
	}
}

// segments is GET /api/v1/log/segments.
func (s *Server) segments(w http.ResponseWriter, r *http.Request, p *params) error {
	rng := p.sequences()
	g, err := s.o.Tokens.grant(r.Header)
	if err == nil {
		err = g.whole(mayRead)
	}
	if err == nil {
		err = s.fresh(r.Context(), p)
	}
	if err != nil {
		return err
	}
	m, err := s.listSegments(r.Context(), rng)
	if err != nil {
		return err
	}
	return s.reply(w, r, m)
}

func (s *Server) listSegments(ctx context.Context, rng logdb.Range) (*logpb.SegmentsResponse, error) {
	list, err := s.log.ListSegments(ctx, rng)
	if err != nil {
		return nil, err
	}
	m := &logpb.SegmentsResponse{Status: "success"}
	for _, x := range list {
		seg := &logpb.Segment{
			Id: x.ID, StartSeq: x.Sequences.Start(), StartTimeMs: x.Opened.UnixMilli(), Sealed: x.Sealed,
			Records: x.Records, Bytes: x.Bytes, LastTimeMs: x.Last.UnixMilli(), Metadata: x.Metadata,
		}
		if end, bounded := x.Sequences.End(); bounded {
			seg.EndSeq = &end
		}
		m.Segments = append(m.Segments, seg)
	}
	return m, nil
}

// count is GET /api/v1/log/count.
func (s *Server) count(w http.ResponseWriter, r *http.Request, p *params) error {
	key, rng := p.key(), p.sequences()
	g, err := s.o.Tokens.grant(r.Header)
	if err == nil && p.failed() == nil {
		err = g.key(mayRead, key)
	}
	if err == nil {
		err = s.fresh(r.Context(), p)
	}
	if err != nil {
		return err
	}
	m, err := s.countKey(r.Context(), key, rng)
	if err != nil {
		return err
	}
	return s.reply(w, r, m)
}

func (s *Server) countKey(ctx context.Context, key []byte, rng logdb.Range) (*logpb.CountResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.ScanTimeout)
	defer cancel()
	n, err := s.log.Count(ctx, key, rng)
	return &logpb.CountResponse{Status: "success", Count: n}, err
}

// status is GET /api/v1/log/status.
func (s *Server) status(w http.ResponseWriter, r *http.Request, p *params) error {
	g, err := s.o.Tokens.grant(r.Header)
	if err == nil {
		err = g.any(mayRead)
	}
	if p.u64(); err == nil {
		err = p.failed()
	}
	if err != nil {
		return err
	}
	return s.reply(w, r, s.statusMessage())
}

func (s *Server) statusMessage() *logpb.StatusResponse {
	m, h := s.log.Metrics(), s.log.Health()
	out := &logpb.StatusResponse{
		Status: "success", Frontier: s.log.Frontier(), Applied: m.Applied, Local: m.Local, Remote: m.Remote, Flushed: m.Flushed,
		ReadOnly: s.db == nil, Version: s.o.Version, StartedMs: s.started.UnixMilli(),
		Health: h.State.String(), SinceMs: h.Since.UnixMilli(), Ready: h.Ready,
		UnshippedRecords: h.Lag.Records, UnshippedBytes: h.Lag.Bytes,
		UnshippedMs: uint64(max(h.Lag.Age, 0).Milliseconds()), RefreshedMs: uint64(max(h.Lag.Refresh, 0).Milliseconds()),
		CostDollars: s.o.Meter.cost(m.Requests),
	}
	for _, kind := range slices.Sorted(maps.Keys(m.Requests)) {
		out.Requests = append(out.Requests, &logpb.StoreRequests{
			Kind: kind, Count: m.Requests[kind], Bytes: m.RequestBytes[kind],
			Dollars: s.o.Meter.cost(map[string]uint64{kind: m.Requests[kind]}),
		})
	}
	return out
}
