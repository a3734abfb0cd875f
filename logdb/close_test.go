package logdb

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// A writer learns in Close that it was overtaken: that, and not the time it
// waited, is what became of its records.
func TestCloseOfAnOvertakenWriterSaysSo(t *testing.T) {
	bucket := objstore.NewMem()
	away := objstoretest.NewFaulty(bucket, objstoretest.Plan{})
	old := openLog(t, away, Options{WALDir: filepath.Join(t.TempDir(), "wal")})
	away.Down(true)
	mustAppend(t, old, Local, "a", "1")
	closeLog(t, openLog(t, bucket, Options{}))
	away.Down(false)
	if err := old.Close(); !errors.Is(err, ErrFenced) {
		t.Errorf("got %v, want ErrFenced", err)
	}
}
