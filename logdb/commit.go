package logdb

import (
	"context"
	"errors"
	"time"

	"github.com/logdb-go/logdb/wal"
)

// committer is the one goroutine that orders the log. It takes requests in
// groups, gives each batch its sequences, time and segment, writes it to the
// local WAL, applies it, and moves the applied watermark once per group.
//
// Everything in it belongs to that goroutine.
type committer struct {
	db   *LogDb
	log  *wal.Log // nil when diskless
	next uint64   // sequence of the next record
	last int64    // ms of the last batch

	seg         activeSegment
	nextSegment uint64
	gen         *generation // active; nil before the first batch and after a seal
	genEnd      uint64      // end of the newest generation
	ordinal     uint64      // frames committed over the writer's life
	closing     bool        // Close has begun: no batch is taken any more

	group group
	free  []*request // the emptied slice of the last group
	timer *time.Timer
}

// activeSegment is the segment that takes batches.
type activeSegment struct {
	open      bool
	id, start uint64
	opened    time.Time // as the log's clock has it
	due       time.Time // when it is sealed for its age, on the monotonic clock
	bytes     int64
	records   uint64
}

// group is what was applied and not yet acknowledged.
type group struct {
	frames   []wal.Frame
	requests []*request
	bytes    int64 // of frames
	admitted int64
	records  int
	sync     bool
	remote   bool
}

func (c *committer) run() {
	defer c.drain()
	for {
		select {
		case <-c.db.stop.Done():
			return
		case <-c.db.queue.signal:
		case <-c.timer.C:
			if err := c.sealIfOld(); err != nil {
				c.db.fail(err)
				return
			}
			continue
		}
		requests := c.db.queue.swap(c.free[:0])
		for i, r := range requests {
			if err := c.handle(r); err != nil {
				c.db.fail(err)
				c.refuse(requests[i+1:], c.db.Err())
				return
			}
			requests[i] = nil
		}
		if err := c.publish(); err != nil {
			c.db.fail(err)
			return
		}
		c.free = requests
	}
}

// drain answers what was never taken, when the goroutine ends.
func (c *committer) drain() {
	c.timer.Stop()
	err := c.db.Err()
	if err == nil {
		err = ErrClosed
	}
	for _, r := range c.group.requests { // written, but its group was not published
		r.placed <- struct{}{}
		r.done <- err
	}
	c.refuse(c.db.queue.close(err), err)
}

// refuse answers requests that were not committed.
func (c *committer) refuse(requests []*request, err error) {
	for _, r := range requests {
		if r == nil {
			continue
		}
		c.db.room.release(r.bytes, r.records)
		if r.take() {
			r.refuse(err)
		}
	}
}

// handle commits one request. An error is final for the writer; the request
// has been answered in any case.
func (c *committer) handle(r *request) error {
	var full error
	if r.control == nil && !c.closing && !r.withdrawn() {
		full = c.makeRoom(int64(len(r.frame)), uint64(r.records)) // may take as long as the store is away: the caller can still withdraw
	}
	if !r.take() && !c.db.opts.hooks.without(withdrawnStays) { // withdrawn by its caller
		c.db.room.release(r.bytes, r.records)
		if errors.Is(full, ErrDiskFull) {
			return nil
		}
		return full
	}
	if r.control != nil {
		err := c.publish() // a control operation sees, and is seen after, what came before it
		if err == nil {
			err = r.control()
		}
		r.done <- err
		return err
	}
	if c.closing {
		c.db.room.release(r.bytes, r.records)
		r.refuse(ErrClosed)
		return nil
	}
	if errors.Is(full, ErrDiskFull) { // of this request alone
		c.db.room.release(r.bytes, r.records)
		r.placed <- struct{}{}
		r.done <- full
		return nil
	}
	err := full
	if err == nil {
		err = c.commit(r)
	}
	c.group.admitted += r.bytes
	c.group.records += r.records
	if err != nil {
		r.refuse(err)
	}
	return err
}

