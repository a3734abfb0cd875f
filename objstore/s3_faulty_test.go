package objstore_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// unreliable is an S3 bucket over HTTP that breaks, and the same bucket as it is.
type unreliable struct {
	*testing.T
	faults *objstoretest.Transport
	bucket *objstore.S3
	behind objstore.Bucket
}

// unreliably runs a story over every way in which HTTP can break here: as the transport of the client over a fake server,
// as a proxy between the client and the fake server, and as both over the server that LOGDB_S3_URL names, if it does. plan
// is asked for each, since hooks keep state.
func unreliably(t *testing.T, plan func() objstoretest.Plan, run func(u unreliable)) {
	t.Helper()
	setUp := func(t *testing.T, o objstore.S3Options) unreliable {
		u := unreliable{T: t, faults: objstoretest.NewTransport(nil, "/"+o.Bucket+"/"+o.Prefix+"/", plan())}
		u.faults.Resign = resign
		u.behind = openS3(t, o)
		return u
	}
	fake := func(t *testing.T) objstore.S3Options {
		setS3Env(t)
		server := httptest.NewServer(newFakeS3())
		t.Cleanup(server.Close)
		return objstore.S3Options{Bucket: "bucket", Prefix: "some/folder", Region: "us-east-1", Endpoint: server.URL, PathStyle: true}
	}
	ways := map[string]func(t *testing.T) objstore.S3Options{"fake": fake}
	if os.Getenv("LOGDB_S3_URL") != "" {
		ways[os.Getenv("LOGDB_S3_SERVER")] = serverOptions
	}
	for name, options := range ways {
		t.Run(name+" through a transport", func(t *testing.T) {
			o := options(t)
			u := setUp(t, o)
			o.Transport = func(http.RoundTripper) http.RoundTripper { return u.faults }
			u.bucket = openS3(t, o)
			run(u)
		})
		t.Run(name+" through a proxy", func(t *testing.T) {
			o := options(t)
			u := setUp(t, o)
			server, err := url.Parse(o.Endpoint)
			if err != nil {
				t.Fatal(err)
			}
			front := httptest.NewServer(objstoretest.NewProxy(server, u.faults))
			t.Cleanup(front.Close)
			o.Endpoint = front.URL
			u.bucket = openS3(t, o)
			run(u)
		})
	}
}

func openS3(t *testing.T, o objstore.S3Options) *objstore.S3 {
	t.Helper()
	b, err := objstore.NewS3(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// serverOptions reads LOGDB_S3_URL, with a fresh prefix.
func serverOptions(t *testing.T) objstore.S3Options {
	t.Helper()
	u, err := url.Parse(os.Getenv("LOGDB_S3_URL"))
	if err != nil {
		t.Fatal(err)
	}
	prefix := strings.Trim(u.Path+"/faults-"+objstore.NewID().String(), "/")
	return objstore.S3Options{
		Bucket: u.Host, Prefix: prefix, Region: u.Query().Get("region"), Endpoint: u.Query().Get("endpoint"),
		PathStyle: u.Query().Get("path_style") == "1",
	}
}

// resign signs a request whose headers were changed, as the SDK signs for S3.
func resign(r *http.Request) error {
	r.Header.Del("Authorization")
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	keys := aws.Credentials{AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY")}
	return signer.SignHTTP(r.Context(), keys, r, r.Header.Get("X-Amz-Content-Sha256"), "s3", "us-east-1", time.Now())
}

// always breaks every request of a kind, from one attempt to another.
func always(kind objstoretest.Kind, fault objstoretest.Fault, from, to int) func() objstoretest.Plan {
	return func() objstoretest.Plan {
		return objstoretest.Plan{Hook: func(op objstoretest.Op) objstoretest.Fault {
			if op.Kind == kind && op.Attempt >= from && op.Attempt <= to {
				return fault
			}
			return objstoretest.Fault{Kind: objstoretest.None}
		}}
	}
}

// within is a context of a client that does not wait for ever. What is tested with it does not depend on how long.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
