package logdb

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"testing"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/wal"
)

var simMutants = flag.Bool("sim.mutants", false, "simulation: run every mutant until it is caught")

// mutant is an engine that lacks one rule of the protocol.
type mutant struct {
	name string
	off  defence
	put  func(s *shipper, sh *shipment, body []byte) error
	// within is how many schedules, from the first, catch it.
	within int
	// schedule catches it where chance does not, or seldom.
	schedule func(*stage)
	// masked says which other rule makes its loss unseen. It is kept for the
	// day when that other one does not hold.
	masked string
}

var mutants = []mutant{
	{off: limitInDirectory, within: 60, schedule: appliedReadLost},
	{off: limitOfRun, schedule: limitOfOlderRun},
	{off: limitInManifest, within: 20},
	{off: limitHolds, within: 500},
	{off: directoryRun, within: 500, schedule: killedTwice},
	{off: epochByNonce, within: 500},
	{off: manifestAfterFence, within: 2000, schedule: lateFence},
	{off: replayFromEnd, within: 20},
	{off: stagedFromEnd, within: 500},
	{off: stagedInOrder, within: 500},
	{off: timesGoOn, within: 60},
	{off: tablesFirst, within: 200},
	{off: cutAtAttempted, schedule: sweepHeld},
	{off: landedFirst, within: 20},
	{off: flushInOrder, schedule: flushElsewhere},
	{off: editOnce, within: 2000},
	{off: fencesStay, within: 20, schedule: zombiePut},
	{off: graceFirst, schedule: freshReader},
	{off: orphanEpoch, schedule: sweepUnnamed},
	{off: heldTables, schedule: sweepHeld},
	{off: compactorEpoch, schedule: lateMerge},
	{off: inputsThere, schedule: mergeElsewhere},
	{off: recoveryComplete, schedule: unfinishedRecovery},
	{off: walNames, schedule: sweepElsewhere},
	{name: "names are kept for the grace, by a compactor too", off: graceFirst, schedule: staleReader},
	{name: "tables of a running epoch are no orphans, of a compactor neither", off: orphanEpoch, schedule: sweepMerging},
	{off: tailDropped, within: 100},
	{off: manifestFollowed, schedule: manifestMoved},
	{off: gapRefused, schedule: gap},
	{off: refreshBounded, masked: "the context of a refresh ends sooner"},
	{name: "a 412 is settled by reading", put: putUnread, within: 60},
	{name: "bytes are frozen: a nonce per attempt", put: putRenewed, within: 20},
	{name: "bytes are frozen: a retry takes more in", put: putCoalesced, within: 500},
	{name: "an unknown outcome is sent again", put: putOnce, within: 20},
}

func (m mutant) String() string {
	if m.name != "" {
		return m.name
	}
	return string(m.off)
}

// hunt runs schedules until one is caught, and returns how many that took; 0
// if none was.
func (m mutant) hunt(t *testing.T, bound int) (seeds int, how string) {
	for i := range bound {
		s := simulate(t, simConfig{seed: uint64(i + 1), steps: *simSteps, off: m.off, put: m.put})
		if len(s.violations) > 0 {
			return i + 1, s.violations[0]
		}
	}
	return 0, ""
}

// plays is how often a schedule is played that was not arranged, or showed
// nothing: what happens at one virtual instant has no order, and a busy machine
// now and then chooses the one that shows nothing.
const plays = 5

// play fails unless the mutant's own schedule catches it.
func (m mutant) play(t *testing.T) {
	t.Helper()
	var err error
	for range plays {
		err = perform(t, m.off, m.schedule)
		if err != nil && !errors.As(err, new(unarranged)) {
			t.Logf("caught by its own schedule: %.200v", err)
			return
		}
	}
	t.Fatalf("not caught by its own schedule in %d plays: %v", plays, err)
}

// TestMutants shows that the loss of each rule is noticed: by the schedule
// that is for it and, where it does not take too many, by the simulation.
func TestMutants(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.String(), func(t *testing.T) {
			if m.masked != "" {
				t.Skipf("not to be seen from outside: %s", m.masked)
			}
			if m.schedule != nil {
				m.play(t)
			}
			if m.within == 0 || !*simMutants && m.within > 20 {
				return
			}
			seeds, how := m.hunt(t, m.within)
			if seeds == 0 {
				t.Fatalf("not caught by %d schedules", m.within)
			}
			t.Logf("caught by random schedule %d: %.200s", seeds, how)
		})
	}
}

// attempt sends an object once.
func (s *shipper) attempt(h wal.ObjectHeader, body []byte) error {
	return s.db.retry("ship").attempt(s.db.stop, len(body), func(ctx context.Context) error {
		_, err := s.db.bucket.Put(ctx, wal.ObjectName(h.At.Epoch, h.At.Number), body, objstore.IfAbsent())
		return err
	})
}

// resend repeats send until it is told that the object is there. A 412 is
// taken for our own success if the object there has our epoch.
func (s *shipper) resend(sh *shipment, send func(try int) error) error {
	retry := s.db.retry("ship")
	for try := 0; ; try++ {
		err := send(try)
		if err == nil {
			return nil
		}
		name := wal.ObjectName(sh.header.At.Epoch, sh.header.At.Number)
		if errors.Is(err, objstore.ErrPrecondition) {
			there, err := readObject(s.db.stop, s.db.bucket, name, retry)
			if err != nil {
				return err
			}
			if there.Kind != wal.Fence {
				return nil
			}
			return fmt.Errorf("%w: %s", ErrFenced, name)
		}
		if err := retry.pause(s.db.stop, name, err); err != nil {
			return err
		}
	}
}

// putUnread takes every 412 for its own earlier success.
func putUnread(s *shipper, sh *shipment, body []byte) error {
	return s.resend(sh, func(int) error {
		if err := s.attempt(sh.header, body); !errors.Is(err, objstore.ErrPrecondition) {
			return err
		}
		return nil
	})
}

// putRenewed makes the bytes anew for every attempt, nonce included.
func putRenewed(s *shipper, sh *shipment, body []byte) error {
	for {
		err := s.attempt(sh.header, body)
		if err == nil {
			return nil
		}
		if sh.header.Kind == wal.Data {
			sh.header.Nonce = objstore.NewID()
			body = wal.AppendData(nil, sh.header, sh.frames)
		}
		if errors.Is(err, objstore.ErrPrecondition) {
			return putObject(s.db.stop, s.db.bucket, sh.header, body, s.db.retry("ship"))
		}
		if err := s.db.retry("ship").pause(s.db.stop, "", err); err != nil {
			return err
		}
	}
}

// putCoalesced takes what was committed meanwhile into the retry.
func putCoalesced(s *shipper, sh *shipment, body []byte) error {
	return s.resend(sh, func(try int) error {
		if try > 0 && sh.header.Kind == wal.Data {
			if frames, _, _ := s.db.state.frames(sh.gen, 0); len(frames) > 0 && frames[len(frames)-1].End() > sh.header.End {
				more := sh.header
				more.End = frames[len(frames)-1].End()
				for len(frames) > 0 && frames[0].Header().First < more.Start {
					frames = frames[1:]
				}
				body = wal.AppendData(nil, more, frames)
			}
		}
		return s.attempt(sh.header, body)
	})
}

// putOnce takes a failed attempt for landed.
func putOnce(s *shipper, sh *shipment, body []byte) error {
	if err := s.attempt(sh.header, body); errors.Is(err, objstore.ErrPrecondition) || s.db.stop.Err() != nil {
		return putObject(s.db.stop, s.db.bucket, sh.header, body, s.db.retry("ship"))
	}
	return nil
}
