package wal

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/logdb-go/logdb/objstore"
)

const goldenDir = "testdata/format/v1"

// rewriting is the flag of the script tests: with it golden files are written instead of compared. Files of a released
// version are never rewritten.
func rewriting() bool {
	f := flag.Lookup("rewrite")
	return f != nil && f.Value.String() == "true"
}

// dumper prints bytes field by field: offset, bytes, meaning.
type dumper struct {
	b   []byte
	at  int
	out strings.Builder
}

func (d *dumper) take(n int, format string, args ...any) []byte {
	part := d.b[d.at : d.at+n]
	for i := 0; i < len(part); i += 16 {
		row := part[i:min(i+16, len(part))]
		text := ""
		if i == 0 {
			text = fmt.Sprintf(format, args...)
		}
		fmt.Fprintf(&d.out, "%s\n", strings.TrimRight(fmt.Sprintf("%4d  %-32x  %s", d.at+i, row, text), " "))
	}
	d.at += n
	return part
}

func (d *dumper) u8(name string)  { d.take(1, "%s = %d", name, d.b[d.at]) }
func (d *dumper) u16(name string) { d.take(2, "%s = %d", name, binary.LittleEndian.Uint16(d.b[d.at:])) }
func (d *dumper) u32(name string) { d.take(4, "%s = %d", name, binary.LittleEndian.Uint32(d.b[d.at:])) }
func (d *dumper) u64(name string) { d.take(8, "%s = %d", name, binary.LittleEndian.Uint64(d.b[d.at:])) }

func (d *dumper) u64s(names ...string) {
	for _, name := range names {
		d.u64(name)
	}
}

// uvarintBytes is a length and as many bytes.
func (d *dumper) uvarintBytes(name string) {
	n, w := uvarint32(d.b[d.at:])
	d.take(w, "%s length = %d", name, n)
	if n > 0 {
		d.take(int(n), "%s = %q", name, d.b[d.at:d.at+int(n)])
	}
}

func (d *dumper) frame() {
	f, _, err := DecodeFrame(d.b[d.at:])
	if err != nil {
		d.take(len(d.b)-d.at, "not a frame: %v", err)
		return
	}
	end := d.at + len(f)
	d.u32(f.kind().String() + " frame, length")
	d.u8("kind")
	d.u8("flags")
	d.u16("reserved")
	d.u64s("first", "time", "segment", "segment start")
	d.u32("count")
	d.u32("tlv bytes")
	for d.at < end && f.kind() == Seal {
		typ, w := uvarint32(d.b[d.at:])
		d.take(w, "tlv type = %d", typ)
		d.uvarintBytes("tlv")
	}
	for d.at < end {
		d.uvarintBytes("key")
		d.uvarintBytes("value")
	}
}

func (d *dumper) object(framesInBody bool) {
	d.take(8, "magic = %q", objectMagic)
	d.u8("version")
	d.u8("kind")
	d.u8("compression")
	d.u8("flags")
	d.u32("header bytes")
	d.take(16, "log id")
	d.take(16, "nonce")
	d.u64s("epoch", "number", "start", "end", "first batch (reserved)", "next batch (reserved)", "min ms", "max ms",
		"manifest version", "next epoch", "next number", "stored bytes", "body bytes")
	d.take(4, "header crc32c of [0, 152)")
	for end := len(d.b) - objectChecksumBytes; d.at < end; {
		if framesInBody {
			d.frame()
		} else {
			d.take(end-d.at, "body")
		}
	}
	d.take(4, "body crc32c of [152, %d)", d.at)
}

func (d *dumper) chunk() {
	if len(d.b)-d.at == trailerBytes {
		d.take(trailerBytes, "trailer: type 5, chunk number + 1")
		return
	}
	n := int(binary.LittleEndian.Uint16(d.b[d.at+chunkLengthAt:]))
	end := d.at + chunkHeaderBytes + n
	d.take(4, "chunk crc, masked, of type to end of payload")
	d.u16("payload length")
	d.u8("chunk type")
	d.take(4, "chunk number = crc32c of epoch and number")
	d.u64("synced bytes")
	if d.at+8 < end && string(d.b[d.at:d.at+8]) == fileMagic {
		d.take(8, "magic = %q", fileMagic)
		d.u8("version")
		d.take(fileReservedBytes, "reserved")
		d.take(16, "log id")
		d.take(16, "directory id")
		d.u64s("epoch", "number")
		d.take(4, "header crc32c of [0, 64)")
		return
	}
	d.frame()
}

func (d *dumper) slot() {
	d.take(8, "magic = %q", stateMagic)
	d.u8("version")
	d.take(7, "reserved")
	d.u64("counter")
	d.take(16, "directory id")
	d.take(16, "log id")
	d.u64("epoch")
	d.take(16, "nonce")
	d.u64s("limit", "limit epoch")
	d.take(4, "crc32c of [0, 96)")
}

func (d *dumper) staged() {
	d.take(8, "magic = %q", stageMagic)
	d.u8("version")
	d.take(7, "reserved")
	d.take(16, "log id")
	d.take(16, "directory id")
	d.u64s("epoch", "number", "start", "end", "segment", "segment start", "opened", "frames")
	seal, about, bodies := d.at, d.at+4, d.at+8
	for _, name := range []string{"seal bytes", "about bytes", "bodies", "reserved"} {
		d.u32(name)
	}
	size := func(at int) int { return int(binary.LittleEndian.Uint32(d.b[at:])) }
	for range size(bodies) {
		d.u64("body, size")
		d.take(4, "crc32c of the body")
	}
	if size(seal) > 0 {
		d.frame()
	}
	d.take(size(about), "about = %q", d.b[d.at:d.at+size(about)])
	d.take(4, "header crc32c of [0, %d)", d.at)
	d.take(len(d.b)-d.at, "bodies = %q", d.b[d.at:])
}

