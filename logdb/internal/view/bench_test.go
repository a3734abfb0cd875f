package view

import (
	"fmt"
	"testing"
)

// A scan of a hundred records of one key, from memory throughout.
func BenchmarkScanWarm(b *testing.B) {
	f := newFixture(&testing.T{})
	for range 100 {
		var kv []string
		for k := range 500 {
			kv = append(kv, fmt.Sprintf("key-%04d", k), "a value of about thirty bytes..")
		}
		f.append(kv...)
	}
	frames := f.frames
	f.flush()
	inTable := f.view
	f.view, f.frames = &View{Store: inTable.Store}, frames
	f.keepInMemory()
	for name, v := range map[string]*View{"table": inTable, "memtable": f.view} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				it := v.Scan(ctx, []byte("key-0123"), ScanOptions{Hi: f.next})
				n := 0
				for it.Next() {
					n += len(it.Value())
				}
				if it.Close(); n == 0 {
					b.Fatal("nothing read", it.Err())
				}
			}
		})
	}
}

// A poll of a key that has nothing new must not cost what the log is large.
func BenchmarkPollBehindManyTables(b *testing.B) {
	f := newFixture(&testing.T{})
	for range 2000 {
		f.append("key", "v")
		f.flush()
	}
	f.append("key", "v")
	f.keepInMemory()
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		it := f.view.Scan(ctx, []byte("key"), ScanOptions{Lo: f.next - 1, Hi: f.next})
		for it.Next() {
		}
		it.Close()
	}
}
