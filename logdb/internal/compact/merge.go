package compact

import (
	"bytes"
	"context"
	"fmt"

	"github.com/logdb-go/logdb/listing"
	"github.com/logdb-go/logdb/logdb/internal/view"
	"github.com/logdb-go/logdb/objstore/turn"
	"github.com/logdb-go/logdb/segment"
)

// Merge reads the inputs, tables of one segment in concatenation order, and
// hands the same entries to emit as tables sorted by key, one after the other:
// the object's bytes, which are emit's to keep, and what the manifest says of
// them. out is asked for the options of every output; their base time is Merge's
// to choose.
//
// An output ends before the key that would take it above maxBytes. That is
// estimated from how well the data compressed until then, since a table begins
// with the listing of what follows. The entries of a key that exceeds maxBytes
// alone are spread over outputs, which end where an input does.
//
// Inputs are read once, front to back. In memory are one output, the listing of
// its keys, the tail of every input, and the windows that are being read: of all
// inputs together 64 MiB, or 192 KiB of each where they are more than 341. The
// entries of an input come in windows of which one is read while the merge goes
// through the one before, so that it does not wait for a bucket that keeps up.
// Blocks pass through the store's cache: a cache of the merge's own spares that
// of the log's readers.
//
// An error of emit, or of a read, ends the merge; what was emitted until then is
// complete in itself, but only all outputs together replace the inputs.
func Merge(ctx context.Context, store *view.Store, inputs []segment.Table, out func() segment.WriterOptions, maxBytes int64, emit func(data []byte, t segment.Table) error) (err error) {
	if len(inputs) == 0 {
		return nil
	}
	m := &merger{ctx: ctx, out: out, maxBytes: maxBytes, emit: emit, baseMs: inputs[0].FirstMs}
	defer func() {
		if e := m.close(); err == nil {
			err = e
		}
	}()
	for i := range inputs {
		m.baseMs = min(m.baseMs, inputs[i].FirstMs)
	}
	m.size.begin(inputs)
	if err := m.open(store, inputs); err != nil {
		return err
	}
	return m.run()
}

// readAheadBytes bounds the windows of all inputs together.
const readAheadBytes = 64 << 20

// Bytes is what a merge into tables of DefaultTableBytes holds: its windows, the
// output that it writes, and of keys with few records nearly as much again of
// their listing and of what is decoded. Outputs that were emitted are not in it.
const Bytes = readAheadBytes + 2*DefaultTableBytes

type merger struct {
	ctx      context.Context
	out      func() segment.WriterOptions
	emit     func(data []byte, t segment.Table) error
	maxBytes int64
	baseMs   int64
	size     estimate

	inputs  []*input
	rows    rowHeap
	pending []piece // the next key's, read and not yet in an output
	row     []byte

	work turn.Work

	// Memory for pieces of the key that is read and of the output that is made.
	ofKey, ofOutput []piece
}

// piece is the entries of one key in one input.
type piece struct {
	in  *input
	key []byte // the same slice in all pieces of a key
	row listing.Listing
}

func (m *merger) open(store *view.Store, tables []segment.Table) error {
	ahead := readAheadBytes / int64(3*len(tables)) // a window of the listing, two of entries
	for i := range tables {
		in, err := openInput(m.ctx, store, &tables[i], i, ahead)
		if in != nil {
			m.inputs = append(m.inputs, in)
		}
		if err != nil {
			return err
		}
		if err := m.rows.add(in); err != nil {
			return err
		}
	}
	return nil
}

