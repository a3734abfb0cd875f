package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/logdb-go/logdb/logdb"
)

// order is what a child process is told in its first line.
type order struct {
	Bucket string     `json:"bucket"`
	Prefix string     `json:"prefix"`
	Model  string     `json:"model"`
	WALDir string     `json:"wal_dir"`
	Log    LogOptions `json:"log"`

	Followers *Followers `json:"followers,omitempty"`
	Tail      Cursor     `json:"tail,omitempty"`

	Fill      *Workload `json:"fill,omitempty"`
	FillBytes int64     `json:"fill_bytes,omitempty"`
}

func (s *site) order() order {
	return order{Bucket: s.url, Prefix: s.prefix, Model: s.Model, WALDir: s.walDir(), Log: s.Log}
}

// RunChild is what a process does that [Place.Child] made: it takes its order from stdin and answers on stdout.
func RunChild(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	in := bufio.NewReader(stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("bench: child: order: %w", err)
	}
	var o order
	if err := json.Unmarshal(line, &o); err != nil {
		return fmt.Errorf("bench: child: order: %w", err)
	}
	p := &Place{Bucket: o.Bucket, Model: o.Model, Log: o.Log}
	s := &site{Place: p, url: o.Bucket, prefix: o.Prefix}
	if err := s.connect(ctx); err != nil {
		return err
	}
	switch {
	case o.Followers != nil:
		return followAsChild(ctx, s, o, in, stdout)
	case o.Fill != nil:
		return fillAsChild(ctx, s, o, in, stdout)
	}
	return errors.New("bench: child: an order for nothing")
}

// child is a process at work.
type child struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
	out    *bufio.Reader
	first  string // the line with which it said that it is ready

	mu sync.Mutex // for lines to it
	in io.WriteCloser
}

// child starts a process with an order and returns when it is ready.
func (s *site) child(ctx context.Context, o order) (*child, error) {
	if s.Child == nil {
		return nil, errors.New("bench: no way to start a process")
	}
	c := &child{cmd: s.Child(ctx)}
	c.cmd.Stderr = &c.stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("bench: child: %w", err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("bench: child: %w", err)
	}
	c.in, c.out = in, bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("bench: child: %w", err)
	}
	line, err := json.Marshal(o)
	if err == nil {
		c.tell("%s", line)
		c.first, err = c.line()
	}
	if err != nil {
		return nil, errors.Join(err, c.kill())
	}
	return c, nil
}

// tell sends a line. That the child is gone is found by who reads from it.
func (c *child) tell(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = fmt.Fprintf(c.in, format+"\n", args...)
}

// line waits for a line.
func (c *child) line() (string, error) {
	line, err := c.out.ReadString('\n')
	if err != nil {
		_ = c.cmd.Wait()
		return "", fmt.Errorf("bench: child: ended too early: %s", strings.TrimSpace(c.stderr.String()))
	}
	return line, nil
}

// kill ends the process without giving it a chance.
func (c *child) kill() error {
	err := c.cmd.Process.Kill()
	_ = c.cmd.Wait() // it was killed
	return err
}

// following in a process of its own.

// elsewhere is a crowd in a child process.
type elsewhere struct{ *child }

func (e elsewhere) appended(batch uint64) { e.tell("b %d", batch) }

func (e elsewhere) poll(_ context.Context, start time.Time) (Metrics, error) {
	e.tell("s %d", start.UnixNano())
	line, err := e.line()
	if err != nil {
		return nil, err
	}
	m := Metrics{}
	if err := json.Unmarshal([]byte(line), &m); err != nil {
		return nil, fmt.Errorf("bench: child: figures: %w", err)
	}
	return m, nil
}

func (e elsewhere) dismiss() {
	e.mu.Lock()
	_ = e.in.Close()
	e.mu.Unlock()
	_ = e.cmd.Wait() // its figures are here, or its error was told
}

