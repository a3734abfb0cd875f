package objstore_test

import (
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

func TestS3Conformance(t *testing.T) {
	setS3Env(t)
	t.Run("without a network", func(t *testing.T) {
		objstoretest.Conformance(t, func(t *testing.T) objstore.Bucket { return openFakeS3(t, direct{newFakeS3()}) })
	})
	t.Run("over http", func(t *testing.T) {
		objstoretest.Conformance(t, func(t *testing.T) objstore.Bucket {
			server := httptest.NewServer(newFakeS3())
			t.Cleanup(server.Close)
			b, err := objstore.Open(t.Context(), "s3://bucket/p?region=eu-west-1&path_style=1&endpoint="+server.URL)
			if err != nil {
				t.Fatal(err)
			}
			return b
		})
	})
}

// TestS3PutRequest looks at what is sent, over TLS, too: there the SDK likes to put checksums into trailers, behind
// bodies in chunks, which some servers store as they come.
func TestS3PutRequest(t *testing.T) {
	setS3Env(t)
	for _, tls := range []bool{false, true} {
		fake := newFakeS3()
		server := httptest.NewUnstartedServer(fake)
		if server.Start(); tls {
			server.Close()
			server = httptest.NewTLSServer(fake)
		}
		b, err := objstore.NewS3(t.Context(), objstore.S3Options{
			Bucket: "bucket", Endpoint: server.URL, PathStyle: true,
			Transport: func(http.RoundTripper) http.RoundTripper { return server.Client().Transport },
		})
		if err != nil {
			t.Fatal(err)
		}
		etag := put(t, b, "manifest", "one", objstore.IfAbsent())
		put(t, b, "manifest", "two", objstore.IfMatch(etag))
		put(t, b, "manifest", "three", objstore.Always())
		server.Close()

		sent := fake.requests()
		for i, want := range []struct{ body, noneMatch, match string }{{"one", "*", ""}, {"two", "", etag}, {"three", "", ""}} {
			header := sent[i].Header
			wantHeader(t, header, "X-Amz-Checksum-Crc32c", crc32c([]byte(want.body)))
			wantHeader(t, header, "If-None-Match", want.noneMatch)
			wantHeader(t, header, "If-Match", want.match)
			wantHeader(t, header, "Cache-Control", "no-store")
			wantHeader(t, header, "Content-Encoding", "")
			wantHeader(t, header, "X-Amz-Trailer", "")
		}
		if len(sent) != 3 {
			t.Fatalf("tls %v: got %d requests, want 3", tls, len(sent))
		}
	}
}

func wantHeader(t *testing.T, header http.Header, name, want string) {
	t.Helper()
	if got := header.Get(name); got != want {
		t.Errorf("header %s: got %q, want %q", name, got, want)
	}
}

func put(t *testing.T, b objstore.Bucket, name, body string, c objstore.Condition) string {
	t.Helper()
	etag, err := b.Put(t.Context(), name, []byte(body), c)
	if err != nil {
		t.Fatalf("put %q: %v", name, err)
	}
	return etag
}

// TestS3Prefix: names are keys below the prefix, and what is beside it does not show.
func TestS3Prefix(t *testing.T) {
	setS3Env(t)
	fake := newFakeS3()
	b := openFakeS3(t, direct{fake})
	put(t, fake.objects, "some/folder-beside/x", "not ours", objstore.Always())
	put(t, fake.objects, "some/folde", "not ours", objstore.Always())
	put(t, b, "wal/1", "ours", objstore.IfAbsent())
	if o, err := fake.objects.Get(t.Context(), "some/folder/wal/1"); err != nil || string(o.Data) != "ours" {
		t.Fatalf("behind the prefix: got %q, %v", o.Data, err)
	}
	for info, err := range b.List(t.Context(), "", "") {
		if err != nil || info.Name != "wal/1" {
			t.Fatalf("list: got %q, %v, want wal/1 only", info.Name, err)
		}
	}
	_, err := b.Put(t.Context(), strings.Repeat("abcdefg/", 126)+"abcdefg", nil, objstore.Always())
	if !errors.Is(err, fs.ErrInvalid) {
		t.Fatalf("a key of 1027 bytes: got %v, want %v", err, fs.ErrInvalid)
	}
}

func TestS3Options(t *testing.T) {
	setS3Env(t)
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	for what, o := range map[string]objstore.S3Options{
		"no bucket":         {Region: "eu-west-1"},
		"no region":         {Bucket: "b"},
		"a bad prefix":      {Bucket: "b", Region: "eu-west-1", Prefix: "../up"},
		"an endpoint alone": {Bucket: "b", Endpoint: "127.0.0.1:9000"},
		"a file endpoint":   {Bucket: "b", Endpoint: "file:///x"},
	} {
		if _, err := objstore.NewS3(t.Context(), o); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%s: got %v, want %v", what, err, fs.ErrInvalid)
		}
	}
	// On machines with a private authority this variable is set, and the SDK then wants a client of its own making.
	t.Setenv("AWS_CA_BUNDLE", "/nonexistent/bundle.pem")
	if _, err := objstore.NewS3(t.Context(), objstore.S3Options{Bucket: "b", Region: "eu-west-1"}); err == nil {
		t.Error("a missing AWS_CA_BUNDLE: got no error")
	}
}
