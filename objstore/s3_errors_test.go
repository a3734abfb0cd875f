package objstore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logdb-go/logdb/objstore"
)

// TestS3Errors: what each answer of a server means, for each kind of request. A want of nil is an error that is none of
// the sentinels: of an unknown outcome for a write, of no meaning for a read.
func TestS3Errors(t *testing.T) {
	setS3Env(t)
	type outcomes struct{ get, ifAbsent, ifMatch, always error }
	for _, answer := range []struct {
		status int
		code   string
		want   outcomes
	}{
		{404, "NoSuchKey", outcomes{objstore.ErrNotFound, nil, objstore.ErrNotFound, nil}},
		{404, "NoSuchBucket", outcomes{}},
		{404, "", outcomes{}},
		{412, "PreconditionFailed", outcomes{nil, objstore.ErrPrecondition, objstore.ErrPrecondition, nil}},
		{409, "ConditionalRequestConflict", outcomes{nil, objstore.ErrPrecondition, objstore.ErrPrecondition, nil}},
		{403, "AccessDenied", outcomes{objstore.ErrAccessDenied, objstore.ErrAccessDenied, objstore.ErrAccessDenied, objstore.ErrAccessDenied}},
		{400, "ExpiredToken", outcomes{objstore.ErrAccessDenied, objstore.ErrAccessDenied, objstore.ErrAccessDenied, objstore.ErrAccessDenied}},
		{404, "XAdminUserNotFound", outcomes{objstore.ErrAccessDenied, objstore.ErrAccessDenied, objstore.ErrAccessDenied, objstore.ErrAccessDenied}},
		{400, "BadDigest", outcomes{}},
		{500, "InternalError", outcomes{}},
		{503, "SlowDown", outcomes{}},
		{301, "PermanentRedirect", outcomes{}},
	} {
		t.Run(answer.code, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := newFakeS3()
				fake.setAnswer(func(w http.ResponseWriter, _ *http.Request, _ int) bool {
					if answer.code == "" {
						http.Error(w, "a proxy, and no store", answer.status)
					} else {
						s3Answer(w, answer.status, answer.code)
					}
					return true
				})
				b := openFakeS3(t, direct{fake})
				_, err := b.Get(t.Context(), "o")
				wantSentinel(t, "get", err, answer.want.get)
				_, err = b.GetRange(t.Context(), "o", 0, 1)
				wantSentinel(t, "get range", err, answer.want.get)
				_, err = b.Put(t.Context(), "o", nil, objstore.IfAbsent())
				wantSentinel(t, "put if absent", err, answer.want.ifAbsent)
				_, err = b.Put(t.Context(), "o", nil, objstore.IfMatch("x"))
				wantSentinel(t, "put if match", err, answer.want.ifMatch)
				_, err = b.Put(t.Context(), "o", nil, objstore.Always())
				wantSentinel(t, "put", err, answer.want.always)
			})
		})
	}
}

func wantSentinel(t *testing.T, what string, got, want error) {
	t.Helper()
	if got == nil {
		t.Fatalf("%s: got no error", what)
	}
	sentinels := []error{
		objstore.ErrNotFound, objstore.ErrPrecondition, objstore.ErrNotModified, objstore.ErrAccessDenied, io.ErrUnexpectedEOF,
	}
	for _, sentinel := range sentinels {
		if errors.Is(got, sentinel) != (sentinel == want) {
			t.Fatalf("%s: got %v, want %v and no other sentinel", what, got, want)
		}
	}
}

