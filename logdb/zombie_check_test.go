//go:build unix

package logdb

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// stop waits until a writer has stopped itself at its step, or stops it
// anywhere. One that replaces an object in a bucket of files at that moment
// holds the lock that everybody needs: it is given another moment.
func (z *zombies) stop(p *process) {
	z.t.Helper()
	z.stops++
	if p.Step != "" {
		p.await("stop at "+p.Step, func() bool { return p.stopped })
	} else {
		acks := 20 + z.rng.IntN(200)
		p.await("append", func() bool { return p.total() >= acks })
		p.signal(syscall.SIGSTOP)
	}
	for p.awaitStop(); bucketLocked(z.t, z.url); p.awaitStop() {
		p.signal(syscall.SIGCONT) // it is at its step yet
		p.signal(syscall.SIGSTOP)
	}
}

// awaitStop returns when no thread of the process runs any more.
func (p *process) awaitStop() {
	p.ledger.t.Helper()
	for {
		var status syscall.WaitStatus
		_, err := syscall.Wait4(p.cmd.Process.Pid, &status, syscall.WUNTRACED, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil || !status.Stopped():
			p.ledger.t.Fatalf("%s did not stop: %v, status %#x\n%s", p.Run, err, status, p.said.String())
		default:
			return
		}
	}
}

// check holds the log, and the directories that nobody has open, against all
// that the writers were told. The last of them has ended.
func (z *zombies) check(w *onlooker) {
	z.t.Helper()
	r := openReader(z.t, z.bucket, ReaderOptions{RefreshInterval: -1})
	all := mustHistory(z.t, r)
	found := z.batches("the log", all)
	for _, c := range z.cuts {
		n, _ := slices.BinarySearchFunc(all, c.end, func(e Entry, end uint64) int { return cmp.Compare(e.Sequence, end) })
		sameEntries(z.t, "below the fence of "+c.run, all[:n], c.held)
	}
	w.caughtUp(all)
	kept := map[string]*foundBatch{}
	for _, dir := range z.dirs() {
		for id, b := range z.batches(dir, walEntries(z, dir)) {
			kept[id] = b
		}
	}
	z.holds("the log", found, func(_ string, b toldBatch) bool { return b.level == Remote })
	z.lost = 0
	z.holds("log and directories", found, func(id string, b toldBatch) bool {
		p := z.all[b.run]
		switch {
		case b.level == Applied && (p.Dir == "" || p.killed): // nobody promised it
			return false
		case kept[id] != nil:
			z.lost++
			return false
		}
		return true
	})
}

// dirs are the WAL directories, and those below that hold what was lost.
func (z *zombies) dirs() []string {
	dirs, err := filepath.Glob(filepath.Join(z.root, "*"))
	if err != nil {
		z.t.Fatal(err)
	}
	lost, err := filepath.Glob(filepath.Join(z.root, "*", "lost", "*"))
	if err != nil {
		z.t.Fatal(err)
	}
	return append(dirs, lost...)
}

func walEntries(z *zombies, dir string) []Entry {
	z.t.Helper()
	var out []Entry
	for e, err := range ReadWAL(dir) {
		if err != nil {
			z.t.Fatalf("%s: %v", dir, err)
		}
		out = append(out, owned(e))
	}
	return out
}

// rest opens the log once more and brings it to rest: it is whole.
func (z *zombies) rest() {
	z.t.Helper()
	d := openLog(z.t, z.bucket, processOptions(filepath.Join(z.root, "wal0")))
	closeLog(z.t, d)
	checkBucket(z.t, z.bucket)
}

// bucketLocked reports whether somebody holds the lock of a bucket of files.
func bucketLocked(t *testing.T, url string) bool {
	path, isFile := strings.CutPrefix(url, "file://")
	if !isFile {
		return false
	}
	fd, err := syscall.Open(filepath.Join(path, ".tmp", "lock"), syscall.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	return syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB) != nil
}
