package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/logdb-go/logdb/logdb"
)

func (a *app) walCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "wal [DIR]",
		Short: "Tell what a local WAL directory holds",
		Long: `Tell what a local WAL directory holds: its log, its files, and what was set aside
in lost/ because another directory had opened the log before it was shipped.

Nothing is changed or locked; a writer may be at work meanwhile. Exit status 1 if
anything is damaged.`,
		Args: wantArgs(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := a.walArg(args)
			if err != nil {
				return err
			}
			in, err := logdb.InspectWAL(dir)
			if err != nil {
				return err
			}
			return a.printWAL(dir, in)
		},
	}
	cmd.AddCommand(a.walDumpCommand())
	return cmd
}

// walArg is the directory that was named, or the one that the writers of this
// bucket would use.
func (a *app) walArg(args []string) (string, error) {
	if len(args) == 1 {
		return args[0], nil
	}
	if dir := a.walDir(); dir != "" {
		return dir, nil
	}
	return "", badUsage("which directory? bucket %s has none beside it", a.bucketURL)
}

type walLine struct {
	Dir        string `json:"dir"`
	ID         string `json:"id,omitempty"`
	Log        string `json:"log,omitempty"`
	Epoch      uint64 `json:"epoch"`
	Limit      uint64 `json:"limit"`
	LimitEpoch uint64 `json:"limit_epoch"`
	InUse      *bool  `json:"in_use"` // null: not known
	Error      string `json:"error,omitempty"`
}

func (a *app) printWAL(dir string, in logdb.WALInspection) error {
	out := a.printer()
	damaged := uint64(0)
	if in.StateErr != nil {
		damaged++
	}
	if err := a.printWALState(out, dir, in); err != nil {
		return err
	}
	files := append(stagedRows(in.Staged), in.Files...)
	here := len(files)
	for _, l := range in.Lost {
		files = append(append(files, stagedRows(l.Staged)...), l.Files...)
	}
	if len(files) > 0 {
		if err := out.head("%10s %10s %10s %10s %10s %10s %10s  %-15s  %s", "EPOCH", "BYTES", "BATCHES", "SEALS", "RECORDS", "FIRST", "END", "ENDS", "FILE"); err != nil {
			return err
		}
	}
	for i, f := range files {
		if f.Err != nil {
			damaged++
		}
		if err := out.walFile(dir, f, i >= here, in.InUse); err != nil {
			return err
		}
	}
	if err := printLost(out, in); err != nil {
		return err
	}
	if err := out.flush(); err != nil {
		return err
	}
	if damaged > 0 {
		return errors.New(plural(damaged, "file") + " damaged")
	}
	return nil
}

func (a *app) printWALState(out *printer, dir string, in logdb.WALInspection) error {
	l := walLine{Dir: dir, ID: in.Dir.String(), Epoch: in.State.Epoch, Limit: in.State.Limit, LimitEpoch: in.State.LimitEpoch}
	used := "not known"
	if in.InUseKnown {
		l.InUse = &in.InUse
		used = map[bool]string{true: "yes, by a running process", false: "no"}[in.InUse]
	}
	log := "none yet"
	if !in.State.Log.IsZero() {
		l.Log = in.State.Log.String()
		log = l.Log
	}
	if in.StateErr != nil {
		l.ID, l.Error = "", in.StateErr.Error()
		return out.line(l, "%s\n  in use  %s\n  state   %v", dir, used, in.StateErr)
	}
	return out.line(l, "%s\n  id      %s\n  log     %s\n  epoch   %d, the last one noted\n  limit   %d, of epoch %d: no sequence at or above it was shown\n  in use  %s",
		dir, l.ID, log, l.Epoch, l.Limit, l.LimitEpoch, used)
}

// stagedRows shows files of staged memtables as files of frames, which they
// stand for.
func stagedRows(staged []logdb.WALStaged) (rows []logdb.WALFile) {
	for _, s := range staged {
		rows = append(rows, logdb.WALFile{Path: s.Path, Epoch: s.Epoch, Bytes: s.Bytes, Batches: s.Frames, First: s.First, End: s.End, Closed: true, Err: s.Err})
	}
	return rows
}

type walFileLine struct {
	File    string `json:"file"`
	Lost    bool   `json:"lost"`
	Epoch   uint64 `json:"epoch"`
	Bytes   int64  `json:"bytes"`
	Batches uint64 `json:"batches"`
	Seals   uint64 `json:"seals"`
	Records uint64 `json:"records"`
	First   uint64 `json:"first"`
	End     uint64 `json:"end"`
	Closed  bool   `json:"closed"`
	Torn    int64  `json:"torn_bytes"`
	Error   string `json:"error,omitempty"`
}