type golden struct {
	name   string
	frozen bool // the bytes depend on the compressor's version: decoded, never compared with what is built now
	build  func(t *testing.T) []byte
	dump   func(d *dumper)
	check  func(b []byte) error
}

func goldens() []golden {
	decode := func(b []byte) error {
		o, err := DecodeObject(ObjectName(3, 9), b)
		for _, ferr := range o.Frames() {
			if err == nil {
				err = ferr
			}
		}
		return err
	}
	object := func(framesInBody bool) func(d *dumper) { return func(d *dumper) { d.object(framesInBody) } }
	fence := headerAt(3, 9, 111)
	fence.End, fence.Next = 111, Position{5, 0}
	tables := headerAt(3, 9, 90)
	tables.End, tables.MinMs, tables.MaxMs = 111, 50, 60
	return []golden{
		{"data", false, func(*testing.T) []byte {
			return rawData(headerAt(3, 9, 90), someFrames()[:2])
		}, object(true), decode},
		{"data-s2", true, func(*testing.T) []byte { return AppendData(nil, headerAt(3, 9, 90), someFrames()) }, object(false), decode},
		{"tables", false, func(*testing.T) []byte { return EncodeTables(tables, []byte("payload")) }, object(false), decode},
		{"fence", false, func(*testing.T) []byte { return EncodeFence(fence) }, object(true), decode},
		{"file", false, goldenFile, func(d *dumper) {
			for d.at < len(d.b) {
				d.chunk()
			}
		}, checkGoldenFile},
		{"state-slot", false, func(*testing.T) []byte {
			return slot{counter: 8, dir: objstore.ID{5}, State: State{Log: testLog, Epoch: 3, Nonce: objstore.ID{15: 0xbb}, Limit: 65536, LimitEpoch: 3}}.encode()
		}, (*dumper).slot, func(b []byte) error { _, err := decodeSlot(b); return err }},
		{"staged", false, goldenStaged, (*dumper).staged, func(b []byte) error {
			_, err := stagedFrom(b, "0000000003-0000000004.staged")
			return err
		}},
	}
}

// rawData is AppendData without the compressor.
func rawData(h ObjectHeader, frames []Frame) []byte {
	h.Kind = Data
	body := gather(nil, &h, frames)
	b := appendObjectHeader(nil, h, compressionNone, len(body), len(body))
	b = append(b, make([]byte, objectChecksumBytes)...)
	b = append(b, body...)
	return resum(append(b, make([]byte, objectChecksumBytes)...))
}

var goldenInfo = &localFile{path: "file.wal", epoch: 3, number: 4}

func goldenFile(t *testing.T) []byte {
	fs := vfs.NewMem()
	w, err := fs.Create("f", diskCategory)
	must(t, err)
	lw := newLogWriter(&logFile{info: goldenInfo, f: w, log: &Log{wake: make(chan struct{}, 1)}})
	for _, r := range [][]byte{goldenInfo.header(owner{testLog, objstore.ID{5}}), batchOf(100, 50, "k=v"), padFrame()} {
		_, err := lw.WriteRecord(r)
		must(t, err)
	}
	must(t, lw.Close())
	return readAll(t, fs, "f")
}

func checkGoldenFile(b []byte) error {
	fs := vfs.NewMem()
	f, err := fs.Create("file.wal", diskCategory)
	if err != nil {
		return err
	}
	if _, err := f.Write(bytes.Clone(b)); err != nil {
		return err
	}
	end, err := scanFile(fs, goldenInfo, owner{testLog, objstore.ID{5}}, false, func(Frame, int64) error { return nil })
	if err == nil && !end.clean {
		err = fmt.Errorf("no trailer at byte %d", end.offset)
	}
	return err
}

// What was written once stays readable, what is written now is the same, and FORMAT.md shows it.
func TestGolden(t *testing.T) {
	doc, err := os.ReadFile("FORMAT.md")
	must(t, err)
	for _, g := range goldens() {
		bin, txt := filepath.Join(goldenDir, g.name+".bin"), filepath.Join(goldenDir, g.name+".txt")
		if rewriting() {
			must(t, os.WriteFile(bin, g.build(t), 0o644))
		}
		b, err := os.ReadFile(bin)
		must(t, err)
		if !g.frozen && !bytes.Equal(b, g.build(t)) {
			t.Errorf("%s: what is written now differs from the golden bytes", g.name)
		}
		if err := g.check(b); err != nil {
			t.Errorf("%s: %v", g.name, err)
		}
		d := &dumper{b: b}
		g.dump(d)
		if d.at != len(b) {
			t.Errorf("%s: the dump covers %d of %d bytes", g.name, d.at, len(b))
		}
		if rewriting() {
			must(t, os.WriteFile(txt, []byte(d.out.String()), 0o644))
		}
		want, err := os.ReadFile(txt)
		must(t, err)
		if string(want) != d.out.String() {
			t.Errorf("%s: dump differs from %s:\n%s", g.name, txt, d.out.String())
		}
		if !strings.Contains(string(doc), "```\n"+string(want)+"```\n") && g.name != "data-s2" && g.name != "tables" {
			t.Errorf("FORMAT.md does not show %s as it is", txt)
		}
	}
}
