package logdb

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/logdb-go/logdb/objstore"
)

// A caller who stops to wait in the very moment in which the committer refuses
// the batch is told that nothing was written, and not that the batch is in the
// log at [0,0): the answer is there before he is told to look for it.
func TestRefusedIsNotPending(t *testing.T) {
	refusals := map[string]func(*committer, *request){
		"the log ends":     func(c *committer, r *request) { c.refuse([]*request{r}, ErrClosed) },
		"the log closes":   func(c *committer, r *request) { c.closing = true; _ = c.handle(r) },
		"no room was made": func(c *committer, r *request) { c.db.fail(ErrFenced); _ = c.handle(r) },
	}
	for name, refuse := range refusals {
		synctest.Test(t, func(t *testing.T) {
			d := openLog(t, objstore.NewMem(), Options{})
			crash(d) // its committer is the test's own now
			if name == "no room was made" {
				d.limits.limit.Store(0)
				d.committer.next = 1
			}
			r := &request{placed: make(chan struct{}), done: make(chan error, 1)}
			go refuse(d.committer, r)
			settled()
			select {
			case err := <-r.done:
				if err == nil || errors.As(err, new(*PendingError)) {
					t.Errorf("%s: %v", name, err)
				}
			default:
				t.Errorf("%s: the caller is told to look for an answer that is not there", name)
			}
			<-r.placed
			if r.next > 0 {
				t.Errorf("%s: placed at %d", name, r.first)
			}
		})
	}
}