func (p *printer) walFile(dir string, f logdb.WALFile, lost, inUse bool) error {
	name := f.Path
	if rel, err := filepath.Rel(dir, f.Path); err == nil {
		name = rel
	}
	l := walFileLine{name, lost, f.Epoch, f.Bytes, f.Batches, f.Seals, f.Records, f.First, f.End, f.Closed, f.Torn, ""}
	ends := "closed"
	switch {
	case f.Err != nil:
		ends, l.Error = "DAMAGED", f.Err.Error()
	case strings.Contains(filepath.Base(f.Path), ".staged"):
		ends = "staged"
	case !f.Closed && inUse && !lost:
		ends = "open"
	case !f.Closed && f.Torn > 0:
		ends = "torn: " + size(float64(f.Torn))
	case !f.Closed:
		ends = "not closed"
	}
	err := p.line(l, "%10d %10d %10d %10d %10d %10d %10d  %-15s  %s", f.Epoch, f.Bytes, f.Batches, f.Seals, f.Records, f.First, f.End, ends, name)
	if err == nil && f.Err != nil {
		err = p.head("%10s %v", "", f.Err)
	}
	return err
}

// printLost says in words what lost/ is, and how to get at it.
func printLost(out *printer, in logdb.WALInspection) error {
	for _, l := range in.Lost {
		batches, records := uint64(0), uint64(0)
		for _, f := range append(stagedRows(l.Staged), l.Files...) {
			batches, records = batches+f.Batches, records+f.Records
		}
		err := out.head("set aside, not read by the log: %s, %s, %s; logdb wal dump %s",
			plural(uint64(len(l.Files)+len(l.Staged)), "file"), pluralOf(batches, "batch", "batches"), plural(records, "record"), l.Path)
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *app) walDumpCommand() *cobra.Command {
	var (
		only string
		b64  bool
	)
	cmd := &cobra.Command{
		Use:   "dump [DIR|FILE]",
		Short: "Print the records of a WAL directory or file",
		Long: `Print the records in the WAL files of a directory, or in one such file. lost/ is not
read with the directory above it: name the directory in it.

Some of the records may be in the log, too: those that were shipped and are not
trimmed. What the log lacks under its sequence was applied, or durable here, and
lost to the log.`,
		Example: `  logdb wal dump /var/lib/log/wal -o json
  logdb wal dump wal/lost/0c8f7a5b61d24d0f9e3a2b1c4d5e6f70-3 --key LAX-JFK`,
		Args: wantArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := a.walArg(args)
			if err != nil {
				return err
			}
			key, err := (&keyArg{b64}).parse(only)
			if err != nil {
				return err
			}
			return a.printWALRecords(path, func(k []byte) bool { return !cmd.Flags().Changed("key") || string(k) == string(key) })
		},
	}
	cmd.Flags().StringVar(&only, "key", "", "only the records of this `key`")
	cmd.Flags().BoolVar(&b64, "key-b64", false, "the key is base64, for keys that are no text")
	return cmd
}

// printWALRecords goes on behind a file that cannot be read: what is in the
// others may be all that is left.
func (a *app) printWALRecords(path string, wanted func(key []byte) bool) error {
	out := a.printer()
	var failed []error
	printed := 0
	for e, err := range logdb.ReadWAL(path) {
		if err != nil {
			failed = append(failed, err)
			continue
		}
		if !wanted(e.Key) {
			continue
		}
		if printed++; printed == 1 {
			if err := out.head("%10s  %-*s  %s", "SEQUENCE", len(timeFormat), "TIME", "KEY: VALUE"); err != nil {
				return err
			}
		}
		if err := out.keyedEntry(e); err != nil {
			return err
		}
	}
	if err := out.flush(); err != nil {
		return err
	}
	if printed == 0 && len(failed) == 0 && !a.json() {
		note(a.stderr, "no such record in %s", path)
	}
	return errors.Join(failed...)
}

// keyedEntry is entry where the records of many keys come mixed.
func (p *printer) keyedEntry(e logdb.Entry) error {
	if p.json {
		return p.entry(e)
	}
	return p.line(nil, "%10d  %s  %s: %s", e.Sequence, showTime(e.Time), show(e.Key), show(e.Value))
}

// pluralOf is plural for words that do not take an s.
func pluralOf(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
