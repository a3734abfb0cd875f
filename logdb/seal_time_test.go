package logdb

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/logdb-go/logdb/objstore"
)

// A segment's last time is its last record's, however long after it the
// segment was sealed: who seals and who lists later are told the same.
func TestSealTellsTheTimeOfTheLastRecord(t *testing.T) {
	var ms atomic.Int64
	ms.Store(1_000_000)
	d := openLog(t, objstore.NewMem(), Options{Clock: func() time.Time { return time.UnixMilli(ms.Load()) }})
	a := mustAppend(t, d, Remote, "k", "v")
	ms.Add(60_000)
	s, _, err := d.SealSegment(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	listed, err := d.ListSegments(context.Background(), Range{})
	if err != nil {
		t.Fatal(err)
	}
	if len(listed) != 1 || !s.Last.Equal(a.Time) || !listed[0].Last.Equal(a.Time) {
		t.Errorf("sealed %+v, listed %+v, want last time %v", s, listed, a.Time)
	}
}
