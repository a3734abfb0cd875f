package segment

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/logdb-go/logdb/objstore"
)

// TestScripts runs testdata/script, whose README tells the commands.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/script", func(t *testing.T, path string) {
		if strings.HasSuffix(path, ".md") {
			return
		}
		s := &script{src: newBucket(t), cache: NewCache(8<<20, 8<<20), manifest: &Manifest{Log: testLog, Nonce: testNonce}}
		datadriven.RunTest(t, path, s.run)
		must(t, s.cache.Close())
	})
}

type script struct {
	src      *bucket
	cache    *Cache
	table    Table
	manifest *Manifest
}

func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	commands := map[string]func(*testing.T, *datadriven.TestData) (string, error){
		"build": s.build, "scan": s.scan, "listings": s.listings, "may-contain": s.mayContain, "spread": s.spread, "forget": s.forget,
		"manifest": s.edit,
	}
	f := commands[d.Cmd]
	if f == nil {
		d.Fatalf(t, "unknown command %q", d.Cmd)
	}
	out, err := f(t, d)
	if err != nil {
		out += "error: " + err.Error() + "\n"
	}
	if gets := s.src.requests(); d.Cmd != "build" && d.Cmd != "manifest" {
		out += fmt.Sprintf("requests: %d\n", len(gets))
	}
	return out
}

// build takes a line per entry: key sequence ms [flags=..] [size=..], or
// "listing key". Values are the sequence, repeated to size.
func (s *script) build(t *testing.T, d *datadriven.TestData) (string, error) {
	o := testOptions()
	o.BaseMs, o.Compression = 0, None
	d.MaybeScanArgs(t, "block", &o.BlockBytes)
	d.MaybeScanArgs(t, "n", &o.ID.N)
	w := NewWriter(o)
	for _, line := range strings.Split(d.Input, "\n") {
		if err := addLine(w, strings.Fields(line)); err != nil {
			_, _, _ = w.Finish()
			return "", err
		}
	}
	b, tab, err := w.Finish()
	if err != nil {
		return "", err
	}
	s.table = tab
	_, err = s.src.mem.Put(ctx, tab.Name(), b, objstore.Always())
	return fmt.Sprintf("%s\nrecords %d, keys %d of %d bytes, values of %d bytes\nsequences [%d, %d), ms [%d, %d], bounds %q to %q, open %v\n", tab.Name(),
		tab.Records, tab.Keys, tab.KeyBytes, tab.ValueBytes, tab.Start, tab.End, tab.FirstMs, tab.LastMs, tab.Lo, tab.Hi, tab.HiOpen), err
}

func addLine(w *Writer, words []string) error {
	if words[0] == "listing" {
		return w.AddListing([]byte(words[1]), []byte("row of "+words[1]))
	}
	number := func(s string) uint64 { n, _ := strconv.ParseUint(s, 0, 64); return n }
	value, flags := words[1], Flags(0)
	for _, word := range words[3:] {
		if v, ok := strings.CutPrefix(word, "size="); ok {
			value = strings.Repeat(value+" ", int(number(v))/(len(value)+1))
		} else if v, ok := strings.CutPrefix(word, "flags="); ok {
			flags = Flags(number(v))
		}
	}
	return w.Add([]byte(words[0]), number(words[1]), int64(number(words[2])), flags, []byte(value))
}

func (s *script) with(f func(*Reader) (string, error)) (string, error) {
	r, err := s.cache.Open(ctx, s.src, testLog, s.table)
	if err != nil {
		return "", err
	}
	defer r.Close()
	return f(r)
}

