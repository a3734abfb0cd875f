package logdb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/logdb-go/logdb/segment"
)

// Flush returns when everything applied before the call is in the bucket. It
// joins the running shipment. If ctx ends first, the records are as durable as
// they were and shipping goes on.
func (d *LogDb) Flush(ctx context.Context) error {
	if err := d.Err(); err != nil {
		return err
	}
	var ordinal uint64
	err := d.ask(ctx, func(c *committer) error {
		ordinal = c.ordinal
		d.shipper.want(ordinal)
		wake(d.shipper.kick)
		return nil
	})
	if err != nil {
		return err
	}
	return d.shipped.wait(ctx, ordinal)
}

// SealSegment ends the active segment and gives it metadata, which is copied.
// Sealing an empty active segment does nothing and answers false.
//
// Unless Options.Ack is Applied it returns when the seal is in the bucket.
// *PendingError means that the segment is sealed and that this was not seen
// to be durable.
func (d *LogDb) SealSegment(ctx context.Context, metadata []byte) (s Segment, sealed bool, err error) {
	if err := d.Err(); err != nil {
		return Segment{}, false, err
	}
	metadata = append([]byte(nil), metadata...)
	var ordinal uint64
	err = d.ask(ctx, func(c *committer) error {
		if err := c.publish(); err != nil || !c.seg.open || c.seg.records == 0 {
			return err
		}
		sealed = true
		s = Segment{ID: c.seg.id, Sequences: Between(c.seg.start, c.next), Opened: time.UnixMilli(c.seg.opened.UnixMilli()), Last: time.UnixMilli(c.last),
			Records: c.seg.records, Bytes: uint64(c.seg.bytes), Sealed: true, Metadata: metadata}
		err := c.seal(metadata)
		ordinal = c.ordinal
		d.shipper.want(ordinal)
		return err
	})
	if err != nil || !sealed || d.opts.Ack == Applied {
		return s, sealed && err == nil, err
	}
	if err := d.shipped.wait(ctx, ordinal); err != nil {
		_, end := s.Sequences.clamp(^uint64(0))
		return s, true, &PendingError{Appended: Appended{First: end, Next: end, Time: s.Last}, Level: Remote, Err: err}
	}
	return s, true, nil
}

// closeWait bounds how long Close waits for the bucket.
const closeWait = 30 * time.Second

// Close puts everything applied into tables in the bucket, stores where the
// sequences go on, and stops. It waits for the bucket for at most 30 s; if
// that is not enough the error says so: what was Remote is in the bucket, what
// was Local is in WALDir and taken back by the next Open there, and the next
// writer leaves a gap in the sequences. Close can be called more than once;
// appends after it fail with ErrClosed.
func (d *LogDb) Close() error {
	d.closer.Do(func() {
		err := d.settle()
		d.stopAll(ErrClosed)
		if err == nil {
			err = d.stager.clear()
		}
		d.closed = errors.Join(err, d.release())
	})
	return d.closed
}

// settle brings the log to rest: nothing is unflushed, and the manifest says
// that its writer closed it.
func (d *LogDb) settle() error {
	if err := d.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(d.stop, closeWait)
	defer cancel()
	var next, ordinal, added uint64
	err := d.ask(ctx, func(c *committer) error {
		d.queue.refuse(ErrClosed)
		c.closing = true
		c.timer.Stop()
		next, ordinal, added = c.next, c.ordinal, d.state.added()
		d.shipper.want(ordinal)
		return c.rotate()
	})
	if err == nil {
		err = d.shipped.wait(ctx, ordinal)
	}
	if err == nil {
		err = d.installed.wait(ctx, added) // not sequences: a seal that stands alone has none
	}
	if err == nil {
		err = d.farewell(ctx, next)
	} else if d.stop.Err() == nil {
		err = fmt.Errorf("logdb: close: not everything reached the bucket within %v: %w", closeWait, err)
	}
	if err != nil && d.stop.Err() != nil { // fenced, or poisoned, while it waited
		return context.Cause(d.stop)
	}
	return err
}

// farewell stores the exact next sequence as the limit. Nothing at or above it
// was shown, so the next writer goes on without a gap.
func (d *LogDb) farewell(ctx context.Context, next uint64) error {
	if d.dir != nil {
		if err := d.dir.SetLimit(d.epoch, next); err != nil {
			return err
		}
		d.opts.hooks.at("close: limited")
	}
	_, err := d.keeper.edit(ctx, func(m *segment.Manifest) error {
		m.Limit, m.Closed = next, true
		if m.ReplayEpoch < d.epoch { // nothing was written here
			m.ReplayEpoch, m.ReplayNumber = d.epoch, 0
		}
		m.OldestEpoch, m.OldestNumber = m.ReplayEpoch, m.ReplayNumber
		return nil
	})
	return err
}

// stopAll ends every goroutine and waits for them.
func (d *LogDb) stopAll(err error) {
	d.fail(err)
	d.joined.Wait()
}

func (d *LogDb) release() error {
	var errs []error
	if d.committer.log != nil {
		errs = append(errs, d.committer.log.Close())
	}
	if d.dir != nil {
		errs = append(errs, d.dir.Close())
	}
	return errors.Join(append(errs, d.maintainer.merger.store.Cache.Close(), d.store.Cache.Close(), d.disk.Close())...)
}