func (m *merger) close() error {
	var first error
	for _, in := range m.inputs {
		if err := in.close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (m *merger) run() error {
	for {
		pieces, err := m.nextOutput()
		if err != nil {
			return err
		}
		if len(pieces) == 0 {
			break
		}
		if err := m.write(pieces); err != nil {
			return err
		}
	}
	for _, in := range m.inputs {
		if err := in.finished(); err != nil {
			return err
		}
	}
	return nil
}

// nextOutput decides from listings alone what the next output holds: in a
// table they precede the entries they sum up. The pieces are good until the next
// call.
func (m *merger) nextOutput() ([]piece, error) {
	pieces := m.ofOutput[:0]
	defer func() { m.ofOutput = pieces[:0] }()
	raw := int64(0)
	for {
		if len(m.pending) == 0 {
			key, err := m.nextKey()
			if err != nil {
				return nil, err
			}
			m.pending = key
		}
		next := raw
		for _, p := range m.pending {
			next += rawPiece(p)
		}
		switch {
		case len(m.pending) == 0:
			return pieces, nil
		case m.size.of(next) <= m.maxBytes:
			pieces, m.pending = append(pieces, m.pending...), nil
			raw = next
		case len(pieces) > 0:
			return pieces, nil
		default:
			return m.cutKey(), nil
		}
	}
}

// cutKey takes as many pieces of a key as fit, and one at least.
func (m *merger) cutKey() []piece {
	n, raw := 1, rawPiece(m.pending[0])
	for ; n < len(m.pending); n++ {
		raw += rawPiece(m.pending[n])
		if m.size.of(raw) > m.maxBytes {
			break
		}
	}
	cut := m.pending[:n]
	m.pending = m.pending[n:]
	return cut
}

// nextKey returns the pieces of the smallest key not yet seen, in
// concatenation order. They are good until the next call.
func (m *merger) nextKey() ([]piece, error) {
	pieces := m.ofKey[:0]
	defer func() { m.ofKey = pieces[:0] }()
	for m.rows.len() > 0 {
		in := m.rows.first()
		if len(pieces) > 0 && !bytes.Equal(in.rows.Key(), pieces[0].key) {
			break
		}
		var key []byte
		if len(pieces) > 0 {
			key = pieces[0].key
		} else {
			key = bytes.Clone(in.rows.Key())
		}
		pieces = append(pieces, piece{in: in, key: key, row: in.rows.Listing()})
		if err := m.rows.advance(); err != nil {
			return nil, err
		}
		m.work.Did(turn.Row)
	}
	return pieces, nil
}

func (m *merger) write(pieces []piece) error {
	o := m.out()
	o.BaseMs = m.baseMs
	w := segment.NewWriter(o)
	err := m.fill(w, pieces)
	data, table, finishErr := w.Finish()
	if err == nil {
		err = finishErr
	}
	if err != nil {
		return fmt.Errorf("compact: build table: %w", err)
	}
	m.size.learn(&table)
	if err := m.emit(data, table); err != nil {
		return fmt.Errorf("compact: emit table %s: %w", table.Name(), err)
	}
	return nil
}

func (m *merger) fill(w *segment.Writer, pieces []piece) error {
	for i := 0; i < len(pieces); {
		first := i
		row := pieces[i].row
		for i++; i < len(pieces) && bytes.Equal(pieces[i].key, pieces[first].key); i++ {
			row.Merge(pieces[i].row)
		}
		m.row = listing.Append(m.row[:0], row)
		if err := w.AddListing(pieces[first].key, m.row); err != nil {
			return err
		}
	}
	for i := range pieces {
		if err := m.ctx.Err(); err != nil {
			return err
		}
		if err := pieces[i].in.copyTo(w, &pieces[i]); err != nil {
			return err
		}
	}
	return nil
}

// rowBytes is about what a listing row, or the frame of an entry, takes before
// compression beside its key and value.
const rowBytes = 24

func rawPiece(p piece) int64 {
	n := p.row.Records + p.row.Control
	return int64(n+1)*int64(len(p.key)+rowBytes) + int64(p.row.ValueBytes)
}

func rawTable(t *segment.Table) int64 {
	return int64(t.KeyBytes+t.ValueBytes) + int64(t.Records+t.Keys)*rowBytes
}

// estimate predicts the size of a table from what goes into it, by how well
// the inputs are compressed at first and the latest outputs later on.
type estimate struct{ ratio float64 }

// maxRatio bounds what compression is trusted with: whatever the outputs before
// were like, the next one is not larger than this many bounds.
const maxRatio = 8

func (e *estimate) begin(tables []segment.Table) {
	size, raw := int64(0), int64(0)
	for i := range tables {
		size, raw = size+tables[i].Size, raw+rawTable(&tables[i])
	}
	e.ratio = float64(size) / float64(raw)
}

func (e *estimate) learn(t *segment.Table) {
	e.ratio = (e.ratio + float64(t.Size)/float64(rawTable(t))) / 2
}

func (e *estimate) of(raw int64) int64 {
	return int64(max(e.ratio, 1.0/maxRatio) * float64(raw))
}
