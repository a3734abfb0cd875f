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
	// within is how many schedules, from the first, catch it; 0: only a
	// directed schedule does, which is named in directed.
	within   int
	directed func(*testing.T, defence) error
}

var mutants = []mutant{
	{off: limitInDirectory, within: 1000},
	{off: limitOfRun, within: 1000},
	{off: limitInManifest, within: 1000},
	{off: limitHolds, within: 1000},
	{off: directoryRun, within: 1000},
	{off: epochByNonce, within: 1000},
	{off: manifestAfterFence, within: 1000},
	{off: replayFromEnd, within: 1000},
	{off: timesGoOn, within: 1000},
	{off: tablesFirst, within: 1000},
	{off: cutAtAttempted, within: 1000},
	{off: landedFirst, within: 1000},
	{off: flushInOrder, within: 1000},
	{off: editOnce, within: 1000},
	{off: fencesStay, within: 1000},
	{off: graceFirst, within: 1000},
	{off: orphanEpoch, within: 1000},
	{off: heldTables, within: 1000},
	{off: tailDropped, within: 1000},
	{off: manifestFollowed, within: 1000},
	{off: gapRefused, within: 1000},
	{off: refreshBounded, within: 1000},
	{name: "a 412 is settled by reading", put: putUnread, within: 1000},
	{name: "bytes are frozen: a nonce per attempt", put: putRenewed, within: 1000},
	{name: "bytes are frozen: a retry takes more in", put: putCoalesced, within: 1000},
	{name: "an unknown outcome is sent again", put: putOnce, within: 1000},
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

// TestMutants shows that the simulation notices the loss of each rule.
func TestMutants(t *testing.T) {
	for _, m := range mutants {
		if !*simMutants && (m.within == 0 || m.within > 20) {
			continue
		}
		t.Run(m.String(), func(t *testing.T) {
			seeds, how := m.hunt(t, m.within)
			if seeds == 0 {
				t.Fatalf("not caught by %d schedules", m.within)
			}
			t.Logf("caught by schedule %d: %.200s", seeds, how)
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
			body = wal.EncodeData(sh.header, sh.frames)
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
				body = wal.EncodeData(more, frames)
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
