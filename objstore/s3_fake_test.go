package objstore_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/logdb-go/logdb/objstore"
)

// fakeS3 speaks the part of the protocol that the S3 bucket uses, over a bucket in memory, and is strict about what it
// is sent. It serves one bucket, named "bucket", in path style.
type fakeS3 struct {
	objects *objstore.Mem
	mu      sync.Mutex
	seen    []*http.Request
	// answer, if set, is asked first; true means that it has answered.
	answer func(w http.ResponseWriter, r *http.Request, n int) bool
}

func newFakeS3() *fakeS3 { return &fakeS3{objects: objstore.NewMem()} }

// requests returns what has come in so far.
func (f *fakeS3) requests() []*http.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.seen)
}

// setAnswer must not be called while requests are under way.
func (f *fakeS3) setAnswer(answer func(w http.ResponseWriter, r *http.Request, n int) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer, f.seen = answer, nil
}

func (f *fakeS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.seen = append(f.seen, r)
	n, answer := len(f.seen), f.answer
	f.mu.Unlock()
	if answer != nil && answer(w, r, n) {
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/")
	bucket, key, _ := strings.Cut(path, "/")
	switch {
	case bucket != "bucket":
		s3Answer(w, http.StatusNotFound, "NoSuchBucket")
	case r.Method == http.MethodGet && key == "":
		f.list(w, r)
	case r.Method == http.MethodGet:
		f.get(w, r, key)
	case r.Method == http.MethodPut:
		f.put(w, r, key)
	case r.Method == http.MethodDelete:
		_ = f.objects.Delete(r.Context(), key)
		w.WriteHeader(http.StatusNoContent)
	default:
		s3Answer(w, http.StatusMethodNotAllowed, "MethodNotAllowed")
	}
}

func s3Answer(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>said the fake</Message></Error>", code)
}

func crc32c(data []byte) string {
	sum := crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
}

func (f *fakeS3) put(w http.ResponseWriter, r *http.Request, key string) {
	body, err := io.ReadAll(r.Body)
	if err != nil || int64(len(body)) != r.ContentLength || r.Header.Get("X-Amz-Checksum-Crc32c") != crc32c(body) {
		s3Answer(w, http.StatusBadRequest, "BadDigest")
		return
	}
	condition := objstore.Always()
	if r.Header.Get("If-None-Match") == "*" {
		condition = objstore.IfAbsent()
	}
	if etag := r.Header.Get("If-Match"); etag != "" {
		condition = objstore.IfMatch(strings.Trim(etag, `"`))
	}
	// Not the request's context: a client that has gone away does not stop a server that has the whole body.
	etag, err := f.objects.Put(context.WithoutCancel(r.Context()), key, body, condition)
	switch {
	case errors.Is(err, objstore.ErrNotFound):
		s3Answer(w, http.StatusNotFound, "NoSuchKey")
	case errors.Is(err, objstore.ErrPrecondition):
		s3Answer(w, http.StatusPreconditionFailed, "PreconditionFailed")
	case err != nil:
		s3Answer(w, http.StatusBadRequest, "InvalidArgument")
	default:
		w.Header().Set("ETag", strconv.Quote(etag))
	}
}

func (f *fakeS3) get(w http.ResponseWriter, r *http.Request, key string) {
	o, err := f.objects.Get(r.Context(), key)
	if err != nil {
		s3Answer(w, http.StatusNotFound, "NoSuchKey")
		return
	}
	w.Header().Set("ETag", strconv.Quote(o.ETag))
	w.Header().Set("Date", o.Date.UTC().Format(http.TimeFormat))
	if r.Header.Get("If-None-Match") == strconv.Quote(o.ETag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if r.Header.Get("Range") == "" {
		if r.Header.Get("X-Amz-Checksum-Mode") == "ENABLED" {
			w.Header().Set("X-Amz-Checksum-Crc32c", crc32c(o.Data))
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(o.Data)))
		_, _ = w.Write(o.Data)
		return
	}
	var first, last int
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last); err != nil || first >= len(o.Data) {
		s3Answer(w, http.StatusRequestedRangeNotSatisfiable, "InvalidRange")
		return
	}
	last = min(last, len(o.Data)-1)
	w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(o.Data)))
	w.Header().Set("Content-Length", strconv.Itoa(last-first+1))
	w.WriteHeader(http.StatusPartialContent)
	_, _ = w.Write(o.Data[first : last+1])
}

type listedObject struct {
	Key          string
	LastModified string
	Size         int64
}

type listPage struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	IsTruncated           bool
	NextContinuationToken string `xml:",omitempty"`
	Contents              []listedObject
}

// list makes pages of 7 names, whatever it is asked.
func (f *fakeS3) list(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	after := query.Get("start-after")
	if token := query.Get("continuation-token"); token != "" {
		after = strings.TrimPrefix(token, "after:")
	}
	var page listPage
	for info, err := range f.objects.List(r.Context(), query.Get("prefix"), after) {
		if err != nil {
			s3Answer(w, http.StatusInternalServerError, "InternalError")
			return
		}
		if len(page.Contents) == 7 {
			page.IsTruncated, page.NextContinuationToken = true, "after:"+page.Contents[6].Key
			break
		}
		modified := info.Modified.UTC().Format("2006-01-02T15:04:05.000Z")
		page.Contents = append(page.Contents, listedObject{info.Name, modified, info.Size})
	}
	body, _ := xml.Marshal(page)
	w.Header().Set("Content-Type", "application/xml")
	_, _ = w.Write(body)
}

// direct carries requests to a handler without a network, so that it runs inside a synctest bubble.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	body := []byte{}
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	request := r.Clone(r.Context())
	request.Body = io.NopCloser(bytes.NewReader(body))
	recorder := httptest.NewRecorder()
	d.handler.ServeHTTP(recorder, request)
	return recorder.Result(), nil
}

// setS3Env gives the SDK credentials and keeps it from looking for others.
func setS3Env(t *testing.T) {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
}

func openFakeS3(t *testing.T, transport http.RoundTripper) *objstore.S3 {
	t.Helper()
	b, err := objstore.NewS3(t.Context(), objstore.S3Options{
		Bucket: "bucket", Prefix: "some/folder", Endpoint: "http://fake.invalid", PathStyle: true,
		Transport: func(http.RoundTripper) http.RoundTripper { return transport },
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
