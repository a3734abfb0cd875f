package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/spf13/cobra"

	"github.com/logdb-go/logdb/logdb"
)

func (a *app) appendCommand() *cobra.Command {
	p := &appender{app: a}
	ack := ""
	cmd := &cobra.Command{
		Use:   "append KEY [VALUE...]",
		Short: "Append values to one key, and print their sequences",
		Long: `Append values to one key, and print each record's sequence once it is acknowledged.

Values given as arguments are one atomic batch. Without any, every line of standard
input is a value, appended as it comes; lines that come while an append is under
way make up the next batch.`,
		Example: `  logdb append sensor-7 '{"celsius":21.5}'
  tail -f app.log | logdb append app --ack remote`,
		Args: wantArgs(1, math.MaxInt),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if p.level, err = parseAck(ack); err != nil {
				return err
			}
			if p.key, err = p.keyArg.parse(args[0]); err != nil {
				return err
			}
			p.out = a.printer()
			p.out.live = true
			return a.write(cmd.Context(), func(d *logdb.LogDb) error {
				p.db = d
				if len(args) > 1 {
					return p.values(cmd.Context(), args[1:])
				}
				return p.lines(cmd.Context())
			})
		},
	}
	a.writerFlags(cmd)
	p.keyArg.flag(cmd)
	cmd.Flags().StringVar(&ack, "ack", "", "`level` to wait for: applied (may be lost in a crash), local (on this disk), remote (in the bucket); default: local with a WAL directory, else remote")
	_ = cmd.RegisterFlagCompletionFunc("ack", cobra.FixedCompletions([]string{"applied", "local", "remote"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func parseAck(s string) (logdb.Durability, error) {
	if s == "" {
		return logdb.Default, nil
	}
	level, err := logdb.ParseDurability(s)
	if err != nil || level == logdb.Default {
		return level, badUsage("ack level %q, want applied, local or remote", s)
	}
	return level, nil
}

// appender appends values to one key.
type appender struct {
	app    *app
	keyArg keyArg
	key    []byte
	level  logdb.Durability
	db     *logdb.LogDb
	out    *printer
	ahead  *line // taken from the input, and in no batch yet
}

func (p *appender) values(ctx context.Context, values []string) error {
	records := make([]logdb.Record, len(values))
	for i, v := range values {
		records[i] = logdb.Record{Key: p.key, Value: []byte(v)}
	}
	return p.append(ctx, records)
}

type appendedLine struct {
	Sequence uint64  `json:"sequence"`
	Time     string  `json:"time"`
	Key      *string `json:"key,omitempty"`
	KeyB64   *string `json:"key_b64,omitempty"`
}

// append appends one batch and prints what was acknowledged.
func (p *appender) append(ctx context.Context, records []logdb.Record) error {
	a, err := p.db.Append(ctx, records, logdb.AppendOptions{Ack: p.level})
	if err != nil {
		return err
	}
	l := appendedLine{Time: showTime(a.Time)}
	l.Key, l.KeyB64 = text(p.key)
	for l.Sequence = a.First; l.Sequence < a.Next; l.Sequence++ {
		if err := p.out.line(l, "%d", l.Sequence); err != nil {
			return err
		}
	}
	return nil
}

// lines appends the lines of the input. One append is under way at a time, so
// that order is kept; it takes every line that waits.
func (p *appender) lines(ctx context.Context) error {
	lines := make(chan line, batchRecords)
	stop, cancel := context.WithCancel(ctx)
	defer cancel()
	go readLines(stop, p.app.stdin, lines) // left behind in a read that does not end; the process does
	for {
		if p.ahead == nil {
			select {
			case l := <-lines:
				p.ahead = &l
			case <-ctx.Done():
				return nil // interrupted between two records: what was appended is acknowledged
			}
		}
		records, err := p.gather(lines)
		if len(records) > 0 {
			if appendErr := p.append(ctx, records); appendErr != nil {
				return appendErr
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
	}
}

// gather makes a batch of what waits, and returns the error that it met.
func (p *appender) gather(lines <-chan line) (records []logdb.Record, err error) {
	for size := 0; p.ahead != nil; {
		l := p.ahead
		if l.err != nil {
			return records, l.err
		}
		if size += len(p.key) + len(l.value); size > maxBatchBytes && len(records) > 0 {
			return records, nil // it begins the next batch
		}
		p.ahead = nil
		records = append(records, logdb.Record{Key: p.key, Value: l.value})
		if len(records) >= batchRecords || size >= batchBytes {
			return records, nil
		}
		select {
		case l := <-lines:
			p.ahead = &l
		default:
		}
	}
	return records, nil
}

// line is one line of input without its end, or why there are no more.
type line struct {
	value []byte
	err   error
}

func readLines(ctx context.Context, r io.Reader, lines chan<- line) {
	in := bufio.NewReaderSize(r, 64<<10)
	for n := 1; ; n++ {
		value, err := readLine(in)
		if errors.Is(err, errTooLarge) {
			err = fmt.Errorf("line %d: %w", n, err)
		}
		for _, l := range []line{{value: value}, {err: err}} {
			if l.value == nil && l.err == nil {
				continue
			}
			select {
			case lines <- l:
			case <-ctx.Done():
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// readLine returns a line, nil for none. The last one may lack its end.
func readLine(in *bufio.Reader) ([]byte, error) {
	var value []byte
	for {
		piece, err := in.ReadSlice('\n')
		value = append(value, piece...)
		switch {
		case len(value) > maxValueBytes+1:
			return nil, errTooLarge
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && len(value) == 0:
			return nil, err
		}
		return append([]byte{}, bytes.TrimSuffix(value, []byte("\n"))...), err
	}
}
