package segment

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/sstable/colblk"

	"github.com/logdb-go/logdb/objstore"
)

// open reads the tail of t with one request, unless the disk has it, and checks
// everything it says.
func (o *openTable) open(ctx context.Context, c *Cache, src objstore.Reader, log objstore.ID, t *Table) error {
	name := t.Name()
	if t.Tail < 0 || t.Size <= t.Tail {
		return fmt.Errorf("segment: table %s: tail [%d, %d): %w", name, t.Tail, t.Size, errInvalid)
	}
	o.name, o.dataEnd = name, t.Tail
	kept := piece{log: log, table: o.key, off: t.Tail, bytes: t.Size - t.Tail}
	if tail := c.disk.read(kept); tail != nil && o.take(ctx, c, tail, log, t) == nil {
		return nil
	}
	tail, err := getRange(ctx, src, name, extent{t.Tail, t.Size})
	if err != nil {
		return err
	}
	if err := o.take(ctx, c, tail, log, t); err != nil {
		return tableError(name, t.Tail, err)
	}
	c.disk.add(kept, tail, true)
	return nil
}

// take makes an open table of a tail, if it is that of t.
func (o *openTable) take(ctx context.Context, c *Cache, tail []byte, log objstore.ID, t *Table) error {
	if err := o.parse(ctx, c.options, &tailFile{size: t.Size, tail: tail}); err != nil {
		return err
	}
	return o.self.matches(log, t)
}

// parse takes what is needed out of the tail.
func (o *openTable) parse(ctx context.Context, options sstable.ReaderOptions, f *tailFile) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicError(p)
		}
	}()
	foot, err := parseFooter(f.tail, f.size)
	if err != nil {
		return err
	}
	if int64(foot.index.Offset) != o.dataEnd {
		return fmt.Errorf("index: got offset %d, want %d", foot.index.Offset, o.dataEnd)
	}
	if o.filter, err = findFilter(f.tail, f.size, foot); err != nil {
		return err
	}
	setNumber(&options.CacheOpts.FileNum, o.number)
	if o.sst, err = sstable.NewReader(ctx, f, options); err != nil {
		return err
	}
	if err := o.parseProperties(o.sst.UserProperties); err != nil {
		return err
	}
	if o.sst.Attributes.Has(sstable.AttributeTwoLevelIndex) {
		return fmt.Errorf("index: got two levels, want one: %w", objstore.ErrUnsupported)
	}
	index, err := tailBlock(f.tail, f.size, foot.index)
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	o.index.Init(index)
	if err := o.checkKinds(); err != nil {
		return err
	}
	o.bytes = int64(cap(index)+cap(o.filter)) + tableOverhead
	f.tail = nil
	return nil
}

// checkKinds refuses a table with rows that must not be skipped. The last
// separator is the last key itself.
func (o *openTable) checkKinds() error {
	var index colblk.IndexIter
	index.InitWithDecoder(keyComparer, &o.index, sstable.NoTransforms)
	if !index.Last() {
		return fmt.Errorf("index: got no block, want one")
	}
	if last := index.Separator(); len(last) == 0 || Kind(last[0]) >= kindCritical {
		return fmt.Errorf("rows of kind %.1x, want below %#02x: %w", last, byte(kindCritical), objstore.ErrUnsupported)
	}
	return nil
}

// parseProperties reads ours. The first byte of each is Pebble's number of it.
func (o *openTable) parseProperties(props map[string]string) (err error) {
	table, spans := props[tableProperty], props[spanProperty]
	if table == "" || spans == "" {
		return fmt.Errorf("properties: got %d and %d bytes of %s and %s, want both", len(table), len(spans), tableProperty, spanProperty)
	}
	if o.self, err = decodeIdentity([]byte(table[1:])); err != nil {
		return err
	}
	o.spanID = spans[0]
	o.span, err = decodeSpan([]byte(spans[1:]))
	return err
}

// setNumber assigns to a type that Pebble does not let us name.
func setNumber[T ~uint64](p *T, v uint64) { *p = T(v) }

var errPanic = errors.New("pebble panicked")

// panicError makes an error of a panic. Pebble's decoders trust bytes whose
// checksum holds, and panic over what they cannot be.
func panicError(p any) error { return fmt.Errorf("%w: %v", errPanic, p) }

// tableError sorts out what went wrong with a table: what failed a check is
// corrupt, what the bucket said stays what it is.
func tableError(name string, off int64, err error) error {
	var corrupt *objstore.CorruptError
	switch {
	case errors.As(err, &corrupt):
		return err
	case errors.Is(err, objstore.ErrUnsupported):
		return fmt.Errorf("segment: table %s: %w", name, err)
	}
	return &objstore.CorruptError{Object: name, Offset: off, Err: err}
}

// readError does the same where the error may also come from the bucket.
func readError(name string, off int64, err error) error {
	if pebble.IsCorruptionError(err) || errors.Is(err, errPanic) {
		return tableError(name, off, err)
	}
	return err
}
