package server

import (
	"context"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/logdb/server/logpb"
)

// append is POST /api/v1/log/append.
func (s *Server) append(w http.ResponseWriter, r *http.Request, p *params) error {
	ack := p.level("ack", logdb.Applied, logdb.Local, logdb.Remote)
	timeout, timed := p.uint64("timeout_ms", 0)
	p.u64()
	if err := p.failed(); err != nil {
		return err
	}
	g, err := s.o.Tokens.grant(r.Header)
	if err == nil {
		err = g.any(mayAppend) // before the body is read
	}
	if err != nil {
		return err
	}
	b, err := s.readBody(w, r)
	defer b.release()
	if err == nil {
		err = b.decode(isProtobuf(r.Header.Get("Content-Type")))
	}
	if err != nil {
		return err
	}
	if ack != logdb.Default {
		b.batch.ack = ack
	}
	if timed {
		_ = b.batch.set(17, timeout)
	}
	m, err := s.appendBatch(r.Context(), g, &b.batch)
	if err != nil {
		return err
	}
	return s.reply(w, r, m)
}

// level is what the append waits for: what it names, then what awaitDurable
// means, then what the log was opened with.
func (b *batch) level() logdb.Durability {
	if b.ack == logdb.Default && b.durable {
		return logdb.Remote
	}
	return b.ack
}

// appendBatch appends a decoded batch. Waiting for Remote joins the shipment
// that is under way.
func (s *Server) appendBatch(ctx context.Context, g *grant, b *batch) (*logpb.AppendResponse, error) {
	size := 0
	for _, r := range b.records {
		if err := g.key(mayAppend, r.Key); err != nil {
			return nil, err
		}
		size += len(r.Key) + len(r.Value)
	}
	timeout := s.o.AppendTimeout
	if b.timed {
		timeout = min(timeout, b.timeout)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ctx, span := s.tracer.Start(ctx, "logdb.append", trace.WithAttributes(
		attribute.Int("logdb.records", len(b.records)), attribute.Int("logdb.bytes", size), attribute.String("logdb.ack", b.level().String())))
	defer span.End()
	begun := time.Now()
	a, err := s.db.TryAppend(ctx, b.records, logdb.AppendOptions{Ack: b.level()})
	s.o.Meter.appended(len(b.records), size, b.level(), time.Since(begun), err)
	if err != nil {
		span.RecordError(err)
		span.SetStatus(codes.Error, translate(err).code)
		return nil, err
	}
	span.SetAttributes(attribute.Int64("logdb.first", int64(a.First)))
	return &logpb.AppendResponse{
		Status: "success", RecordsAppended: int32(len(b.records)),
		StartSequence: a.First, NextSequence: a.Next, TimeMs: a.Time.UnixMilli(),
	}, nil
}
