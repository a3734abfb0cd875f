package segment

import (
	"bytes"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/logdb-go/logdb/objstore"
)

// TestWriterRefuses: what would make a table that lies is refused, and the
// refusal sticks, so that no half of it is ever put.
func TestWriterRefuses(t *testing.T) {
	base := testOptions().BaseMs
	add := func(key string, seq uint64) func(*Writer) error {
		return func(w *Writer) error { return w.Add([]byte(key), seq, base, 0, []byte("v")) }
	}
	row := func(key string) func(*Writer) error {
		return func(w *Writer) error { return w.AddListing([]byte(key), []byte("row")) }
	}
	for _, c := range []struct {
		name  string
		steps []func(*Writer) error // the last one fails
		want  error
	}{
		{"keys descend", []func(*Writer) error{add("b", 1), add("a", 2)}, ErrOrder},
		{"sequences descend", []func(*Writer) error{add("a", 2), add("a", 1)}, ErrOrder},
		{"sequence twice", []func(*Writer) error{add("a", 2), add("a", 2)}, ErrOrder},
		{"empty key late", []func(*Writer) error{add("a", 2), add("", 3)}, ErrOrder},
		{"listing keys descend", []func(*Writer) error{row("b"), row("a")}, ErrOrder},
		{"listing key twice", []func(*Writer) error{row("b"), row("b")}, ErrOrder},
		{"listing after entry", []func(*Writer) error{row("a"), add("a", 1), row("b")}, ErrOrder},
		{"older than the base", []func(*Writer) error{func(w *Writer) error { return w.Add([]byte("a"), 1, base-1, 0, nil) }}, ErrOrder},
		{"last sequence of all", []func(*Writer) error{add("a", math.MaxUint64)}, ErrTooLarge},
		{"key too long", []func(*Writer) error{add(strings.Repeat("k", MaxKeyBytes+1), 1)}, ErrTooLarge},
		{"listing key too long", []func(*Writer) error{row(strings.Repeat("k", MaxKeyBytes+1))}, ErrTooLarge},
		{"reserved flags", []func(*Writer) error{func(w *Writer) error { return w.Add([]byte("a"), 1, base, 0x40, nil) }}, objstore.ErrUnsupported},
		{"attributes announced and missing", []func(*Writer) error{func(w *Writer) error { return w.Add([]byte("a"), 1, base, FlagTLVs, []byte{9}) }}, errEntry},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := NewWriter(testOptions())
			for i, step := range c.steps {
				err := step(w)
				if last := i == len(c.steps)-1; last != (err != nil) || last && !errors.Is(err, c.want) {
					t.Fatalf("step %d: got %v, want %v", i, err, c.want)
				}
			}
			if err := add("z", 1000)(w); !errors.Is(err, c.want) {
				t.Errorf("entry after it: got %v, want %v", err, c.want)
			}
			if _, _, err := w.Finish(); !errors.Is(err, c.want) {
				t.Errorf("finish: got %v, want %v", err, c.want)
			}
		})
	}
}

func TestWriterRefusesAnEmptyTable(t *testing.T) {
	w := NewWriter(testOptions())
	must(t, w.AddListing([]byte("a"), []byte("row")))
	if _, _, err := w.Finish(); err == nil {
		t.Error("table with a listing and no entry: got no error")
	}
	if _, _, err := w.Finish(); err == nil {
		t.Error("second finish: got no error")
	}
}

// TestTableTellsWhatIsInIt: the manifest prunes by these numbers, so each of
// them is a promise.
func TestTableTellsWhatIsInIt(t *testing.T) {
	o := testOptions()
	b, tab := build(t, o, []entry{
		{"apple", 7, o.BaseMs + 5, 0, "12345"},
		{"apple", 9, o.BaseMs + 6, FlagLastOfBatch, ""},
		{"pear", 3, o.BaseMs + 2, FlagDeleteKey, "1"},
	})
	want := Table{ID: o.ID, Segment: 5, Nonce: testNonce, Size: int64(len(b)), Tail: tab.Tail, Records: 3, KeyBytes: 14, ValueBytes: 6, Keys: 2,
		Start: 3, End: 10, FirstMs: o.BaseMs + 2, LastMs: o.BaseMs + 6, Lo: []byte("apple"), Hi: []byte("pear")}
	if string(AppendTables(nil, []Table{tab})) != string(AppendTables(nil, []Table{want})) {
		t.Errorf("got %+v, want %+v", tab, want)
	}
	if tab.Tail <= 0 || tab.Tail >= tab.Size {
		t.Errorf("tail %d of %d", tab.Tail, tab.Size)
	}
	if got := tab.Name(); got != "seg/0000000005/w0000000003-0000000004.sst" {
		t.Errorf("name: got %q", got)
	}
}