// commit gives one batch its place and applies it to the WAL and the memtable.
func (c *committer) commit(r *request) error {
	now := c.db.opts.Clock()
	if c.seg.open && c.sealDue() {
		if err := c.seal(nil); err != nil {
			return err
		}
	}
	c.last = max(c.last, now.UnixMilli())
	c.openGeneration(now)
	r.frame.Stamp(c.next, c.last, c.seg.id, c.seg.start)
	r.first, r.next, r.timeMs = c.next, r.frame.End(), c.last
	if c.log != nil {
		if err := c.log.Append(r.frame, false); err != nil {
			r.next = r.first + uint64(r.records) // the frame may be in the WAL: pending
			return err
		}
		c.db.opts.hooks.at("append: logged")
	}
	c.next = r.next
	c.seg.bytes += r.bytes - int64(8*r.records)
	c.seg.records += uint64(r.records)
	c.group.frames = append(c.group.frames, r.frame)
	c.group.bytes += int64(len(r.frame))
	c.group.requests = append(c.group.requests, r)
	c.group.sync = c.group.sync || r.level == Local
	c.group.remote = c.group.remote || r.level == Remote
	c.ordinal++
	return nil
}

// publish applies the group, makes it visible and acknowledges it.
func (c *committer) publish() error {
	g := &c.group
	if g.admitted > 0 {
		c.db.room.release(g.admitted, g.records)
		g.admitted, g.records = 0, 0
	}
	if len(g.frames) == 0 {
		return nil
	}
	c.gen.mem.ApplyAll(g.frames)
	c.db.arrears.applied(c.next, recordsOf(g.requests), uint64(g.bytes)) // before the shipper can ship it
	c.db.state.append(c.gen, g.frames, g.bytes)
	c.db.applied.advance(c.next)
	c.db.opts.hooks.at("append: applied")
	if g.sync && c.log != nil && !c.db.opts.hooks.without(syncedFirst) {
		if err := c.log.Sync(); err != nil {
			return err
		}
	}
	if g.remote {
		c.db.shipper.want(c.ordinal)
	}
	if g.remote || c.db.shipper.asleep.Load() {
		wake(c.db.shipper.kick)
	}
	for _, r := range g.requests {
		r.placed <- struct{}{}
		c.db.mark(r.level).notify(r.next, r.done)
	}
	c.db.followers.wake(g.frames, c.next)
	clear(g.frames)
	clear(g.requests)
	*g = group{frames: g.frames[:0], requests: g.requests[:0]}
	return nil
}

func recordsOf(requests []*request) (n uint64) {
	for _, r := range requests {
		n += uint64(r.records)
	}
	return n
}

// makeRoom waits until a batch of size bytes and n records may be applied: the
// memtables have room, recovery stays short, and the sequences are below the
// durable limit.
func (c *committer) makeRoom(size int64, n uint64) error {
	d := c.db
	if g := c.gen; g != nil && g.mem.Memory()+c.group.bytes+size > d.opts.Memory.Memtable && g.mem.Records()+uint64(len(c.group.frames)) > 0 {
		if err := c.rotate(); err != nil {
			return err
		}
	}
	err := c.waitForFlush()
	d.held.Store(nil)
	if err != nil {
		return err
	}
	d.limits.note(c.next)
	short := func() bool { return c.next+n > d.limits.limit.Load() }
	if short() && !d.opts.hooks.without(limitHolds) {
		return c.block(d.limits.raised, short)
	}
	return nil
}

// waitForFlush waits, before a memtable is begun, while the others are full or
// recovery has become long. Memory can also be had by staging, as long as the
// disk lasts: while the bucket is away.
func (c *committer) waitForFlush() error {
	d := c.db
	for begun := time.Now(); c.gen == nil; {
		ok, err := d.stager.room(d.state.inMemory() >= keptMemtables, time.Since(begun))
		if err != nil {
			return err
		}
		if ok {
			break
		}
		if err := c.publish(); err != nil {
			return err
		}
		d.held.CompareAndSwap(nil, &begun)
		if err := c.pause(d.freed, stageLook); err != nil {
			return err
		}
	}
	long := func() bool { return d.shipper.unflushed.Load() >= holdAtObjects }
	if long() {
		return c.block(d.freed, long)
	}
	return nil
}

