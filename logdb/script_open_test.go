package logdb

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/cockroachdb/pebble/v2/vfs"
)

func (s *script) options(d *datadriven.TestData) Options {
	o := Options{
		WALDir: arg(d, "wal", ""), Ack: s.level(d, "ack"), Visibility: s.level(d, "visibility"), Polite: d.HasArg("polite"),
		Limits: Limits{ValueBytes: int(s.number(d, "value", 0)), BatchBytes: int(s.number(d, "batch", 0))},
		Memory: Memory{Memtable: int64(s.number(d, "memtable", 0)), Queue: int64(s.number(d, "queue", 0)), QueueRecords: int(s.number(d, "queue-records", 0))},
		Segments: SegmentOptions{
			Interval: s.duration(d, "interval"), Bytes: int64(s.number(d, "bytes", 0)), NoConsolidation: d.HasArg("no-consolidation"),
		},
		Retention: Retention{
			Age: s.duration(d, "age"), Bytes: s.number(d, "keep-bytes", 0), Records: s.number(d, "keep-records", 0), Before: s.number(d, "before", 0),
		},
		ShipInterval: s.duration(d, "ship"), FlushInterval: s.duration(d, "flush"), CollectGrace: s.duration(d, "grace"),
	}
	if d.HasArg("clock-back") { // a clock that is behind what the log has seen
		back := s.duration(d, "clock-back")
		o.Clock = func() time.Time { return time.Now().Add(-back) }
	}
	if o.WALDir != "" {
		if s.disks[o.WALDir] == nil {
			s.disks[o.WALDir] = vfs.NewCrashableMem()
		}
		o.fs = s.disks[o.WALDir]
	}
	return o
}

// open [as=NAME] [wal=DIR] [options]
func (s *script) open(d *datadriven.TestData) string {
	o := s.options(d)
	ctx, cancel := s.bounded(d)
	defer cancel()
	l, err := Open(ctx, s.faulty, o)
	if err != nil {
		return answer("", err)
	}
	s.logs[arg(d, "as", "a")] = &scriptLog{LogDb: l, wal: o.WALDir}
	return fmt.Sprintf("epoch %d, next %d", l.epoch, l.committer.next)
}

// close [as=NAME]
func (s *script) close(d *datadriven.TestData) string {
	l := s.log(d)
	return answer("closed", l.Close())
}

// crash [as=NAME] [unsynced=PERCENT] ends a writer without Close. Its disk
// keeps what was synced, and of the rest that share.
func (s *script) crash(d *datadriven.TestData) string {
	l := s.log(d)
	if l.wal != "" {
		cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: int(s.number(d, "unsynced", 0)), RNG: rand.New(rand.NewPCG(1, 1))}
		s.disks[l.wal] = s.disks[l.wal].CrashClone(cfg)
	}
	crash(l.LogDb)
	delete(s.logs, arg(d, "as", "a"))
	return "crashed"
}

// advance DURATION lets time pass.
func (s *script) advance(d *datadriven.TestData) string {
	n, err := time.ParseDuration(d.CmdArgs[0].Key)
	if err != nil {
		d.Fatalf(s.t, "%v", err)
	}
	time.Sleep(n) // the bubble's time
	return ""
}

// lost [as=NAME] says what opening put aside.
func (s *script) lost(d *datadriven.TestData) string {
	l := s.log(d)
	lost := l.Lost()
	var out strings.Builder
	fmt.Fprintf(&out, "%d files, %d frames", lost.Files, lost.Frames)
	names, err := s.disks[l.wal].List(s.disks[l.wal].PathJoin(l.wal, "lost"))
	if err == nil && len(names) > 0 {
		fmt.Fprintf(&out, ", kept in %d directories below lost/", len(names))
	}
	return out.String()
}

// reader NAME [refresh=DURATION] opens a reader; without refresh= it looks
// only when told.
func (s *script) reader(d *datadriven.TestData) string {
	name := d.CmdArgs[0].Key
	o := ReaderOptions{RefreshInterval: -1}
	if d.HasArg("refresh") {
		o.RefreshInterval = s.duration(d, "refresh")
	}
	r, err := OpenReader(s.ctx, s.faulty, o)
	if err != nil {
		return answer("", err)
	}
	s.readers[name] = r
	return fmt.Sprintf("frontier %d", r.Frontier())
}

// refresh NAME
func (s *script) refresh(d *datadriven.TestData) string {
	r := s.readers[d.CmdArgs[0].Key]
	err := r.Refresh(s.ctx)
	return answer(fmt.Sprintf("frontier %d", r.Frontier()), err)
}

// close-reader NAME
func (s *script) closeReader(d *datadriven.TestData) string {
	return answer("closed", s.readers[d.CmdArgs[0].Key].Close())
}
