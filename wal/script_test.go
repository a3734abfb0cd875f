package wal

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// The scripts know:
//
//	open                           open the directory
//	log epoch=E                    note the epoch and start its log
//	limit epoch=E value=N          remember a limit
//	append first=S count=N size=B  append one batch and wait until it is durable
//	seal first=S metadata=M        append a seal and wait until it is durable
//	rotate | trim below=S | close
//	crash                          lose power: only what was synced is left
//	cut file=F bytes=N             take N bytes from a file's end
//	flip file=F at=N               flip a bit
//	replay from=E to=E             frames, then counts
//	lost keep=E                    move every other epoch to lost/
//	files                          names below the directory, with the sizes of those in use
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/script", func(t *testing.T, path string) {
		s := &script{t: t, fs: vfs.NewCrashableMem()}
		datadriven.RunTest(t, path, s.run)
	})
}

type script struct {
	t  *testing.T
	fs *vfs.MemFS
	d  *Dir
	l  *Log
	r  *reports
}

func (s *script) run(t *testing.T, c *datadriven.TestData) string {
	out, err := s.command(c)
	if err != nil {
		out += strings.ReplaceAll(err.Error(), testLog.String(), "LOG") + "\n"
	}
	return out
}

func (s *script) number(c *datadriven.TestData, name string) uint64 {
	var v uint64
	c.MaybeScanArgs(s.t, name, &v)
	return v
}

func (s *script) text(c *datadriven.TestData, name string) (v string) {
	c.MaybeScanArgs(s.t, name, &v)
	return v
}

func (s *script) command(c *datadriven.TestData) (out string, err error) {
	switch c.Cmd {
	case "open":
		s.d, err = OpenDir(s.fs, "wal")
		return "", err
	case "log":
		return "", s.startLog(s.number(c, "epoch"))
	case "limit":
		return "", s.d.SetLimit(s.number(c, "epoch"), s.number(c, "value"))
	case "append":
		value := strings.Repeat("v", int(s.number(c, "size")))
		records := strings.Split(strings.Repeat("k="+value+" ", int(s.number(c, "count"))), " ")
		return "", s.append(batchOf(s.number(c, "first"), 0, records[:len(records)-1]...))
	case "seal":
		return "", s.append(NewSeal(Header{First: s.number(c, "first")}, []byte(s.text(c, "metadata"))))
	case "rotate":
		return "", s.l.Rotate()
	case "trim":
		return "", s.l.Trim(s.number(c, "below"))
	case "close":
		return "", s.d.Close()
	case "crash":
		s.l.next <- <-s.l.next // whether the next file is there already must not be left to chance
		after := s.fs.CrashClone(vfs.CrashCloneCfg{})
		err = s.d.Close()
		s.fs = after
		return "", err
	case "cut", "flip":
		s.harm(s.text(c, "file"), int(s.number(c, "bytes")), c.Cmd == "flip", int(s.number(c, "at")))
		return "", nil
	case "replay":
		return s.replay(s.number(c, "from"), s.number(c, "to"))
	case "lost":
		keep := s.number(c, "keep")
		moved, frames, err := s.d.MoveToLost(testLog, keep, keep)
		return fmt.Sprintf("%d files with %d frames\n", moved, frames), err
	case "files":
		return s.files("wal", ""), nil
	}
	return "", fmt.Errorf("unknown command %s", c.Cmd)
}

func (s *script) startLog(epoch uint64) error {
	if err := s.d.NoteEpoch(testLog, epoch, testLog); err != nil {
		return err
	}
	s.r = newReports()
	l, err := s.d.NewLog(epoch, s.r.synced)
	s.l = l
	return err
}

// append waits by the mark and not by the end, as a seal must.
func (s *script) append(f Frame) error {
	if err := s.l.Append(f, true); err != nil {
		return err
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	for s.r.err == nil && s.l.Durable() < s.l.Appended() {
		s.r.cond.Wait()
	}
	return s.r.err
}

func (s *script) harm(file string, cut int, flip bool, at int) {
	b := readAll(s.t, s.fs, "wal/"+file)
	b = b[:len(b)-cut]
	if flip {
		b[at] ^= 1
	}
	writeAll(s.t, s.fs, "wal/"+file, b)
}

func (s *script) replay(from, to uint64) (string, error) {
	var out strings.Builder
	stats, err := s.d.Replay(from, to, func(epoch uint64, f Frame) error {
		fmt.Fprintf(&out, "epoch %d: %s [%d, %d)", epoch, f.kind(), f.first(), f.End())
		if m := f.Metadata(); m != nil {
			fmt.Fprintf(&out, " metadata %s", m)
		}
		out.WriteString("\n")
		return nil
	})
	if err == nil {
		fmt.Fprintf(&out, "files %d, frames %d, records %d, torn %d, dropped %d\n", stats.Files, stats.Frames, stats.Records, stats.Torn, stats.Dropped)
	}
	return out.String(), err
}

// files leaves out the file created ahead of time, which may or may not be there yet.
func (s *script) files(dir, indent string) string {
	names, err := s.fs.List(dir)
	must(s.t, err)
	slices.Sort(names)
	var out strings.Builder
	for _, name := range names {
		info, err := s.fs.Stat(path.Join(dir, name))
		must(s.t, err)
		shown := strings.ReplaceAll(name, testLog.String(), "LOG")
		switch {
		case info.IsDir():
			fmt.Fprintf(&out, "%s%s/\n%s", indent, shown, s.files(path.Join(dir, name), indent+"  "))
		case strings.Contains(name, fileSuffix) && info.Size() > 0:
			fmt.Fprintf(&out, "%s%s\n", indent, shown)
		case !strings.Contains(name, fileSuffix):
			fmt.Fprintf(&out, "%s%s\n", indent, shown)
		}
	}
	return out.String()
}
