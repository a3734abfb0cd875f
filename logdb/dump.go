package logdb

import (
	"context"
	"io"

	"github.com/logdb-go/logdb/logdb/internal/inspect"
	"github.com/logdb-go/logdb/objstore"
)

// Dump prints one object of a log for people: the manifest, a WAL object or a
// table, told apart by their magic, with offsets and what the bytes mean. Long
// values are cut.
//
// What is damaged is printed as far as it can be read; then the error is a
// *CorruptError. objstore.ErrNotFound if there is no such object.
func Dump(ctx context.Context, b objstore.Reader, name string, w io.Writer) error {
	return inspect.Dump(ctx, b, name, w)
}
