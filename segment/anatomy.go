package segment

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/sstable/block"

	"github.com/logdb-go/logdb/objstore"
)

// Anatomy is what the object of a table says about itself, for who has its
// name and nothing else.
type Anatomy struct {
	Log objstore.ID
	// Table has ID, Segment, Nonce, Size and Tail set: enough for Cache.Open. The rest takes a pass over the entries.
	Table  Table
	BaseMs int64
	// Parts are the pieces of the object, by offset.
	Parts []Part
}

// Part is a piece of a table's object. Trailer and padding between two blocks
// belong to neither.
type Part struct {
	// What is "data", "index", "filter", "properties", "metaindex" or "footer".
	What           string
	Offset, Length int64
	// First and Last bound the sequences of a data block, FirstMs and LastMs its times, all inclusive, if HasEntries.
	First, Last     uint64
	FirstMs, LastMs int64
	HasEntries      bool
}

// Dissect reads the end of a table's object of the given size, and checks it.
// It does not look at data blocks. Two requests.
func Dissect(ctx context.Context, src objstore.Reader, name string, size int64) (Anatomy, error) {
	f, foot, err := readTail(ctx, src, name, size)
	if err != nil {
		return Anatomy{}, err
	}
	a := Anatomy{Table: Table{Size: size, Tail: int64(foot.index.Offset)}}
	if err := a.parse(ctx, f, foot); err != nil {
		return Anatomy{}, tableError(name, a.Table.Tail, err)
	}
	if got := a.Table.Name(); got != name {
		return Anatomy{}, tableError(name, a.Table.Tail, fmt.Errorf("name in the object: got %s, want %s", got, name))
	}
	return a, nil
}

// readTail reads the footer, and what it says belongs to the tail.
func readTail(ctx context.Context, src objstore.Reader, name string, size int64) (*tailFile, footer, error) {
	fail := func(off int64, format string, args ...any) (*tailFile, footer, error) {
		return nil, footer{}, tableError(name, off, fmt.Errorf(format, args...))
	}
	if size < footerBytes {
		return fail(0, "table: got %d bytes, want at least %d", size, footerBytes)
	}
	b, err := getRange(ctx, src, name, extent{size - footerBytes, size})
	if err != nil {
		return nil, footer{}, err
	}
	_, n := block.DecodeHandle(b[1:footerOffCRC])
	index, m := block.DecodeHandle(b[1+n : footerOffCRC])
	tail := int64(index.Offset)
	if n == 0 || m == 0 || tail < 0 || tail >= size {
		if _, err := parseFooter(b, size); err != nil {
			return fail(size-footerBytes, "%w", err)
		}
		return fail(size-footerBytes, "footer: index at %d of %d bytes", tail, size)
	}
	if b, err = getRange(ctx, src, name, extent{tail, size}); err != nil {
		return nil, footer{}, err
	}
	foot, err := parseFooter(b, size)
	if err != nil {
		return fail(size-footerBytes, "%w", err)
	}
	return &tailFile{size: size, tail: b}, foot, nil
}

func (a *Anatomy) parse(ctx context.Context, f *tailFile, foot footer) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicError(p)
		}
	}()
	if _, err := findFilter(f.tail, f.size, foot); err != nil {
		return err
	}
	sst, err := sstable.NewReader(ctx, f, sstable.ReaderOptions{Comparer: keyComparer, KeySchemas: sstable.MakeKeySchemas(&keySchema)})
	if err != nil {
		return err
	}
	defer sst.Close()
	o := openTable{}
	if err := o.parseProperties(sst.UserProperties); err != nil {
		return err
	}
	a.Log, a.BaseMs = o.self.log, o.self.baseMs
	a.Table.ID, a.Table.Segment, a.Table.Nonce = o.self.id, o.self.segment, o.self.nonce
	layout, err := sst.Layout()
	if err != nil {
		return err
	}
	return a.addParts(layout, o.spanID)
}

func (a *Anatomy) addParts(l *sstable.Layout, spanID byte) error {
	for _, h := range l.Data {
		p := part("data", h.Handle)
		s, err := blockSpan(h.Props, spanID)
		if err != nil {
			return err
		}
		if p.HasEntries = s.some; s.some {
			p.First, p.Last = s.seqLo, s.seqHi
			p.FirstMs, p.LastMs = a.BaseMs+int64(s.msLo), a.BaseMs+int64(s.msHi)
		}
		a.Parts = append(a.Parts, p)
	}
	for _, h := range l.Index {
		a.Parts = append(a.Parts, part("index", h))
	}
	for _, h := range l.Filter {
		a.Parts = append(a.Parts, part("filter", h.Handle))
	}
	a.Parts = append(a.Parts, part("properties", l.Properties), part("metaindex", l.MetaIndex), part("footer", l.Footer))
	return nil
}

func part(what string, h block.Handle) Part {
	return Part{What: what, Offset: int64(h.Offset), Length: int64(h.Length)}
}