// TestS3WritesAreSentOnce: a retry inside the SDK would turn a write of one's own whose answer was lost into a 412.
func TestS3WritesAreSentOnce(t *testing.T) {
	setS3Env(t)
	requests := 0
	lost := errors.New("connection reset by peer")
	for what, broken := range map[string]func(r *http.Request) (*http.Response, error){
		"the answer is lost": func(r *http.Request) (*http.Response, error) { return nil, lost },
		"the answer is 503": func(r *http.Request) (*http.Response, error) {
			return direct{http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { s3Answer(w, 503, "SlowDown") })}.RoundTrip(r)
		},
		"no answer in time": func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			requests = 0
			b := openFakeS3(t, roundTrip(func(r *http.Request) (*http.Response, error) {
				requests++
				return broken(r)
			}))
			minute := func() context.Context {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				t.Cleanup(cancel)
				return ctx
			}
			for i, c := range []objstore.Condition{objstore.IfAbsent(), objstore.IfMatch("x"), objstore.Always()} {
				_, err := b.Put(minute(), "o", []byte("1"), c)
				wantSentinel(t, what, err, nil)
				if requests != i+1 {
					t.Fatalf("%s: got %d requests after %d puts", what, requests, i+1)
				}
			}
			wantSentinel(t, what, b.Delete(minute(), "o"), nil)
			if requests != 4 {
				t.Fatalf("%s: got %d requests after a delete, want 4", what, requests)
			}
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestS3ReadsAreTriedAgain(t *testing.T) {
	setS3Env(t)
	synctest.Test(t, func(t *testing.T) {
		fake := newFakeS3()
		b := openFakeS3(t, direct{fake})
		put(t, b, "o", "content", objstore.Always())
		busyTwice := func(w http.ResponseWriter, _ *http.Request, n int) bool {
			if n <= 2 {
				s3Answer(w, 503, "SlowDown")
			}
			return n <= 2
		}
		fake.setAnswer(busyTwice)
		if o, err := b.Get(t.Context(), "o"); err != nil || string(o.Data) != "content" {
			t.Fatalf("get: got %q, %v", o.Data, err)
		}
		fake.setAnswer(busyTwice)
		if data, err := b.GetRange(t.Context(), "o", 3, 4); err != nil || string(data) != "tent" {
			t.Fatalf("get range: got %q, %v", data, err)
		}
	})
}

// breaking cuts the first bodies of GETs after three bytes, as a connection that breaks does.
func breaking(inner http.RoundTripper, bodies int) roundTrip {
	return func(r *http.Request) (*http.Response, error) {
		response, err := inner.RoundTrip(r)
		if err != nil || r.Method != http.MethodGet || bodies == 0 {
			return response, err
		}
		bodies--
		response.Body = io.NopCloser(io.MultiReader(io.LimitReader(response.Body, 3), cut{}))
		return response, nil
	}
}

type cut struct{}

func (cut) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestS3BrokenBody(t *testing.T) {
	setS3Env(t)
	fake := newFakeS3()
	put(t, openFakeS3(t, direct{fake}), "o", "content", objstore.Always())

	b := openFakeS3(t, breaking(direct{fake}, 2))
	if o, err := b.Get(t.Context(), "o"); err != nil || string(o.Data) != "content" {
		t.Fatalf("get over a connection that breaks twice: got %q, %v", o.Data, err)
	}
	b = openFakeS3(t, breaking(direct{fake}, 99))
	_, err := b.Get(t.Context(), "o")
	wantSentinel(t, "get over a connection that breaks", err, nil)
	// The object is long enough. Saying io.ErrUnexpectedEOF here would have it taken for a damaged one.
	_, err = b.GetRange(t.Context(), "o", 1, 5)
	wantSentinel(t, "get range over a connection that breaks", err, nil)
}

func TestS3DamagedAnswers(t *testing.T) {
	setS3Env(t)
	fake := newFakeS3()
	b := openFakeS3(t, roundTrip(func(r *http.Request) (*http.Response, error) {
		response, err := direct{fake}.RoundTrip(r)
		if err == nil && r.Method == http.MethodGet {
			body, _ := io.ReadAll(response.Body)
			body[0] ^= 1
			response.Body = io.NopCloser(bytes.NewReader(body))
		}
		return response, err
	}))
	put(t, b, "o", "content", objstore.Always())
	if o, err := b.Get(t.Context(), "o"); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Fatalf("get of bytes that do not fit their checksum: got %q, %v", o.Data, err)
	}
}

func TestS3IgnoredRange(t *testing.T) {
	setS3Env(t)
	fake := newFakeS3()
	fake.setAnswer(func(_ http.ResponseWriter, r *http.Request, _ int) bool {
		r.Header.Del("Range")
		return false
	})
	b := openFakeS3(t, direct{fake})
	put(t, b, "o", "content", objstore.Always())
	for _, r := range [][2]int64{{0, 3}, {2, 5}, {2, 3}} {
		data, err := b.GetRange(t.Context(), "o", r[0], r[1])
		if err == nil {
			t.Fatalf("%d bytes at %d: got %q although the whole object came", r[1], r[0], data)
		}
		wantSentinel(t, "ignored range", err, nil)
	}
	if data, err := b.GetRange(t.Context(), "o", 0, 7); err != nil || string(data) != "content" {
		t.Fatalf("the whole object as a range: got %q, %v", data, err)
	}
}

func TestS3Date(t *testing.T) {
	setS3Env(t)
	synctest.Test(t, func(t *testing.T) {
		b := openFakeS3(t, direct{newFakeS3()})
		etag := put(t, b, "o", "content", objstore.Always())
		time.Sleep(time.Hour)
		o, err := b.Get(t.Context(), "o")
		if err != nil || !o.Date.Equal(time.Now()) {
			t.Fatalf("get: got date %v, %v, want %v", o.Date, err, time.Now())
		}
		time.Sleep(time.Hour)
		o, err = b.GetIfChanged(t.Context(), "o", etag)
		if !errors.Is(err, objstore.ErrNotModified) || !o.Date.Equal(time.Now()) {
			t.Fatalf("get if changed: got date %v, %v, want %v", o.Date, err, time.Now())
		}
	})
}

// The put that is meant to be refused goes out with a checksum that is not its body's, and nothing is kept of it.
func TestS3RefusesDamaged(t *testing.T) {
	setS3Env(t)
	fake := newFakeS3()
	b := openFakeS3(t, direct{fake})
	if refused, err := b.RefusesDamaged(t.Context(), "x"); !refused || err != nil {
		t.Errorf("strict server: got %v, %v", refused, err)
	}
	if _, err := b.Get(t.Context(), "x"); !errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("the damaged object: got %v, want ErrNotFound", err)
	}
	status := http.StatusOK
	fake.setAnswer(func(w http.ResponseWriter, _ *http.Request, _ int) bool { w.WriteHeader(status); return true })
	if refused, err := b.RefusesDamaged(t.Context(), "x"); refused || err != nil {
		t.Errorf("careless server: got %v, %v", refused, err)
	}
	status = http.StatusServiceUnavailable
	if refused, err := b.RefusesDamaged(t.Context(), "x"); refused || err == nil {
		t.Errorf("busy server: got %v, %v", refused, err)
	}
}
