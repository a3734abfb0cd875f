package bench

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"strconv"

	"github.com/logdb-go/logdb/logdb"
)

// Kinds of values.
const (
	Random  = "random"  // bytes that no compression makes smaller
	Text    = "text"    // lines like those of a service, about 2.5 times compressible
	Flights = "flights" // flights like those of the repository's data set, under their routes as keys
)

// Workload says what is appended. Batch n of a workload is the same bytes in every run and process.
type Workload struct {
	Seed       uint64 `json:"seed"`
	Batch      int    `json:"batch_records"`
	Keys       int    `json:"keys"`
	KeyBytes   int    `json:"key_bytes"`
	ValueBytes int    `json:"value_bytes"`
	Values     string `json:"values"`
	Data       string `json:"-"` // file of the data set, for Flights
}

// DefaultWorkload is 100 records of 256 random bytes under 16 byte keys, of which there are 10.
func DefaultWorkload() Workload {
	return Workload{Seed: 1, Batch: 100, Keys: 10, KeyBytes: 16, ValueBytes: 256, Values: Random}
}

// check reports what makes no workload. Flights bring keys and sizes of their own.
func (w *Workload) check() error {
	switch {
	case w.Batch < 1 || w.Batch > 1<<20:
		return fmt.Errorf("bench: batches of %d records, want 1 to %d", w.Batch, 1<<20)
	case w.Values == Flights:
		return nil
	case w.Values != Random && w.Values != Text:
		return fmt.Errorf("bench: values %q, want %s, %s or %s", w.Values, Random, Text, Flights)
	case w.Keys < 1 || w.Keys > 1<<30:
		return fmt.Errorf("bench: %d keys, want 1 to %d", w.Keys, 1<<30)
	case w.KeyBytes > logdb.MaxKeyBytes:
		return fmt.Errorf("bench: keys of %d bytes, limit %d", w.KeyBytes, logdb.MaxKeyBytes)
	case w.ValueBytes < 0 || w.ValueBytes > 16<<20:
		return fmt.Errorf("bench: values of %d bytes, want 0 to %d", w.ValueBytes, 16<<20)
	case len(strconv.FormatInt(int64(w.Keys-1), 36)) > w.KeyBytes:
		return fmt.Errorf("bench: %d keys do not fit into %d bytes", w.Keys, w.KeyBytes)
	}
	return nil
}

// bulk is w in batches that are good to load, up to 1000 records and about a megabyte.
func (w Workload) bulk() Workload {
	w.Batch = max(1, min(1000, 1<<20/max(1, w.KeyBytes+w.ValueBytes)))
	return w
}

// mix is a bijection of 64 bits that leaves no pattern.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// rng is a small random generator that costs nothing to seed.
type rng struct{ state uint64 }

func (r *rng) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	x := r.state
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// below draws from [0, n).
func (r *rng) below(n int) int {
	hi, _ := bits.Mul64(r.next(), uint64(n))
	return int(hi)
}

// float draws from [0, 1).
func (r *rng) float() float64 { return float64(r.next()>>11) / (1 << 53) }

func (r *rng) fill(b []byte) {
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, r.next())
		b = b[8:]
	}
	for i, x := 0, r.next(); i < len(b); i, x = i+1, x>>8 {
		b[i] = byte(x)
	}
}

// appendKey appends the name of key i: printable, so that every server can be asked for it in an address, and of
// w.KeyBytes. Names of neighbours are far apart where there is room for it.
func (w *Workload) appendKey(b []byte, i int) []byte {
	if w.KeyBytes >= 16 {
		for range w.KeyBytes - 16 {
			b = append(b, 'k')
		}
		const digits = "0123456789abcdef"
		for x, shift := mix(uint64(i)), 60; shift >= 0; shift -= 4 {
			b = append(b, digits[x>>shift&15])
		}
		return b
	}
	name := strconv.FormatInt(int64(i), 36)
	for range w.KeyBytes - len(name) {
		b = append(b, '0')
	}
	return append(b, name...)
}

// key draws the key of record j of batch n.
func (w *Workload) key(n uint64, j int) int {
	hi, _ := bits.Mul64(mix(mix(w.Seed^0x6b6579)+n*uint64(w.Batch)+uint64(j)), uint64(w.Keys))
	return int(hi)
}

// owned draws keys like w.key, but only those that are owner of owners: so that one writer sees all records of a key.
func (w *Workload) owned(owner, owners int) func(uint64, int) int {
	last := w.Keys - 1 - (w.Keys-1-owner)%owners
	return func(n uint64, j int) int {
		k := w.key(n, j)
		return min(k-k%owners+owner, last)
	}
}

// generator makes the batches of a workload. It belongs to one goroutine.
type generator struct {
	w       *Workload
	flights *flights
	words   [][]byte
	pick    func(n uint64, j int) int // the key of record j of batch n

	data    []byte
	ends    []int
	records []logdb.Record
}

// newGenerator returns a generator that draws keys evenly.
func (w *Workload) newGenerator(shared *corpus) *generator {
	return &generator{w: w, flights: shared.flights, words: shared.words, pick: w.key}
}

// corpus is what all generators of a workload share, and do not change.
type corpus struct {
	flights *flights
	words   [][]byte
}

func (w *Workload) corpus() (*corpus, error) {
	if err := w.check(); err != nil {
		return nil, err
	}
	c := &corpus{}
	switch w.Values {
	case Flights:
		f, err := readFlights(w.Data)
		if err != nil {
			return nil, err
		}
		c.flights = f
		w.Keys = len(f.routes)
	case Text:
		r := rng{mix(w.Seed)}
		c.words = make([][]byte, 2000)
		for i := range c.words {
			c.words[i] = fmt.Appendf(nil, "%016x", r.next())[:3+r.below(9)]
		}
	}
	return c, nil
}

// batch returns batch n, valid until the next call, and the bytes of its keys and values.
func (g *generator) batch(n uint64) ([]logdb.Record, int64) {
	g.data, g.ends = g.data[:0], g.ends[:0]
	r := rng{mix(g.w.Seed ^ mix(n))}
	for j := range g.w.Batch {
		if g.flights != nil {
			g.data, g.ends = g.flights.append(g.data, g.ends, &r)
			continue
		}
		g.data = g.w.appendKey(g.data, g.pick(n, j))
		g.ends = append(g.ends, len(g.data))
		g.data = g.value(g.data, &r)
		g.ends = append(g.ends, len(g.data))
	}
	return g.cut(), int64(len(g.data))
}

// value appends one value.
func (g *generator) value(b []byte, r *rng) []byte {
	begin := len(b)
	if g.words == nil {
		b = append(b, make([]byte, g.w.ValueBytes)...) // the compiler makes no slice of this
		r.fill(b[begin:])
		return b
	}
	b = append(b, `{"level":"info","id":`...)
	b = append(strconv.AppendUint(b, r.next(), 10), `,"msg":"`...)
	for len(b)-begin < g.w.ValueBytes {
		b = append(append(b, g.words[r.below(len(g.words))]...), ' ')
	}
	return b[:begin+g.w.ValueBytes]
}

// cut makes records of the data, once it does not move any more.
func (g *generator) cut() []logdb.Record {
	g.records = g.records[:0]
	at := 0
	for i := 0; i < len(g.ends); i += 2 {
		key, value := g.ends[i], g.ends[i+1]
		g.records = append(g.records, logdb.Record{Key: g.data[at:key:key], Value: g.data[key:value:value]})
		at = value
	}
	return g.records
}
