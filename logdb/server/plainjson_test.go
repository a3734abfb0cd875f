package server

import (
	"strings"
	"testing"

	"golang.org/x/sync/semaphore"
)

// JSON as programs write it costs no allocation, however many records it has.
func TestPlainJSONIsDecodedInPlace(t *testing.T) {
	var pairs []string
	for range 100 {
		pairs = append(pairs, "some/key", strings.Repeat("value", 50))
	}
	text := jsonBatch(true, pairs...)
	b := newBody(&Server{bodies: semaphore.NewWeighted(1 << 30)}, make([]byte, len(text)))
	n := testing.AllocsPerRun(10, func() {
		copy(b.bytes, text)
		b.batch = batch{records: b.batch.records[:0]}
		if plain, err := b.decodePlain(); !plain || err != nil || len(b.batch.records) != 100 || !b.batch.durable {
			t.Fatalf("plain %v, %v, %d records", plain, err, len(b.batch.records))
		}
	})
	if n > 0 {
		t.Errorf("%v allocations, want none", n)
	}
	if r := b.batch.records[99]; string(r.Key) != pairs[198] || string(r.Value) != pairs[199] {
		t.Errorf("the last record is %q", r)
	}
}
