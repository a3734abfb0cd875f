package logdb

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/logdb-go/logdb/objstore"
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

	spare bodies // of data objects; none while nothing is left to ship

	wanted    atomic.Uint64 // ordinal below which somebody waits for Remote
	unflushed atomic.Int64  // WAL objects that recovery would have to read
	asleep    atomic.Bool   // nothing is left to start: the next frame must kick

	// Owned by the goroutine.
	next    uint64 // number of the next object
	end     uint64 // exclusive sequence where the last decided object ends
	ordinal uint64 // frames decided
	last    time.Time
	waiting []*shipment // decided, and no number yet
	flying  []*shipment // started, in number order
	afloat  int64       // frame bytes of those
	gen     *generation // the generation whose frames come next
	taken   int         // frames of it that were decided
	shipped int64       // their bytes
	asked   *generation // the committer was asked to rotate it
}

// shipment is one WAL object on its way.
type shipment struct {
	header  wal.ObjectHeader
	frames  []wal.Frame // a data object's
	gen     *generation
	last    bool   // of its generation
	ordinal uint64 // frames decided up to and with this one
	landed  bool
	bytes   int64 // of frames
	size    int
	begun   time.Time
}

const (
	maxDataObject = 32 << 20 // frame bytes in one WAL object; one larger batch still goes alone
	// parallelObject is how many frame bytes start a PUT although another is
	// under way. Below it somebody who waits for Remote would gain little and
	// the bill would grow; above it the bytes take as long as the request.
	parallelObject = 256 << 10
	// spareObjects is how many buffers of objects are kept for the next ones.
	spareObjects = 2
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
		s.db.arrears.shipped(sh.header.End)
		s.db.remote.advance(sh.header.End)
		s.db.followers.visible()
		s.db.local.advance(sh.header.End)
		s.db.shipped.advance(sh.ordinal)
		s.afloat -= sh.bytes
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
	for {
		s.launch()
		blocked := len(s.waiting) > 0 || len(s.flying) >= shipWindow
		if blocked && !s.db.stager.on.Load() {
			return time.Hour // a landing comes first
		}
		if g := s.unnamed(); g != nil {
			s.startTables(g, nil, 0)
			continue
		}
		frames, bytes, sealed := s.advance()
		if len(frames) == 0 {
			s.asleep.Store(true)
			if len(s.flying) == 0 {
				s.spare.keep(0)
			}
			if frames, bytes, sealed = s.advance(); len(frames) == 0 { // looked again: no frame is missed
				return time.Hour
			}
		}
		switch {
		case sealed && s.gen.seal == nil && (blocked || bytes >= s.db.opts.Memory.Memtable/2):
			s.startTables(s.gen, frames, bytes)
		case sealed && len(frames) > 1 && (blocked || bytes >= s.db.opts.Memory.Memtable/2):
			s.startTables(s.gen, frames[:len(frames)-1], bytes-int64(len(s.gen.seal)))
		case blocked && !sealed:
			return time.Hour
		default:
			if due, wait := s.due(bytes, sealed); !due {
				return wait
			}
			s.startData(frames, sealed)
		}
	}
}

// launch gives numbers to what is decided and starts it, as far as the window
// and the budget of bytes on their way allow.
func (s *shipper) launch() {
	for len(s.waiting) > 0 && len(s.flying) < shipWindow && s.fits(s.waiting[0].bytes) {
		sh := s.waiting[0]
		s.waiting = s.waiting[1:]
		sh.header.At = wal.Position{Epoch: s.db.epoch, Number: s.next}
		sh.header.Nonce, sh.header.ManifestVersion = objstore.NewID(), s.db.keeper.version.Load()
		s.next++
		if sh.last {
			sh.gen.after = wal.Position{Epoch: s.db.epoch, Number: s.next}
		}
		sh.begun = time.Now()
		s.flying = append(s.flying, sh)
		s.afloat += sh.bytes
		s.db.spawn(func() { s.put(sh) })
	}
}

