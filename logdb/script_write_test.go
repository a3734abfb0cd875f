package logdb

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/cockroachdb/datadriven"
)

// append [as=NAME] [ack=LEVEL] [try] [timeout=DURATION] [canceled] appends the
// lines below as one batch, each "key value". With key=, size= and n= it
// appends n records of that many value bytes instead.
func (s *script) append(d *datadriven.TestData) string {
	l, records := s.log(d), s.records(d)
	ctx, cancel := s.bounded(d)
	defer cancel()
	if d.HasArg("canceled") {
		cancel()
	}
	f := l.Append
	if d.HasArg("try") {
		f = l.TryAppend
	}
	a, err := f(ctx, records, AppendOptions{Ack: s.level(d, "ack")})
	if err != nil {
		return answer("", err)
	}
	return fmt.Sprintf("[%d,%d)", a.First, a.Next)
}

// bounded is the context of a command: it ends after timeout=.
func (s *script) bounded(d *datadriven.TestData) (context.Context, context.CancelFunc) {
	if d.HasArg("timeout") {
		return context.WithTimeout(s.ctx, s.duration(d, "timeout"))
	}
	return context.WithCancel(s.ctx)
}

func (s *script) records(d *datadriven.TestData) (records []Record) {
	if d.HasArg("size") {
		value := bytes.Repeat([]byte("x"), int(s.number(d, "size", 0)))
		key := []byte(arg(d, "key", ""))
		if d.HasArg("key-size") {
			key = bytes.Repeat([]byte("k"), int(s.number(d, "key-size", 0)))
		}
		for range s.number(d, "n", 1) {
			records = append(records, Record{key, value})
		}
		return records
	}
	for line := range strings.SplitSeq(d.Input, "\n") {
		if line == "" {
			continue
		}
		key, value, _ := strings.Cut(line, " ")
		records = append(records, rec(unquote(key), unquote(value)))
	}
	return records
}

// unquote lets "" stand for nothing.
func unquote(s string) string { return strings.Trim(s, `"`) }

// await NAME tells what became of a command that was left to wait.
func (s *script) await(d *datadriven.TestData) string {
	done := s.pending[d.CmdArgs[0].Key]
	select {
	case out := <-done:
		done <- out
		return out
	default:
	}
	if d.HasArg("no-wait") {
		return "waits"
	}
	return <-done
}

// flush [as=NAME] [timeout=DURATION]
func (s *script) flush(d *datadriven.TestData) string {
	ctx, cancel := s.bounded(d)
	defer cancel()
	l := s.log(d)
	err := l.Flush(ctx)
	return answer(fmt.Sprintf("remote %d", l.DurableSequence(Remote)), err)
}

// seal [as=NAME] [metadata=TEXT] [timeout=DURATION]
func (s *script) seal(d *datadriven.TestData) string {
	ctx, cancel := s.bounded(d)
	defer cancel()
	seg, sealed, err := s.log(d).SealSegment(ctx, []byte(arg(d, "metadata", "")))
	if err != nil {
		return answer("", err)
	}
	if !sealed {
		return "nothing to seal"
	}
	return "sealed " + s.segmentLine(seg)
}

// compact [as=NAME]
func (s *script) compact(d *datadriven.TestData) string {
	return answer("done", s.log(d).Compact(s.ctx))
}

// watermarks [as=NAME]
func (s *script) watermarks(d *datadriven.TestData) string {
	l := s.log(d)
	out := fmt.Sprintf("applied %d, local %d, remote %d", l.DurableSequence(Applied), l.local.get(), l.DurableSequence(Remote))
	return answer(out, l.Err())
}
