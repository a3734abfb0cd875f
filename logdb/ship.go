package logdb

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
	"github.com/logdb-go/logdb/wal"
)

// shipper is the one goroutine that turns frames into WAL objects. It decides
// what the next object holds, gives it the next number of its epoch and starts
// the PUT; PUTs run beside each other, and the remote watermark follows the
// lowest that has not landed.
//
// A number once given is frozen: its bytes are made once and sent under the
// same name until they land. Nothing is renumbered, coalesced again or skipped.
type shipper struct {
	db   *LogDb
	kick chan struct{}
	done chan *shipment // a PUT ended well

	wanted    atomic.Uint64 // ordinal below which somebody waits for Remote
	unflushed atomic.Int64  // WAL objects that recovery would have to read
	asleep    atomic.Bool   // nothing is left to start: the next frame must kick

	// Owned by the goroutine.
	next    uint64 // number of the next object
	end     uint64 // exclusive sequence where the last started object ends
	ordinal uint64 // frames started
	last    time.Time
	flying  []*shipment // started, in number order
	gen     *generation // the generation whose frames come next
	taken   int         // frames of it that were started
	shipped int64       // their bytes
	asked   *generation // the committer was asked to rotate it
}

// shipment is one WAL object on its way.
type shipment struct {
	header  wal.ObjectHeader
	frames  []wal.Frame // a data object's
	gen     *generation
	last    bool   // of its generation
	ordinal uint64 // frames started up to and with this one
	landed  bool
	size    int
	begun   time.Time
}

const (
	maxDataObject  = 32 << 20 // frame bytes in one WAL object; one larger batch still goes alone
	parallelObject = 4 << 20  // frame bytes that start a PUT although another is under way
)

// want says that somebody waits for the frames below ordinal to be remote.
func (s *shipper) want(ordinal uint64) {
	for {
		old := s.wanted.Load()
		if ordinal <= old || s.wanted.CompareAndSwap(old, ordinal) {
			return
		}
	}
}

func (s *shipper) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		s.asleep.Store(false)
		s.reap()
		wait := min(s.startAll(), s.rotateOld())
		timer.Reset(wait)
		select {
		case <-s.db.stop.Done():
			return
		case <-s.kick:
		case <-timer.C:
		case sh := <-s.done:
			sh.landed = true
			if s.db.opts.hooks.without(landedInOrder) {
				s.db.remote.advance(sh.header.End)
			}
			s.unflushed.Add(1)
			sh.gen.objects++
		}
	}
}

// reap moves the watermarks over what has landed without a hole before it.
func (s *shipper) reap() {
	n := 0
	for n < len(s.flying) && s.flying[n].landed {
		sh := s.flying[n]
		n++
		s.db.remote.advance(sh.header.End)
		s.db.followers.visible()
		s.db.local.advance(sh.header.End)
		s.db.shipped.advance(sh.ordinal)
		s.db.opts.Events.emit(s.db.opts.Events.Shipped, Event{
			Name: sh.header.Kind.String(), Object: wal.ObjectName(sh.header.At.Epoch, sh.header.At.Number),
			Range: Between(sh.header.Start, sh.header.End), Bytes: int64(sh.size), Duration: time.Since(sh.begun),
		})
		if sh.last {
			close(sh.gen.landed)
		}
	}
	s.flying = append(s.flying[:0], s.flying[n:]...)
}

// startAll starts what is due and returns how long nothing will be.
func (s *shipper) startAll() time.Duration {
	for len(s.flying) < shipWindow {
		frames, bytes, sealed := s.advance()
		if len(frames) == 0 {
			s.asleep.Store(true)
			if frames, bytes, sealed = s.advance(); len(frames) == 0 { // looked again: no frame is missed
				return time.Hour
			}
		}
		if sealed && bytes >= s.db.opts.Memory.Memtable/2 {
			s.startTables(frames, bytes)
			continue
		}
		if due, wait := s.due(bytes, sealed); !due {
			return wait
		}
		s.startData(frames, sealed)
	}
	return time.Hour // a landing comes first
}

