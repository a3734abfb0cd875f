package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/cockroachdb/datadriven"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/logdb/server/logpb"
)

func TestFollowScripts(t *testing.T) {
	datadriven.RunTest(t, "testdata/follow", func(t *testing.T, d *datadriven.TestData) string {
		if d.Cmd != "follow" {
			t.Fatalf("unknown command %q", d.Cmd)
		}
		s := &scripted{t: t, out: &strings.Builder{}}
		for connection := range strings.SplitSeq(strings.TrimSuffix(d.Input, "\n")+"\n", "connect\n") {
			s.connections = append(s.connections, strings.Fields(strings.ReplaceAll(connection, " ", ";")))
		}
		s.connections = s.connections[1:] // what stands before the first
		c, _ := serving(t, s, Options{})
		it := followed(t, c, d)
		it.from = &watched{feed: it.from, out: s.out}
		for it.Next() {
			fmt.Fprintf(s.out, "entry %d\n", it.Entry().Sequence)
		}
		err := it.Err()
		fmt.Fprintf(s.out, "end at %d: %v", it.NextSequence(), err)
		if trimmed := (*logdb.TrimmedError)(nil); errors.As(err, &trimmed) {
			fmt.Fprintf(s.out, ": %v", trimmed)
		}
		_ = it.Close()
		return s.out.String() + "\n"
	})
}

// followed begins what the arguments of a command ask for.
func followed(t *testing.T, c *Client, d *datadriven.TestData) *Iterator {
	t.Helper()
	var o logdb.ScanOptions
	var from, n uint64
	var visibility string
	d.ScanArgs(t, "from", &from)
	if d.MaybeScanArgs(t, "records", &n) {
		o.Records = logdb.AtMost(n)
	}
	if d.MaybeScanArgs(t, "bytes", &n) {
		o.Bytes = logdb.AtMost(n)
	}
	if d.MaybeScanArgs(t, "visibility", &visibility) {
		o.Visibility, _ = logdb.ParseDurability(visibility)
	}
	o.Strict = d.HasArg("strict")
	for _, arg := range d.CmdArgs {
		value := strings.Join(arg.Vals, ",")
		switch arg.Key {
		case "prefix":
			return c.FollowPrefix(t.Context(), []byte(value), from, o)
		case "keys":
			var keys [][]byte
			for key := range strings.SplitSeq(value, ",") {
				keys = append(keys, []byte(key))
			}
			return c.FollowKeys(t.Context(), keys, from, o)
		}
	}
	t.Fatal("want keys or prefix")
	return nil
}

// watched tells where the iterator is when it wants more.
type watched struct {
	feed
	out *strings.Builder
}

func (w *watched) next(ctx context.Context, cursor uint64) (piece, error) {
	fmt.Fprintf(w.out, "wait at %d\n", cursor)
	return w.feed.next(ctx, cursor)
}

// scripted is a service whose connections do what a script says, one after the
// other; behind its end it refuses.
type scripted struct {
	logpb.UnimplementedLogServiceHandler
	t           *testing.T
	connections [][]string
	out         *strings.Builder // the follower waits while it is written here
}

func (s *scripted) Follow(_ context.Context, r *connect.Request[logpb.FollowRequest], to *connect.ServerStream[logpb.FollowResponse]) error {
	fmt.Fprintf(s.out, "ask %s\n", question(r.Msg))
	if len(s.connections) == 0 {
		return refusal("over")
	}
	script := s.connections[0]
	s.connections = s.connections[1:]
	for _, line := range script {
		name, value, _ := strings.Cut(line, "=")
		switch name {
		case "cut":
			panic(http.ErrAbortHandler)
		case "end":
			return nil
		case "fail":
			return refusal(value)
		}
		if err := to.Send(message(s.t, line)); err != nil {
			return err
		}
	}
	return refusal("over")
}

func question(m *logpb.FollowRequest) string {
	var keys []string
	for _, key := range m.Keys {
		keys = append(keys, string(key))
	}
	s := strings.Join(keys, ",")
	if m.Prefix != nil {
		s = "prefix " + string(m.Prefix)
		if len(m.Prefix) == 0 {
			s += `""`
		}
	}
	s += fmt.Sprintf(" from %d", m.StartSequence)
	if m.Visibility != 0 {
		s += " " + logdb.Durability(m.Visibility).String()
	}
	if m.Strict {
		s += " strict"
	}
	return s
}

// message is one line of a script: words joined by semicolons.
func message(t *testing.T, line string) *logpb.FollowResponse {
	m := &logpb.FollowResponse{}
	for word := range strings.SplitSeq(line, ";") {
		name, value, _ := strings.Cut(word, "=")
		for x := range strings.SplitSeq(value, ",") {
			n, err := strconv.ParseUint(x, 10, 64)
			if err != nil {
				t.Errorf("%q: %v", word, err)
			}
			switch name {
			case "entries":
				m.Entries = append(m.Entries, &logpb.Entry{Key: []byte("a"), Value: []byte("v"), Sequence: n})
			case "next":
				m.NextSequence = n
			case "trimmed":
				m.TrimmedBelow = &n
			default:
				t.Errorf("unknown word %q", word)
			}
		}
	}
	return m
}

func refusal(code string) error {
	c := map[string]connect.Code{
		"over": connect.CodeInvalidArgument, "permission_denied": connect.CodePermissionDenied,
		"unauthenticated": connect.CodeUnauthenticated, "trimmed": connect.CodeOutOfRange,
	}[code]
	m := &logpb.ErrorResponse{Code: code, Message: code}
	switch {
	case code == "":
		return connect.NewError(connect.CodeUnavailable, errors.New("a proxy says so"))
	case code == "over":
		m.Code = "invalid_argument"
	case code == "trimmed":
		oldest := uint64(40)
		m.OldestSequence = &oldest
	case c == 0:
		c = connect.CodeUnavailable
	}
	return answered(c, m)
}
