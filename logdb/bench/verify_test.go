package bench

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/logdb-go/logdb/logdb"
)

// memoryTarget is a correct log of few lines, that can be told to lie.
type memoryTarget struct {
	mu   sync.Mutex
	logs map[string][][]byte
	lie  func(key string, values [][]byte) [][]byte
}

func (m *memoryTarget) Append(_ context.Context, records []logdb.Record, _ logdb.Durability) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range records {
		m.logs[string(r.Key)] = append(m.logs[string(r.Key)], append([]byte(nil), r.Value...))
	}
	return nil
}

func (m *memoryTarget) Page(_ context.Context, key []byte, cursor Cursor, limit int, visit func([]byte)) (int, Cursor, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	values := m.lie(string(key), m.logs[string(key)])
	values = values[min(int(cursor), len(values)):]
	values = values[:min(limit, len(values))]
	for _, v := range values {
		if visit != nil {
			visit(v)
		}
	}
	return len(values), cursor + Cursor(len(values)), nil
}

func (m *memoryTarget) Tail(context.Context) (Cursor, error) { return 0, nil } // of logs that are new
func (m *memoryTarget) Close() error                         { return nil }

// A record that is lost, doubled, damaged or out of order is found, wherever it is; nothing else is.
func TestVerifyFindsWhatIsWrong(t *testing.T) {
	b := DefaultVerify()
	b.Records, b.Keys, b.Batch, b.Page = 1_000, 10, 20, 7
	victim := string(b.appendKey(nil, 4))
	for name, lie := range map[string]func([][]byte) [][]byte{
		"nothing": func(v [][]byte) [][]byte { return v },
		"lost":    func(v [][]byte) [][]byte { return v[:len(v)-1] },
		"first":   func(v [][]byte) [][]byte { return v[1:] },
		"doubled": func(v [][]byte) [][]byte { return append(v[:len(v):len(v)], v[len(v)-1]) },
		"order":   func(v [][]byte) [][]byte { w := append([][]byte(nil), v...); w[3], w[4] = w[4], w[3]; return w },
		"damaged": func(v [][]byte) [][]byte {
			w := append([][]byte(nil), v...)
			w[5] = append([]byte{w[5][0] ^ 1}, w[5][1:]...)
			return w
		},
	} {
		p := &Place{Bucket: "mem:", Name: "liar", Other: func(context.Context, string) (Target, error) {
			return &memoryTarget{logs: map[string][][]byte{}, lie: func(key string, v [][]byte) [][]byte {
				if key == victim && len(v) > 10 {
					return lie(v)
				}
				return v
			}}, nil
		}}
		_, err := b.Run(t.Context(), p)
		var broken *BrokenChainError
		if name == "nothing" {
			if err != nil {
				t.Errorf("a correct log: %v", err)
			}
		} else if !errors.As(err, &broken) || string(broken.Key) != victim {
			t.Errorf("%s: error is %v, want a broken chain of %s", name, err, victim)
		}
	}
}

// A workload is the same every time, and its keys are as many and as long as it says.
func TestWorkload(t *testing.T) {
	for _, values := range []string{Random, Text, Flights} {
		w := DefaultWorkload()
		w.Values, w.Data, w.Keys, w.KeyBytes = values, "../../testdata/flights/flights-20k.json", 100, 5
		shared, err := w.corpus()
		if err != nil {
			t.Fatal(err)
		}
		one, two := w.newGenerator(shared), w.newGenerator(shared)
		keys := map[string]bool{}
		for n := range uint64(200) {
			_, _ = two.batch(199 - n) // what came before makes no difference
			a, size := one.batch(n)
			b, again := two.batch(n)
			if size != again || len(a) != w.Batch {
				t.Fatalf("%s: batch %d has %d bytes, then %d", values, n, size, again)
			}
			total := 0
			for i := range a {
				if string(a[i].Key) != string(b[i].Key) || string(a[i].Value) != string(b[i].Value) {
					t.Fatalf("%s: record %d of batch %d differs", values, i, n)
				}
				keys[string(a[i].Key)] = true
				total += len(a[i].Key) + len(a[i].Value)
				if values != Flights && (len(a[i].Key) != 5 || len(a[i].Value) != 256) {
					t.Fatalf("%s: a key of %d bytes and a value of %d, want 5 and 256", values, len(a[i].Key), len(a[i].Value))
				}
			}
			if int64(total) != size {
				t.Fatalf("%s: batch %d says %d bytes, has %d", values, n, size, total)
			}
		}
		if values != Flights && len(keys) != 100 {
			t.Errorf("%s: %d keys in 20,000 records, want 100", values, len(keys))
		}
	}
}

// Keys of a hundred thousand are as many.
func TestKeysAreDistinct(t *testing.T) {
	for _, size := range []int{4, 16, 24} {
		w := Workload{KeyBytes: size}
		seen := make(map[string]bool, 100_000)
		for i := range 100_000 {
			k := w.appendKey(nil, i)
			if len(k) != size {
				t.Fatalf("key %q has %d bytes, want %d", k, len(k), size)
			}
			seen[string(k)] = true
		}
		if len(seen) != 100_000 {
			t.Errorf("keys of %d bytes: %d, want 100,000", size, len(seen))
		}
	}
}
