package memtable

import (
	"fmt"
	"sync"
	"testing"
)

// While one goroutine applies, readers at any end that they were shown see
// exactly the records below it: every batch whole, in both directions, in the
// listing and among the keys.
func TestReadersBesideTheWriter(t *testing.T) {
	const batches, keys = 3000, 50
	tab, m := New(7, 0, 0), newModel(0)
	var wg sync.WaitGroup
	done := make(chan struct{})
	for r := range 3 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := r; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				if err := readAt(tab, tab.End(), i%keys, keys); err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	// Batch b writes to key b%keys twice: what a key holds below an end
	// follows from the end alone.
	for b := range batches {
		key := fmt.Sprintf("key-%02d", b%keys)
		tab.Apply(m.batch(0, 1, key, "first", key, "second"))
	}
	close(done)
	wg.Wait()
}

func readAt(tab *Table, end uint64, k, keys int) error {
	batches := int(end / 2)
	want := batches / keys
	if k < batches%keys {
		want++
	}
	key := []byte(fmt.Sprintf("key-%02d", k))
	es := forward(tab.Scan(key, 0, end))
	back := backward(tab.Scan(key, 0, end))
	l, _ := tab.Listing(key, 0, end)
	if len(es) != 2*want || len(back) != 2*want || l.Records != uint64(2*want) {
		return fmt.Errorf("%s below %d: %d forward, %d backward, listing %d, want %d", key, end, len(es), len(back), l.Records, 2*want)
	}
	for i, e := range es {
		if wantSeq := uint64(2*(i/2*keys+k) + i%2); e.sequence != wantSeq {
			return fmt.Errorf("%s record %d: sequence %d, want %d", key, i, e.sequence, wantSeq)
		}
	}
	if names, _ := drain(tab.Keys(nil, 0, end)); len(names) != min(batches, keys) {
		return fmt.Errorf("%d keys below %d, want %d", len(names), end, min(batches, keys))
	}
	return nil
}
