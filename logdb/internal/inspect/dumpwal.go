package inspect

import (
	"encoding/binary"
	"fmt"

	"github.com/logdb-go/logdb/segment"
	"github.com/logdb-go/logdb/wal"
)

var walFields = []field{
	{0, 8, "magic", showText},
	{8, 1, "version", showByte},
	{9, 1, "kind", func(b []byte) string { return fmt.Sprintf("%d: %s", b[0], wal.ObjectKind(b[0])) }},
	{10, 1, "compression", func(b []byte) string {
		return fmt.Sprintf("%d: %s", b[0], map[byte]string{0: "none", 1: "s2"}[b[0]])
	}},
	{11, 1, "flags", showHex},
	{12, 4, "header bytes", func(b []byte) string { return fmt.Sprint(binary.LittleEndian.Uint32(b)) }},
	{16, 16, "log", showHex},
	{32, 16, "nonce", showHex},
	{48, 8, "epoch", showLittle},
	{56, 8, "number", showLittle},
	{64, 8, "start", showLittle},
	{72, 8, "end", showLittle},
	{80, 8, "first batch", func([]byte) string { return "reserved" }},
	{88, 8, "next batch", func([]byte) string { return "reserved" }},
	{96, 8, "first time", showMs},
	{104, 8, "last time", showMs},
	{112, 8, "manifest version", showLittle},
	{120, 8, "next epoch", showLittle},
	{128, 8, "next number", showLittle},
	{136, 8, "stored body", showLittle},
	{144, 8, "unpacked body", showLittle},
}

const walTLVs = 152

func showLittle(b []byte) string { return fmt.Sprint(binary.LittleEndian.Uint64(b)) }
func showMs(b []byte) string     { return at(int64(binary.LittleEndian.Uint64(b))) }

func dumpWAL(name string, data []byte, out *printer) error {
	fields := walFields
	if len(data) >= walTLVs {
		header := int(binary.LittleEndian.Uint32(data[12:]))
		if tlvs := header - walTLVs - 4; tlvs >= 0 && header <= len(data)-4 {
			fields = fields[:len(fields):len(fields)]
			if tlvs > 0 {
				fields = append(fields, field{walTLVs, tlvs, "attributes", showHex})
			}
			fields = append(fields, field{header - 4, 4, "header crc32c", showHex},
				field{header, len(data) - 4 - header, "body", showNone}, field{len(data) - 4, 4, "body crc32c", showHex})
		}
	}
	out.fields(data, fields)
	obj, err := wal.DecodeObject(name, data)
	if err != nil {
		return err
	}
	switch obj.Kind {
	case wal.Fence:
		out.line("fence: epoch %d ends here, the log goes on at epoch %d number %d", obj.At.Epoch, obj.Next.Epoch, obj.Next.Number)
		return nil
	case wal.Tables:
		tables, err := segment.DecodeTables(obj.Body)
		out.line("%d tables hold the records of [%d, %d)", len(tables), obj.Start, obj.End)
		for i := range tables {
			out.line("  segment %d", tables[i].Segment)
			dumpTableLine(&tables[i], out)
		}
		return err
	}
	return dumpFrames(obj, out)
}

// dumpFrames prints batches and records with their offsets in the unpacked
// body.
func dumpFrames(obj wal.Object, out *printer) error {
	offset := 0
	for f, err := range obj.Frames() {
		if err != nil {
			return err
		}
		h := f.Header()
		if h.Kind == wal.Seal {
			out.line("body+%-8d seal of segment %d, [%d, %d), %s, metadata %s", offset, h.Segment, h.SegmentStart, h.First, at(h.TimeMs), cut(f.Metadata(), valueCut))
		} else {
			out.line("body+%-8d batch [%d, %d), segment %d from %d, %s, %d bytes", offset, h.First, f.End(), h.Segment, h.SegmentStart, at(h.TimeMs), len(f))
		}
		seq := h.First
		for c := f.Cursor(); ; seq++ {
			off, key, value, ok := c.Next()
			if !ok {
				break
			}
			out.line("body+%-8d   %d %s = %s", offset+int(off), seq, cut(key, keyCut), cut(value, valueCut))
		}
		offset += len(f)
	}
	return nil
}