// pause waits for a signal, but not longer than that.
func (c *committer) pause(signal <-chan struct{}, most time.Duration) error {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-signal:
	case <-timer.C:
	case <-c.db.stop.Done():
		return context.Cause(c.db.stop)
	}
	return nil
}

// block publishes what was applied, so that nobody waits for it, and then
// waits until the condition is gone.
func (c *committer) block(signal <-chan struct{}, while func() bool) error {
	if err := c.publish(); err != nil {
		return err
	}
	since := time.Now()
	c.db.held.Store(&since)
	defer c.db.held.Store(nil)
	for while() {
		select {
		case <-signal:
		case <-c.db.stop.Done():
			return context.Cause(c.db.stop)
		}
	}
	return nil
}

// openGeneration makes sure that there is an active segment and memtable.
func (c *committer) openGeneration(now time.Time) {
	if !c.seg.open {
		c.seg = activeSegment{open: true, id: c.nextSegment, start: c.next, opened: now}
		c.nextSegment++
		c.sealIn(c.db.opts.Segments.Interval)
	}
	if c.gen == nil {
		c.gen = newGeneration(c.seg, c.genEnd, c.ordinal)
		c.db.state.add(c.gen)
	}
}

// rotate seals the active memtable, not its segment.
func (c *committer) rotate() error {
	if err := c.publish(); err != nil || c.gen == nil {
		return err
	}
	return c.close(nil)
}

// close ends the active generation, with a seal frame if its segment ends too.
func (c *committer) close(seal wal.Frame) error {
	c.genEnd = c.next
	c.db.state.seal(c.gen, c.next, seal)
	c.gen = nil
	wake(c.db.flusher.kick)
	wake(c.db.shipper.kick)
	wake(c.db.stager.kick)
	if c.log != nil {
		return c.log.Rotate()
	}
	return nil
}

func (c *committer) sealDue() bool {
	return c.seg.bytes >= c.db.opts.Segments.Bytes || !time.Now().Before(c.seg.due)
}

// sealIn has the active segment sealed in so much time at the latest, whatever
// becomes of the clock that gives records their times.
func (c *committer) sealIn(left time.Duration) {
	left = min(max(left, 0), c.db.opts.Segments.Interval)
	c.seg.due = time.Now().Add(left)
	c.timer.Reset(left)
}

// sealIfOld is the timer's way to seal: an idle log seals too.
func (c *committer) sealIfOld() error {
	if !c.seg.open {
		return nil
	}
	if left := time.Until(c.seg.due); left > 0 {
		c.timer.Reset(max(left, time.Millisecond))
		return nil
	}
	return c.seal(nil)
}

// seal ends the active segment. The seal is a frame of its own in the log, so
// that recovery rolls where the writer rolled.
func (c *committer) seal(metadata []byte) error {
	if err := c.publish(); err != nil {
		return err
	}
	c.last = max(c.last, c.db.opts.Clock().UnixMilli())
	frame := wal.NewSeal(wal.Header{Kind: wal.Seal, First: c.next, TimeMs: c.last, Segment: c.seg.id, SegmentStart: c.seg.start}, metadata)
	if c.log != nil {
		if err := c.log.Append(frame, true); err != nil {
			return err
		}
	}
	c.db.opts.hooks.at("seal")
	if c.gen == nil { // everything of the segment was flushed: the seal stands alone
		c.gen = newGeneration(c.seg, c.genEnd, c.ordinal)
		c.db.state.add(c.gen)
	}
	c.ordinal++
	c.db.applied.advance(c.next) // of a log that was reopened: the seal lies behind the gap
	c.db.opts.hooks.at("seal: applied")
	c.db.opts.Events.emit(c.db.opts.Events.Sealed, Event{Name: "segment", Segment: c.seg.id, Range: Between(c.seg.start, c.next)})
	c.seg.open = false
	return c.close(frame)
}
