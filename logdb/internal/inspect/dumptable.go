package inspect

import (
	"context"
	"fmt"

	"github.com/logdb-go/logdb/listing"
	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
)

func dumpTable(ctx context.Context, b objstore.Reader, name string, size int64, out *printer) error {
	a, err := segment.Dissect(ctx, b, name, size)
	if err != nil {
		return err
	}
	t := a.Table
	out.line("log %s", a.Log)
	out.line("table %s of segment %d, nonce %s, times from %s on", t.ID, t.Segment, t.Nonce, at(a.BaseMs))
	out.line("%8s %7s  %s", "offset", "bytes", "block")
	for _, p := range a.Parts {
		what := p.What
		if p.HasEntries {
			what += fmt.Sprintf(": sequences %d to %d, %s to %s", p.First, p.Last, at(p.FirstMs), at(p.LastMs))
		} else if what == "data" {
			what += ": listing only"
		}
		out.line("%8d %7d  %s", p.Offset, p.Length, what)
	}
	cache := segment.NewCache(dataCache, metaCache)
	defer cache.Close()
	r, err := cache.Open(ctx, b, a.Log, t)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := dumpListing(ctx, r, out); err != nil {
		return err
	}
	return dumpEntries(ctx, r, out)
}

func dumpListing(ctx context.Context, r *segment.Reader, out *printer) error {
	out.line("listing, one row per key: records (and control entries), value bytes, sequences, times")
	it := r.Listings(ctx, nil)
	defer it.Close()
	for it.Next() {
		l, err := listing.Decode(it.Row())
		if err != nil {
			return err
		}
		records := fmt.Sprint(l.Records)
		if l.Control > 0 {
			records += fmt.Sprintf(" (%d)", l.Control)
		}
		out.line("  %s: %s, %d bytes, %d to %d, %s to %s", cut(it.Key(), keyCut), records, l.ValueBytes, l.First, l.Last, at(l.FirstMs), at(l.LastMs))
	}
	return it.Err()
}

func dumpEntries(ctx context.Context, r *segment.Reader, out *printer) error {
	out.line("entries, by key and sequence")
	it := r.All(ctx, segment.EntryOptions{})
	defer it.Close()
	for it.Next() {
		flags := ""
		if f := it.Flags(); f != 0 {
			flags = fmt.Sprintf(" flags %#02x", byte(f))
		}
		out.line("  %s %d %s%s = %s", cut(it.Key(), keyCut), it.Sequence(), at(it.TimeMs()), flags, cut(it.Value(), valueCut))
	}
	return it.Err()
}
