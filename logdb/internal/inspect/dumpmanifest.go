package inspect

import (
	"encoding/binary"
	"fmt"

	"github.com/logdb-go/logdb/segment"
)

var manifestFields = []field{
	{0, 8, "magic", showText},
	{8, 1, "format", showByte},
	{9, 1, "flags", func(b []byte) string {
		if b[0]&1 != 0 {
			return fmt.Sprintf("%#02x: body is packed with snappy", b[0])
		}
		return fmt.Sprintf("%#02x: body as it is", b[0])
	}},
	{10, 6, "reserved", showHex},
	{16, 8, "version", showBig},
	{24, 16, "nonce", showHex},
	{40, 8, "size", showBig},
	{48, 8, "unpacked body", showBig},
	{56, 4, "reserved", showHex},
	{60, 4, "header crc32c", showHex},
}

func showBig(b []byte) string { return fmt.Sprint(binary.BigEndian.Uint64(b)) }

func dumpManifest(name string, data []byte, out *printer) error {
	fields := manifestFields
	if body := len(data) - segment.ManifestHeaderBytes - 4; body >= 0 {
		fields = append(fields[:len(fields):len(fields)],
			field{segment.ManifestHeaderBytes, body, "body", func([]byte) string { return "message, see below" }},
			field{segment.ManifestHeaderBytes + body, 4, "crc32c", showHex})
	}
	out.fields(data, fields)
	m, err := segment.DecodeManifest(data)
	if err != nil {
		return err
	}
	out.line("log %s", m.Log)
	out.line("writer: epoch %d, closed %t, host %q, pid %d, manifest written %s", m.Epoch, m.Closed, m.Host, m.PID, at(m.WrittenMs))
	if m.Dir.IsZero() {
		out.line("WAL directory: none")
	} else {
		out.line("WAL directory %s since epoch %d", m.Dir, m.DirSince)
	}
	out.line("compactor: epoch %d", m.CompactorEpoch)
	out.line("sequences: flushed %d, limit %d, trimmed below %d; last time %s", m.Flushed, m.Limit, m.TrimmedBelow, at(m.LastMs))
	out.line("WAL: recovery starts at epoch %d number %d, oldest kept is epoch %d number %d", m.ReplayEpoch, m.ReplayNumber, m.OldestEpoch, m.OldestNumber)
	out.line("segments: %d, the next is %d", len(m.Segments), m.NextSegment)
	for i := range m.Segments {
		dumpSegment(&m.Segments[i], out)
	}
	return nil
}

func dumpSegment(s *segment.Segment, out *printer) {
	state := fmt.Sprintf("from %d, open", s.Start)
	if s.Sealed {
		state = fmt.Sprintf("[%d, %d), sealed %s", s.Start, s.End, at(s.SealedMs))
	}
	if s.Consolidated {
		state += ", consolidated"
	}
	out.line("segment %d %s", s.ID, state)
	out.line("  %d records, %d bytes of keys and values, opened %s, last %s", s.Records, s.Bytes, at(s.OpenedMs), at(s.LastMs))
	if len(s.Metadata) > 0 {
		out.line("  metadata %s", cut(s.Metadata, valueCut))
	}
	for i := range s.Tables {
		dumpTableLine(&s.Tables[i], out)
	}
}

func dumpTableLine(t *segment.Table, out *printer) {
	hi := cut(t.Hi, keyCut)
	if t.HiOpen {
		hi = "the end"
	}
	out.line("  %s, %d bytes, tail at %d, nonce %s", t.Name(), t.Size, t.Tail, t.Nonce)
	out.line("    %d records of %d keys, %d + %d bytes of keys and values", t.Records, t.Keys, t.KeyBytes, t.ValueBytes)
	out.line("    sequences [%d, %d), keys %s to %s", t.Start, t.End, cut(t.Lo, keyCut), hi)
	out.line("    %s to %s", at(t.FirstMs), at(t.LastMs))
}
