package memtable

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/logdb-go/logdb/wal"
)

// benchFrames makes batches of 100 records of 256 bytes over the given number
// of keys.
func benchFrames(records, keys int) []wal.Frame {
	rng := rand.New(rand.NewPCG(5, 6))
	value := make([]byte, 256)
	names := make([][]byte, keys)
	for i := range names {
		names[i] = fmt.Appendf(nil, "tenant/service/stream-%06d", i)
	}
	fs := make([]wal.Frame, 0, records/100)
	for at := 0; at < records; at += 100 {
		f := wal.AppendBatch(nil, 100, func(int) (key, v []byte) { return names[rng.IntN(keys)], value })
		f.Stamp(uint64(at), int64(at), 1, 0)
		fs = append(fs, f)
	}
	return fs
}

func BenchmarkApply(b *testing.B) {
	for _, keys := range []int{1000, 100_000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			const records = 500_000
			fs := benchFrames(records, keys)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				tab := New(1, 0, 0)
				for _, f := range fs {
					tab.Apply(f)
				}
			}
			b.ReportMetric(float64(records*b.N)/b.Elapsed().Seconds()/1e6, "Mrec/s")
		})
	}
}

func BenchmarkSortAndFlush(b *testing.B) {
	const records = 500_000
	fs := benchFrames(records, 100_000)
	tab := New(1, 0, 0)
	tab.ApplyAll(fs)
	b.Run("sort", func(b *testing.B) {
		for range b.N {
			tab.order.Store(nil)
			tab.sorted()
		}
	})
	b.Run("walk", func(b *testing.B) {
		buf := make([]byte, 0, 1<<16)
		for range b.N {
			for s := tab.Flush(); s.Next(); {
				for it := s.Entries(); it.Next(); {
					if len(buf) > 32<<10 {
						buf = buf[:0]
					}
					buf = append(buf, it.Value()...)
				}
			}
		}
		b.ReportMetric(float64(records*b.N)/b.Elapsed().Seconds()/1e6, "Mrec/s")
	})
}

func BenchmarkScan(b *testing.B) {
	const keys = 100_000
	tab := New(1, 0, 0)
	tab.ApplyAll(benchFrames(500_000, keys))
	key := fmt.Appendf(nil, "tenant/service/stream-%06d", 4711)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		for it := tab.Scan(key, 0, tab.End()); it.Next(); {
			_ = it.Value()
		}
	}
}
