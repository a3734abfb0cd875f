package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/pprof"
	"runtime/trace"
)

// profiles are written of a run as a whole, its set-up included.
type profiles struct {
	dir   string
	trace bool // of execution, too: large, and slower
}

// begin starts them; the function it returns ends and writes them. No directory: none.
func (p profiles) begin() (end func() error, err error) {
	if p.dir == "" {
		return func() error { return nil }, nil
	}
	if err := os.MkdirAll(p.dir, 0o777); err != nil {
		return nil, fmt.Errorf("profiles: %w", err)
	}
	cpu, err := p.start("cpu.pprof", pprof.StartCPUProfile, pprof.StopCPUProfile)
	if err != nil {
		return nil, err
	}
	traced := func() error { return nil }
	if p.trace {
		if traced, err = p.start("trace.out", trace.Start, trace.Stop); err != nil {
			return nil, errors.Join(err, cpu())
		}
	}
	return func() error {
		return errors.Join(traced(), cpu(), p.write("allocs"))
	}, nil
}

func (p profiles) start(name string, start func(io.Writer) error, stop func()) (end func() error, err error) {
	f, err := os.Create(filepath.Join(p.dir, name))
	if err != nil {
		return nil, fmt.Errorf("profiles: %w", err)
	}
	if err := start(f); err != nil {
		return nil, errors.Join(fmt.Errorf("profiles: %s: %w", name, err), f.Close())
	}
	return func() error {
		stop()
		if err := f.Close(); err != nil {
			return fmt.Errorf("profiles: %w", err)
		}
		return nil
	}, nil
}

func (p profiles) write(name string) error {
	f, err := os.Create(filepath.Join(p.dir, name+".pprof"))
	if err != nil {
		return fmt.Errorf("profiles: %w", err)
	}
	if err := errors.Join(pprof.Lookup(name).WriteTo(f, 0), f.Close()); err != nil {
		return fmt.Errorf("profiles: %s: %w", name, err)
	}
	return nil
}
