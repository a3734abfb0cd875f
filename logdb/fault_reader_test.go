package logdb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
	"github.com/logdb-go/logdb/segment"
)

// slowScan reads a key with a pause after every few entries, in which much
// happens to the log, and returns what it got and how it ended.
func slowScan(l LogRead, o ScanOptions, meanwhile func()) (got []Entry, err error) {
	it := l.Scan(context.Background(), []byte("a"), Range{}, o)
	defer it.Close()
	for it.Next() {
		if got = append(got, owned(it.Entry())); len(got) == 3 {
			meanwhile()
		}
	}
	return got, it.Err()
}

// A reader is in the middle of a scan when the log is merged, expired and
// collected under it, for as long as it likes. It gets what was appended,
// each once and in order; what retention took in the meantime is left out only
// from a scan that did not ask to be told, else it is a typed error that says
// where to go on.
func TestSlowReaderAgainstCollector(t *testing.T) {
	const segments, records = 8, 4
	for _, retained := range []uint64{segments * records, 2 * records} { // merged only, and expired, too
		for _, strict := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				b := objstore.NewMem()
				o := Options{Memory: Memory{Cache: 1 << 20}, Segments: SegmentOptions{NoConsolidation: true}}
				d := openLog(t, b, o)
				for i := range segments {
					for j := range records {
						mustAppend(t, d, Remote, "a", fmt.Sprint(i*records+j, strings.Repeat("v", 40_000)))
						if err := <-d.control((*committer).rotate); err != nil {
							t.Fatal(err)
						}
						settled()
					}
					mustSeal(t, d)
				}
				closeLog(t, d)
				r := openReader(t, b, ReaderOptions{RefreshInterval: -1, Cache: 1 << 20})
				o.Segments.NoConsolidation, o.Retention = false, Retention{Records: retained}
				got, err := slowScan(r, ScanOptions{Strict: strict}, func() {
					d := openLog(t, b, o)
					time.Sleep(48 * time.Hour) // merged, expired, collected, swept
					closeLog(t, d)
				})
				what := fmt.Sprintf("%d records retained, strict %v", retained, strict)
				for i, e := range got {
					if n := uint64(i); e.Sequence != n && (strict || i > 0 && e.Sequence <= got[i-1].Sequence) || !strings.HasPrefix(string(e.Value), fmt.Sprint(e.Sequence, "v")) {
						t.Errorf("%s: entry %d is %d %.5q", what, i, e.Sequence, e.Value)
					}
				}
				oldest := uint64(segments*records) - retained
				var trimmed *TrimmedError
				switch {
				case strict && oldest > 0:
					if !errors.As(err, &trimmed) || trimmed.Oldest != oldest {
						t.Errorf("%s: %v, want trimmed below %d", what, err, oldest)
					}
				case err != nil:
					t.Errorf("%s: %v", what, err)
				default:
					if n := len(got); n < int(retained) || got[n-1].Sequence != segments*records-1 {
						t.Errorf("%s: %d entries, the last is %d", what, n, got[n-1].Sequence)
					}
				}
			})
		}
	}
}

// census returns what a bucket holds and nobody names: neither the manifest,
// nor the WAL, nor the rule that fences stay.
func census(t *testing.T, b *objstore.Mem) (unnamed []string, objects int) {
	t.Helper()
	ctx := context.Background()
	got, err := b.Get(ctx, segment.ManifestName)
	if err != nil {
		t.Fatal(err)
	}
	m, err := segment.DecodeManifest(got.Data)
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{segment.ManifestName: true}
	for i := range m.Segments {
		addNames(named, m.Segments[i].Tables)
	}
	for info := range b.List(ctx, "", "") {
		objects++
		if !named[info.Name] && kindOf(t, b, info.Name) != "fence" {
			unnamed = append(unnamed, info.Name)
		}
	}
	return unnamed, objects
}

// A log that goes on, is killed now and then in the middle of its uploads, and
// keeps a bounded number of records, has a bucket of a bounded size: what
// nobody names is gone once the sweep and the grace are over.
func TestBucketConverges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := objstore.NewMem()
		rounds, most := 40, 0
		for round := range rounds {
			var unnamed atomic.Bool
			way := objstoretest.NewFaulty(b, objstoretest.Plan{Hook: func(op objstoretest.Op) objstoretest.Fault {
				if unnamed.Load() && op.Kind == objstoretest.Put && op.Name == segment.ManifestName {
					return objstoretest.Fault{Kind: objstoretest.Refuse}
				}
				return objstoretest.Fault{Kind: objstoretest.None}
			}})
			d := openLog(t, way, Options{Memory: Memory{Cache: 1 << 20}, Retention: Retention{Records: 20}})
			for i := range 10 {
				mustAppend(t, d, Remote, "a", fmt.Sprint(round, " ", i))
			}
			mustSeal(t, d)
			time.Sleep(time.Hour)
			unnamed.Store(true) // what is put from here on
			mustAppend(t, d, Remote, "a", "last")
			if err := <-d.control((*committer).rotate); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			crash(d)
			_, objects := census(t, b)
			most = max(most, objects-round) // a fence per open
		}
		d := openLog(t, b, Options{Retention: Retention{Records: 20}})
		mustSeal(t, d)
		time.Sleep(72 * time.Hour)
		closeLog(t, d)
		unnamed, objects := census(t, b)
		if len(unnamed) > 0 {
			t.Errorf("nobody names %q", unnamed)
		}
		t.Logf("%d objects at most beside fences, %d with them in the end", most, objects)
		if most > 40 || objects-rounds > 10 {
			t.Errorf("%d objects at most beside %d fences, %d with them in the end", most, rounds, objects)
		}
		checkBucket(t, b)
	})
}
