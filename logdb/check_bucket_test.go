package logdb

import (
	"context"
	"testing"

	"github.com/logdb-go/logdb/objstore"
)

// checkBucket looks at a bucket that nobody writes to: Check finds nothing,
// and a reader and a new writer, which works on a copy, read the same history.
func checkBucket(t testing.TB, b objstore.Reader) []Entry {
	t.Helper()
	for err := range Check(context.Background(), b) {
		t.Errorf("check: %v", err)
	}
	r := openReader(t, b, ReaderOptions{RefreshInterval: -1})
	seen := mustHistory(t, r)
	d := openLog(t, copyBucket(t, b), Options{})
	sameEntries(t, "writer against reader", mustHistory(t, d), seen)
	closeLog(t, d)
	return seen
}

// sameEntries compares two histories, times included.
func sameEntries(t testing.TB, what string, got, want []Entry) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		g, w := got[i], want[i]
		if g.Sequence != w.Sequence || string(g.Key) != string(w.Key) || string(g.Value) != string(w.Value) || !g.Time.Equal(w.Time) {
			t.Errorf("%s: entry %d is %d %q %.40q %v, want %d %q %.40q %v", what, i, g.Sequence, g.Key, g.Value, g.Time, w.Sequence, w.Key, w.Value, w.Time)
			return
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d entries, want %d", what, len(got), len(want))
	}
}
