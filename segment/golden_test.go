package segment

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/sstable/block"
	"github.com/cockroachdb/pebble/v2/sstable/colblk"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/logdb-go/logdb/objstore"
)

// Frozen bytes are never edited, only added to: -freeze writes the files that
// are missing.
var freeze = flag.Bool("freeze", false, "write missing files below testdata/format")

// frozen returns the bytes in the file, which are got if -freeze makes it.
func frozen(t *testing.T, name string, got []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", "format", filepath.FromSlash(name))
	want, err := os.ReadFile(path)
	if os.IsNotExist(err) && *freeze {
		must(t, os.WriteFile(path, got, 0o666))
		return got
	}
	must(t, err)
	return want
}

// checkDump compares an annotated dump with the file, and FORMAT.md with both.
func checkDump(t *testing.T, name, dump string) {
	t.Helper()
	if want := string(frozen(t, name, []byte(dump))); dump != want {
		t.Errorf("%s: got\n%s\nwant\n%s", name, dump, want)
	}
	format, err := os.ReadFile("FORMAT.md")
	must(t, err)
	if !strings.Contains(string(format), "```\n"+dump+"```") {
		t.Errorf("FORMAT.md does not show %s", name)
	}
}

func goldenEntries() []entry {
	base := testOptions().BaseMs
	return []entry{
		{"", 12, base, FlagLastOfBatch, "empty key"},
		{"apple", 10, base, 0, "first"},
		{"apple", 300, base + 1000, FlagLastOfBatch, ""},
		{"pear", 11, base, FlagDeleteKey, "x"},
	}
}

// TestGoldenTable: bytes of every version stay readable, and those of the last
// are what this build writes as long as Pebble is the same.
func TestGoldenTable(t *testing.T) {
	o := testOptions()
	o.Compression = None
	b, tab := build(t, o, goldenEntries())
	last := frozen(t, "v2/table.sst", b)
	if !bytes.Equal(b, last) {
		t.Errorf("got %d bytes, want %d: this build writes another table", len(b), len(last))
	}
	checkDump(t, "v2/table.txt", dumpTable(t, last))
	for _, b := range [][]byte{last, frozen(t, "v1/table.sst", nil)} {
		foot, err := parseFooter(b, int64(len(b)))
		must(t, err)
		tab.Size, tab.Tail = int64(len(b)), int64(foot.index.Offset)
		bucket := newBucket(t, tab.Name(), b)
		es, rows, err := readEverything(NewCache(0, 0), bucket, tab)
		must(t, err)
		wantEntries(t, "entries", es, goldenEntries())
		if got := strings.Join(rows, " "); got != `"" "1" "apple" "2" "pear" "1"` {
			t.Errorf("listing: got %s", got)
		}
		r, err := NewCache(1<<20, 0).Open(t.Context(), bucket, testLog, tab)
		must(t, err)
		for _, c := range []struct{ start, end uint64 }{{0, 10}, {0, 11}, {10, 300}, {11, 301}, {256, 300}, {300, 1 << 40}, {301, 1 << 40}} {
			it := r.Entries(t.Context(), []byte("apple"), c.start, c.end, true, EntryOptions{})
			var got []uint64
			for it.Next() {
				got = append(got, it.Sequence())
			}
			must(t, it.Close())
			want := slices.DeleteFunc([]uint64{10, 300}, func(s uint64) bool { return s < c.start || s >= c.end })
			if !slices.Equal(got, want) {
				t.Errorf("apple in [%d, %d): got %v, want %v", c.start, c.end, got, want)
			}
		}
		must(t, r.Close())
	}
}

// dumpTable shows what lies where in an uncompressed table of one data block.
func dumpTable(t *testing.T, b []byte) string {
	size := int64(len(b))
	foot, err := parseFooter(b, size)
	must(t, err)
	var out strings.Builder
	line := func(off uint64, format string, args ...any) {
		fmt.Fprintf(&out, "%5d  %s\n", off, fmt.Sprintf(format, args...))
	}
	rawIndex, err := tailBlock(b, size, foot.index)
	must(t, err)
	var d colblk.IndexBlockDecoder
	d.Init(rawIndex)
	var index colblk.IndexIter
	index.InitWithDecoder(keyComparer, &d, sstable.NoTransforms)
	for ok := index.First(); ok; ok = index.Next() {
		h, err := index.BlockHandleWithProperties()
		must(t, err)
		line(h.Offset, "data block, %d bytes and trailer %x", h.Length, b[h.Offset+h.Length:][:block.TrailerLen])
		dumpRows(t, line, h.Handle, b)
		line(foot.index.Offset, "index block, %d bytes and trailer; row: separator %x", foot.index.Length, index.Separator())
		line(foot.index.Offset, "  block offset %d, length %d, properties %x", h.Offset, h.Length, h.Props)
	}
	meta, err := tailBlock(b, size, foot.meta)
	must(t, err)
	var kv colblk.KeyValueBlockDecoder
	kv.Init(meta)
	for i := range kv.BlockDecoder().Rows() {
		h, _ := block.DecodeHandle(kv.ValueAt(i))
		line(h.Offset, "%s, %d bytes and trailer", kv.KeyAt(i), h.Length)
		content, err := tailBlock(b, size, h)
		must(t, err)
		if string(kv.KeyAt(i)) == "rocksdb.properties" {
			var props colblk.KeyValueBlockDecoder
			props.Init(content)
			for j := range props.BlockDecoder().Rows() {
				if k := string(props.KeyAt(j)); strings.HasPrefix(k, "logdb.") {
					line(h.Offset, "  %s = %x", k, props.ValueAt(j))
				}
			}
		} else {
			line(h.Offset, "  %x", content)
		}
	}
	line(foot.meta.Offset, "metaindex block, %d bytes and trailer", foot.meta.Length)
	line(uint64(size)-footerBytes, "footer %x", b[size-footerBytes:])
	return out.String()
}

