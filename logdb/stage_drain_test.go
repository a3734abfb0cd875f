package logdb

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// An outage ends although Local appends never pause and the disk is faster than
// the bucket: what is staged drains, and an append at Remote is acknowledged
// before as much again was appended as the outage had left behind. Found by
// killing servers, where appends at Remote never came back.
func TestBacklogDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := objstore.NewMem()
		b := objstoretest.NewFaulty(objstoretest.NewLatency(store, objstoretest.S3Standard(1)), objstoretest.Plan{})
		d := openLog(t, b, outageOptions(disk()))
		b.Down(true)
		siege(t, d, 0, 300)
		b.Down(false)
		for d.pulse.silent() >= stageAfter {
			time.Sleep(10 * time.Millisecond)
		}
		behind, before := d.state.backlog(), d.state.added()
		ctx, enough := context.WithCancel(context.Background())
		n, ended := 300, make(chan struct{})
		go func() {
			defer close(ended)
			for ; ctx.Err() == nil; n++ {
				siege(t, d, n, n+1)
			}
		}()
		_, err := d.Append(context.Background(), []Record{rec("key", "value")}, AppendOptions{Ack: Remote})
		begun := int(d.state.added() - before)
		enough()
		<-ended
		if err != nil {
			t.Fatal(err)
		}
		if begun > behind+2*keptMemtables {
			t.Errorf("with %d memtables staged, %d more were begun before an append at Remote was acknowledged", behind, begun)
		}
		closeLog(t, d)
		checkSiege(t, "the bucket", openReader(t, store, ReaderOptions{}), n)
	})
}