func (s *script) scan(t *testing.T, d *datadriven.TestData) (string, error) {
	return s.with(func(r *Reader) (string, error) {
		var key string
		var o EntryOptions
		var start, end uint64
		d.MaybeScanArgs(t, "start", &start)
		bounded := d.MaybeScanArgs(t, "end", &end)
		o.HasFromMs = d.MaybeScanArgs(t, "from", &o.FromMs)
		it := r.All(ctx, o)
		if d.MaybeScanArgs(t, "key", &key) {
			must(t, it.Close())
			it = r.Entries(ctx, []byte(key), start, end, bounded, o)
		}
		var lines []string
		first, next := it.First, it.Next
		if d.HasArg("reverse") {
			first, next = it.Last, it.Prev
		}
		for ok := first(); ok; ok = next() {
			lines = append(lines, fmt.Sprintf("%s/%d at %d, flags %#x, %d bytes\n", it.Key(), it.Sequence(), it.TimeMs(), it.Flags(), len(it.Value())))
		}
		if n := len(lines); n > 6 {
			lines = slices.Concat(lines[:2], []string{fmt.Sprintf("... %d more\n", n-4)}, lines[n-2:])
		}
		return strings.Join(lines, ""), it.Close()
	})
}

func (s *script) listings(t *testing.T, d *datadriven.TestData) (string, error) {
	return s.with(func(r *Reader) (string, error) {
		var from, out string
		d.MaybeScanArgs(t, "from", &from)
		it := r.Listings(ctx, []byte(from))
		for it.Next() {
			out += fmt.Sprintf("%s: %s\n", it.Key(), it.Row())
		}
		return out, it.Close()
	})
}

func (s *script) mayContain(t *testing.T, d *datadriven.TestData) (string, error) {
	return s.with(func(r *Reader) (out string, err error) {
		for _, key := range strings.Fields(d.Input) {
			filter, err := r.MayContain([]byte(key))
			if err != nil {
				return out, err
			}
			out += fmt.Sprintf("%s: bounds %v, filter %v\n", key, s.table.MayContain([]byte(key)), filter)
		}
		return out, nil
	})
}

func (s *script) spread(t *testing.T, d *datadriven.TestData) (string, error) {
	return s.with(func(r *Reader) (out string, err error) {
		for _, key := range strings.Fields(d.Input) {
			blocks, size, err := r.Spread(ctx, []byte(key))
			if err != nil {
				return out, err
			}
			out += fmt.Sprintf("%s: %d blocks, %d bytes\n", key, blocks, size)
		}
		return out, nil
	})
}

// forget begins with an empty cache.
func (s *script) forget(*testing.T, *datadriven.TestData) (string, error) {
	err := s.cache.Close()
	s.cache = NewCache(8<<20, 8<<20)
	return "", err
}

// edit changes the manifest, line by line: "name value" for a field, or
// "segment id start end sealed|open" and "table" for the table built last. The
// result is what a reader would make of it.
func (s *script) edit(t *testing.T, d *datadriven.TestData) (string, error) {
	m := s.manifest
	for _, line := range strings.Split(d.Input, "\n") {
		words := strings.Fields(line)
		n := make([]uint64, len(words))
		for i, w := range words {
			n[i], _ = strconv.ParseUint(w, 10, 64)
		}
		switch words[0] {
		case "epoch":
			m.Epoch = n[1]
		case "flushed":
			m.Flushed = n[1]
		case "trimmed-below":
			m.TrimmedBelow = n[1]
		case "segment":
			m.Segments = append(m.Segments, Segment{ID: n[1], Start: n[2], End: n[3], Sealed: words[4] == "sealed"})
			m.NextSegment = n[1] + 1
		case "drop":
			m.Segments = m.Segments[1:]
		case "table":
			last := &m.Segments[len(m.Segments)-1]
			last.Tables = append(last.Tables, s.table)
		}
	}
	got, err := DecodeManifest(EncodeManifest(m))
	if err != nil {
		return "", err
	}
	out := fmt.Sprintf("flushed %d, trimmed below %d, next segment %d\n", got.Flushed, got.TrimmedBelow, got.NextSegment)
	for _, seg := range got.Segments {
		out += fmt.Sprintf("segment %d [%d, %d) sealed %v\n", seg.ID, seg.Start, seg.End, seg.Sealed)
		for _, tab := range seg.Tables {
			out += fmt.Sprintf("  %s [%d, %d)\n", tab.Name(), tab.Start, tab.End)
		}
	}
	return out, nil
}