// advance returns the frames to start next, their bytes, and whether they are
// the last of their generation.
func (s *shipper) advance() (frames []wal.Frame, bytes int64, sealed bool) {
	for {
		if s.gen == nil || closed(s.gen.decided) {
			s.gen, s.taken, s.shipped = s.undecided(), 0, 0
		}
		if s.gen == nil {
			return nil, 0, false
		}
		frames, bytes, sealed = s.db.state.frames(s.gen, s.taken)
		if len(frames) > 0 || !sealed {
			return frames, bytes - s.shipped, sealed
		}
		s.finish(s.gen)
	}
}

// undecided returns the oldest generation that may still have frames to start.
func (s *shipper) undecided() *generation {
	for _, g := range s.db.state.generations() {
		if !closed(g.decided) {
			return g
		}
	}
	return nil
}

// rotateOld asks the committer to end the active memtable when recovery would
// have to read it from too many objects, or too long has passed. It returns
// when to look again.
func (s *shipper) rotateOld() time.Duration {
	g := s.gen
	if g == nil || g == s.asked || closed(g.decided) {
		return time.Hour
	}
	if left := s.db.opts.FlushInterval - time.Since(g.born); left > 0 && g.objects < flushAtObjects {
		return left
	}
	s.asked = g
	s.db.control(func(c *committer) error {
		if c.gen != g {
			return nil
		}
		return c.rotate()
	})
	return time.Hour
}

// finish ends a sealed generation whose every frame was started before it was
// sealed.
func (s *shipper) finish(g *generation) {
	s.decide(g)
	for i := len(s.flying) - 1; i >= 0; i-- {
		if s.flying[i].gen == g {
			s.flying[i].last = true
			return
		}
	}
	close(g.landed)
}

// due decides whether the frames that are not started yet form an object now.
func (s *shipper) due(bytes int64, sealed bool) (bool, time.Duration) {
	o := &s.db.opts
	if sealed { // the flush waits for it
		return true, 0
	}
	if s.wanted.Load() > s.ordinal && (len(s.flying) == 0 || bytes >= parallelObject) {
		return true, 0
	}
	since := time.Since(s.last)
	if wait := o.ShipInterval - since; wait > 0 {
		return false, wait
	}
	if s.fillsSoon(bytes, since) {
		return false, o.ShipInterval
	}
	return true, 0
}

// fillsSoon reports whether the memtable will be full within another interval
// at the present rate, or would be if the flush kept up. Then it is cheaper to
// put it as a table at once: its bytes are written twice, not three times.
func (s *shipper) fillsSoon(bytes int64, since time.Duration) bool {
	o := &s.db.opts
	if len(s.db.state.generations()) >= keptMemtables-1 {
		return since < 8*o.ShipInterval
	}
	left := o.Memory.Memtable - s.gen.mem.Memory()
	return since < 2*o.ShipInterval && bytes > 0 && float64(left)/float64(bytes)*float64(since) <= float64(o.ShipInterval)
}

// header starts the header of the next object, which ends at end.
func (s *shipper) header(kind wal.ObjectKind, frames []wal.Frame, end uint64) wal.ObjectHeader {
	h := wal.ObjectHeader{
		Kind: kind, Log: s.db.logID, At: wal.Position{Epoch: s.db.epoch, Number: s.next}, Nonce: objstore.NewID(),
		Start: s.end, End: end, ManifestVersion: s.db.keeper.version.Load(),
	}
	if len(frames) > 0 {
		h.MinMs, h.MaxMs = frames[0].Header().TimeMs, frames[len(frames)-1].Header().TimeMs
	}
	return h
}

func (s *shipper) startData(frames []wal.Frame, sealed bool) {
	n, bytes := 0, int64(0)
	for n < len(frames) && (n == 0 || bytes+int64(len(frames[n])) <= maxDataObject) {
		bytes += int64(len(frames[n]))
		n++
	}
	last := sealed && n == len(frames)
	end := frames[n-1].End()
	if last {
		end = s.gen.end
	}
	sh := &shipment{header: s.header(wal.Data, frames[:n], end), frames: frames[:n], gen: s.gen, last: last}
	s.start(sh, n, bytes)
	if last {
		s.decide(s.gen)
	}
}

