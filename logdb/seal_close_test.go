package logdb

import (
	"testing"

	"github.com/logdb-go/logdb/objstore"
)

// Close leaves nothing to the WAL, a seal that stands alone neither: it holds
// no record, so no watermark tells when it is in the manifest. Whether Close or
// the seal comes first is chance, so it is tried often.
func TestCloseWaitsForASealThatStandsAlone(t *testing.T) {
	for range 100 {
		b := objstore.NewMem()
		d := openLog(t, b, Options{Ack: Applied})
		mustAppend(t, d, Remote, "k", "v")
		if err := <-d.control((*committer).rotate); err != nil {
			t.Fatal(err)
		}
		if err := d.flushed.wait(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		mustSeal(t, d)
		closeLog(t, d)
		m := newestManifest(t, b)
		if s := m.Segments[0]; !s.Sealed || m.ReplayNumber != 2 {
			t.Fatalf("after Close the segment is sealed: %v, recovery starts at object %d, want true and 2", s.Sealed, m.ReplayNumber)
		}
	}
}
