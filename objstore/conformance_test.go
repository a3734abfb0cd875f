package objstore_test

import (
	"os"
	"testing"

	thanos "github.com/thanos-io/objstore"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

func openFile(t *testing.T, dir string) *objstore.File {
	t.Helper()
	b, err := objstore.NewFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func listNames(t *testing.T, r objstore.Reader, prefix string) []string {
	t.Helper()
	var names []string
	for info, err := range r.List(t.Context(), prefix, "") {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		names = append(names, info.Name)
	}
	return names
}

func TestConformance(t *testing.T) {
	buckets := map[string]func(t *testing.T) objstore.Bucket{
		"mem":  func(*testing.T) objstore.Bucket { return objstore.NewMem() },
		"file": func(t *testing.T) objstore.Bucket { return openFile(t, t.TempDir()) },
		"file in a folder yet to be made": func(t *testing.T) objstore.Bucket {
			return openFile(t, t.TempDir()+"/not/there/yet")
		},
		"prefix": func(*testing.T) objstore.Bucket { return objstore.WithPrefix(objstore.NewMem(), "some/folder/") },
		"prefix of file": func(t *testing.T) objstore.Bucket {
			return objstore.WithPrefix(openFile(t, t.TempDir()), "logs/one")
		},
		"meter": func(*testing.T) objstore.Bucket { return objstore.NewMeter(objstore.NewMem()) },
	}
	for name, open := range buckets {
		t.Run(name, func(t *testing.T) { objstoretest.Conformance(t, open) })
	}
}

// TestS3ServerConformance runs the suite against a real server, under a fresh prefix for each promise.
// LOGDB_S3_URL names it, s3://bucket/prefix?endpoint=http://127.0.0.1:9000&path_style=1&region=us-east-1 for one; the
// bucket must exist and the AWS_* variables must open it.
func TestS3ServerConformance(t *testing.T) {
	b := openServer(t)
	objstoretest.Conformance(t, func(t *testing.T) objstore.Bucket { return freshPrefix(t, b) })
}

func openServer(t *testing.T) objstore.Bucket {
	t.Helper()
	url := os.Getenv("LOGDB_S3_URL")
	if url == "" {
		t.Skip("LOGDB_S3_URL names no server")
	}
	b, err := objstore.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func freshPrefix(t *testing.T, b objstore.Bucket) objstore.Bucket {
	return objstore.WithPrefix(b, "conformance-"+objstore.NewID().String())
}

func TestThanosAcceptance(t *testing.T) {
	t.Run("mem", func(t *testing.T) { thanos.AcceptanceTest(t, objstore.AsThanos(objstore.NewMem())) })
	t.Run("file", func(t *testing.T) { thanos.AcceptanceTest(t, objstore.AsThanos(openFile(t, t.TempDir()))) })
	t.Run("prefix in a thanos prefix", func(t *testing.T) {
		b := objstore.AsThanos(objstore.WithPrefix(objstore.NewMem(), "ours"))
		thanos.AcceptanceTest(t, thanos.NewPrefixedBucket(b, "theirs"))
	})
}

func TestS3ServerThanosAcceptance(t *testing.T) {
	thanos.AcceptanceTest(t, objstore.AsThanos(freshPrefix(t, openServer(t))))
}
