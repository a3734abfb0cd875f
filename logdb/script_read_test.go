package logdb

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/cockroachdb/datadriven"
)

func (s *script) rng(d *datadriven.TestData) Range {
	from := s.number(d, "from", 0)
	if !d.HasArg("to") {
		return From(from)
	}
	return Between(from, s.number(d, "to", 0))
}

func (s *script) scanOptions(d *datadriven.TestData) ScanOptions {
	o := ScanOptions{Reverse: d.HasArg("reverse"), Strict: d.HasArg("strict"), Visibility: s.level(d, "visibility")}
	if d.HasArg("limit") {
		o.Records = AtMost(s.number(d, "limit", 0))
	}
	if d.HasArg("limit-bytes") {
		o.Bytes = AtMost(s.number(d, "limit-bytes", 0))
	}
	if d.HasArg("since") {
		o.FromTime = s.begun.Add(s.duration(d, "since"))
	}
	return o
}

// key is a reading command's first argument; "" is the empty key.
func (s *script) key(d *datadriven.TestData) []byte { return []byte(unquote(d.CmdArgs[0].Key)) }

func (s *script) entryLine(e Entry, times bool) string {
	v := string(e.Value)
	if len(v) > 40 {
		v = fmt.Sprintf("<%d bytes>", len(v))
	}
	if v == "" {
		v = `""`
	}
	if times {
		v += " at " + s.since(e.Time)
	}
	return fmt.Sprintf("%d %s\n", e.Sequence, v)
}

// scan KEY [from=] [to=] [reverse] [limit=] [limit-bytes=] [since=] [strict]
// [visibility=] [times] [on=READER]
func (s *script) scan(d *datadriven.TestData) string {
	it := s.face(d).Scan(s.ctx, s.key(d), s.rng(d), s.scanOptions(d))
	defer it.Close()
	var out strings.Builder
	for it.Next() {
		out.WriteString(s.entryLine(it.Entry(), d.HasArg("times")))
	}
	fmt.Fprintf(&out, "next %d", it.NextSequence())
	return answer(out.String(), it.Err())
}

// get KEY SEQUENCE
func (s *script) get(d *datadriven.TestData) string {
	e, err := s.face(d).Get(s.ctx, s.key(d), s.number(d, "at", 0))
	if err != nil {
		return answer("", err)
	}
	return s.entryLine(e, false)
}

// count KEY [from=] [to=]
func (s *script) count(d *datadriven.TestData) string {
	n, err := s.face(d).Count(s.ctx, s.key(d), s.rng(d))
	return answer(fmt.Sprint(n), err)
}

// frontier
func (s *script) frontier(d *datadriven.TestData) string { return fmt.Sprint(s.face(d).Frontier()) }

// keys [prefix=] [after=] [limit=] [segments=N] [visibility=]
func (s *script) keys(d *datadriven.TestData) string {
	o := KeyOptions{Prefix: []byte(arg(d, "prefix", "")), Visibility: s.level(d, "visibility")}
	if d.HasArg("after") {
		o.After = []byte(unquote(arg(d, "after", "")))
	}
	if d.HasArg("limit") {
		o.Limit = AtMost(s.number(d, "limit", 0))
	}
	if d.HasArg("segment") {
		n := s.number(d, "segment", 0)
		o.Segments = Between(n, n+1)
	}
	var out strings.Builder
	for k, err := range s.face(d).ListKeys(s.ctx, o).All() {
		if err != nil {
			return answer(out.String(), err)
		}
		fmt.Fprintf(&out, "%q count %d, bytes %d, first %d, last %d\n", k.Key, k.Count, k.ValueBytes, k.First, k.Last)
	}
	return out.String()
}

func (s *script) segmentLine(g Segment) string {
	end, state := "", "active"
	if n, bounded := g.Sequences.End(); bounded {
		end = fmt.Sprint(n)
	}
	if g.Sealed {
		state = "sealed"
	}
	line := fmt.Sprintf("%d [%d,%s) %s, records %d, bytes %d, %s to %s", g.ID, g.Sequences.Start(), end, state, g.Records, g.Bytes, s.since(g.Opened), s.since(g.Last))
	if len(g.Metadata) > 0 {
		line += fmt.Sprintf(", metadata %q", g.Metadata)
	}
	return line
}

// segments [from=] [to=]
func (s *script) segments(d *datadriven.TestData) string {
	segs, err := s.face(d).ListSegments(s.ctx, s.rng(d))
	var out strings.Builder
	for _, g := range segs {
		out.WriteString(s.segmentLine(g) + "\n")
	}
	return answer(out.String(), err)
}

// inspect KEY [from=] [to=]
func (s *script) inspect(d *datadriven.TestData) string {
	in, err := s.face(d).Inspect(s.ctx, s.key(d), s.rng(d))
	if err != nil {
		return answer("", err)
	}
	out := fmt.Sprintf("records %d, requests %d\n", in.Records, in.Requests)
	for _, t := range in.Tables {
		out += fmt.Sprintf("%s: records %d, blocks %d, filter hit %v, index in memory %v\n", t.Table, t.Records, t.Blocks, t.FilterHit, t.IndexInMemory)
	}
	return out
}

// following is a follower in a goroutine of its own.
type following struct {
	cancel context.CancelFunc
	got    chan string
	ended  chan error
}

// follow NAME key=KEY [from=] [visibility=] [on=READER]
func (s *script) follow(d *datadriven.TestData) string {
	ctx, cancel := context.WithCancel(s.ctx)
	f := &following{cancel: cancel, got: make(chan string, 1000), ended: make(chan error, 1)}
	s.follows[d.CmdArgs[0].Key] = f
	it := s.face(d).Follow(ctx, []byte(unquote(arg(d, "key", ""))), s.number(d, "from", 0), s.scanOptions(d))
	go func() {
		defer it.Close()
		for it.Next() {
			f.got <- s.entryLine(it.Entry(), false)
		}
		f.ended <- it.Err()
	}()
	return ""
}

// followed NAME tells what a follower has got since last asked.
func (s *script) followed(d *datadriven.TestData) string {
	f := s.follows[d.CmdArgs[0].Key]
	var out strings.Builder
	for {
		select {
		case line := <-f.got:
			out.WriteString(line)
			continue
		default:
		}
		select {
		case err := <-f.ended:
			f.ended <- err
			return out.String() + answer("ended", err)
		default:
		}
		if out.Len() == 0 {
			return "waits"
		}
		return out.String()
	}
}

// unfollow NAME ends a follower's context.
func (s *script) unfollow(d *datadriven.TestData) string {
	s.follows[d.CmdArgs[0].Key].cancel()
	time.Sleep(time.Nanosecond) // the bubble's: everything that can go on has
	return s.followed(d)
}
