package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/logdb-go/logdb/logdb"
	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// lostName is the directory of set aside files in the WAL directory w1.
func lostName(t *testing.T) string {
	names, err := filepath.Glob("w1/lost/*")
	must(t, err)
	if len(names) == 0 {
		return ""
	}
	return filepath.Base(names[0])
}

// fencedDir cuts a writer with that WAL directory off from the bucket, lets it
// append, and another one take the log over.
func fencedDir(t *testing.T, dir string) {
	ctx := context.Background()
	bucket, err := objstore.Open(ctx, "file:logdb-data/bucket")
	must(t, err)
	away := objstoretest.NewFaulty(bucket, objstoretest.Plan{})
	old, err := logdb.Open(ctx, away, logdb.Options{WALDir: dir})
	must(t, err)
	appendAt := func(level logdb.Durability, records ...logdb.Record) {
		_, err := old.Append(ctx, records, logdb.AppendOptions{Ack: level})
		must(t, err)
	}
	rec := func(k, v string) logdb.Record { return logdb.Record{Key: []byte(k), Value: []byte(v)} }
	appendAt(logdb.Remote, rec("LAX-JFK", "shipped"))
	away.Down(true)
	appendAt(logdb.Local, rec("LAX-JFK", "not shipped"), rec("JFK-LAX", "nor this"))
	appendAt(logdb.Local, rec("\xff\x00", "\x01"))
	next, err := logdb.Open(ctx, bucket, logdb.Options{})
	must(t, err)
	must(t, next.Close())
	away.Down(false)
	if err := old.Close(); !errors.Is(err, logdb.ErrFenced) {
		t.Fatalf("close of a fenced writer: got %v, want ErrFenced", err)
	}
}

// A directory is looked at beside the writer that has it open.
func TestWALOfARunningWriter(t *testing.T) {
	t.Chdir(t.TempDir())
	ctx := context.Background()
	d, err := logdb.Open(ctx, objstore.NewMem(), logdb.Options{WALDir: "w"})
	must(t, err)
	_, err = d.Append(ctx, []logdb.Record{{Key: []byte("k"), Value: []byte("v")}}, logdb.AppendOptions{Ack: logdb.Applied})
	must(t, err)
	out := transcript(t, []string{"logdb", "wal", "w", "-o", "json"}, "")
	if want := `"in_use":true`; !strings.Contains(out, want) {
		t.Errorf("got %s, want %s", out, want)
	}
	out = transcript(t, []string{"logdb", "wal", "w"}, "")
	for _, want := range []string{"in use  yes, by a running process", " open "} {
		if !strings.Contains(out, want) {
			t.Errorf("got %s, want %q", out, want)
		}
	}
	must(t, d.Close())
}
