package inspect

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/logdb-go/logdb/objstore"
)

// Dump prints one object, told by its magic. What is damaged is printed as far
// as it can be read, and then is the error.
func Dump(ctx context.Context, b objstore.Reader, name string, w io.Writer) error {
	size, err := sizeOf(ctx, b, name)
	if err != nil {
		return err
	}
	out := &printer{w: bufio.NewWriter(w)}
	out.line("%s, %d bytes", name, size)
	err = dumpAny(ctx, b, name, size, out)
	if flushErr := out.w.Flush(); err == nil {
		err = flushErr
	}
	return err
}

func sizeOf(ctx context.Context, b objstore.Reader, name string) (int64, error) {
	for info, err := range b.List(ctx, name, "") {
		if err != nil {
			return 0, err
		}
		if info.Name == name {
			return info.Size, nil
		}
	}
	return 0, fmt.Errorf("dump %q: %w", name, objstore.ErrNotFound)
}

const (
	manifestMagic = "LOGDBMAN"
	walMagic      = "LDBWOBJ\n"
	tableMagic    = "\xf0\x9f\xaa\xb3\xf0\x9f\xaa\xb3" // at the end
	magicBytes    = 8
)

func dumpAny(ctx context.Context, b objstore.Reader, name string, size int64, out *printer) error {
	if size < magicBytes {
		return finding(name, 0, "%d bytes are too short for any object of a log", size)
	}
	end, err := b.GetRange(ctx, name, size-magicBytes, magicBytes)
	if err != nil {
		return err
	}
	if string(end) == tableMagic {
		return dumpTable(ctx, b, name, size, out)
	}
	got, err := b.Get(ctx, name)
	if err != nil {
		return err
	}
	switch data := got.Data; {
	case len(data) < magicBytes:
		return finding(name, 0, "%d bytes are too short for any object of a log", len(data))
	case string(data[:magicBytes]) == manifestMagic:
		return dumpManifest(name, data, out)
	case string(data[:magicBytes]) == walMagic:
		return dumpWAL(name, data, out)
	default:
		return finding(name, 0, "magic %q at the start and %q at the end, want that of a manifest, a WAL object or a table", data[:magicBytes], end)
	}
}

// printer writes lines; its error comes out at the end.
type printer struct{ w *bufio.Writer }

func (p *printer) line(format string, args ...any) { fmt.Fprintf(p.w, format+"\n", args...) }

// field is a named piece at a fixed place.
type field struct {
	offset, bytes int
	name          string
	show          func([]byte) string
}

// fields prints the fields that b is long enough for.
func (p *printer) fields(b []byte, fields []field) {
	p.line("%8s %7s  %-18s %s", "offset", "bytes", "field", "value")
	for _, f := range fields {
		if f.offset+f.bytes > len(b) {
			p.line("%8d %7d  %-18s cut off: the object has %d bytes", f.offset, f.bytes, f.name, len(b))
			return
		}
		p.line("%8d %7d  %-18s %s", f.offset, f.bytes, f.name, f.show(b[f.offset:f.offset+f.bytes]))
	}
}

func showText(b []byte) string { return fmt.Sprintf("%q", b) }
func showHex(b []byte) string  { return hex.EncodeToString(b) }
func showByte(b []byte) string { return fmt.Sprint(b[0]) }
func showNone([]byte) string   { return "" }

const (
	keyCut   = 64
	valueCut = 72
)

// cut quotes bytes and shortens them, not through a character.
func cut(b []byte, limit int) string {
	if len(b) <= limit {
		return strconv.Quote(string(b))
	}
	n := limit
	for n > limit-utf8.UTFMax && !utf8.RuneStart(b[n]) {
		n--
	}
	return fmt.Sprintf("%q and %d more bytes", b[:n], len(b)-n)
}

// at prints milliseconds as a time, and as they stand.
func at(ms int64) string {
	return fmt.Sprintf("%s (%d ms)", time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z"), ms)
}
