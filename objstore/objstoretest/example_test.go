package objstoretest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

// A test of one's own code asks for a plan that can be replayed, and puts the faulty bucket in the place of the store.
// Where it fails it prints one line that begins with OBJSTORETEST_PLAN and runs it again with the same faults.
func ExampleReplayable() {
	var TestMyUpload = func(t *testing.T) {
		plan := objstoretest.Replayable(t, objstoretest.Plan{
			Rates: map[objstoretest.FaultKind]float64{
				objstoretest.Refuse:         0.05,
				objstoretest.ApplyThenError: 0.05,
				objstoretest.ApplyLater:     0.02,
			},
			Storms: []objstoretest.Storm{{
				Fault: objstoretest.Fault{Kind: objstoretest.SlowDown, Delay: time.Second},
				After: 10 * time.Second, For: time.Minute,
			}},
		})
		store := objstoretest.NewFaulty(objstore.NewMem(), plan)
		// ... run what is to be tested on store, then wait for the writes that come late:
		store.Wait()
		if store.Injected()[objstoretest.ApplyLater] == 0 {
			t.Log("nothing came late this time")
		}
	}
	_ = TestMyUpload
}

// One fault, where the test wants it: the first Put of the manifest is applied and answered with an error, so that the
// second meets its own success.
func ExampleNewFaulty() {
	store := objstoretest.NewFaulty(objstore.NewMem(), objstoretest.Plan{
		Hook: func(op objstoretest.Op) objstoretest.Fault {
			if op.Kind == objstoretest.Put && op.Name == "manifest" && op.Attempt == 1 {
				return objstoretest.Fault{Kind: objstoretest.ApplyThenError}
			}
			return objstoretest.Fault{Kind: objstoretest.None}
		},
	})
	for range 2 {
		_, err := store.Put(context.Background(), "manifest", []byte("my nonce"), objstore.IfAbsent())
		fmt.Println(errors.Is(err, objstoretest.ErrInjected), errors.Is(err, objstore.ErrPrecondition))
	}
	there, err := store.Get(context.Background(), "manifest")
	fmt.Println(string(there.Data), err)
	// Output:
	// true false
	// false true
	// my nonce <nil>
}