// TestMergePassesAttributesOn: a merge hands Payload to Add, so attributes of a
// later version survive a build that does not know them.
func TestMergePassesAttributesOn(t *testing.T) {
	o := testOptions()
	value := string(AppendTLVs(nil, []TLV{{Type: 7, Value: []byte("from the future")}})) + "value"
	r, _, tab := openTest(t, o, []entry{{"k", 1, o.BaseMs, FlagTLVs | FlagSystem, value}})
	if tab.ValueBytes != 5 {
		t.Errorf("value bytes: got %d, want 5, without attributes", tab.ValueBytes)
	}
	it := r.All(context.Background(), EntryOptions{})
	if !it.Next() || string(it.Value()) != "value" || string(it.Payload()) != value || it.Flags() != FlagTLVs|FlagSystem {
		t.Fatalf("got value %q, payload %q, flags %#x, %v", it.Value(), it.Payload(), it.Flags(), it.Err())
	}
	w := NewWriter(o)
	must(t, w.Add(it.Key(), it.Sequence(), it.TimeMs(), it.Flags(), it.Payload()))
	must(t, it.Close())
	_, merged, err := w.Finish()
	must(t, err)
	if merged.ValueBytes != 5 || merged.Records != 1 {
		t.Errorf("merged: got %+v", merged)
	}
}

// TestSizeFollowsTheObject: flushes and merges cut tables by it.
func TestSizeFollowsTheObject(t *testing.T) {
	o := testOptions()
	o.Compression = None
	w := NewWriter(o)
	for i := range uint64(10_000) {
		must(t, w.Add([]byte("key"), i, o.BaseMs, 0, make([]byte, 100)))
	}
	got := w.Size()
	b, _, err := w.Finish()
	must(t, err)
	if size := int64(len(b)); got < size*9/10 || got > size*11/10 {
		t.Errorf("estimate %d for an object of %d bytes", got, size)
	}
}

func TestAddDoesNotAllocate(t *testing.T) {
	o := testOptions()
	w := NewWriter(o)
	keys, value, seq := benchKeys(100_000), make([]byte, 256), uint64(0)
	add := func() {
		must(t, w.Add(keys[seq/3], seq, o.BaseMs, 0, value))
		seq++
	}
	for range 20_000 {
		add()
	}
	if n := testing.AllocsPerRun(100_000, add); n >= 1 {
		t.Errorf("got %v allocations per entry, want less than one", n)
	}
	_, _, err := w.Finish()
	must(t, err)
}

// A table is the same in whatever memory it is built, and stays in a buffer that is large enough.
func TestWriterOverwritesABuffer(t *testing.T) {
	es := randomEntries(rand.New(rand.NewPCG(1, 2)), hostileKeys(), 20_000, 1)
	slices.SortFunc(es, compareEntries)
	o := testOptions()
	o.Compression = None // an encoder's output may depend on what it has encoded before
	want, wantTable := build(t, o, es)
	for _, size := range []int{1, 1000, len(want) - 1, len(want), 2 * len(want)} {
		buffer := bytes.Repeat([]byte{0xff}, size)
		o.Buffer = buffer[:min(size, 10)]
		got, table := build(t, o, es)
		if !bytes.Equal(got, want) || !reflect.DeepEqual(table, wantTable) {
			t.Errorf("in %d bytes: the table is another one", size)
		}
		if inPlace := &got[0] == &buffer[0]; inPlace != (size >= len(want)) {
			t.Errorf("%d bytes in a buffer of %d: built in it is %v", len(want), size, inPlace)
		}
	}
}
