package main

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows on a terminal how much of the input was read. Elsewhere, and
// for input of unknown size, it shows nothing or no end.
type progress struct{ bar *progressbar.ProgressBar }

func newProgress(stderr io.Writer, files []string) *progress {
	f, ok := stderr.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return &progress{}
	}
	total := int64(0)
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil || !info.Mode().IsRegular() {
			total = -1
			break
		}
		total += info.Size()
	}
	return &progress{progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(stderr),
		progressbar.OptionSetDescription("loading"),
		progressbar.OptionShowBytes(true),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)}
}

// reader counts what is read of r, packed as it may be.
func (p *progress) reader(r io.Reader) io.Reader {
	if p.bar == nil {
		return r
	}
	return io.TeeReader(r, p.bar)
}

// clear makes room for another line.
func (p *progress) clear() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

func (p *progress) finish() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}

// liveLine is one line on a terminal that is written over. Elsewhere it is nothing.
type liveLine struct {
	out  io.Writer
	used bool
}

func newLiveLine(a *app) *liveLine {
	f, ok := a.stderr.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return &liveLine{}
	}
	return &liveLine{out: f}
}

const eraseLine = "\r\x1b[K"

func (l *liveLine) set(text string) {
	if l.out != nil {
		l.used = true
		_, _ = io.WriteString(l.out, eraseLine+text) // a terminal that is gone shows nothing
	}
}

func (l *liveLine) clear() {
	if l.used {
		_, _ = io.WriteString(l.out, eraseLine)
		l.used = false
	}
}