func dumpRows(t *testing.T, line func(uint64, string, ...any), h block.Handle, b []byte) {
	var it colblk.DataBlockIter
	var d colblk.DataBlockDecoder
	it.InitOnce(&keySchema, keyComparer, nil)
	d.Init(&keySchema, bytes.Clone(b[h.Offset:][:h.Length]))
	must(t, it.Init(&d, sstable.NoTransforms))
	for it.First(); it.Valid(); it.Next() {
		kv := it.KV()
		line(h.Offset, "  row %x = %x", kv.K.UserKey, kv.InPlaceValue())
	}
}

// TestGoldenManifest does the same for the manifest, whose bytes are all ours,
// and for the payload of `tables` WAL objects.
func TestGoldenManifest(t *testing.T) {
	m := testManifest()
	b := EncodeManifest(m)
	want := frozen(t, "v1/manifest.bin", b)
	if got, err := DecodeManifest(want); err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("got %+v, %v, want %+v", got, err, m)
	}
	if !bytes.Equal(b, want) {
		t.Errorf("got %x, want %x", b, want)
	}
	checkDump(t, "v1/manifest.txt", dumpManifest(want))

	ts := m.Segments[2].Tables
	want = frozen(t, "v1/tables.bin", AppendTables(nil, ts))
	if got, err := DecodeTables(want); err != nil || !reflect.DeepEqual(got, ts) || !bytes.Equal(AppendTables(nil, ts), want) {
		t.Errorf("tables: got %+v, %v, want %+v", got, err, ts)
	}
}

// TestGoldenPacked: a body that was compressed once stays readable, whatever
// this build's compressor makes of it.
func TestGoldenPacked(t *testing.T) {
	m := testManifest()
	for i := range uint64(20) {
		m.Segments[2].Tables = append(m.Segments[2].Tables, testTable(7, 100+i, 210, 300))
	}
	want := frozen(t, "v1/manifest-packed.bin", EncodeManifest(m))
	if got, err := DecodeManifest(want); err != nil || !reflect.DeepEqual(got, m) || want[offFlags] != manifestSnappy {
		t.Errorf("got %+v, %v, flags %d", got, err, want[offFlags])
	}
}

func dumpManifest(b []byte) string {
	var out strings.Builder
	line := func(off, n int, what string, v any) {
		fmt.Fprintln(&out, strings.TrimRight(fmt.Sprintf("%5d  %-36x  %s %v", off, b[off:off+n], what, v), " "))
	}
	u64 := func(off int) uint64 { return binary.BigEndian.Uint64(b[off:]) }
	line(0, 8, "magic", string(b[:8]))
	line(offFormat, 1, "format", b[offFormat])
	line(offFlags, 1, "flags", b[offFlags])
	line(offReserved, 6, "reserved", "")
	line(offVersion, 8, "version", u64(offVersion))
	line(offNonce, 16, "nonce", objstore.ID(b[offNonce:offSize]))
	line(offSize, 8, "size", u64(offSize))
	line(offRawSize, 8, "message size", u64(offRawSize))
	line(offReserve2, 4, "reserved", "")
	line(offCRC, 4, "crc32c of [0, 60)", "")
	end := len(b) - 4
	dumpMessage(&out, b, ManifestHeaderBytes, end, "", "manifest")
	line(end, 4, fmt.Sprintf("crc32c of [0, %d)", end), "")
	return out.String()
}

var fieldNames = map[string][]string{
	"manifest": {"", "log", "epoch", "dir", "dir_since", "host", "pid", "written_ms", "closed", "compactor_epoch", "flushed", "limit", "last_ms", "next_segment",
		"trimmed_below", "replay_epoch", "replay_number", "oldest_epoch", "oldest_number", "segment"},
	"segment": {"", "id", "start", "end", "sealed", "opened_ms", "last_ms", "sealed_ms", "records", "bytes", "metadata", "consolidated", "table"},
	"table": {"", "compacted", "epoch", "n", "segment", "nonce", "size", "tail", "records", "key_bytes", "value_bytes", "keys", "start", "end", "first_ms", "last_ms",
		"lo", "hi", "hi_open"},
}

func dumpMessage(out *strings.Builder, b []byte, off, end int, indent, message string) {
	for off < end {
		num, typ, n := protowire.ConsumeTag(b[off:end])
		m := protowire.ConsumeFieldValue(num, typ, b[off+n:end])
		name := fieldNames[message][num]
		if name == "segment" && message == "manifest" || name == "table" {
			data, _ := protowire.ConsumeBytes(b[off+n : end])
			fmt.Fprintf(out, "%5d  %-36x  %s%s\n", off, b[off:off+n+m-len(data)], indent, name)
			dumpMessage(out, b, off+n+m-len(data), off+n+m, indent+"  ", name)
		} else {
			fmt.Fprintf(out, "%5d  %-36x  %s%s\n", off, b[off:off+n+m], indent, name)
		}
		off += n + m
	}
}
