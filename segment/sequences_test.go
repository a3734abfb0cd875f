package segment

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/logdb-go/logdb/objstore"
)

// A table says for itself which sequences it holds; an object that is another
// one, or damaged, says nothing.
func TestSequencesOfATableAlone(t *testing.T) {
	ctx := context.Background()
	es := randomEntries(rand.New(rand.NewPCG(1, 1)), []string{"a", "b", "c"}, 5000, 1000)
	b := objstore.NewMem()
	slices.SortFunc(es, compareEntries)
	body, table := build(t, testOptions(), es)
	if _, err := b.Put(ctx, table.Name(), body, objstore.IfAbsent()); err != nil {
		t.Fatal(err)
	}
	c := NewCache(1<<20, 1<<20)
	defer c.Close()
	start, end, err := c.Sequences(ctx, b, testLog, table.Name(), table.Size)
	if err != nil || start != table.Start || end != table.End {
		t.Errorf("got [%d, %d) %v, want [%d, %d)", start, end, err, table.Start, table.End)
	}
	if s := c.Stats(); s.Tables != 0 || s.MetaBytes != 0 {
		t.Errorf("it is in the cache: %+v", s)
	}
	if _, _, err := c.Sequences(ctx, b, objstore.ID{1}, table.Name(), table.Size); !errors.Is(err, objstore.ErrCorrupt) {
		t.Errorf("another log's: %v, want corruption", err)
	}
	if _, _, err := c.Sequences(ctx, b, testLog, table.Name(), table.Size-1); !errors.Is(err, objstore.ErrCorrupt) {
		t.Errorf("cut short: %v, want corruption", err)
	}
	for off := len(body) - footerBytes; off < len(body); off++ {
		bad := append([]byte(nil), body...)
		bad[off] ^= 0x10
		name := Table{Segment: table.Segment, ID: table.ID}.Name()
		if _, err := b.Put(ctx, name, bad, objstore.Always()); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.Sequences(ctx, b, testLog, name, int64(len(bad))); err == nil {
			t.Errorf("byte %d of the footer is damaged, and it is a table", off)
		}
	}
}
