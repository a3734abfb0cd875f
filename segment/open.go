package segment

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"

	"github.com/logdb-go/logdb/objstore"
)

// open reads the tail of t with one request and checks everything it says.
func (o *openTable) open(ctx context.Context, options sstable.ReaderOptions, src objstore.Reader, log objstore.ID, t *Table) error {
	name := t.Name()
	if t.Tail < 0 || t.Size <= t.Tail {
		return fmt.Errorf("segment: table %s: tail [%d, %d): %w", name, t.Tail, t.Size, errInvalid)
	}
	tail, err := src.GetRange(ctx, name, t.Tail, t.Size-t.Tail)
	if err != nil {
		return fmt.Errorf("segment: table %s: read tail [%d, %d): %w", name, t.Tail, t.Size, err)
	}
	if int64(len(tail)) != t.Size-t.Tail {
		return fmt.Errorf("segment: table %s: read tail [%d, %d): got %d bytes", name, t.Tail, t.Size, len(tail))
	}
	o.file = tableFile{name: name, size: t.Size, tail: tail}
	err = o.parse(ctx, options)
	if err == nil {
		err = o.self.matches(log, t)
	}
	if err == nil && int64(o.foot.index.Offset) != t.Tail {
		err = fmt.Errorf("index: got offset %d, want %d", o.foot.index.Offset, t.Tail)
	}
	if err != nil {
		return tableError(name, t.Tail, err)
	}
	return nil
}

// parse fills o from the tail.
func (o *openTable) parse(ctx context.Context, options sstable.ReaderOptions) (err error) {
	defer recoverTo(&err)
	if o.foot, err = parseFooter(o.file.tail, o.file.size); err != nil {
		return err
	}
	if o.filter, err = findFilter(o.file.tail, o.file.size, o.foot); err != nil {
		return err
	}
	setNumber(&options.CacheOpts.FileNum, o.number)
	if o.sst, err = sstable.NewReader(ctx, &o.file, options); err != nil {
		return err
	}
	if o.sst.Attributes.Has(sstable.AttributeTwoLevelIndex) {
		return fmt.Errorf("index: got two levels, want one")
	}
	property := o.sst.UserProperties[tableProperty]
	if property == "" {
		return fmt.Errorf("property %s: got none, want one", tableProperty)
	}
	// The first byte is Pebble's number of the property.
	o.self, err = decodeIdentity([]byte(property[1:]))
	return err
}

// setNumber assigns to a type that Pebble does not let us name.
func setNumber[T ~uint64](p *T, v uint64) { *p = T(v) }

var errPanic = errors.New("pebble panicked")

// recoverTo makes an error of a panic. Pebble's decoders trust bytes whose
// checksum holds, and panic over what they cannot be.
func recoverTo(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %v", errPanic, p)
	}
}

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

// readError does the same for an iterator, whose errors also come from the bucket.
func readError(name string, err error) error {
	if pebble.IsCorruptionError(err) || errors.Is(err, errPanic) || errors.Is(err, errEntry) || errors.Is(err, errTableKey) {
		return tableError(name, 0, err)
	}
	return err
}