// fits bounds the bytes that are on their way: each is in memory until it has
// landed.
func (s *shipper) fits(bytes int64) bool {
	return len(s.flying) == 0 || s.afloat+bytes <= s.db.opts.Memory.Memtable
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

// unnamed returns the generation whose frames come next if its records are
// staged tables that an earlier writer left, and are to be named first.
func (s *shipper) unnamed() *generation {
	if s.gen == nil || closed(s.gen.decided) {
		s.gen, s.taken, s.shipped = s.undecided(), 0, 0
	}
	if s.gen == nil || s.gen.named || len(s.gen.inherited) == 0 {
		return nil
	}
	return s.gen
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
	if gens := s.db.state.generations(); gens[0] != g && g.objects < flushAtObjects {
		return s.db.opts.FlushInterval / 8 // one waits already: while the bucket is away more of them gain nothing
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

// finish ends a sealed generation whose every frame was decided before it was
// sealed.
func (s *shipper) finish(g *generation) {
	g.after = wal.Position{Epoch: s.db.epoch, Number: s.next} // unless its last object is yet to get a number
	s.decide(g)
	for _, shipments := range [][]*shipment{s.waiting, s.flying} {
		for i := len(shipments) - 1; i >= 0; i-- {
			if shipments[i].gen == g {
				shipments[i].last = true
				return
			}
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
	if s.wanted.Load() > s.ordinal && (len(s.flying) == 0 || bytes >= parallelObject && s.fits(bytes)) {
		return true, 0
	}
	if !s.fits(min(bytes, maxDataObject)) {
		return false, time.Hour // a landing comes first
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

// fillsSoon reports whether the memtable will be full within two intervals at
// the present rate, or would be if the flush kept up. Then it is cheaper to put
// it as a table at once: its bytes are written twice, not three times.
func (s *shipper) fillsSoon(bytes int64, since time.Duration) bool {
	o := &s.db.opts
	if len(s.db.state.generations()) >= keptMemtables-1 {
		return since < 8*o.ShipInterval
	}
	left := o.Memory.Memtable - s.gen.mem.Memory()
	return since < 4*o.ShipInterval && bytes > 0 && float64(left)/float64(bytes)*float64(since) <= float64(2*o.ShipInterval)
}

// header starts the header of the next object, which ends at end. It gets its
// place when it is launched.
func (s *shipper) header(kind wal.ObjectKind, frames []wal.Frame, end uint64) wal.ObjectHeader {
	h := wal.ObjectHeader{Kind: kind, Log: s.db.logID, Start: s.end, End: end}
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
	// A slice of its own: the generation's would keep all of its frames.
	sh := &shipment{header: s.header(wal.Data, frames[:n], end), frames: slices.Clone(frames[:n]), gen: s.gen, last: last, bytes: bytes}
	s.start(sh, n, bytes)
	if last {
		s.decide(s.gen)
	}
}

// decide ends a generation whose last object is decided.
func (s *shipper) decide(g *generation) {
	if !g.named {
		g.cut = g.end
	}
	close(g.decided)
	wake(s.db.flusher.kick)
	wake(s.db.stager.kick)
}

// startTables puts the rest of a sealed generation as tables, named by a small
// object, instead of putting it twice. It gives the number now and leaves the
// rest to the flusher: the object is put only when every table it names is
// there. A seal is no record and follows in an object of its own.
func (s *shipper) startTables(g *generation, frames []wal.Frame, bytes int64) {
	sh := &shipment{header: s.header(wal.Tables, frames, g.end), gen: g, last: g.seal == nil}
	if len(frames) == 0 {
		sh.header.MinMs, sh.header.MaxMs = tableTimes(g.inherited)
	}
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
	s.end = sh.header.End
	s.taken += frames
	s.shipped += bytes
	s.ordinal += uint64(frames)
	s.last = time.Now()
	sh.ordinal = s.ordinal
	s.waiting = append(s.waiting, sh)
}