// gather makes the crowd, where the followers are to be.
func (b *Followers) gather(ctx context.Context, s *site, f *following) (crowd, error) {
	switch b.Reader {
	case ByProcess:
		o := s.order()
		o.Followers, o.Tail = b, f.tail
		c, err := s.child(ctx, o)
		return elsewhere{c}, err
	case ByReader:
		l := f.target.(*library) // checked before anything was opened
		r, err := logdb.OpenReader(ctx, s.store, s.Log.reader())
		if err != nil {
			return nil, err
		}
		l.reader = r
		return newAudience(b, l, f.tail, watch{store: s.store, metrics: r.Metrics}), nil
	}
	w := watch{}
	if l, ours := f.target.(*library); ours {
		w = watch{store: s.store, metrics: l.db.Metrics}
	}
	return newAudience(b, f.target, f.tail, w), nil
}

// readerOnly is the pager of a process that has no writer.
type readerOnly struct{ *logdb.LogDbReader }

func (r readerOnly) Page(ctx context.Context, key []byte, cursor Cursor, limit int, visit func([]byte)) (int, Cursor, error) {
	return page(ctx, r.LogDbReader, key, cursor, limit, visit)
}

func followAsChild(ctx context.Context, s *site, o order, in *bufio.Reader, stdout io.Writer) error {
	budget := o.Log.reader().Budget()
	defer limit(budget)()
	r, err := logdb.OpenReader(ctx, s.store, o.Log.reader())
	if err != nil {
		return err
	}
	defer r.Close()
	a := newAudience(o.Followers, readerOnly{r}, o.Tail, watch{store: s.store, metrics: r.Metrics})
	if _, err := fmt.Fprintln(stdout, "ready"); err != nil {
		return err
	}
	begin := make(chan time.Time, 1)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { // ends with stdin
		if err := a.listen(in, begin); err != nil {
			cancel(err)
		}
	}()
	var start time.Time
	select {
	case start = <-begin:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	m, err := a.poll(ctx, start)
	if err != nil {
		return err
	}
	m.set("reader_rss_peak_bytes", float64(peakRSS()))
	m["reader_memory_budget_bytes"] = float64(budget)
	if w := a.watch.cost; w.seconds > 0 {
		m.set("reader_cpu_cores", w.cpu/w.seconds)
		m["reader_gets_per_second"] = float64(gets(w.counts)) / w.seconds
		m["reader_request_dollars_per_month"] = Dollars(w.counts) / w.seconds * secondsPerMonth
	}
	return json.NewEncoder(stdout).Encode(m)
}

// listen takes down what was appended, and passes on when to begin. A parent that is gone is an error.
func (a *audience) listen(in *bufio.Reader, begin chan<- time.Time) error {
	for {
		var what string
		var n uint64
		if _, err := fmt.Fscanf(in, "%s %d\n", &what, &n); err != nil {
			return fmt.Errorf("bench: child: parent: %w", err)
		}
		switch what {
		case "b":
			a.appended(n)
		case "s":
			begin <- time.Unix(0, int64(n))
		}
	}
}

// fillAsChild appends until there is enough in the local WAL, says so, and waits to be killed.
func fillAsChild(ctx context.Context, s *site, o order, in *bufio.Reader, stdout io.Writer) error {
	d, err := logdb.Open(ctx, s.store, o.Log.writer(o.WALDir))
	if err != nil {
		return err
	}
	shared, err := o.Fill.corpus()
	if err != nil {
		return err
	}
	g := o.Fill.newGenerator(shared)
	batches := 0
	for bytes, n := int64(0), uint64(0); bytes < o.FillBytes; n++ {
		records, size := g.batch(n)
		if _, err := d.Append(ctx, records, logdb.AppendOptions{Ack: logdb.Applied}); err != nil {
			return err
		}
		bytes += size
		batches++
	}
	if _, err := d.Append(ctx, []logdb.Record{{Key: []byte("last")}}, logdb.AppendOptions{Ack: logdb.Local}); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(stdout, batches); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in) // a parent that ends without killing
	return err
}
