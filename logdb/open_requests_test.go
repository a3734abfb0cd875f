package logdb

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
	"github.com/logdb-go/logdb/segment"
)

// bigManifest is a manifest of so many tables, ten to a segment.
func bigManifest(tables int) *segment.Manifest {
	m := &segment.Manifest{
		Log: objstore.NewID(), Nonce: objstore.NewID(), Version: 1, Epoch: 3, DirSince: 3, CompactorEpoch: 3, ReplayEpoch: 3, OldestEpoch: 3,
	}
	for n := range tables {
		if n%10 == 0 {
			m.NextSegment++
			m.Segments = append(m.Segments, segment.Segment{ID: m.NextSegment - 1, Start: uint64(n) * 1000, End: uint64(n+10) * 1000, Sealed: true, Consolidated: true})
		}
		s := &m.Segments[len(m.Segments)-1]
		s.Tables = append(s.Tables, segment.Table{
			ID: segment.TableID{Compacted: true, Epoch: 3, N: uint64(n)}, Segment: s.ID, Nonce: objstore.NewID(), Size: 64 << 20, Tail: 64<<20 - 100_000 - int64(n),
			Records: 1000, Keys: 100, KeyBytes: 20_000, ValueBytes: 1_000_000, Start: uint64(n) * 1000, End: uint64(n+1) * 1000,
			FirstMs: 1_700_000_000_000 + int64(n)*1000, LastMs: 1_700_000_000_999 + int64(n)*1000,
			Lo: fmt.Appendf(nil, "tenant/%02d/stream/%08d", n%10, n), Hi: fmt.Appendf(nil, "tenant/%02d/stream/%08d", n%10, n+5000),
		})
	}
	m.Flushed = uint64(tables+10) * 1000
	m.Limit = m.Flushed
	return m
}

// A reader opens a log of ten thousand tables with two requests: the manifest,
// and the first WAL object, which is not there.
func TestReaderOpensTenThousandTables(t *testing.T) {
	m, b := bigManifest(10_000), counted()
	body := segment.EncodeManifest(m)
	if _, err := b.Put(t.Context(), segment.ManifestName, body, objstore.IfAbsent()); err != nil {
		t.Fatal(err)
	}
	b.Reset()
	r := openReader(t, b, ReaderOptions{RefreshInterval: -1})
	if n := len(b.Ops()); n != 2 {
		t.Errorf("%d requests, want 2\n%s", n, b)
	}
	if n := len(r.snapshot.Load().view.Parts); n != 10_000 {
		t.Errorf("%d tables", n)
	}
	if len(body) > 1<<20 {
		t.Errorf("the manifest has %d bytes, want at most 1 MiB", len(body))
	}
	t.Logf("%d bytes", len(body))
}

// What is not flushed costs one request for each WAL object, many of them at
// once, and four more at most. Rounds are requests that wait for each other.
func TestReaderOpensWithUnflushedObjects(t *testing.T) {
	for objects, rounds := range map[int]int{0: 2, 1: 3, 2: 4, 3: 4, 4: 6, 5: 6, 7: 6, 8: 6, 9: 6, 16: 6, 19: 6, 20: 7, 33: 7, 100: 12} {
		synctest.Test(t, func(t *testing.T) {
			b := counted()
			d := openLog(t, b, Options{ShipInterval: 10 * time.Millisecond, FlushInterval: time.Hour})
			for i := range objects {
				mustAppend(t, d, Remote, "k", fmt.Sprint(i))
			}
			settled()
			b.Reset()
			const round = 10 * time.Millisecond
			begun := time.Now()
			r := openReader(t, objstoretest.NewLatency(b, objstoretest.LatencyModel{Get: objstoretest.Quantiles{P50: round, P99: round}}), ReaderOptions{RefreshInterval: -1})
			if n := len(b.Ops()); n > 4+objects {
				t.Errorf("%d objects: %d requests, want at most %d", objects, n, 4+objects)
			}
			if got := int(time.Since(begun) / round); got != rounds {
				t.Errorf("%d objects: %d rounds, want %d", objects, got, rounds)
			}
			if got := r.Frontier(); got != uint64(objects) {
				t.Errorf("%d objects: the frontier is %d", objects, got)
			}
		})
	}
}

// BenchmarkManifest encodes, and decodes, a manifest of 10,000 tables, as
// every edit and every change that a reader sees does.
func BenchmarkManifest(b *testing.B) {
	m := bigManifest(10_000)
	body := segment.EncodeManifest(m)
	b.Run("encode", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		for range b.N {
			segment.EncodeManifest(m)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		for range b.N {
			if _, err := segment.DecodeManifest(body); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("edit", func(b *testing.B) {
		for range b.N {
			c := m.Clone()
			if err := c.Validate(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
