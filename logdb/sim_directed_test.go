package logdb

import (
	"errors"
	"testing"
	"time"

	"github.com/logdb-go/logdb/objstore/objstoretest"
	"github.com/logdb-go/logdb/segment"
	"github.com/logdb-go/logdb/wal"
)

// Schedules that chance does not find, or finds seldom. Each is played with
// the engine as it is; TestMutants plays some without the rule that they are
// for.
var schedules = map[string]func(*stage){
	"late fence on a collected number":            lateFence,
	"zombie PUT on a fence's number":              zombiePut,
	"a number lost for ever, the next one landed": lostNumber,
	"412 after an own unknown success":            ownSuccess,
	"CAS that lands after the old was read":       lateCAS,
	"killed twice while opening":                  killedTwice,
	"limit of an older run":                       limitOfOlderRun,
	"applied, read and lost":                      appliedReadLost,
	"manifest missing beside objects":             manifestMissing,
	"merge of a fenced writer":                    fencedMerge,
	"table name taken":                            tableNameTaken,
	"sweep while tables are only in the WAL":      sweepHeld,
	"sweep while a merge is unnamed":              sweepUnnamed,
	"fresh reader between manifest and WAL":       freshReader,
	"reader stalled inside a refresh":             stalledRefresh,
	"manifest moved":                              manifestMoved,
	"gap in the WAL":                              gap,
	"flush onto another manifest":                 flushElsewhere,
	"merge of a fenced compactor":                 lateMerge,
	"merge onto another manifest":                 mergeElsewhere,
	"sweep while recovery is under way elsewhere": unfinishedRecovery,
	"sweep of what another process's WAL names":   sweepElsewhere,
	"reader of a view that was merged":            staleReader,
	"sweeps while a compactor's merge is unnamed": sweepMerging,
}

