package logdb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
	"github.com/logdb-go/logdb/wal"
)

const (
	collectorTables = "seg/"
	collectorWAL    = "wal/"
	// largestFence bounds what is read to find out whether it is a fence.
	largestFence = 1 << 10
)

// plainFence is the size of a fence as this build writes it: a header and
// nothing behind it. Whatever carries records, or names tables, is larger.
var plainFence = int64(len(wal.EncodeFence(wal.ObjectHeader{Kind: wal.Fence})))

// sweep is one of two passes over a LIST of the bucket. What both passes, a
// grace apart and each against its own manifest, find unnamed is deleted. It
// returns when the next pass is due. A failed pass is repeated by the next.
func (c *collector) sweep(ctx context.Context) time.Duration {
	if c.juror == nil {
		return sweepEvery
	}
	pending, err := c.pass(ctx)
	if err != nil {
		c.logger.Info("logdb: sweep failed, will repeat", "err", err)
		return c.grace
	}
	if pending > 0 {
		return c.grace
	}
	return sweepEvery
}

// pass is one pass. It returns how many names are under suspicion after it.
func (c *collector) pass(ctx context.Context) (pending int, err error) {
	names, err := c.unnamed(ctx)
	if err != nil {
		return 0, err
	}
	now, grace := time.Now(), c.grace
	if c.hooks.without(graceFirst) {
		grace = 0
	}
	var dead []string
	again := make(map[string]time.Time)
	for _, name := range names {
		first, known := c.suspects[name]
		if known && now.Sub(first) >= grace {
			dead = append(dead, name)
			continue
		}
		if !known {
			first = now
		}
		again[name] = first
	}
	c.suspects = again
	c.hooks.at("sweep: judged")
	c.removed(c.deleteAll(ctx, dead))
	return len(again), nil
}

// unnamed lists what neither the manifest nor the WAL names and nobody may
// still be about to name.
func (c *collector) unnamed(ctx context.Context) ([]string, error) {
	begun := time.Now()
	s := sentence{named: c.juror.held()}
	m, _, err := readManifest(ctx, c.bucket, c.retry("collect"))
	if err != nil {
		return nil, err
	}
	if s.writers, err = c.juror.settled(ctx, m, s.named); err != nil {
		return nil, err
	}
	if took := time.Since(begun); took > manifestEvery+refreshBound { // names that the WAL held may have been collected
		return nil, fmt.Errorf("logdb: manifest and WAL were read in %v, limit %v", took, manifestEvery+refreshBound)
	}
	s.compactors, s.flushed, s.oldest = m.CompactorEpoch, m.Flushed, wal.Position{Epoch: m.OldestEpoch, Number: m.OldestNumber}
	for i := range m.Segments {
		addNames(s.named, m.Segments[i].Tables)
	}
	c.mu.Lock()
	for _, d := range c.mu.doomed { // they die anyway
		s.named[d.name] = true
	}
	c.mu.Unlock()
	var out []string
	ctx, cancel := context.WithTimeout(ctx, sweepTime)
	defer cancel()
	for info, err := range c.bucket.List(ctx, "", "") {
		if err != nil {
			return nil, err
		}
		dead, err := c.dead(ctx, &s, info)
		if err != nil {
			return nil, err
		}
		if dead {
			out = append(out, info.Name)
		}
	}
	return out, nil
}

// sentence is what one pass judges by.
type sentence struct {
	named               map[string]bool
	writers, compactors uint64       // tables of epochs below are nobody's, unless named
	flushed             uint64       // and of running epochs, if they hold nothing above it
	oldest              wal.Position // WAL objects below it are
}

// dead judges one object of a LIST. Tables of the running epochs may be on
// their way into the log, unless what they hold is in it; fences are never
// deleted.
func (c *collector) dead(ctx context.Context, s *sentence, info objstore.Info) (bool, error) {
	switch {
	case s.named[info.Name]:
		return false, nil
	case strings.HasPrefix(info.Name, collectorTables):
		_, id, ok := segment.ParseTableName(info.Name)
		epoch := s.writers
		if id.Compacted {
			epoch = s.compactors
		}
		switch {
		case !ok:
			return false, nil
		case id.Epoch < epoch || c.hooks.without(orphanEpoch):
			return true, nil
		}
		return c.flushedOnce(ctx, s, id, info)
	case strings.HasPrefix(info.Name, collectorWAL):
		epoch, number, ok := wal.ParseObjectName(info.Name)
		at := wal.Position{Epoch: epoch, Number: number}
		if !ok || !at.Less(s.oldest) {
			return false, nil
		}
		fence, err := c.isFence(ctx, info)
		return !fence, err
	}
	return false, nil
}

// flushedOnce tells, of a table that nobody names and whose epoch runs, that it
// was named once: what it holds lies below flushed. A flush begins at flushed, so
// none can name it again; a merge took it out, in a process that did not live to
// delete it. (Of a merge's own output nothing of the kind is known.)
func (c *collector) flushedOnce(ctx context.Context, s *sentence, id segment.TableID, info objstore.Info) (bool, error) {
	if id.Compacted {
		return false, nil
	}
	_, end, err := c.cache.Sequences(ctx, patientReader{c.bucket, func() *retry { return c.retry("collect") }}, c.log, info.Name, info.Size)
	switch {
	case errors.Is(err, objstore.ErrNotFound), errors.Is(err, objstore.ErrCorrupt), errors.Is(err, objstore.ErrUnsupported):
		return false, nil // gone, or not to be understood: neither is deleted
	case err != nil:
		return false, err
	}
	return end <= s.flushed, nil
}

// isFence tells a fence from what may be deleted. A log has one for each time
// that it was opened, so they are told by their size, and not read: nothing else
// is as small. What is a little larger may be a fence of a newer build and is
// read; there is never much of it, for a running collector deletes data by name.
func (c *collector) isFence(ctx context.Context, info objstore.Info) (bool, error) {
	switch {
	case info.Size > largestFence:
		return false, nil
	case info.Size <= plainFence && !c.hooks.without(fencesStay):
		return true, nil
	}
	obj, err := readObject(ctx, c.bucket, info.Name, c.retry("collect"))
	switch {
	case errors.Is(err, objstore.ErrNotFound), errors.Is(err, objstore.ErrCorrupt), errors.Is(err, objstore.ErrUnsupported):
		return true, nil // gone, or not to be understood: neither is deleted
	case err != nil:
		return false, err
	}
	return obj.Kind == wal.Fence && !c.hooks.without(fencesStay), nil
}
