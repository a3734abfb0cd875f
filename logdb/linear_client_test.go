package logdb

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// linTarget is a LogDb as a client reaches it: in this process, or in a child
// over a pipe.
type linTarget interface {
	Append(ctx context.Context, records []Record, level Durability) (Appended, error)
	Scan(ctx context.Context, key string, visibility Durability) (entries []Entry, next uint64, err error)
	// Follow reads until ctx ends, and that is no error.
	Follow(ctx context.Context, key string, visibility Durability) (entries []Entry, next uint64, err error)
	Count(ctx context.Context, key string) (uint64, error)
	Watermark(ctx context.Context, level Durability) (uint64, error)
	Flush(ctx context.Context) error
	// Seal answers where the segment ended, if there was one to seal.
	Seal(ctx context.Context) (end uint64, sealed bool, err error)
}

// linLocal is a LogDb in this process.
type linLocal struct{ d *LogDb }

func (l linLocal) Append(ctx context.Context, records []Record, level Durability) (Appended, error) {
	return l.d.Append(ctx, records, AppendOptions{Ack: level})
}

func (l linLocal) Scan(ctx context.Context, key string, visibility Durability) ([]Entry, uint64, error) {
	return linScanAll(ctx, l.d, key, ScanOptions{Visibility: visibility})
}

func (l linLocal) Follow(ctx context.Context, key string, visibility Durability) ([]Entry, uint64, error) {
	return linFollowAll(ctx, l.d, key, ScanOptions{Visibility: visibility})
}

func linScanAll(ctx context.Context, l LogRead, key string, o ScanOptions) (entries []Entry, next uint64, err error) {
	return linDrain(l.Scan(ctx, []byte(key), Range{}, o))
}

func linFollowAll(ctx context.Context, l LogRead, key string, o ScanOptions) (entries []Entry, next uint64, err error) {
	entries, next, err = linDrain(l.Follow(ctx, []byte(key), 0, o))
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = nil
	}
	return entries, next, err
}

func linDrain(it *Iterator) (entries []Entry, next uint64, err error) {
	defer it.Close()
	for it.Next() {
		entries = append(entries, owned(it.Entry()))
	}
	return entries, it.NextSequence(), it.Err()
}

func (l linLocal) Count(ctx context.Context, key string) (uint64, error) {
	return l.d.Count(ctx, []byte(key), Range{})
}

func (l linLocal) Watermark(_ context.Context, level Durability) (uint64, error) {
	return l.d.DurableSequence(level), nil
}

func (l linLocal) Flush(ctx context.Context) error { return l.d.Flush(ctx) }

func (l linLocal) Seal(ctx context.Context) (uint64, bool, error) {
	s, sealed, err := l.d.SealSegment(ctx, nil)
	end, _ := s.Sequences.End()
	return end, sealed, err
}

// linProcess is a writer that clients talk to.
type linProcess struct {
	*linWriter
	linTarget
}

// linScene is what a client plays in: who can be talked to now, and how what
// they answer is judged.
type linScene struct {
	h       *linHistory
	keys    []string
	padding func(*rand.Rand) []byte
	explain func(what string, err error)
	pause   func(*rand.Rand) time.Duration
	// patience is how long a client mostly waits for an answer.
	patience time.Duration

	mu      sync.Mutex
	writers []*linProcess // up, newest last; older ones may not know that they are not the writer
	readers []*linReader
}

// linReader is a LogDbReader.
type linReader struct {
	id    int
	since int64 // when its OpenReader was called
	r     *LogDbReader
}

// writer picks one to talk to: mostly the newest.
func (s *linScene) writer(rng *rand.Rand) *linProcess {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.writers)
	if n == 0 {
		return nil
	}
	if rng.IntN(5) > 0 {
		return s.writers[n-1]
	}
	return s.writers[rng.IntN(n)]
}

func (s *linScene) join(p *linProcess) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writers = append(s.writers, p)
}

func (s *linScene) leave(w *linWriter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, p := range s.writers {
		if p.linWriter == w {
			s.writers = append(s.writers[:i:i], s.writers[i+1:]...)
			return
		}
	}
}

// client does some operations, one after the other, and tells the history what
// it asked and what it was answered.
func (s *linScene) client(ctx context.Context, id, operations int, rng *rand.Rand) {
	for done := 0; done < operations && ctx.Err() == nil; {
		linSleep(ctx, s.pause(rng))
		if rng.IntN(6) == 0 && s.readBucket(ctx, id, rng) {
			done++
			continue
		}
		p := s.writer(rng)
		if p == nil {
			continue
		}
		done++
		patience := s.patience
		if rng.IntN(5) == 0 {
			patience = time.Duration(1 + rng.Int64N(int64(s.patience/20)))
		}
		short, cancel := context.WithTimeout(ctx, patience)
		s.act(short, id, p, rng)
		cancel()
	}
}

func linSleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(max(d, time.Microsecond))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (s *linScene) act(ctx context.Context, id int, p *linProcess, rng *rand.Rand) {
	key := s.keys[rng.IntN(len(s.keys))]
	switch n := rng.IntN(25); {
	case n < 11:
		s.append(ctx, id, p, rng)
	case n < 15:
		s.scan(ctx, id, p, key, Applied, p.Scan)
	case n < 17:
		s.scan(ctx, id, p, key, Remote, p.Scan)
	case n < 19:
		s.count(ctx, id, p, key)
	case n < 22:
		s.watch(ctx, id, p, []Durability{Applied, Local, Remote}[rng.IntN(3)])
	case n < 23:
		s.flush(ctx, id, p)
	case n < 24:
		s.seal(ctx, id, p)
	default:
		short, cancel := context.WithTimeout(ctx, 10*s.pause(rng)+time.Millisecond)
		defer cancel()
		s.scan(short, id, p, key, []Durability{Applied, Remote}[rng.IntN(2)], nil)
	}
}

