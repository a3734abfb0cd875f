package inspect

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/wal"
)

// TestDumps prints every kind of object of the fixture. After a change that is
// meant: go test ./logdb/internal/inspect -run TestDumps -rewrite
func TestDumps(t *testing.T) {
	f := newFixture(t)
	f.m.Segments[0].Metadata = []byte("the first")
	long := wal.AppendBatch(nil, 1, func(int) (key, value []byte) {
		return []byte(strings.Repeat("k", 70)), []byte(strings.Repeat("ü", 40))
	})
	long.Stamp(60, ms(60), 3, 50)
	f.data(2, 1, batch(50, 3, 50), long)
	f.tables(2, 2, 61, 71, f.table(3, 9, run(61), nil))
	f.finish()
	ctx := context.Background()
	datadriven.RunTest(t, "testdata/dump", func(t *testing.T, d *datadriven.TestData) string {
		name := d.CmdArgs[0].Key
		switch d.Cmd {
		case "flip": // flips a bit of the byte at an offset
			var at int
			d.ScanArgs(t, "byte", &at)
			got, err := f.b.Get(ctx, name)
			f.must(err)
			got.Data[at] ^= 1
			f.put(name, got.Data)
			return ""
		case "cut": // leaves the first bytes
			var n int
			d.ScanArgs(t, "to", &n)
			got, err := f.b.Get(ctx, name)
			f.must(err)
			f.put(name, got.Data[:n])
			return ""
		}
		var out bytes.Buffer
		if err := Dump(ctx, f.b, name, &out); err != nil {
			out.WriteString("error: " + err.Error() + "\n")
		}
		return out.String()
	})
}

// Whatever bytes an object has, a dump ends, with an error or without.
func FuzzDump(f *testing.F) {
	for _, magic := range []string{manifestMagic, walMagic, "12345678" + tableMagic, ""} {
		f.Add([]byte(magic))
		f.Add(append([]byte(magic), make([]byte, 200)...))
		f.Add(append(make([]byte, 200), magic...))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		b := objstore.NewMem()
		for _, name := range []string{"manifest", "wal/0000000001-00000000000000000000", "seg/0000000001/w0000000001-0000000001.sst"} {
			if _, err := b.Put(context.Background(), name, body, objstore.Always()); err != nil {
				t.Fatal(err)
			}
			err := Dump(context.Background(), b, name, &bytes.Buffer{})
			if err != nil && !errors.Is(err, objstore.ErrCorrupt) && !errors.Is(err, objstore.ErrUnsupported) {
				t.Errorf("dump of %q: %v", body, err)
			}
		}
	})
}
