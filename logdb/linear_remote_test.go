//go:build unix

package logdb

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	linOpenPatience = time.Minute
	linPatienceS3   = 3 * time.Second // of a client
)

// errLinGone is what a client is told whose process was killed.
var errLinGone = fmt.Errorf("%w: its pipe is closed", errSimDead)

// linRemote is a LogDb in a child process.
type linRemote struct {
	cmd   *exec.Cmd
	said  bytes.Buffer
	gone  chan struct{} // all that it answered was read
	ready chan linAnswer

	mu      sync.Mutex
	stdin   io.WriteCloser
	asked   uint64
	waiting map[uint64]chan linAnswer
}

// linRemoteError is an error that came over the pipe.
type linRemoteError struct {
	text string
	is   []int
}

func (e *linRemoteError) Error() string { return e.text }

func (e *linRemoteError) Is(target error) bool {
	i := slices.IndexFunc(linSentinels, func(s error) bool { return s == target })
	return i >= 0 && slices.Contains(e.is, i)
}

func startLinRemote(o linOrders) (*linRemote, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	r := &linRemote{gone: make(chan struct{}), ready: make(chan linAnswer, 1), waiting: map[uint64]chan linAnswer{}}
	r.cmd = exec.Command(os.Args[0], "-test.run=^TestLinearChild$", "-test.count=1")
	r.cmd.Env = append(os.Environ(), linEnv+"="+string(text))
	r.cmd.ExtraFiles = []*os.File{in}
	r.cmd.Stdout, r.cmd.Stderr = &r.said, &r.said
	if r.stdin, err = r.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	go r.listen(out)
	return r, nil
}

// listen hands answers to whom they are for, to the end of the child's life.
func (r *linRemote) listen(out *os.File) {
	defer close(r.gone)
	defer out.Close()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var a linAnswer
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			continue // cut off by the kill
		}
		if a.ID == 0 {
			r.ready <- a
			continue
		}
		r.mu.Lock()
		c := r.waiting[a.ID]
		delete(r.waiting, a.ID)
		r.mu.Unlock()
		c <- a
	}
}

// opened waits until the child has the log open, or says why not.
func (r *linRemote) opened() (linAnswer, error) {
	select {
	case a := <-r.ready:
		return a, a.err(Default)
	case <-r.gone:
	}
	select {
	case a := <-r.ready: // it said why, and ended
		return a, a.err(Default)
	default:
		return linAnswer{}, errLinGone
	}
}

func (a *linAnswer) err(level Durability) error {
	if a.Err == "" && !a.Pending {
		return nil
	}
	err := error(&linRemoteError{a.Err, a.Is})
	if a.Pending {
		return &PendingError{Appended: a.appended(), Level: level, Err: err}
	}
	return err
}

func (a *linAnswer) appended() Appended {
	return Appended{First: a.First, Next: a.Next, Time: time.UnixMilli(a.Ms)}
}

// call asks the child. It answers when ctx's time is over, by its own clock: a
// child that is stopped answers when it goes on.
func (r *linRemote) call(ctx context.Context, ask linAsk) (linAnswer, error) {
	ask.Patience = linPatienceS3
	if end, ok := ctx.Deadline(); ok {
		ask.Patience = time.Until(end)
	}
	c := make(chan linAnswer, 1)
	r.mu.Lock()
	r.asked++
	ask.ID = r.asked
	r.waiting[ask.ID] = c
	line, err := json.Marshal(ask)
	if err == nil {
		_, err = r.stdin.Write(append(line, '\n'))
	}
	r.mu.Unlock()
	if err != nil {
		return linAnswer{}, fmt.Errorf("%w: %w", errLinGone, err)
	}
	select {
	case a := <-c:
		return a, a.err(ask.Level)
	case <-r.gone:
	}
	select {
	case a := <-c: // its last words
		return a, a.err(ask.Level)
	default:
		return linAnswer{}, errLinGone
	}
}

func (r *linRemote) Append(ctx context.Context, records []Record, level Durability) (Appended, error) {
	a, err := r.call(ctx, linAsk{Op: "append", Records: records, Level: level})
	return a.appended(), err
}

func (r *linRemote) Scan(ctx context.Context, key string, visibility Durability) ([]Entry, uint64, error) {
	a, err := r.call(ctx, linAsk{Op: "scan", Key: []byte(key), Level: visibility})
	return a.Entries, a.Next, err
}

func (r *linRemote) Follow(ctx context.Context, key string, visibility Durability) ([]Entry, uint64, error) {
	a, err := r.call(ctx, linAsk{Op: "follow", Key: []byte(key), Level: visibility})
	return a.Entries, a.Next, err
}

func (r *linRemote) Count(ctx context.Context, key string) (uint64, error) {
	a, err := r.call(ctx, linAsk{Op: "count", Key: []byte(key)})
	return a.Next, err
}

func (r *linRemote) Watermark(ctx context.Context, level Durability) (uint64, error) {
	a, err := r.call(ctx, linAsk{Op: "watermark", Level: level})
	return a.Next, err
}

func (r *linRemote) Flush(ctx context.Context) error {
	_, err := r.call(ctx, linAsk{Op: "flush"})
	return err
}

func (r *linRemote) Seal(ctx context.Context) (uint64, bool, error) {
	a, err := r.call(ctx, linAsk{Op: "seal"})
	return a.Next, a.Sealed, err
}

// close closes the log in order and ends the child.
func (r *linRemote) close(ctx context.Context) error {
	_, err := r.call(ctx, linAsk{Op: "close"})
	return errors.Join(err, r.kill())
}

// kill ends the child with SIGKILL, where it is, and waits until it is gone.
// It can be called more than once.
func (r *linRemote) kill() error {
	_ = r.cmd.Process.Kill()
	<-r.gone
	if r.cmd.ProcessState != nil {
		return nil
	}
	err := r.cmd.Wait()
	if state := r.cmd.ProcessState; state != nil && state.Exited() && !state.Success() {
		return fmt.Errorf("%w\n%s", err, r.said.String())
	}
	return nil
}

func (r *linRemote) signal(s syscall.Signal) { _ = r.cmd.Process.Signal(s) }
