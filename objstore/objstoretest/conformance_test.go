package objstoretest_test

import (
	"testing"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

func TestConformanceOfWrappers(t *testing.T) {
	wrappers := map[string]func(objstore.Bucket) objstore.Bucket{
		"requests": func(b objstore.Bucket) objstore.Bucket { return objstoretest.NewRequests(b) },
		"faulty":   func(b objstore.Bucket) objstore.Bucket { return objstoretest.NewFaulty(b, objstoretest.Plan{}) },
		"latency": func(b objstore.Bucket) objstore.Bucket {
			return objstoretest.NewLatency(b, objstoretest.LatencyModel{BytesPerSecond: 1e12})
		},
	}
	for name, wrap := range wrappers {
		t.Run(name, func(t *testing.T) {
			objstoretest.Conformance(t, func(*testing.T) objstore.Bucket { return wrap(objstore.NewMem()) })
		})
	}
}
