package segment

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/logdb-go/logdb/objstore"
)

// Whoever finds a table without a manifest can open it and read everything:
// the parts of the anatomy tile the object, and say where entries lie.
func TestDissectFindsWhatTheManifestWouldSay(t *testing.T) {
	ctx := context.Background()
	es := randomEntries(rand.New(rand.NewPCG(1, 2)), hostileKeys()[:20], 3000, 10)
	body, want := build(t, testOptions(), es)
	b := objstore.NewMem()
	_, err := b.Put(ctx, want.Name(), body, objstore.IfAbsent())
	must(t, err)

	a, err := Dissect(ctx, b, want.Name(), int64(len(body)))
	must(t, err)
	got := a.Table
	if a.Log != testLog || got.ID != want.ID || got.Segment != want.Segment || got.Nonce != want.Nonce || got.Size != want.Size || got.Tail != want.Tail {
		t.Fatalf("anatomy of %+v, want %+v", got, want)
	}
	end, data := int64(0), 0
	for _, p := range a.Parts {
		if p.Offset < end || p.Offset-end > 16 {
			t.Fatalf("%s at %d, the part before it ends at %d", p.What, p.Offset, end)
		}
		end = p.Offset + p.Length
		if p.What == "data" && p.HasEntries {
			data++
			if p.First > p.Last || p.First < want.Start || p.Last >= want.End || p.FirstMs < want.FirstMs || p.LastMs > want.LastMs {
				t.Fatalf("block %+v outside of %+v", p, want)
			}
		}
	}
	if end != want.Size || data < 2 {
		t.Fatalf("parts end at %d, want %d; %d data blocks", end, want.Size, data)
	}
	c := NewCache(1<<20, 1<<20)
	defer c.Close()
	r, err := c.Open(ctx, b, a.Log, got)
	must(t, err)
	must(t, r.Close())
}

// A table under a wrong name, and any damaged byte of the tail, is corrupt.
func TestDissectRejects(t *testing.T) {
	ctx := context.Background()
	body, table := build(t, testOptions(), []entry{{key: "a", seq: 1, ms: 1_700_000_000_000, value: "v"}})
	reject := func(why, name string, body []byte) {
		t.Helper()
		b := objstore.NewMem()
		_, err := b.Put(ctx, name, body, objstore.IfAbsent())
		must(t, err)
		_, err = Dissect(ctx, b, name, int64(len(body)))
		if !errors.Is(err, objstore.ErrCorrupt) && !errors.Is(err, objstore.ErrUnsupported) {
			t.Errorf("%s: got %v, want a corrupt or unsupported object", why, err)
		}
	}
	other := table
	other.ID.N++
	reject("another table's name", other.Name(), body)
	reject("too short", table.Name(), body[len(body)-footerBytes+1:])
	reject("only a footer", table.Name(), body[len(body)-footerBytes:])
	for i := range int64(footerBytes) {
		bad := bytes.Clone(body)
		bad[table.Size-1-i] ^= 0x40
		reject("footer byte", table.Name(), bad)
	}
}
