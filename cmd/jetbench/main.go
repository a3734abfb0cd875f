// Command jetbench drives NATS JetStream with the benchmarks of logdb bench: the same loads, the same figures. It is a
// module of its own, so that what it needs stays out of the log's.
//
//	CGO_ENABLED=0 go build -C cmd/jetbench -o ../../bin/jetbench .
//	bin/jetbench ingest --keys 100000 --duration 10s
//
// The server runs in this process, as LogDb does, with a file store, and a key is a subject. It acknowledges what it has
// written to a file and not yet fsynced (every two minutes, unless --sync-always): about what LogDb calls applied.
// A batch is published record by record, and all acknowledgements are waited for; with --atomic it is one batch for the
// server too.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/logdb-go/logdb/logdb/bench"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "jetbench:", err)
		os.Exit(1)
	}
}

// runnable are the benchmarks that need nothing but a target.
var runnable = []string{"ingest", "followers", "verify"}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	var b bench.Benchmark
	for _, k := range bench.Kinds() {
		for _, name := range runnable {
			if k.Name == name && len(args) > 0 && args[0] == name {
				b = k.New()
			}
		}
	}
	if b == nil {
		return fmt.Errorf("want one of %s, and flags", strings.Join(runnable, ", "))
	}
	o := options{}
	place := &bench.Place{Bucket: "mem:"} // not used
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	b.Flags(flags)
	flags.StringVar(&place.Scratch, "scratch", "", "`directory` for what the run writes (default: the system's)")
	flags.BoolVar(&o.syncAlways, "sync-always", false, "fsync before every acknowledgement")
	flags.BoolVar(&o.atomic, "atomic", false, "publish each batch atomically")
	flags.BoolFunc("model", "not for JetStream: it has no bucket", func(string) error { return errors.New("JetStream has no bucket") })
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is no flag", flags.Arg(0))
	}
	place.Name = o.name()
	place.Other = func(ctx context.Context, dir string) (bench.Target, error) { return open(ctx, dir, o) }
	r, err := b.Run(ctx, place)
	if err != nil {
		return err
	}
	r.Notes = append(r.Notes, o.note())
	return json.NewEncoder(stdout).Encode(r)
}