// decide ends a generation whose last object was started.
func (s *shipper) decide(g *generation) {
	if !g.named {
		g.cut = g.end
	}
	g.after = wal.Position{Epoch: s.db.epoch, Number: s.next}
	close(g.decided)
	wake(s.db.flusher.kick)
}

// startTables puts the rest of a sealed generation as tables, named by a small
// object, instead of putting it twice. It gives the number now and leaves the
// rest to the flusher: the object is put only when every table it names is
// there. A seal is no record and follows in an object of its own.
func (s *shipper) startTables(frames []wal.Frame, bytes int64) {
	g := s.gen
	if g.seal != nil {
		frames = frames[:len(frames)-1]
		bytes -= int64(len(g.seal))
	}
	sh := &shipment{header: s.header(wal.Tables, frames, g.end), gen: g, last: g.seal == nil}
	g.cut, g.named = s.end, true
	if s.db.opts.hooks.without(cutAtAttempted) {
		g.cut = g.start
	}
	s.start(sh, len(frames), bytes)
	if sh.last {
		s.decide(g)
	}
}

func (s *shipper) start(sh *shipment, frames int, bytes int64) {
	s.next++
	s.end = sh.header.End
	s.taken += frames
	s.shipped += bytes
	s.ordinal += uint64(frames)
	s.last = time.Now()
	sh.ordinal, sh.begun = s.ordinal, s.last
	s.flying = append(s.flying, sh)
	s.db.spawn(func() { s.put(sh) })
}

// put makes the object's bytes, once, and sends them until they land.
func (s *shipper) put(sh *shipment) {
	ctx := s.db.stop
	var body []byte
	if sh.header.Kind == wal.Tables {
		select {
		case <-sh.gen.uploaded:
		case <-ctx.Done():
			return
		}
		body = wal.EncodeTables(sh.header, segment.AppendTables(nil, sh.gen.late))
	} else {
		body = wal.EncodeData(sh.header, sh.frames)
	}
	sh.size = len(body)
	s.db.opts.hooks.at("ship: encoded")
	var err error
	if send := s.db.opts.hooks.put; send != nil {
		err = send(s, sh, body)
	} else {
		err = putObject(ctx, s.db.bucket, sh.header, body, s.db.retry("ship"))
	}
	if err != nil {
		s.db.fail(err)
		return
	}
	s.db.opts.hooks.at("ship: put")
	select {
	case s.done <- sh:
	case <-ctx.Done():
	}
}

// putObject puts a WAL object under its name, if absent, until it is there.
// An error is final: the log was taken over, somebody else's object lies under
// the name, or ctx ended with the outcome unknown.
func putObject(ctx context.Context, b objstore.Bucket, h wal.ObjectHeader, body []byte, retry *retry) error {
	name := wal.ObjectName(h.At.Epoch, h.At.Number)
	for {
		err := retry.attempt(ctx, len(body), func(ctx context.Context) error {
			_, err := b.Put(ctx, name, body, objstore.IfAbsent())
			return err
		})
		if err == nil {
			return nil
		}
		if errors.Is(err, objstore.ErrPrecondition) {
			there, err := readObject(ctx, b, name, retry)
			switch {
			case errors.Is(err, objstore.ErrNotFound): // refused and yet absent: a store in motion
			case err != nil:
				return err
			case there.Nonce == h.Nonce:
				return nil
			case there.Kind == wal.Fence && there.Next.Epoch > h.At.Epoch:
				return fmt.Errorf("%w: %s names epoch %d, ours is %d", ErrFenced, name, there.Next.Epoch, h.At.Epoch)
			default:
				return &CorruptError{Object: name, Err: fmt.Errorf("somebody else's object: nonce %v, ours is %v", there.Nonce, h.Nonce)}
			}
		}
		if err := retry.pause(ctx, name, err); err != nil {
			return err
		}
	}
}

// readObject reads a WAL object, repeating what may pass. ErrNotFound is an
// answer.
func readObject(ctx context.Context, b objstore.Reader, name string, retry *retry) (wal.Object, error) {
	got, err := retry.get(ctx, b, name, "")
	if err != nil {
		return wal.Object{}, err
	}
	return wal.DecodeObject(name, got.Data)
}
