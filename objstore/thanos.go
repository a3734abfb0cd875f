package objstore

import (
	thanos "github.com/thanos-io/objstore"
)

// FromThanos makes a Reader of any bucket of github.com/thanos-io/objstore.
func FromThanos(b thanos.BucketReader) Reader { return nil }

// AsThanos shows b as a bucket of github.com/thanos-io/objstore.
func AsThanos(b Bucket) thanos.Bucket { return nil }
