package inspect

import (
	"bytes"
	"fmt"

	"github.com/logdb-go/logdb/listing"
	"github.com/logdb-go/logdb/segment"
)

// table checks one table by itself. The first return is what is wrong with it;
// the second ends the check.
func (c *checker) table(t *segment.Table, w window, seen *sequences) (problem, over error) {
	if t.Segment != w.segment {
		return finding(t.Name(), 0, "table of segment %d, want %d", t.Segment, w.segment), nil
	}
	r, err := c.cache.Open(c.ctx, c.bucket, c.m.Log, *t)
	if err != nil {
		return err, nil
	}
	defer r.Close()
	p := &pass{name: t.Name(), reader: r, window: w, seen: seen}
	if err := p.run(c); err != nil {
		return err, nil
	}
	return p.compare(t), nil
}

// pass reads a table from end to end: every block, and with it every checksum.
type pass struct {
	name   string
	reader *segment.Reader
	window window
	seen   *sequences

	key   []byte
	begun bool
	sum   segment.Table // recomputed
}

func (p *pass) run(c *checker) error {
	rows, entries := p.reader.Listings(c.ctx, nil), p.reader.All(c.ctx, segment.EntryOptions{})
	defer rows.Close()
	defer entries.Close()
	for ok := entries.Next(); ok; {
		if p.begun && bytes.Compare(entries.Key(), p.key) <= 0 {
			return p.wrong("entries of key %.80q stand behind those of %.80q", entries.Key(), p.key)
		}
		p.key, p.begun = append(p.key[:0], entries.Key()...), true
		l, more, err := p.stream(entries)
		if err != nil {
			return err
		}
		if err := p.compareRow(rows, l); err != nil {
			return err
		}
		ok = more
	}
	if err := entries.Err(); err != nil {
		return err
	}
	if rows.Next() {
		return p.wrong("listing row of key %.80q, which has no entries", rows.Key())
	}
	return rows.Err()
}

func (p *pass) wrong(format string, args ...any) error { return finding(p.name, 0, format, args...) }

// stream adds up the entries of one key, and stops at the first of the next.
func (p *pass) stream(it *segment.EntryIter) (l listing.Listing, more bool, err error) {
	p.addKey()
	for n := 0; ; n++ {
		seq, ms := it.Sequence(), it.TimeMs()
		switch {
		case seq < p.window.start || seq >= p.window.end:
			return l, false, p.wrong("key %.80q: sequence %d, want it inside %v", p.key, seq, p.window)
		case n > 0 && seq <= l.Last:
			return l, false, p.wrong("key %.80q: sequence %d follows %d", p.key, seq, l.Last)
		case n > 0 && ms < l.LastMs:
			return l, false, p.wrong("key %.80q: time of sequence %d is %d ms, before it %d", p.key, seq, ms, l.LastMs)
		case !p.seen.add(seq, ms):
			return l, false, p.wrong("key %.80q: sequence %d is in the segment twice", p.key, seq)
		}
		one := listing.Listing{Records: 1, ValueBytes: uint64(len(it.Value())), First: seq, Last: seq, FirstMs: ms, LastMs: ms}
		if it.Flags().Kind() != 0 {
			one.Records, one.Control = 0, 1
		}
		if n == 0 {
			l = one
		} else {
			l.Merge(one)
		}
		p.addEntry(len(it.Value()), seq, ms)
		if !it.Next() {
			return l, false, nil
		}
		if !bytes.Equal(it.Key(), p.key) {
			return l, true, nil
		}
	}
}

func (p *pass) addKey() {
	if p.sum.Keys == 0 {
		p.sum.Lo = bytes.Clone(p.key)
	}
	p.sum.Keys++
}

func (p *pass) addEntry(value int, seq uint64, ms int64) {
	s := &p.sum
	if s.Records == 0 {
		s.Start, s.FirstMs, s.LastMs = seq, ms, ms
	}
	s.Records++
	s.KeyBytes += uint64(len(p.key))
	s.ValueBytes += uint64(value)
	s.Start, s.End = min(s.Start, seq), max(s.End, seq+1)
	s.FirstMs, s.LastMs = min(s.FirstMs, ms), max(s.LastMs, ms)
}

// compareRow compares the next listing row with what it should say, and asks
// the filter, which would hide the key if it were wrong.
func (p *pass) compareRow(rows *segment.ListingIter, want listing.Listing) error {
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return err
		}
		return p.wrong("key %.80q has no listing row", p.key)
	}
	if !bytes.Equal(rows.Key(), p.key) {
		return p.wrong("listing row of key %.80q where that of %.80q belongs", rows.Key(), p.key)
	}
	got, err := listing.Decode(rows.Row())
	if err != nil {
		return fmt.Errorf("listing of key %.80q: %w", p.key, err)
	}
	if got != want {
		return p.wrong("listing of key %.80q says %+v, its entries %+v", p.key, got, want)
	}
	if may, err := p.reader.MayContain(p.key); err != nil || !may {
		return p.wrong("the filter denies key %.80q", p.key)
	}
	return nil
}

// compare compares what was read with what the log says about the table.
func (p *pass) compare(t *segment.Table) error {
	s := &p.sum
	for _, x := range []struct {
		what      string
		got, want uint64
	}{
		{"records", s.Records, t.Records}, {"keys", s.Keys, t.Keys},
		{"key bytes", s.KeyBytes, t.KeyBytes}, {"value bytes", s.ValueBytes, t.ValueBytes},
	} {
		if x.got != x.want {
			return p.wrong("%s: got %d, the log says %d", x.what, x.got, x.want)
		}
	}
	switch {
	case s.Start < t.Start || s.End > t.End:
		return p.wrong("sequences [%d, %d), the log says [%d, %d)", s.Start, s.End, t.Start, t.End)
	case s.FirstMs < t.FirstMs || s.LastMs > t.LastMs:
		return p.wrong("times %d to %d ms, the log says %d to %d", s.FirstMs, s.LastMs, t.FirstMs, t.LastMs)
	case !t.MayContain(s.Lo) || !t.MayContain(p.key):
		return p.wrong("keys %.80q to %.80q, the log says %.80q to %.80q", s.Lo, p.key, t.Lo, t.Hi)
	}
	return nil
}
