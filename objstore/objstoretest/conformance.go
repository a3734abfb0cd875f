package objstoretest

import (
	"testing"

	"github.com/logdb-go/logdb/objstore"
)

// Conformance runs the suite that every Bucket passes. open returns an empty bucket for one subtest.
func Conformance(t *testing.T, open func(t *testing.T) objstore.Bucket) {
}
