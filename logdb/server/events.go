package server

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/logdb-go/logdb/logdb"
)

// Listener observes the background of the log that a Server will stand on: it
// goes into Options.Events of the log before that is opened. The meter counts,
// the tracer gets one span for each shipment, flush and merge, and the logger a
// line for what an operator wants to know. Each may be nil.
func Listener(m *Metrics, tracer trace.TracerProvider, logger *slog.Logger) logdb.EventListener {
	l := &listener{meter: m, logger: logger}
	if tracer != nil {
		l.tracer = tracer.Tracer("github.com/logdb-go/logdb/logdb")
	}
	if logger == nil {
		l.logger = slog.New(slog.DiscardHandler)
	}
	return logdb.EventListener{
		Shipped: func(e logdb.Event) { l.work("shipment", e) },
		Flushed: func(e logdb.Event) { l.work("flush", e) },
		Merged:  func(e logdb.Event) { l.work("merge", e) },
		Sealed:  func(e logdb.Event) { l.say("logdb: segment sealed", e) },
		Dropped: func(e logdb.Event) { l.say("logdb: segment dropped by retention", e) },
		Fenced:  func(e logdb.Event) { l.logger.Error("logdb: writer stopped", "err", e.Err) },
	}
}

type listener struct {
	meter  *Metrics
	tracer trace.Tracer
	logger *slog.Logger
}

func (l *listener) say(what string, e logdb.Event) {
	l.logger.Info(what, "segment", e.Segment, "first", e.Range.Start())
}

// work is told of afterwards: the span gets the times that it had.
func (l *listener) work(name string, e logdb.Event) {
	if l.meter != nil {
		l.meter.background.WithLabelValues(name).Observe(e.Duration.Seconds())
		l.meter.backgroundBytes.WithLabelValues(name).Add(float64(max(e.Bytes, 0)))
	}
	l.logger.Debug("logdb: "+name, "object", e.Object, "bytes", e.Bytes, "took", e.Duration)
	if l.tracer == nil {
		return
	}
	end := time.Now()
	last, _ := e.Range.End()
	_, span := l.tracer.Start(context.Background(), "logdb."+name, trace.WithTimestamp(end.Add(-e.Duration)), trace.WithAttributes(
		attribute.String("logdb.object", e.Object), attribute.String("logdb.kind", e.Name), attribute.Int64("logdb.bytes", e.Bytes),
		attribute.Int64("logdb.segment", int64(e.Segment)), attribute.Int64("logdb.start", int64(e.Range.Start())), attribute.Int64("logdb.end", int64(last))))
	if e.Err != nil {
		span.RecordError(e.Err)
		span.SetStatus(codes.Error, e.Err.Error())
	}
	span.End(trace.WithTimestamp(end))
}
