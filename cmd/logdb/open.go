package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/objstore"
)

// walFlag is --wal: a directory, or what follows from the bucket.
type walFlag struct {
	dir string
	set bool
}

func (f *walFlag) String() string     { return f.dir }
func (f *walFlag) Set(s string) error { f.dir, f.set = s, true; return nil }
func (f *walFlag) Type() string       { return "dir" }

// writerFlags adds what the commands that write have in common.
func (a *app) writerFlags(cmd *cobra.Command) {
	cmd.Flags().Var(&a.wal, "wal", "`directory` of the local write-ahead log; empty: none, every record waits for the bucket (default: for a file bucket the directory \"wal\" beside it, else none)")
	cmd.Flags().BoolVar(&a.takeover, "takeover", false, "write even if the last writer, elsewhere, may be alive: it is shut out")
	cmd.Flags().BoolVar(&a.external, "external-compactor", false, "leave the merging of tables to \"logdb compact\"")
}

func (a *app) bucket(ctx context.Context) (objstore.Bucket, error) {
	b, err := objstore.Open(ctx, a.bucketURL)
	if errors.Is(err, fs.ErrInvalid) {
		return nil, &usageError{err}
	}
	return b, err
}

// walDir returns the WAL directory: none where the bucket is not on this
// machine.
func (a *app) walDir() string {
	if a.wal.set {
		return a.wal.dir
	}
	u, err := url.Parse(a.bucketURL)
	if err != nil || u.Scheme != "file" {
		return ""
	}
	dir := u.Path
	if u.Opaque != "" {
		dir, _ = url.PathUnescape(u.Opaque) // objstore.Open has refused what cannot be
	}
	return filepath.Join(filepath.Dir(filepath.Clean(filepath.FromSlash(dir))), "wal")
}

func (a *app) logger() *slog.Logger {
	level := slog.LevelWarn
	if a.verbose {
		level = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
}

// write opens the log as its writer, runs f and closes it. What f wrote is in
// the bucket when write returns without an error.
func (a *app) write(ctx context.Context, f func(*logdb.LogDb) error) error {
	b, err := a.bucket(ctx)
	if err != nil {
		return err
	}
	d, err := a.open(ctx, b, logdb.Options{
		WALDir: a.walDir(), Polite: !a.takeover, Logger: a.logger(), ExternalCompactor: a.external, Limits: logdb.Limits{ValueBytes: maxValueBytes, BatchBytes: maxBatchBytes},
	})
	if err != nil {
		return err
	}
	return errors.Join(f(d), d.Close())
}

// open says what to do where the log has a writer.
func (a *app) open(ctx context.Context, b objstore.Bucket, o logdb.Options) (*logdb.LogDb, error) {
	d, err := logdb.Open(ctx, b, o)
	var busy *logdb.BusyError
	switch {
	case errors.As(err, &busy):
		return nil, fmt.Errorf("%w; if it is gone, --takeover takes the log now, and so does waiting a minute", err)
	case err != nil:
		return nil, fmt.Errorf("open %s: %w", a.bucketURL, err)
	}
	return d, nil
}

// read opens the log for reading alone, runs f and closes it.
func (a *app) read(ctx context.Context, o logdb.ReaderOptions, f func(*logdb.LogDbReader) error) error {
	b, err := a.bucket(ctx)
	if err != nil {
		return err
	}
	o.Logger = a.logger()
	r, err := logdb.OpenReader(ctx, b, o)
	if err != nil {
		return a.unreadable(err)
	}
	return errors.Join(f(r), r.Close())
}

// unreadable says of which bucket err speaks.
func (a *app) unreadable(err error) error {
	if errors.Is(err, logdb.ErrNoLog) {
		return fmt.Errorf("no log in %s: load and append make one", a.bucketURL)
	}
	return fmt.Errorf("%s: %w", a.bucketURL, err)
}

// once is for commands that read one state of the log and end.
var once = logdb.ReaderOptions{RefreshInterval: -1}