func TestSchedules(t *testing.T) {
	for _, name := range sortedKeys(schedules) {
		t.Run(name, func(t *testing.T) {
			err := perform(t, "", schedules[name])
			for play := 1; play < plays && errors.As(err, new(unarranged)); play++ {
				err = perform(t, "", schedules[name])
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// lateFence: B has taken epoch 2 and seen no object 1; its fence is held up.
// A, not fenced yet, writes 1. C takes epoch 3, and 1 is collected. Then B's
// fence lands there: B must not believe that it is the writer.
func lateFence(s *stage) {
	a := s.open(s.bucket, s.options(nil))
	s.append(a, Remote, "a0")
	s.rotate(a)
	way := s.way(gated(objstoretest.Put, "wal/", "fence"))
	_, answer := s.opening(way, s.options(nil))
	<-way.Arrived("fence")
	s.append(a, Remote, "a1")
	c := s.open(s.bucket, s.options(nil))
	s.append(c, Remote, "c0")
	s.rotate(c)
	time.Sleep(time.Hour)
	s.arranged(!s.there(wal.ObjectName(1, 1)), "object 1 was not collected")
	way.Open("fence")
	err := <-answer
	s.need(errors.Is(err, ErrFenced), "B opens with %v, want ErrFenced", err)
	s.append(c, Remote, "c1")
	s.shows(s.reader(s.bucket, ReaderOptions{}), "a0", "a1", "c0", "c1")
}

// zombiePut: A's PUT is held up. B fences its number, writes, flushes, and
// days go by. The PUT must find the fence, and A's append no acknowledgement.
func zombiePut(s *stage) {
	s.open(s.bucket, s.options(nil))
	way := s.way(gated(objstoretest.Put, wal.ObjectName(2, 0), "put"))
	a := s.open(way, s.options(nil))
	acked := make(chan error, 1)
	go func() {
		_, err := a.Append(s.ctx, []Record{rec("k", "zombie")}, AppendOptions{Ack: Remote})
		acked <- err
	}()
	<-way.Arrived("put")
	b := s.open(s.bucket, s.options(nil))
	s.append(b, Remote, "b0")
	s.rotate(b)
	time.Sleep(72 * time.Hour)
	s.append(b, Remote, "b1")
	s.rotate(b)
	time.Sleep(72 * time.Hour)
	way.Open("put")
	err := <-acked
	s.need(errors.Is(err, ErrFenced), "the zombie's append ends with %v, want ErrFenced", err)
	s.shows(b, "b0", "b1")
}

// lostNumber: A's object 0 never lands, 1 does. Another writer finds neither;
// one from the same directory has both, once.
func lostNumber(s *stage) {
	fs := disk()
	o := s.options(fs)
	o.ShipInterval = 10 * time.Millisecond
	way := s.way(rule{kind: objstoretest.Put, prefix: wal.ObjectName(1, 0), fault: objstoretest.Fault{Kind: objstoretest.Refuse}})
	a := s.open(way, o)
	s.append(a, Local, "a0")
	time.Sleep(time.Second)
	s.append(a, Local, "a1")
	time.Sleep(time.Second)
	s.arranged(s.there(wal.ObjectName(1, 1)), "object 1 did not land")
	s.need(a.DurableSequence(Remote) == 0, "the watermark passed a hole")
	left := s.crashed(a, fs)
	d := s.open(s.bucket, s.options(left))
	s.shows(d, "a0", "a1")
	s.append(d, Remote, "d0")
	s.shows(s.reader(s.bucket, ReaderOptions{}), "a0", "a1", "d0")
	e := s.open(s.bucket, s.options(nil))
	s.append(e, Remote, "e0")
	s.shows(e, "a0", "a1", "d0", "e0")
}

// ownSuccess: the PUT landed and its answer was an error; more is appended
// before it is sent again.
func ownSuccess(s *stage) {
	way := s.way(rule{objstoretest.Put, wal.ObjectName(1, 0), 1, objstoretest.Fault{Kind: objstoretest.ApplyThenError}})
	a := s.open(way, s.options(nil))
	done := make(chan error, 1)
	go func() {
		_, err := a.Append(s.ctx, []Record{rec("k", "0")}, AppendOptions{Ack: Remote})
		done <- err
	}()
	settled()
	s.append(a, Remote, "1")
	s.must(<-done)
	s.shows(a, "0", "1")
	s.shows(s.open(s.bucket, s.options(nil)), "0", "1")
}

// lateCAS: the edit that names a flush is answered with an error, so is its
// repetition, and only then the first one lands.
func lateCAS(s *stage) {
	manifest := func(attempt int, f objstoretest.Fault) rule {
		return rule{objstoretest.Put, segment.ManifestName, attempt, f}
	}
	way := s.way(
		manifest(2, objstoretest.Fault{Kind: objstoretest.ApplyLater, Delay: 10 * time.Second}),
		manifest(3, objstoretest.Fault{Kind: objstoretest.Refuse}), manifest(4, objstoretest.Fault{Kind: objstoretest.Refuse}),
		manifest(5, objstoretest.Fault{Kind: objstoretest.LoseResponse}),
	)
	a := s.open(way, s.options(nil))
	for _, v := range []string{"0", "1", "2"} {
		s.append(a, Remote, v)
		s.rotate(a)
	}
	time.Sleep(time.Hour)
	s.must(a.Err())
	s.shows(a, "0", "1", "2")
	s.shows(s.open(s.bucket, s.options(nil)), "0", "1", "2")
}

// fencedMerge: a writer that was taken over does nothing but merge, and finds
// that its inputs have been collected. It learns why, and stops.
func fencedMerge(s *stage) {
	way := s.way(gated(objstoretest.GetRange, "seg/", "read"))
	a := s.open(way, s.options(nil))
	for _, v := range []string{"0", "1", "2"} {
		s.append(a, Remote, v)
		s.rotate(a)
	}
	_, _, err := a.SealSegment(s.ctx, nil)
	s.must(err)
	<-way.Arrived("read")
	d := s.open(s.bucket, s.options(nil))
	s.must(d.Compact(s.ctx))
	time.Sleep(time.Hour)
	way.Open("read")
	time.Sleep(time.Minute)
	s.need(errors.Is(a.Err(), ErrFenced), "the old writer's error is %v, want ErrFenced", a.Err())
}

// tableNameTaken: something lies under the name of a table that the writer
// is about to put. It must not be overwritten, and the writer must stop.
func tableNameTaken(s *stage) {
	a := s.open(s.bucket, s.options(nil))
	name := segment.Table{Segment: 1, ID: segment.TableID{Epoch: 1, N: 1}}.Name()
	_, err := s.bucket.Put(s.ctx, name, make([]byte, 4096), always())
	s.must(err)
	s.append(a, Remote, "0")
	s.need(<-a.control((*committer).rotate) == nil, "rotate")
	err = a.flushed.wait(s.ctx, 1)
	s.need(err != nil, "a flush took a foreign table for its own")
	got, err := s.bucket.Get(s.ctx, name)
	s.must(err)
	s.need(len(got.Data) == 4096, "the foreign table was overwritten")
	s.shows(s.open(s.bucket, s.options(nil)), "0")
}

// manifestMissing: nobody makes a new log over what is left of an old one.
func manifestMissing(s *stage) {
	fs := disk()
	a := s.open(s.bucket, s.options(fs))
	s.append(a, Remote, "0")
	s.must(a.Close())
	s.must(s.bucket.Delete(s.ctx, segment.ManifestName))
	for _, o := range []Options{s.options(nil), s.options(fs), s.options(disk())} {
		_, err := Open(s.ctx, s.bucket, o)
		s.need(errors.Is(err, ErrForeign), "open: %v, want ErrForeign", err)
	}
	_, err := OpenReader(s.ctx, s.bucket, ReaderOptions{})
	s.need(errors.Is(err, ErrNoLog), "open a reader: %v, want ErrNoLog", err)
	s.need(!s.there(segment.ManifestName), "a manifest was created")
}
