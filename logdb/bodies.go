package logdb

import (
	"context"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
)

// bodies are buffers of tables that are in the bucket, for those that come next.
// A table is as large as a memtable: as garbage, a few of them would take the
// process far beyond its budget before a collector is there.
type bodies chan []byte

// take returns a buffer, or nil if there is none.
func (b bodies) take() []byte {
	select {
	case body := <-b:
		return body
	default:
		return nil
	}
}

// clear lets go of all of them.
func (b bodies) clear() {
	for b.take() != nil {
	}
}

// put puts a table. Its bytes may be overwritten by another one if the first
// attempt went well: after one that was given up, a client may still be sending
// them.
func (b bodies) put(ctx context.Context, to objstore.Bucket, cache *segment.Cache, log objstore.ID, body []byte, t segment.Table, retry *retry) error {
	err := putTable(ctx, to, cache, log, body, t, retry)
	if err == nil && retry.pauses == 0 {
		select {
		case b <- body[:0]:
		default:
		}
	}
	return err
}
