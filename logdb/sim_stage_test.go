package logdb

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// stage is where a directed schedule plays: one bucket, and processes that
// each have their own way to it. The engine's defence off, if any, is missing,
// and then the schedule is expected to fail.
type stage struct {
	ctx     context.Context
	off     defence
	bucket  *objstore.Mem
	writers []*LogDb
	readers []*LogDbReader
	gates   []func()
	closers []func() error // of compactors, once what they did has ended
}

// stageFailure is how a schedule ends early.
type stageFailure struct{ error }

// perform runs a schedule in a bubble of its own and returns what went wrong.
func perform(t *testing.T, off defence, schedule func(*stage)) (err error) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		s := &stage{ctx: ctx, off: off, bucket: objstore.NewMem()}
		defer s.clear(cancel)
		defer func() {
			if failure, ok := recover().(stageFailure); ok {
				err = failure.error
			}
		}()
		schedule(s)
	})
	return err
}

func (s *stage) clear(cancel func()) {
	for _, open := range s.gates {
		open()
	}
	cancel()
	for _, d := range s.writers {
		s.crash(d)
	}
	for _, r := range s.readers {
		_ = r.Close()
	}
	settled()
	for _, end := range s.closers {
		_ = end()
	}
}

// need ends the schedule unless ok.
func (s *stage) need(ok bool, format string, args ...any) {
	if !ok {
		panic(stageFailure{fmt.Errorf(format, args...)})
	}
}

// unarranged says that a schedule did not come to the point that it is for.
type unarranged struct{ error }

// arranged ends the schedule, which then shows nothing, unless ok.
func (s *stage) arranged(ok bool, format string, args ...any) {
	if !ok {
		panic(stageFailure{unarranged{fmt.Errorf("the schedule is not what it should be: "+format, args...)}})
	}
}

func (s *stage) must(err error) { s.need(err == nil, "%w", err) }

// rule is what becomes of the requests of a kind for names with a prefix.
type rule struct {
	kind    objstoretest.Kind
	prefix  string
	attempt int // of the name; 0: every one
	fault   objstoretest.Fault
}

// way is a process's own way to the bucket. Gates are open in the end.
func (s *stage) way(rules ...rule) *objstoretest.Faulty {
	f := objstoretest.NewFaulty(s.bucket, objstoretest.Plan{Hook: func(op objstoretest.Op) objstoretest.Fault {
		for _, r := range rules {
			if r.kind == op.Kind && strings.HasPrefix(op.Name, r.prefix) && (r.attempt == 0 || r.attempt == op.Attempt) {
				return r.fault
			}
		}
		return objstoretest.Fault{Kind: objstoretest.None}
	}})
	s.gates = append(s.gates, func() {
		for _, r := range rules {
			if r.fault.Gate != "" {
				f.Open(r.fault.Gate)
			}
		}
	})
	return f
}

// gated holds a request until its gate is opened.
func gated(kind objstoretest.Kind, prefix, gate string) rule {
	return rule{kind: kind, prefix: prefix, fault: objstoretest.Fault{Kind: objstoretest.Slow, Gate: gate}}
}

// options are those of a writer with a directory, or diskless without one.
func (s *stage) options(fs *vfs.MemFS) Options {
	o := Options{Memory: Memory{Cache: 1 << 20}, hooks: hooks{off: s.off}}
	if fs != nil {
		o.WALDir, o.fs = "wal", fs
	}
	return o
}

func (s *stage) open(b objstore.Bucket, o Options) *LogDb {
	d, err := Open(s.ctx, b, o)
	s.must(err)
	s.writers = append(s.writers, d)
	return d
}

// opening starts an open that is expected to be held up, and returns how to
// kill it and what it answers.
func (s *stage) opening(b objstore.Bucket, o Options) (kill func(), answer chan error) {
	ctx, cancel := context.WithCancel(s.ctx)
	answer = make(chan error, 1)
	go func() {
		d, err := Open(ctx, b, o)
		if err == nil {
			crash(d)
		}
		answer <- err
	}()
	return cancel, answer
}

func (s *stage) reader(b objstore.Reader, o ReaderOptions) *LogDbReader {
	o.Cache, o.hooks = 1<<20, hooks{off: s.off}
	r, err := OpenReader(s.ctx, b, o)
	s.must(err)
	s.readers = append(s.readers, r)
	return r
}

func (s *stage) append(d *LogDb, level Durability, values ...string) Appended {
	var records []Record
	for _, v := range values {
		records = append(records, rec("k", v))
	}
	a, err := d.Append(s.ctx, records, AppendOptions{Ack: level})
	s.must(err)
	return a
}

// rotate ends the memtable and waits until it is in the manifest.
func (s *stage) rotate(d *LogDb) {
	s.must(<-d.control((*committer).rotate))
	s.must(d.flushed.wait(s.ctx, d.applied.get()))
	settled()
}

// crash kills a writer, once.
func (s *stage) crash(d *LogDb) {
	if d.stop.Err() == nil {
		d.stopAll(errCrash)
	}
	_ = d.release()
}

// crashed is the disk as a kill leaves it: what was synced.
func (s *stage) crashed(d *LogDb, fs *vfs.MemFS) *vfs.MemFS {
	left := fs.CrashClone(vfs.CrashCloneCfg{})
	s.crash(d)
	return left
}

// shows fails unless a scan has exactly these values.
func (s *stage) shows(l LogRead, want ...string) {
	var got []string
	for e, err := range l.Scan(s.ctx, []byte("k"), Range{}, ScanOptions{}).All() {
		s.must(err)
		got = append(got, string(e.Value))
	}
	s.need(strings.Join(got, " ") == strings.Join(want, " "), "a scan shows %q, want %q", got, want)
}

// there reports whether an object exists.
func (s *stage) there(name string) bool {
	_, err := s.bucket.Get(s.ctx, name)
	return err == nil
}
