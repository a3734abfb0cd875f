package memtable

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/logdb-go/logdb/objstore/turn"
)

// Keys over a tiny alphabet agree in long beginnings and end at every offset of
// the eight bytes that are compared at a time.
func TestSortByKeyIsByteOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for range 300 {
		distinct := map[string]bool{}
		shared := make([]byte, rng.IntN(30))
		for range 1 + rng.IntN(200) {
			key := append([]byte{}, shared[:rng.IntN(len(shared)+1)]...)
			for range rng.IntN(25) {
				key = append(key, byte(rng.IntN(2)*255))
			}
			distinct[string(key)] = true
		}
		var items []sortItem
		for key := range distinct {
			items = append(items, sortItem{key: []byte(key)})
		}
		sortByKey(items, 0, &turn.Work{})
		if !slices.IsSortedFunc(items, func(a, b sortItem) int { return bytes.Compare(a.key, b.key) }) {
			t.Fatalf("%d keys out of order", len(items))
		}
	}
}

// Keys that come between two orderings are merged into the first.
func TestOrderIsExtended(t *testing.T) {
	tab, m := New(7, 0, 0), newModel(0)
	for i, keys := range [][]string{{"m", "c"}, {"a", "d", "z"}, {}, {"b"}} {
		for _, k := range keys {
			tab.Apply(m.batch(0, 0, k, "v"))
		}
		got, _ := drain(tab.Keys(nil, 0, tab.End()))
		if want := m.keys("", 0, tab.End()); !slices.Equal(got, want) {
			t.Fatalf("round %d: got %q, want %q", i, got, want)
		}
	}
}
