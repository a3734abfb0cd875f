package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/logdb-go/logdb/logdb"
)

func (a *app) loadCommand() *cobra.Command {
	l := &loader{app: a}
	key := ""
	cmd := &cobra.Command{
		Use:   "load --key FIELD FILE...",
		Short: "Append the records of JSON files",
		Long: `Append the records of JSON files: JSON lines, or one array of objects; plain, gzip
or zstd; - is standard input. A record's value is its JSON as it stands; its key is
a field, or a template of fields. Files of any size are read as a stream.

Records that cannot be loaded are reported by number and counted, and the exit
status is 1; --strict stops at the first. Empty lines are skipped. When the total
is printed, every record is in the bucket.`,
		Example: `  logdb load --key '{origin}-{destination}' testdata/flights/flights-20k.json
  zcat events.gz | logdb load --key user -`,
		Args: wantArgs(1, math.MaxInt),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if l.key, err = parseKeyTemplate(key); err != nil {
				return err
			}
			return l.run(cmd.Context(), args)
		},
	}
	a.writerFlags(cmd)
	cmd.Flags().StringVar(&key, "key", "", "`field` that is a record's key, or a template like '{origin}-{destination}'")
	cmd.Flags().BoolVar(&l.strict, "strict", false, "stop at the first record that cannot be loaded")
	return cmd
}

// loader appends the records of some files.
type loader struct {
	app    *app
	key    keyTemplate
	strict bool

	db    *logdb.LogDb
	bar   *progress
	batch batch

	records, bytes, malformed uint64
	first, next               uint64
}

func (l *loader) run(ctx context.Context, files []string) error {
	begun := time.Now()
	if err := l.readable(files); err != nil {
		return err
	}
	l.bar = newProgress(l.app.stderr, files)
	err := l.app.write(ctx, func(d *logdb.LogDb) error {
		l.db = d
		err := l.files(ctx, files)
		if flushErr := l.append(context.WithoutCancel(ctx)); err == nil { // what was read before the error counts
			err = flushErr
		}
		return err
	})
	l.bar.finish()
	if l.db == nil {
		return err
	}
	if sumErr := l.summary(time.Since(begun)); err == nil {
		err = sumErr
	}
	if err == nil && l.malformed > 0 {
		err = fmt.Errorf("%s could not be loaded", plural(l.malformed, "record"))
	}
	return err
}

// readable finds a misspelled name before anything is written.
func (l *loader) readable(files []string) error {
	for _, name := range files {
		if name == "-" {
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (l *loader) files(ctx context.Context, files []string) error {
	for _, name := range files {
		if err := l.file(ctx, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (l *loader) file(ctx context.Context, name string) error {
	var r io.Reader = l.app.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		r = f
	}
	in, err := newInput(l.bar.reader(r))
	if err != nil {
		return err
	}
	for {
		if err := ctx.Err(); err != nil {
			return errors.New("interrupted")
		}
		err := l.record(ctx, in)
		var malformed *malformedError
		switch {
		case err == io.EOF:
			return nil
		case errors.As(err, &malformed):
			l.malformed++
			if l.strict {
				return err
			}
			l.bar.clear()
			fmt.Fprintf(l.app.stderr, "logdb: %s: %v\n", name, err)
		case err != nil:
			return err
		}
	}
}

// record takes the next record of an input into the batch.
func (l *loader) record(ctx context.Context, in *input) error {
	record, err := in.next()
	if err != nil {
		return err
	}
	if len(l.batch.data)+len(record)+logdb.MaxKeyBytes > maxBatchBytes {
		if err := l.append(ctx); err != nil {
			return err
		}
	}
	if err := l.batch.add(l.key, record); err != nil {
		return &malformedError{in.unit, in.n, err}
	}
	if len(l.batch.ends) >= 2*batchRecords || len(l.batch.data) >= batchBytes {
		return l.append(ctx)
	}
	return nil
}

// append appends the batch. Nobody waits for each to be durable: the last step
// of the command is that all are.
func (l *loader) append(ctx context.Context) error {
	records := l.batch.records()
	if len(records) == 0 {
		return nil
	}
	a, err := l.db.Append(ctx, records, logdb.AppendOptions{Ack: logdb.Applied})
	if err != nil {
		return err
	}
	if l.records == 0 {
		l.first = a.First
	}
	l.next = a.Next
	l.records += uint64(len(records))
	l.bytes += uint64(len(l.batch.data))
	l.batch.reset()
	return nil
}

type loadLine struct {
	Records   uint64  `json:"records"`
	Bytes     uint64  `json:"bytes"`
	Malformed uint64  `json:"malformed"`
	First     uint64  `json:"first"`
	Next      uint64  `json:"next"`
	Seconds   float64 `json:"seconds"`
}

func (l *loader) summary(took time.Duration) error {
	out := l.app.printer()
	seconds := max(took.Seconds(), 0.001)
	line := loadLine{l.records, l.bytes, l.malformed, l.first, l.next, took.Seconds()}
	err := out.line(line, "%s, %s, sequences [%d, %d), %d malformed, in %.1f s: %.0f records/s, %s/s",
		plural(l.records, "record"), size(float64(l.bytes)), l.first, l.next, l.malformed,
		seconds, float64(l.records)/seconds, size(float64(l.bytes)/seconds))
	if err != nil {
		return err
	}
	return out.flush()
}

// batch is records on their way into one append, in one piece of memory.
type batch struct {
	data []byte
	ends []int // of key, then value, of each record
}

// add appends one record; after an error it is not in the batch.
func (b *batch) add(t keyTemplate, record []byte) error {
	begin := len(b.data)
	data, err := t.append(b.data, record)
	if n := len(data) - begin; err == nil && n > logdb.MaxKeyBytes {
		err = fmt.Errorf("key of %d bytes, limit %d", n, logdb.MaxKeyBytes)
	}
	if err == nil && len(record) > maxValueBytes {
		err = errTooLarge
	}
	if err != nil {
		return err
	}
	b.ends = append(b.ends, len(data), len(data)+len(record))
	b.data = append(data, record...)
	return nil
}

func (b *batch) records() []logdb.Record {
	records := make([]logdb.Record, len(b.ends)/2)
	at := 0
	for i := range records {
		key, value := b.ends[2*i], b.ends[2*i+1]
		records[i] = logdb.Record{Key: b.data[at:key], Value: b.data[key:value]}
		at = value
	}
	return records
}

func (b *batch) reset() { b.data, b.ends = b.data[:0], b.ends[:0] }
