package logdb

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/logdb-go/logdb/wal"
)

// AppendOptions say how far an append waits.
type AppendOptions struct {
	Ack Durability // Default: Options.Ack
}

// Append appends records as one atomic batch with contiguous sequences and
// returns once the batch has reached the level o asks for. While the queue is
// full it waits for room until ctx ends.
//
// An error other than *PendingError means that nothing was written:
// *LimitError, ErrClosed, ErrFenced, the sticky error of [LogDb.Err], or ctx's
// error. *PendingError means that the batch is in the log but was not seen to
// reach the level; see there.
//
// Both slices of each record are copied before Append returns. An empty batch
// writes nothing.
func (d *LogDb) Append(ctx context.Context, records []Record, o AppendOptions) (Appended, error) {
	return d.append(ctx, records, o, true)
}

// TryAppend is Append that fails with ErrQueueFull, and writes nothing, where
// Append would wait for room. It still waits for the level that o asks for.
func (d *LogDb) TryAppend(ctx context.Context, records []Record, o AppendOptions) (Appended, error) {
	return d.append(ctx, records, o, false)
}

func (d *LogDb) append(ctx context.Context, records []Record, o AppendOptions, wait bool) (Appended, error) {
	if err := d.Err(); err != nil {
		return Appended{}, err
	}
	if len(records) == 0 {
		next := d.applied.get()
		return Appended{First: next, Next: next, Time: d.opts.Clock()}, nil
	}
	size, err := d.checkBatch(records)
	if err != nil {
		return Appended{}, err
	}
	if err := ctx.Err(); err != nil {
		return Appended{}, err
	}
	if err := d.room.acquire(ctx, size, len(records), wait); err != nil {
		return Appended{}, err
	}
	r := d.queue.request()
	r.level, r.bytes = d.level(o.Ack), size
	r.frame = wal.AppendBatch(nil, len(records), func(i int) (key, value []byte) {
		return records[i].Key, records[i].Value
	})
	r.records = len(records)
	if err := d.queue.put(r); err != nil {
		d.room.release(size, len(records))
		return Appended{}, err
	}
	return d.await(ctx, r)
}

// level resolves Default, and Local where there is no WAL directory.
func (d *LogDb) level(l Durability) Durability {
	if l == Default {
		l = d.opts.Ack
	}
	if l == Local && d.opts.WALDir == "" {
		l = Remote
	}
	return l
}

// checkBatch returns what admission counts for the batch: its keys, values and
// a fixed cost per record, so that empty records are not free.
func (d *LogDb) checkBatch(records []Record) (int64, error) {
	const perRecord = 8
	total := 0
	for i, r := range records {
		if len(r.Key) > MaxKeyBytes {
			return 0, &LimitError{What: "key", Record: i, Bytes: len(r.Key), Limit: MaxKeyBytes}
		}
		if len(r.Value) > d.opts.Limits.ValueBytes {
			return 0, &LimitError{What: "value", Record: i, Bytes: len(r.Value), Limit: d.opts.Limits.ValueBytes}
		}
		total += len(r.Key) + len(r.Value)
	}
	if total > d.opts.Limits.BatchBytes {
		return 0, &LimitError{What: "batch", Bytes: total, Limit: d.opts.Limits.BatchBytes}
	}
	if limit := d.opts.Memory.QueueRecords; len(records) > limit {
		return 0, &LimitError{What: "records", Bytes: len(records), Limit: limit}
	}
	size := int64(total + perRecord*len(records))
	if size > d.opts.Memory.Queue {
		return 0, &LimitError{What: "batch", Bytes: int(size), Limit: int(d.opts.Memory.Queue)}
	}
	return size, nil
}

// await waits for the committer's answer. Until the committer takes the
// request, an ended context withdraws it and nothing is written.
func (d *LogDb) await(ctx context.Context, r *request) (Appended, error) {
	var err error
	select {
	case err = <-r.done:
	case <-ctx.Done():
		if r.withdraw() {
			return Appended{}, ctx.Err()
		}
		// The committer has it. Its sequences are known within a moment, and
		// the caller needs them to watch the watermark.
		<-r.placed
		select {
		case err = <-r.done: // it arrived after all
		default:
			return Appended{}, &PendingError{Appended: r.appended(), Level: r.level, Err: ctx.Err()}
		}
	}
	a, level, taken := r.appended(), r.level, r.next > 0
	if err == nil {
		d.queue.recycle(r)
		return a, nil
	}
	if !taken {
		return Appended{}, err
	}
	return Appended{}, &PendingError{Appended: a, Level: level, Err: err}
}

