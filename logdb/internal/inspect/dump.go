package inspect

import (
	"context"
	"io"

	"github.com/logdb-go/logdb/objstore"
)

// Dump is logdb.Dump.
func Dump(ctx context.Context, b objstore.Reader, name string, w io.Writer) error { return nil }
