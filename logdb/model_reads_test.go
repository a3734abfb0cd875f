package logdb

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"time"
)

// face picks who is asked, and what the model says that it sees.
func (m *modelRun) face() (LogRead, Durability, modelView) {
	switch m.rng.IntN(3) {
	case 0:
		if err := m.r.Refresh(m.ctx); err != nil {
			m.fatalf("refresh: %v", err)
		}
		s := m.r.snapshot.Load()
		if remote := m.d.DurableSequence(Remote); s.frontier < remote {
			m.fatalf("a refreshed reader is at %d, the remote watermark is %d", s.frontier, remote)
		}
		return m.r, Default, m.model(s.frontier, s.view.TrimmedBelow)
	case 1:
		return m.d, Remote, m.model(m.d.DurableSequence(Remote), m.d.view.Load().TrimmedBelow)
	default:
		return m.d, Applied, m.model(m.d.DurableSequence(Applied), m.d.view.Load().TrimmedBelow)
	}
}

// position is a random one, mostly near something.
func (m *modelRun) position() uint64 {
	if len(m.batches) == 0 || m.rng.IntN(10) == 0 {
		return m.rng.Uint64N(50)
	}
	e := pick(m.rng, pick(m.rng, m.batches...).entries...)
	return e.Sequence + uint64(m.rng.IntN(2))
}

func (m *modelRun) bounds() Range {
	switch a, b := m.position(), m.position(); m.rng.IntN(4) {
	case 0:
		return Range{}
	case 1:
		return From(a)
	case 2:
		return Until(a)
	default:
		return Between(a, b) // turned around at times
	}
}

func (m *modelRun) scan() {
	face, visibility, view := m.face()
	o := ScanOptions{Visibility: visibility, Reverse: m.rng.IntN(3) == 0}
	if m.rng.IntN(3) == 0 {
		o.Records = AtMost(uint64(m.rng.IntN(5)))
	}
	if m.rng.IntN(4) == 0 {
		o.Bytes = AtMost(uint64(m.rng.IntN(3000)))
	}
	if len(m.batches) > 0 && m.rng.IntN(4) == 0 {
		o.FromTime = pick(m.rng, m.batches...).entries[0].Time.Add(time.Duration(m.rng.IntN(2)) * time.Millisecond)
	}
	key, r := pick(m.rng, modelKeys...), m.bounds()
	want, limited := view.scan(key, r, o)

	it := face.Scan(m.ctx, []byte(key), r, o)
	defer it.Close()
	if it.NextSequence() != r.Start() && !o.Reverse {
		m.fatalf("NextSequence is %d before the first entry of a range from %d", it.NextSequence(), r.Start())
	}
	var got []Entry
	for it.Next() {
		e := owned(it.Entry())
		got = append(got, e)
		if next := it.NextSequence(); !o.Reverse && next != e.Sequence+1 || o.Reverse && next != e.Sequence {
			m.fatalf("NextSequence is %d at entry %d, reverse %v", next, e.Sequence, o.Reverse)
		}
	}
	if err := it.Err(); err != nil {
		m.fatalf("scan: %v", err)
	}
	sameEntries(m.t, m.lastOp, got, want)
	m.resumes(it, view, key, r, o, got, limited)
	if m.t.Failed() {
		m.fatalf("key %q, range %v, options %+v, frontier %d, trimmed %d", key, r, o, view.frontier, view.trimmed)
	}
}

// scan is what a scan returns, and whether a limit ended it.
func (v modelView) scan(key string, r Range, o ScanOptions) (out []Entry, limited bool) {
	lo, hi := r.clamp(v.frontier)
	entries := v.key(key)
	if o.Reverse {
		slices.Reverse(entries)
	}
	var size uint64
	for _, e := range entries {
		if e.Sequence < lo || e.Sequence >= hi || !o.FromTime.IsZero() && e.Time.Before(o.FromTime) {
			continue
		}
		if o.Records.set && uint64(len(out)) >= o.Records.n || o.Bytes.set && size >= o.Bytes.n {
			return out, true
		}
		size += uint64(len(e.Value))
		out = append(out, e)
	}
	atLimit := o.Records.set && uint64(len(out)) >= o.Records.n || o.Bytes.set && size >= o.Bytes.n
	return out, atLimit
}

// resumes checks where a scan that has ended says to go on: behind all that it
// has returned, not behind anything that it has not, and at the frontier or the
// range's end if it came so far.
func (m *modelRun) resumes(it *Iterator, v modelView, key string, r Range, o ScanOptions, got []Entry, limited bool) {
	next := it.NextSequence()
	lo, hi := r.clamp(v.frontier)
	hi = max(lo, hi)
	if o.Reverse {
		if !limited && next != lo {
			m.t.Errorf("NextSequence is %d after all down to %d", next, lo)
		}
		return
	}
	if !limited && next != hi {
		m.t.Errorf("NextSequence is %d after a full drain, want %d", next, hi)
	}
	for _, e := range v.key(key) {
		if e.Sequence >= lo && e.Sequence < next && !slices.ContainsFunc(got, func(g Entry) bool { return g.Sequence == e.Sequence }) &&
			(o.FromTime.IsZero() || !e.Time.Before(o.FromTime)) {
			m.t.Errorf("NextSequence is %d, and %d was not returned", next, e.Sequence)
		}
	}
}

