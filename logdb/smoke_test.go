package logdb

import (
	"context"
	"fmt"
	"testing"

	"github.com/logdb-go/logdb/objstore"
)

func rec(k, v string) Record { return Record{[]byte(k), []byte(v)} }

func TestSmoke(t *testing.T) {
	ctx := context.Background()
	for _, dir := range []string{"", t.TempDir()} {
		b := objstore.NewMem()
		for round := range 3 {
			d, err := Open(ctx, b, Options{WALDir: dir})
			if err != nil {
				t.Fatal(err)
			}
			for i := range 10 {
				a, err := d.Append(ctx, []Record{rec("a", fmt.Sprint(round, i)), rec("b", "x")}, AppendOptions{})
				if err != nil {
					t.Fatal(err)
				}
				t.Log(a.First, a.Next)
			}
			n, err := d.Count(ctx, []byte("a"), Range{})
			if err != nil || n != uint64(10*(round+1)) {
				t.Fatal(n, err)
			}
			if err := d.Flush(ctx); err != nil {
				t.Fatal(err)
			}
			r, err := OpenReader(ctx, b, ReaderOptions{})
			if err != nil {
				t.Fatal(err)
			}
			n, err = r.Count(ctx, []byte("a"), Range{})
			if err != nil || n != uint64(10*(round+1)) {
				t.Fatal("reader", n, err)
			}
			seen := 0
			for e, err := range r.Scan(ctx, []byte("a"), Range{}, ScanOptions{}).All() {
				if err != nil {
					t.Fatal(err)
				}
				_ = e
				seen++
			}
			if seen != 10*(round+1) {
				t.Fatal(seen)
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			if err := r.Refresh(ctx); err != nil {
				t.Fatal(err)
			}
			n, err = r.Count(ctx, []byte("a"), Range{})
			if err != nil || n != uint64(10*(round+1)) {
				t.Fatal("reader", n, err)
			}
			r.Close()
		}
		for info := range b.List(ctx, "", "") {
			t.Log(info.Name, info.Size)
		}
	}
}
