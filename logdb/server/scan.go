package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/logdb-go/logdb/logdb"
)

const (
	defaultLimit = 32
	defaultWait  = 30 * time.Second
)

// scanQuery is a scan, from HTTP or from the service.
type scanQuery struct {
	key     []byte
	r       logdb.Range
	o       logdb.ScanOptions
	limit   uint64
	follow  bool
	min     uint64
	wait    time.Duration
	reverse bool
	most    int64 // bytes of values
}

// scan is GET /api/v1/log/scan.
func (s *Server) scan(w http.ResponseWriter, r *http.Request, p *params) error {
	q := &scanQuery{key: p.key(), r: p.sequences(), follow: p.bool("follow"), reverse: p.bool("reverse")}
	q.limit, _ = p.uint64("limit", defaultLimit)
	q.min, _ = p.uint64("min_seq", 0)
	q.wait = p.millis("timeout_ms", defaultWait, s.o.MaxWait)
	q.o = logdb.ScanOptions{
		FromTime: p.time("from_time"), Strict: p.bool("strict"),
		Visibility: p.level("visibility", logdb.Applied, logdb.Remote),
	}
	p.u64()
	if err := p.failed(); err != nil {
		return err
	}
	g, err := s.o.Tokens.grant(r.Header)
	if err == nil {
		err = g.key(mayRead, q.key)
	}
	if err != nil {
		return err
	}
	a := s.answer(w, r)
	defer a.release()
	a.beginScan(q.key)
	next, err := s.runScan(r.Context(), q, a.value)
	if err != nil {
		return a.broken(err)
	}
	return a.endScan(next, s.log.Frontier())
}

// prepare says what the query means as options of a scan.
func (q *scanQuery) prepare(responseLimit int64) error {
	q.o.Reverse = q.reverse
	q.o.Records = logdb.AtMost(q.limit)
	if q.most == 0 {
		q.most = responseLimit
	}
	q.o.Bytes = logdb.AtMost(uint64(q.most))
	if q.reverse && q.follow {
		return invalid("follow: cannot go in reverse")
	}
	return nil
}

// runScan reads what the query asks for, waits if it may and there is nothing,
// and returns where to go on.
func (s *Server) runScan(ctx context.Context, q *scanQuery, emit func(logdb.Entry) error) (uint64, error) {
	if err := q.prepare(s.o.ResponseLimit); err != nil {
		return 0, err
	}
	deadline := time.Now().Add(q.wait)
	if err := s.await(ctx, q.min, q.o.Visibility, q.wait); err != nil {
		return 0, err
	}
	n, next, err := s.scanOnce(ctx, q, emit)
	if err != nil || n > 0 || !q.follow || q.limit == 0 || q.exhausted(next) {
		return next, err
	}
	return s.poll(ctx, q, next, time.Until(deadline), emit)
}

// exhausted tells that nothing can come any more.
func (q *scanQuery) exhausted(next uint64) bool {
	end, bounded := q.r.End()
	return bounded && next >= end
}

// scanOnce reads what there is now.
func (s *Server) scanOnce(ctx context.Context, q *scanQuery, emit func(logdb.Entry) error) (n int, next uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.ScanTimeout)
	defer cancel()
	ctx, span := s.tracer.Start(ctx, "logdb.scan")
	defer span.End()
	it := s.log.Scan(ctx, q.key, q.r, q.o)
	defer it.Close()
	size := 0
	for it.Next() {
		e := it.Entry()
		n, size = n+1, size+len(e.Key)+len(e.Value)
		if err := emit(e); err != nil {
			return n, 0, err
		}
	}
	s.o.Meter.scanned(n, size)
	span.SetAttributes(attribute.Int("logdb.records", n), attribute.Int("logdb.bytes", size))
	if err := it.Err(); err != nil {
		span.RecordError(err, trace.WithStackTrace(false))
		return n, 0, err
	}
	return n, it.NextSequence(), nil
}

// poll waits for the first entries behind next. When the time is up, or the
// server drains, it returns without any, which is no error.
func (s *Server) poll(ctx context.Context, q *scanQuery, next uint64, wait time.Duration, emit func(logdb.Entry) error) (uint64, error) {
	if !s.crowd.TryAcquire(1) {
		return 0, overloaded("too many followers")
	}
	defer s.crowd.Release(1)
	defer s.o.Meter.waiting()()
	w := s.log.Watch(logdb.WatchOptions{Keys: [][]byte{q.key}, Visibility: q.o.Visibility})
	defer w.Close()
	timer := time.NewTimer(max(wait, 0))
	defer timer.Stop()
	end, bounded := q.r.End()
	for last := false; !last; {
		select {
		case <-w.C():
		case <-timer.C:
			last = true // and a last look: the cursor of an idle key moves with the log
		case <-s.drain:
			last = true
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		c, err := w.Take()
		if err != nil {
			return 0, err
		}
		if !c.All && len(c.Keys) == 0 {
			next = max(next, c.Next)
			continue
		}
		q.r = logdb.From(next)
		if bounded {
			q.r = logdb.Between(next, end)
		}
		n, more, err := s.scanOnce(ctx, q, emit)
		if err != nil || n > 0 {
			return more, err
		}
		if next = max(next, more); q.exhausted(next) {
			return next, nil
		}
	}
	if bounded {
		next = min(next, end)
	}
	return next, nil
}

// await returns once everything below sequence is readable. It is behind, with
// both numbers, if that takes too long.
func (s *Server) await(ctx context.Context, sequence uint64, visibility logdb.Durability, wait time.Duration) error {
	if sequence == 0 {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	stop := context.AfterFunc(s.lifetime, cancel)
	defer stop()
	if s.log.Frontier() < sequence {
		if !s.crowd.TryAcquire(1) {
			return overloaded("too many followers")
		}
		defer s.crowd.Release(1)
	}
	err := s.log.WaitFrontier(limited, sequence, visibility)
	if err != nil && errors.Is(err, limited.Err()) && ctx.Err() == nil {
		return behind(sequence, s.log.Frontier())
	}
	return err
}
