package segment

import (
	"context"
	"fmt"

	"github.com/logdb-go/logdb/objstore"
)

// Sequences returns the range of sequences that a table's entries lie in, from
// the object alone: for tables that no manifest tells of. It takes two reads,
// and leaves nothing in the cache.
//
// An object that is no table of the log, or not the one that its name tells of,
// is an *objstore.CorruptError.
func (c *Cache) Sequences(ctx context.Context, src objstore.Reader, log objstore.ID, name string, size int64) (start, end uint64, err error) {
	seg, id, ok := ParseTableName(name)
	if !ok || size < footerBytes {
		return 0, 0, &objstore.CorruptError{Object: name, Err: fmt.Errorf("%d bytes under this name are no table", size)}
	}
	last, err := getRange(ctx, src, name, extent{size - footerBytes, size})
	if err != nil {
		return 0, 0, err
	}
	foot, err := decodeFooter(last)
	if err != nil {
		return 0, 0, tableError(name, size-footerBytes, err)
	}
	at := int64(foot.index.Offset)
	if at < 0 || at >= size {
		return 0, 0, &objstore.CorruptError{Object: name, Err: fmt.Errorf("index at %d of %d bytes", at, size)}
	}
	tail, err := getRange(ctx, src, name, extent{at, size})
	if err != nil {
		return 0, 0, err
	}
	o := &openTable{name: name, dataEnd: at}
	c.mu.Lock()
	c.mu.next++
	o.number = c.mu.next
	c.mu.Unlock()
	err = o.parse(ctx, c.options, &tailFile{size: size, tail: tail})
	if err == nil {
		err = o.self.matches(log, &Table{ID: id, Segment: seg, Nonce: o.self.nonce})
	}
	if err == nil && !o.span.some {
		err = fmt.Errorf("no entries")
	}
	if err != nil {
		return 0, 0, tableError(name, at, err)
	}
	return o.span.seqLo, o.span.seqHi + 1, nil
}
