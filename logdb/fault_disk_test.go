package logdb

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/logdb-go/logdb/objstore"
)

// smallDisk is a file system with room for so many bytes. A write that finds
// too little room writes what fits, as a real one does.
type smallDisk struct {
	vfs.FS
	mu   sync.Mutex
	room int
	used int
	met  int // writes that found too little
}

func (s *smallDisk) take(n int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fits := min(n, s.room-s.used)
	s.used += fits
	if fits < n {
		s.met++
		return fits, syscall.ENOSPC
	}
	return fits, nil
}

func (s *smallDisk) wrap(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &smallFile{f, s}, nil
}

func (s *smallDisk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if _, err := s.take(0); err != nil {
		return nil, err
	}
	return s.wrap(s.FS.Create(name, c))
}

func (s *smallDisk) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return s.wrap(s.FS.OpenReadWrite(name, c, o...))
}

type smallFile struct {
	vfs.File
	disk *smallDisk
}

func (f *smallFile) Write(p []byte) (int, error) {
	fits, full := f.disk.take(len(p))
	n, err := f.File.Write(p[:fits])
	return n, errors.Join(err, full)
}

func (f *smallFile) WriteAt(p []byte, off int64) (int, error) {
	fits, full := f.disk.take(len(p))
	n, err := f.File.WriteAt(p[:fits], off)
	return n, errors.Join(err, full)
}

// fullStory is what a client saw of a log whose disk filled up.
type fullStory struct {
	acked   map[string]Appended // by what their values begin with
	refused map[string]bool     // said not to have been taken
	shown   uint64
	opened  bool
}

// tellFull appends until the disk is full, or the story is over. What fails
// fails with the disk's own error, and everything after it, too; what was
// applied can be read on.
func tellFull(t *testing.T, b objstore.Bucket, fs *smallDisk, what string) *fullStory {
	s := &fullStory{acked: map[string]Appended{}, refused: map[string]bool{}}
	o := tinyOptions()
	o.WALDir, o.fs = "wal", fs
	d, err := Open(context.Background(), b, o)
	if err != nil {
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: open: %v, want no space left", what, err)
		}
		return s
	}
	defer crash(d)
	s.opened = true
	var failed error
	for i, level := range []Durability{Local, Applied, Local, Remote, Local, Local} {
		if i == 3 && failed == nil {
			if err := <-d.control((*committer).rotate); err != nil && !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("%s: rotate: %v", what, err)
			}
		}
		id := fmt.Sprintf("b%d", i)
		a, err := d.Append(context.Background(), []Record{rec("a", id+" 0/2"), rec("b", id+" 1/2")}, AppendOptions{Ack: level})
		switch {
		case err == nil && failed != nil:
			t.Errorf("%s: batch %d is taken after %v", what, i, failed)
		case err == nil:
			s.acked[id], s.shown = a, a.Next
			if level == Applied {
				delete(s.acked, id)
			}
		case !errors.Is(err, syscall.ENOSPC):
			t.Errorf("%s: append: %v, want no space left", what, err)
		default:
			failed = err
			s.refused[id] = !errors.As(err, new(*PendingError))
		}
	}
	settled()
	if failed != nil {
		if err := d.Err(); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: the writer's error is %v, want no space left", what, err)
		}
		if n := len(scanAll(t, d, "a", Range{}, ScanOptions{})); n < len(s.acked) {
			t.Errorf("%s: the writer that stopped shows %d batches, %d are acknowledged", what, n, len(s.acked))
		}
	}
	return s
}

// again opens the log with room enough and holds it against what was said.
func (s *fullStory) again(t *testing.T, b *objstore.Mem, fs vfs.FS, what string) {
	o := tinyOptions()
	o.WALDir, o.fs = "wal", fs
	d, err := Open(context.Background(), b, o)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	found := map[string][]uint64{}
	for _, e := range mustHistory(t, d) {
		id, _, _ := strings.Cut(string(e.Value), " ")
		found[id] = append(found[id], e.Sequence)
	}
	for id, at := range found {
		if len(at) != 2 || at[1] != at[0]+1 || s.refused[id] {
			t.Errorf("%s: batch %s is at %d (refused: %v)", what, id, at, s.refused[id])
		}
	}
	for id, a := range s.acked {
		if len(found[id]) == 0 || found[id][0] != a.First {
			t.Errorf("%s: batch %s was acknowledged at %d and is at %d", what, id, a.First, found[id])
		}
	}
	if a := mustAppend(t, d, Local, "a", "new 0/1"); a.First < s.shown {
		t.Errorf("%s: sequence %d was shown and is given again", what, a.First)
	}
	closeLog(t, d)
	checkBucket(t, b)
}

// The disk of the local WAL is full after n bytes, for every n: what was
// acknowledged is there when there is room again, what was refused is not, and
// nothing is damaged; no matter whether the power went, too.
func TestDiskFull(t *testing.T) {
	all := 0
	synctest.Test(t, func(t *testing.T) {
		d := &smallDisk{FS: disk(), room: 1 << 30}
		if s := tellFull(t, objstore.NewMem(), d, "room enough"); len(s.acked) != 5 || d.met > 0 {
			t.Fatalf("with room enough: %+v", s)
		}
		all = d.used
	})
	const state = 8 << 10 // the state's two pages are written at once
	opened, stopped := 0, 0
	for n := 0; n < all; n++ {
		if n < state && n%512 != 0 && !*faultsAll {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			fs, b := disk(), objstore.NewMem()
			what := fmt.Sprintf("room for %d bytes of %d", n, all)
			s := tellFull(t, b, &smallDisk{FS: fs, room: n}, what)
			if s.opened {
				opened++
				if len(s.refused) > 0 {
					stopped++
				}
			}
			lost := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: n % 101, RNG: rand.New(rand.NewPCG(uint64(n), 0))})
			s.again(t, copyBucket(t, b), fs, what)
			s.again(t, b, lost, what+", then a power loss")
		})
		if t.Failed() {
			return
		}
	}
	t.Logf("%d bytes; %d times it opened, %d times it stopped later", all, opened, stopped)
	if opened == 0 || stopped == 0 {
		t.Error("the disk was never full while appending")
	}
}
