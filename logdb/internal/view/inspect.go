package view

import (
	"context"

	"github.com/logdb-go/logdb/segment"
)

// Inspection says how the entries of a key lie.
type Inspection struct {
	// Records is how many entries are in the range, memtables included.
	Records uint64
	// Requests is how many reads of objects a scan would cost now. Blocks that are cached make it fewer.
	Requests uint64
	// Tables are those that bounds do not rule out, in concatenation order.
	Tables []TableInspection
}

// TableInspection is one table that may hold entries of the key.
type TableInspection struct {
	Segment uint64
	ID      segment.TableID
	Name    string
	// Records is how many entries are in the range.
	Records uint64
	// Blocks and Bytes are the data blocks that hold the key's entries, and their size in the object.
	Blocks, Bytes uint64
	// FilterHit tells that the filter does not rule the key out.
	FilterHit bool
	// IndexInMemory tells that index and filter were cached before this inspection, which reads them.
	IndexInMemory bool
}

// Inspect says how the entries of key with sequences in [lo, hi) lie over
// tables, and what a scan of them would cost. It opens every table in question
// and reads listings or, where a table lies across an end of the range, entries.
func (v *View) Inspect(ctx context.Context, key []byte, lo, hi uint64) (Inspection, error) {
	var in Inspection
	i, j := v.within(lo, hi)
	for ; i < j; i++ {
		p := &v.Parts[i]
		if _, _, ok := p.clip(lo, hi); !ok {
			continue
		}
		if p.Mem != nil {
			in.Records += p.countMem(key, lo, hi)
			continue
		}
		if !p.Table.MayContain(key) {
			continue
		}
		t, err := v.inspectTable(ctx, p, key, lo, hi)
		if err != nil {
			return Inspection{}, err
		}
		in.add(t, p.Table.Start >= v.recentFrom())
	}
	return in, nil
}

// add counts a table. A scan does not read one whose entries are in memory, too.
func (in *Inspection) add(t TableInspection, recent bool) {
	in.Tables = append(in.Tables, t)
	in.Records += t.Records
	if recent {
		return
	}
	if !t.IndexInMemory {
		in.Requests++
	}
	if t.FilterHit {
		in.Requests += reads(t.Bytes)
	}
}

func (v *View) inspectTable(ctx context.Context, p *Part, key []byte, lo, hi uint64) (TableInspection, error) {
	in := TableInspection{
		Segment: p.Table.Segment, ID: p.Table.ID, Name: p.Table.Name(),
		IndexInMemory: v.Store.Cache.Cached(*p.Table),
	}
	r, ok, err := v.Store.openFor(ctx, p.Table, key)
	if !ok || err != nil {
		return in, err
	}
	defer r.Close()
	in.FilterHit = true
	blocks, bytes, err := r.Spread(ctx, key)
	if err != nil {
		return in, tableError(p.Table, err)
	}
	in.Blocks, in.Bytes = uint64(blocks), uint64(bytes)
	in.Records, err = v.countTable(ctx, p, key, lo, hi)
	return in, err
}

// reads is how many reads a scan makes of so many bytes of blocks. There is one
// even where the filter was wrong and there are none. What remains behind a
// window is taken along if it is not more than another one.
func reads(bytes uint64) uint64 {
	n := uint64(0)
	for window := uint64(segment.MinWindow); ; window = min(2*window, segment.MaxWindow) {
		n++
		if bytes <= window || bytes <= 2*window && bytes <= segment.MaxWindow {
			return n
		}
		bytes -= window
	}
}
