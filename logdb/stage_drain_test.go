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
	behind, appended := drains(t, "")
	if appended > behind+2*keptMemtables {
		t.Errorf("with %d memtables staged, %d more were appended before one at Remote was acknowledged", behind, appended)
	}
}

// Without the pace the backlog only ends where the disk does.
func TestBacklogDrainsMutant(t *testing.T) {
	if behind, appended := drains(t, backlogDrains); appended < 3*behind {
		t.Errorf("with %d memtables staged, only %d more were appended", behind, appended)
	}
}

// drains lets appends at Local go on without pause through an outage and
// after it, until one at Remote that began when the bucket was back is
// acknowledged. It returns how many memtables were staged then, and how many
// were begun from then to the acknowledgement.
func drains(t *testing.T, off defence) (behind, appended int) {
	synctest.Test(t, func(t *testing.T) {
		store := objstore.NewMem()
		b := objstoretest.NewFaulty(objstoretest.NewLatency(store, objstoretest.S3Standard(1)), objstoretest.Plan{})
		o := outageOptions(disk())
		o.hooks.off = off
		d := openLog(t, b, o)
		b.Down(true)
		siege(t, d, 0, 300)
		b.Down(false)
		for d.pulse.silent() >= stageAfter {
			time.Sleep(10 * time.Millisecond)
		}
		behind = d.state.backlog()
		before := d.state.added()
		ctx, enough := context.WithCancel(context.Background())
		n, ended := 300, make(chan struct{})
		go func() {
			defer close(ended)
			for ; ctx.Err() == nil; n++ {
				siege(t, d, n, n+1)
			}
		}()
		_, err := d.Append(context.Background(), []Record{rec("key", "value")}, AppendOptions{Ack: Remote})
		appended = int(d.state.added() - before)
		enough()
		<-ended
		if err != nil {
			t.Fatal(err)
		}
		closeLog(t, d)
		checkSiege(t, "the bucket", openReader(t, store, ReaderOptions{}), n)
		t.Logf("%d memtables staged, %d begun until the append at Remote; %v", behind, appended, time.Now())
	})
	return behind, appended
}
