package logdb

import (
	"context"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
)

const simPatience = 5 * time.Minute

// flush is a client's Flush: what was placed before it is in the log if it
// answers without an error.
func (p *simWriter) flush() {
	d := p.live()
	if d == nil {
		return
	}
	before := d.DurableSequence(Applied)
	p.w.running.Go(func() {
		ctx, cancel := context.WithTimeout(p.w.ctx, simPatience)
		defer cancel()
		err := d.Flush(ctx)
		p.alive(func() {
			if err != nil {
				p.w.explain(p.name+" flush", err)
				return
			}
			p.w.count("flush")
			p.w.oracle.keepMark(simMark{who: p.name + " flush", epoch: d.epoch, dir: p.dir, level: Remote, at: before})
		})
	})
}

// seal is a client's SealSegment.
func (p *simWriter) seal(metadata []byte) {
	d := p.live()
	if d == nil {
		return
	}
	p.w.running.Go(func() {
		ctx, cancel := context.WithTimeout(p.w.ctx, simPatience)
		defer cancel()
		s, sealed, err := d.SealSegment(ctx, metadata)
		p.alive(func() {
			if err != nil {
				p.w.explain(p.name+" seal", err)
				return
			}
			if sealed {
				p.w.count("sealed by hand")
				p.w.oracle.keepSeal(s)
			}
		})
	})
}

func (p *simWriter) compact() {
	d := p.live()
	if d == nil {
		return
	}
	p.w.running.Go(func() {
		ctx, cancel := context.WithTimeout(p.w.ctx, simPatience)
		defer cancel()
		if err := d.Compact(ctx); err != nil {
			p.alive(func() { p.w.explain(p.name+" compact", err) })
		}
	})
}

// actConsume moves a consumer on. One consumer is on one place at a time.
func (w *simWorld) actConsume() {
	if len(w.cursors) < 6 {
		c := &simCursor{key: simKeys[w.rng.IntN(len(simKeys))], seen: map[uint64]bool{}}
		w.cursors = append(w.cursors, c)
		w.oracle.cursors = append(w.oracle.cursors, c)
	}
	c := w.cursors[w.rng.IntN(len(w.cursors))]
	who, p, l, o := w.someSource()
	if l == nil || !c.busy.TryLock() {
		return
	}
	follow := time.Duration(0)
	switch w.rng.IntN(4) {
	case 0:
		follow = time.Duration(1 + w.rng.Int64N(int64(time.Minute)))
	case 1:
		o.Records = AtMost(w.rng.Uint64N(4))
	}
	w.running.Go(func() {
		defer c.busy.Unlock()
		w.consume(who, p, l, c, o, follow)
	})
}

// actRival is another process of this epoch that edits the manifest, as an
// external compactor does: it changes nothing, but it hides what the writer
// wrote before and takes the compare-and-set from what the writer writes next.
func (w *simWorld) actRival() {
	w.opened++
	port := w.port("rival")
	w.running.Go(func() {
		ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
		defer cancel()
		got, err := port.Get(ctx, segment.ManifestName)
		if err != nil {
			return
		}
		m, err := segment.DecodeManifest(got.Data)
		if err != nil {
			return
		}
		m.Version++
		m.Nonce = objstore.NewID()
		if _, err := port.Put(ctx, segment.ManifestName, segment.EncodeManifest(m), objstore.IfMatch(got.ETag)); err == nil {
			w.count("rival edit")
		}
	})
}
