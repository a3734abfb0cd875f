package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// app is one invocation: its streams and the flags that all commands share.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer

	bucketURL string
	wal       walFlag
	takeover  bool
	external  bool // another process merges
	output    string
	verbose   bool
	started   bool // flags and arguments were understood
}

// usageError is a mistake in how the command was called.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func badUsage(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// run is the whole program.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	var usage *usageError
	if a.started && !errors.As(err, &usage) {
		if message := err.Error(); message != "" {
			fmt.Fprintf(stderr, "logdb: %s\n", strings.TrimPrefix(message, "logdb: "))
		}
		return exitError
	}
	fmt.Fprintf(stderr, "logdb: %v\nsee: %s --help\n", err, cmd.CommandPath())
	return exitUsage
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "logdb",
		Short: "A key-oriented log on object storage",
		Long: `LogDb keeps a log per key, all of them in one bucket, in one global order.

One writer at a time appends (load, append, seal); any number of readers read
beside it, with nothing but the bucket.`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.start() },
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.bucketURL, "bucket", "file:logdb-data/bucket", "bucket `URL`: file:///dir, file:dir, s3://bucket/prefix?region=&endpoint=&path_style=1")
	flags.StringVarP(&a.output, "output", "o", "text", "`format` of the output: text, or json (one object per line)")
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "tell on stderr what happens in the background")
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	root.AddGroup(&cobra.Group{ID: "write", Title: "Writing:"}, &cobra.Group{ID: "serve", Title: "Serving:"}, &cobra.Group{ID: "read", Title: "Reading:"}, &cobra.Group{ID: "doubt", Title: "Looking inside:"})
	for _, c := range []struct {
		group string
		cmd   *cobra.Command
	}{
		{"write", a.loadCommand()}, {"write", a.appendCommand()}, {"write", a.sealCommand()}, {"write", a.compactCommand()},
		{"serve", a.serveCommand()},
		{"read", a.scanCommand()}, {"read", a.tailCommand()}, {"read", a.keysCommand()}, {"read", a.countCommand()}, {"read", a.segmentsCommand()},
		{"doubt", a.inspectCommand()}, {"doubt", a.checkCommand()}, {"doubt", a.dumpCommand()}, {"doubt", a.walCommand()}, {"doubt", a.doctorCommand()}, {"doubt", a.benchCommand()},
		{"", a.versionCommand()},
	} {
		c.cmd.GroupID = c.group
		root.AddCommand(c.cmd)
	}
	return root
}

func (a *app) start() error {
	if a.output != "text" && a.output != "json" {
		return badUsage("output format %q, want text or json", a.output)
	}
	a.started = true
	return nil
}

func (a *app) json() bool { return a.output == "json" }

// wantArgs is a command's number of arguments, said in its own words.
func wantArgs(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return badUsage("got %s, want: %s", plural(uint64(len(args)), "argument"), cmd.UseLine())
		}
		return nil
	}
}