// room bounds what is admitted and not yet applied.
type room struct {
	bytes   *semaphore.Weighted
	records *semaphore.Weighted
	closed  context.Context // ends with the log
}

func newRoom(closed context.Context, m Memory) *room {
	return &room{semaphore.NewWeighted(m.Queue), semaphore.NewWeighted(int64(m.QueueRecords)), closed}
}

func (r *room) acquire(ctx context.Context, bytes int64, records int, wait bool) error {
	if r.bytes.TryAcquire(bytes) {
		if r.records.TryAcquire(int64(records)) {
			return nil
		}
		r.bytes.Release(bytes)
	}
	if !wait {
		return ErrQueueFull
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(r.closed, func() { cancel(context.Cause(r.closed)) })
	defer stop()
	if r.bytes.Acquire(ctx, bytes) != nil {
		return context.Cause(ctx)
	}
	if r.records.Acquire(ctx, int64(records)) != nil {
		r.bytes.Release(bytes)
		return context.Cause(ctx)
	}
	return nil
}

func (r *room) release(bytes int64, records int) {
	r.bytes.Release(bytes)
	r.records.Release(int64(records))
}

// request is one batch, or one control operation, on its way to the committer.
type request struct {
	frame   wal.Frame
	control func() error // instead of a frame: runs in the commit goroutine
	level   Durability
	records int
	bytes   int64

	state  atomic.Int32  // queued, then taken or withdrawn, decided by one swap
	placed chan struct{} // has one token once first, next and time are set
	done   chan error    // one answer

	first, next uint64
	timeMs      int64
}

const (
	queued int32 = iota
	taken
	withdrawn
)

func (r *request) take() bool      { return r.state.CompareAndSwap(queued, taken) }
func (r *request) withdraw() bool  { return r.state.CompareAndSwap(queued, withdrawn) }
func (r *request) withdrawn() bool { return r.state.Load() == withdrawn }

// refuse answers a request that was taken and not committed. The answer is
// there before the token: who has stopped to wait looks for it once.
func (r *request) refuse(err error) {
	r.done <- err
	r.placed <- struct{}{}
}

func (r *request) appended() Appended {
	return Appended{First: r.first, Next: r.next, Time: time.UnixMilli(r.timeMs)}
}

// queue hands requests from any goroutine to the committer.
type queue struct {
	mu struct {
		sync.Mutex
		waiting []*request
		err     error // sticky: nothing is taken any more
	}
	signal chan struct{}
	// idle is the queue's own: the channels of a request belong to the
	// testing/synctest bubble that made them.
	idle sync.Pool
}

func newQueue() *queue { return &queue{signal: make(chan struct{}, 1)} }

func (q *queue) request() *request {
	if r, ok := q.idle.Get().(*request); ok {
		return r
	}
	return &request{placed: make(chan struct{}, 1), done: make(chan error, 1)}
}

// recycle takes a request back. Only after its answer was received: nobody
// else refers to it then.
func (q *queue) recycle(r *request) {
	select {
	case <-r.placed:
	default:
	}
	r.frame, r.control = nil, nil
	r.level, r.records, r.bytes = Default, 0, 0
	r.first, r.next, r.timeMs = 0, 0, 0
	r.state.Store(queued)
	q.idle.Put(r)
}

func (q *queue) put(r *request) error {
	q.mu.Lock()
	if err := q.mu.err; err != nil {
		q.mu.Unlock()
		return err
	}
	q.mu.waiting = append(q.mu.waiting, r)
	q.mu.Unlock()
	wake(q.signal)
	return nil
}

// swap takes everything that waits and gives the queue an empty slice.
func (q *queue) swap(empty []*request) []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	group := q.mu.waiting
	q.mu.waiting = empty
	return group
}

// refuse lets nothing more in. The first reason stays.
func (q *queue) refuse(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mu.err == nil {
		q.mu.err = err
	}
}

// close refuses further requests and returns those never taken.
func (q *queue) close(err error) []*request {
	q.refuse(err)
	q.mu.Lock()
	defer q.mu.Unlock()
	left := q.mu.waiting
	q.mu.waiting = nil
	return left
}

// wake leaves a token in a channel with room for one.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