func (s *linScene) append(ctx context.Context, id int, p *linProcess, rng *rand.Rand) {
	keys := make([]string, 1+rng.IntN(4))
	for i := range keys {
		keys[i] = s.keys[rng.IntN(len(s.keys))]
	}
	level := []Durability{Default, Applied, Local, Local, Remote, Remote}[rng.IntN(6)]
	b := s.h.submit(id, p.linWriter, level, keys, s.padding(rng))
	a, err := p.Append(ctx, b.records, level)
	var pending *PendingError
	stopped := errors.As(err, &pending) && ctx.Err() != nil && errors.Is(pending.Err, ctx.Err())
	s.h.answered(b, a, err, stopped)
	s.failed(p, "append", err)
}

// failed judges an error that somebody was there to hear. Nobody talks to a
// writer any more that says that it is none.
func (s *linScene) failed(p *linProcess, what string, err error) {
	if err == nil {
		return
	}
	p.heard(s.h, func(int64) { s.explain(p.String()+" "+what, err) })
	if errors.Is(err, ErrFenced) {
		s.leave(p.linWriter)
	}
}

// scan reads a key by Scan or, without one, by Follow.
func (s *linScene) scan(ctx context.Context, id int, p *linProcess, key string, visibility Durability,
	read func(context.Context, string, Durability) ([]Entry, uint64, error)) {
	r := &linRead{client: id, writer: p.linWriter, key: key, remote: visibility == Remote, call: s.h.tick()}
	if read == nil {
		r.followed, read = true, p.Follow
	}
	entries, next, err := read(ctx, key, visibility)
	if err != nil {
		s.failed(p, "scan", err)
		return
	}
	p.heard(s.h, func(now int64) {
		r.ret, r.next = now, next
		s.h.took(r, entries)
	})
}

func (s *linScene) count(ctx context.Context, id int, p *linProcess, key string) {
	r := &linRead{client: id, writer: p.linWriter, key: key, counted: true, call: s.h.tick()}
	n, err := p.Count(ctx, key)
	if err != nil {
		s.failed(p, "count", err)
		return
	}
	p.heard(s.h, func(now int64) {
		r.ret, r.count = now, n
		s.h.keep(r)
	})
}

// marked keeps a watermark, if the process was alive to tell it.
func (s *linScene) marked(m *linMarked) {
	m.writer.heard(s.h, func(now int64) {
		m.ret = now
		s.h.keepMark(m)
	})
}

func (s *linScene) watch(ctx context.Context, id int, p *linProcess, level Durability) {
	m := &linMarked{client: id, writer: p.linWriter, how: "watermark", level: level, call: s.h.tick()}
	at, err := p.Watermark(ctx, level)
	if err != nil {
		s.failed(p, "watermark", err)
		return
	}
	m.at = at
	s.marked(m)
}

// flush: what was applied before it is Remote after it.
func (s *linScene) flush(ctx context.Context, id int, p *linProcess) {
	at, err := p.Watermark(ctx, Applied)
	m := &linMarked{client: id, writer: p.linWriter, how: "flush", level: Remote, at: at, call: s.h.tick()}
	if err == nil {
		err = p.Flush(ctx)
	}
	if err != nil {
		s.failed(p, "flush", err)
		return
	}
	s.marked(m)
}

func (s *linScene) seal(ctx context.Context, id int, p *linProcess) {
	m := &linMarked{client: id, writer: p.linWriter, how: "seal", level: Remote, call: s.h.tick()}
	end, sealed, err := p.Seal(ctx)
	if err != nil {
		s.failed(p, "seal", err)
		return
	}
	if m.at = end; sealed {
		s.marked(m)
	}
}

// readBucket reads a key through a reader of the bucket, now and then after
// telling it to look.
func (s *linScene) readBucket(ctx context.Context, id int, rng *rand.Rand) bool {
	s.mu.Lock()
	var p *linReader
	if n := len(s.readers); n > 0 {
		p = s.readers[rng.IntN(n)]
	}
	s.mu.Unlock()
	if p == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	since := p.since
	if rng.IntN(2) == 0 {
		asked := s.h.tick()
		if err := p.r.Refresh(ctx); err != nil {
			s.explain("refresh", err)
			return true
		}
		since = asked
	}
	key := s.keys[rng.IntN(len(s.keys))]
	if rng.IntN(4) > 0 {
		s.readThrough(ctx, id, p, key, since)
		return true
	}
	short, cancelFollow := context.WithTimeout(ctx, 20*s.pause(rng)+time.Millisecond)
	defer cancelFollow()
	s.keepRead(&linRead{client: id, reader: p.id, key: key, followed: true, call: s.h.tick()}, func() ([]Entry, uint64, error) {
		return linFollowAll(short, p.r, key, ScanOptions{})
	})
	return true
}

func (s *linScene) readThrough(ctx context.Context, id int, p *linReader, key string, since int64) {
	s.keepRead(&linRead{client: id, reader: p.id, key: key, since: since, call: s.h.tick()}, func() ([]Entry, uint64, error) {
		return linScanAll(ctx, p.r, key, ScanOptions{})
	})
}

func (s *linScene) keepRead(r *linRead, read func() ([]Entry, uint64, error)) {
	entries, next, err := read()
	if err != nil {
		s.explain("read", err)
		return
	}
	r.ret, r.next = s.h.tick(), next
	s.h.took(r, entries)
}
