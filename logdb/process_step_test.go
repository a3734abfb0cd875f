//go:build unix

package logdb

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/logdb-go/logdb/objstore"
)

// stopAt returns a hook that ends the process, as SIGKILL from outside does,
// or stops it, as SIGSTOP does, when a step is met for the nth time. Nothing
// after the step happens in that goroutine before resumed is closed.
func stopAt(o orders, report func(string, ...any), resumed <-chan struct{}) func(string) {
	name, nth, ok := strings.Cut(o.Step, "#")
	left, _ := strconv.Atoi(nth)
	if !ok {
		left = 1
	}
	var mu sync.Mutex
	met := func(step string) bool {
		mu.Lock()
		defer mu.Unlock()
		if name == "" || step != name {
			return false
		}
		left--
		return left == 0
	}
	return func(step string) {
		if !met(step) {
			return
		}
		if !o.Stop {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // nothing after this step happens
		}
		report("stopping")
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		<-resumed // the signal may stop the other threads first
	}
}

// openSteppedS3 opens an s3 URL with a transport that has a step in the middle
// of the body of a PUT, when the server has the first half.
func openSteppedS3(rawURL string, step func(string)) (objstore.Bucket, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	q := u.Query()
	o := objstore.S3Options{
		Bucket: u.Host, Prefix: strings.Trim(u.Path, "/"), Region: q.Get("region"), Endpoint: q.Get("endpoint"),
		PathStyle: q.Get("path_style") == "1",
	}
	skip := "/" + o.Bucket + "/" + o.Prefix + "/"
	o.Transport = func(next http.RoundTripper) http.RoundTripper {
		return halfway{next: next, half: func(path string) { step("put " + firstPart(strings.TrimPrefix(path, skip)) + " half") }}
	}
	b, err := objstore.NewS3(context.Background(), o)
	return steppedBucket{b, step}, err
}

// halfway calls half when half the body of a PUT has been sent.
type halfway struct {
	next http.RoundTripper
	half func(path string)
}

func (h halfway) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodPut && req.Body != nil && req.ContentLength > 1 {
		path := req.URL.Path
		req = req.Clone(req.Context())
		req.Body = &halfBody{ReadCloser: req.Body, left: req.ContentLength / 2, half: func() { h.half(path) }}
	}
	return h.next.RoundTrip(req)
}

type halfBody struct {
	io.ReadCloser
	left int64 // until the middle
	half func()
}

func (b *halfBody) Read(p []byte) (int, error) {
	if b.left > 0 {
		n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
		b.left -= int64(n)
		return n, err
	}
	if b.half != nil {
		b.half()
		b.half = nil
	}
	return b.ReadCloser.Read(p)
}
