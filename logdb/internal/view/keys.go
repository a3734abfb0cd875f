package view

import (
	"bytes"
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/logdb-go/logdb/listing"
)

// KeyOptions say which keys to list. The zero value with Hi set lists all.
type KeyOptions struct {
	// SegLo and SegHi bound the segments' ids: [SegLo, SegHi), without an upper end unless HasSegHi.
	SegLo, SegHi uint64
	HasSegHi     bool
	// Prefix is what the keys begin with.
	Prefix []byte
	// After leaves out all keys up to and including this one. An empty After with HasAfter leaves out the empty key.
	After    []byte
	HasAfter bool
	// Hi is the exclusive sequence up to which entries count: the frontier.
	Hi uint64
	// Records is how many keys to return at most, if HasRecords.
	Records    uint64
	HasRecords bool
}

// openAtOnce bounds the tables that a listing of keys opens side by side.
const openAtOnce = 16

// KeyIter lists keys. It belongs to one goroutine and must be closed.
type KeyIter struct {
	ctx      context.Context
	v        *View
	o        KeyOptions
	from     []byte
	merger   *listing.Merger
	returned uint64
	over     bool
	err      error
}

// Keys lists the keys that have entries, in byte order, each once, with the
// sum of its listings. It opens the listing of every table in question at the
// first Next and holds all of them until Close. Slices in o must not change while
// the iterator is in use, and ctx covers all of its reads.
func (v *View) Keys(ctx context.Context, o KeyOptions) *KeyIter {
	from := o.Prefix
	if o.HasAfter && bytes.Compare(o.After, o.Prefix) >= 0 {
		from = append(bytes.Clone(o.After), 0)
	}
	return &KeyIter{ctx: ctx, v: v, o: o, from: from}
}

// Next moves to the next key and reports whether there is one.
func (it *KeyIter) Next() bool {
	if it.over || it.o.HasRecords && it.returned >= it.o.Records {
		it.over = true
		return false
	}
	if it.merger == nil && !it.open() {
		return false
	}
	for it.merger.Next() {
		if !bytes.HasPrefix(it.merger.Key(), it.o.Prefix) {
			it.over = true
			return false
		}
		// A key of which only control entries are left is no key of the user's.
		if it.merger.Listing().Records > 0 {
			it.returned++
			return true
		}
	}
	it.over, it.err = true, it.merger.Err()
	return false
}

// Key is the present key, valid until the next move.
func (it *KeyIter) Key() []byte { return it.merger.Key() }

// Listing sums up the entries of the present key.
func (it *KeyIter) Listing() listing.Listing { return it.merger.Listing() }

// Err is the error that ended the listing, nil if none did.
func (it *KeyIter) Err() error { return it.err }

// Close gives back what the listing holds. It may be called more than once.
func (it *KeyIter) Close() error {
	it.over = true
	if it.merger == nil {
		return nil
	}
	return it.merger.Close()
}

// open collects one source for every part in question.
func (it *KeyIter) open() bool {
	sources := make([]listing.Source, 0, len(it.v.Parts))
	group, running := errgroup.WithContext(it.ctx)
	group.SetLimit(openAtOnce)
	for i := range it.v.Parts {
		p := &it.v.Parts[i]
		if !it.wants(p) {
			continue
		}
		lo, hi, _ := p.clip(0, it.o.Hi)
		if p.Mem != nil {
			sources = append(sources, p.Mem.Keys(it.from, lo, hi))
			continue
		}
		s := &tableKeys{ctx: it.ctx, store: it.v.Store, part: p, lo: lo, hi: hi}
		sources = append(sources, s)
		group.Go(func() error {
			if running.Err() != nil {
				return running.Err() // another table failed; that error came first
			}
			return s.open(it.from)
		})
	}
	err := group.Wait()
	it.merger = listing.Merge(sources)
	if err != nil {
		it.over, it.err = true, err
	}
	return err == nil
}

// wants rules a part out by segment, sequence and key bounds.
func (it *KeyIter) wants(p *Part) bool {
	if id := p.segment(); id < it.o.SegLo || it.o.HasSegHi && id >= it.o.SegHi {
		return false
	}
	if _, _, ok := p.clip(0, it.o.Hi); !ok {
		return false
	}
	if t := p.Table; t != nil {
		below := !t.HiOpen && bytes.Compare(t.Hi, it.from) < 0
		above := bytes.Compare(t.Lo, it.o.Prefix) > 0 && !bytes.HasPrefix(t.Lo, it.o.Prefix)
		return !below && !above
	}
	return true
}