func (m *modelRun) count() {
	face, _, view := m.face()
	if face == LogRead(m.d) { // Count takes the log's own visibility
		view = m.model(m.d.Frontier(), view.trimmed)
	}
	key, r := pick(m.rng, modelKeys...), m.bounds()
	want, _ := view.scan(key, r, ScanOptions{})
	if n, err := face.Count(m.ctx, []byte(key), r); err != nil || n != uint64(len(want)) {
		m.fatalf("count of %q in %v is %d, %v, want %d", key, r, n, err, len(want))
	}
	if in, err := face.Inspect(m.ctx, []byte(key), r); err != nil || in.Records != uint64(len(want)) {
		m.fatalf("inspect of %q in %v has %d records, %v, want %d", key, r, in.Records, err, len(want))
	}
}

func (m *modelRun) keys() {
	face, visibility, view := m.face()
	o := KeyOptions{Visibility: visibility}
	if m.rng.IntN(3) == 0 {
		o.Prefix = []byte(pick(m.rng, "a", "b", "b/", "\xff", "nobody"))
	}
	if m.rng.IntN(3) == 0 {
		o.After = []byte(pick(m.rng, modelKeys...))
	}
	if m.rng.IntN(3) == 0 {
		o.Limit = AtMost(uint64(m.rng.IntN(4)))
	}
	segs, err := face.ListSegments(m.ctx, Range{})
	if err != nil {
		m.fatalf("segments: %v", err)
	}
	lo, hi := uint64(0), ^uint64(0)
	if len(segs) > 0 && m.rng.IntN(3) == 0 {
		s := pick(m.rng, segs...)
		o.Segments = Between(s.ID, s.ID+1)
		lo, hi = s.Sequences.clamp(hi)
	}
	want := view.keys(o, lo, hi)
	var got []Key
	for k, err := range face.ListKeys(m.ctx, o).All() {
		if err != nil {
			m.fatalf("keys: %v", err)
		}
		k.Key = bytes.Clone(k.Key)
		got = append(got, k)
	}
	if !slices.EqualFunc(got, want, sameKey) {
		m.fatalf("keys of %+v:\n got %v\nwant %v", o, got, want)
	}
}

func sameKey(a, b Key) bool {
	return string(a.Key) == string(b.Key) && a.Count == b.Count && a.ValueBytes == b.ValueBytes &&
		a.First == b.First && a.Last == b.Last && a.LastTime.Equal(b.LastTime)
}

// keys is what a listing of the sequences [lo, hi) returns.
func (v modelView) keys(o KeyOptions, lo, hi uint64) []Key {
	byKey := map[string]*Key{}
	for _, e := range v.entries {
		if e.Sequence < lo || e.Sequence >= hi || !bytes.HasPrefix(e.Key, o.Prefix) || o.After != nil && bytes.Compare(e.Key, o.After) <= 0 {
			continue
		}
		k := byKey[string(e.Key)]
		if k == nil {
			k = &Key{Key: e.Key, First: e.Sequence}
			byKey[string(e.Key)] = k
		}
		k.Count++
		k.ValueBytes += uint64(len(e.Value))
		k.Last, k.LastTime = e.Sequence, e.Time
	}
	out := make([]Key, 0, len(byKey))
	for _, k := range byKey {
		out = append(out, *k)
	}
	slices.SortFunc(out, func(a, b Key) int { return strings.Compare(string(a.Key), string(b.Key)) })
	if o.Limit.set {
		out = out[:min(uint64(len(out)), o.Limit.n)]
	}
	return out
}

func (m *modelRun) get() {
	face, _, view := m.face()
	if face == LogRead(m.d) {
		view = m.model(m.d.Frontier(), view.trimmed)
	}
	key, at := pick(m.rng, modelKeys...), m.position()
	i := slices.IndexFunc(view.key(key), func(e Entry) bool { return e.Sequence == at })
	got, err := face.Get(m.ctx, []byte(key), at)
	var trimmed *TrimmedError
	switch {
	case at < view.trimmed:
		if !errors.As(err, &trimmed) || trimmed.Oldest != view.trimmed {
			m.fatalf("get %d below %d: %v", at, view.trimmed, err)
		}
	case i < 0:
		if !errors.Is(err, ErrNotFound) {
			m.fatalf("get %q %d: %v, want not found", key, at, err)
		}
	case err != nil:
		m.fatalf("get %q %d: %v", key, at, err)
	default:
		sameEntries(m.t, m.lastOp, []Entry{got}, view.key(key)[i:i+1])
	}
}

func (m *modelRun) segments() {
	face, _, view := m.face()
	if face == LogRead(m.d) {
		view = m.model(m.d.Frontier(), view.trimmed)
	}
	segs, err := face.ListSegments(m.ctx, Range{})
	if err != nil {
		m.fatalf("segments: %v", err)
	}
	for i, s := range segs {
		lo, hi := s.Sequences.clamp(^uint64(0))
		var records, size uint64
		for _, e := range view.entries {
			if e.Sequence >= lo && e.Sequence < hi {
				records++
				size += uint64(len(e.Key) + len(e.Value))
			}
		}
		if s.Records != records || s.Bytes != size || s.Sealed == (hi == ^uint64(0)) || !s.Sealed && i < len(segs)-1 {
			m.fatalf("segment %+v, want %d records, %d bytes", s, records, size)
		}
	}
	r := m.bounds()
	some, err := face.ListSegments(m.ctx, r)
	if err != nil {
		m.fatalf("segments: %v", err)
	}
	for _, s := range some {
		if !slices.ContainsFunc(segs, func(x Segment) bool { return x.ID == s.ID }) {
			m.fatalf("segment %d is in %v and not in everything", s.ID, r)
		}
	}
}
