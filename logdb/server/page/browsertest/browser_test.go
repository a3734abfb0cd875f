package browsertest

import (
	"context"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

// patience is for everything that the browser is waited for. It is only as long
// as a machine is slow.
const patience = 60 * time.Second

// chromium is one process for all tests; each has tabs of its own.
var chromium struct {
	once sync.Once
	ctx  context.Context
	stop func()
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if chromium.stop != nil {
		chromium.stop()
	}
	os.Exit(code)
}

func binary() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

func start() {
	path := binary()
	if path == "" {
		chromium.err = fmt.Errorf("no chromium in PATH")
		return
	}
	o := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("headless", "new"), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("hide-scrollbars", false), chromedp.WSURLReadTimeout(patience))
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), o...)
	ctx, stop := chromedp.NewContext(allocator)
	chromium.ctx, chromium.stop = ctx, func() { stop(); stopAllocator() }
	chromium.err = chromedp.Do(ctx)
}

// tab is one tab, and what went wrong in it.
type tab struct {
	t   *testing.T
	ctx context.Context
	mu  struct {
		sync.Mutex
		trouble []string
	}
	closed   chan struct{} // nothing is heard any more
	expected []string      // parts of complaints that the test provokes
}

// newTab opens a tab. Without a Chromium the test is skipped, but not in CI.
func newTab(t *testing.T, width, height int64, scheme string) *tab {
	t.Helper()
	if chromium.once.Do(start); chromium.err != nil {
		if binary() == "" && os.Getenv("CI") == "" {
			t.Skip(chromium.err)
		}
		t.Fatal(chromium.err)
	}
	ctx, cancel := chromedp.NewContext(chromium.ctx, chromedp.WithNewBrowserContext())
	b := &tab{t: t, ctx: ctx, closed: make(chan struct{})}
	t.Cleanup(func() {
		if t.Failed() {
			b.shot("failed")
		}
		cancel()
		<-b.closed
		b.quiet()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	go b.listen(chromedp.Console(ctx))
	do(b, chromedp.EmulateViewport(width, height))
	dressed := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, dressed); err != nil {
		t.Fatal(err)
	}
	return b
}

// listen keeps exceptions, errors and warnings, such as breaches of the policy,
// until the tab is closed.
func (b *tab) listen(messages iter.Seq2[chromedp.ConsoleMessage, error]) {
	defer close(b.closed)
	for m, err := range messages {
		if err != nil {
			return
		}
		switch m.Type {
		case chromedp.ConsoleException, chromedp.ConsoleError, chromedp.ConsoleWarning:
			b.mu.Lock()
			b.mu.trouble = append(b.mu.trouble, fmt.Sprintf("%s %s:%d", m.Text, m.URL, m.Line))
			b.mu.Unlock()
		}
	}
}

// quiet fails the test if the page complained.
func (b *tab) quiet() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, text := range b.mu.trouble {
		if !slices.ContainsFunc(b.expected, func(part string) bool { return strings.Contains(text, part) }) {
			b.t.Errorf("the page complained: %s", text)
		}
	}
}

// do runs one action to its end.
func do[T any](b *tab, a chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

func (b *tab) open(url string) {
	b.t.Helper()
	do(b, chromedp.Navigate(url))
}

// eval returns what an expression of JavaScript comes to.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	return do(b, chromedp.Evaluate[T](expression))
}

// until waits for an expression to be true.
func (b *tab) until(expression string) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if eval[bool](b, "!!("+expression+")") {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("not so after %s: %s\n%.1000s", patience, expression, b.text("main"))
		}
	}
}

// text is what can be read in an element.
func (b *tab) text(selector string) string {
	b.t.Helper()
	return eval[string](b, fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", selector))
}

func (b *tab) reads(selector, want string) {
	b.t.Helper()
	b.until(fmt.Sprintf("document.querySelector(%q)?.innerText.includes(%q)", selector, want))
}

// press types keys one by one. A letter is one event with its text, so that a page
// that takes the key also takes the letter; chromedp would type it all the same.
func (b *tab) press(keys ...string) {
	b.t.Helper()
	for _, k := range keys {
		if len(k) != 1 || k < " " || k > "~" {
			do(b, chromedp.KeyEvent(k))
			continue
		}
		for _, e := range []input.DispatchKeyEventParams{
			{Type: input.DispatchKeyEventTypeKeyDown, Key: k, Text: k}, {Type: input.DispatchKeyEventTypeKeyUp, Key: k},
		} {
			ctx, cancel := context.WithTimeout(b.ctx, patience)
			_, err := chromedp.Call(ctx, input.DispatchKeyEvent, e)
			if cancel(); err != nil {
				b.t.Fatal(err)
			}
		}
	}
}

func (b *tab) click(selector string) {
	b.t.Helper()
	do(b, chromedp.Click(chromedp.CSS(selector)))
}

// shot leaves a picture of the whole page in the directory that PAGE_SHOTS
// names, for people to look at.
func (b *tab) shot(name string) {
	dir := os.Getenv("PAGE_SHOTS")
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Errorf("no picture: %v", err)
		return
	}
	path := filepath.Join(dir, strings.ReplaceAll(b.t.Name(), "/", "-")+"-"+name+".png")
	if err := os.WriteFile(path, png, 0o644); err != nil {
		b.t.Error(err)
	}
}
