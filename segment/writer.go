package segment

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/sstable/block"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/turn"
)

// Compression of a table's blocks. Any build reads all of them.
type Compression uint8

const (
	// Zstd is level 1, small, where it gains something.
	Zstd Compression = iota
	// None stores blocks as they are.
	None
)

// DefaultBlockBytes is the size of a block before compression.
const DefaultBlockBytes = 32 << 10

// maxIndexBytes is the size of an index, unpacked, at which Pebble would split
// it. Only many blocks of one key of 64 KiB come near, and Size counts them.
const maxIndexBytes = 1 << 30

// WriterOptions says what table is to be built. Log, ID, Nonce and Segment end
// up in the object, where Cache.Open compares them.
type WriterOptions struct {
	Log     objstore.ID
	ID      TableID
	Nonce   objstore.ID
	Segment uint64
	// BaseMs is what times are stored relative to. No entry may be older.
	BaseMs int64
	// Compression defaults to Zstd.
	Compression Compression
	// BlockBytes defaults to DefaultBlockBytes.
	BlockBytes int
	// Buffer is overwritten by the table that Finish returns. A larger table is
	// returned in new memory.
	Buffer []byte
}

// Writer builds one table in memory. It belongs to one goroutine. The first
// error sticks; Finish must be called in any case, once.
type Writer struct {
	raw    sstable.RawWriter
	sink   sink
	filter streamFilter
	spans  spanCollector
	base   int64
	err    error

	keyBuf, valueBuf []byte
	// prefix is the part of keyBuf that the present key gave it, so that it is not written again for each entry.
	prefix    int
	started   bool
	entries   bool
	prev      []byte // key of the row before, in keyBuf
	min, last []byte // smallest key, and largest key of a listing row
	t         Table
	lastSeq   uint64
	work      turn.Work
}

var (
	// ErrOrder: rows were not added in ascending order, listing rows first.
	ErrOrder = errors.New("segment: rows out of order")
	// ErrTooLarge: a key is longer than MaxKeyBytes, or a table than Pebble can hold.
	ErrTooLarge = errors.New("segment: too large")

	errNoEntries = errors.New("segment: table without entries")
	errFinished  = errors.New("segment: table is finished")
)

// NewWriter begins a table.
func NewWriter(o WriterOptions) *Writer {
	if o.BlockBytes <= 0 {
		o.BlockBytes = DefaultBlockBytes
	}
	w := &Writer{base: o.BaseMs, sink: sink{buffer: o.Buffer[:0]}, t: Table{
		ID: o.ID, Segment: o.Segment, Nonce: o.Nonce,
		Start: math.MaxUint64, FirstMs: math.MaxInt64, LastMs: math.MinInt64,
	}}
	identity := identityCollector{tableIdentity{log: o.Log, id: o.ID, segment: o.Segment, nonce: o.Nonce, baseMs: o.BaseMs}}
	w.raw = sstable.NewRawWriter(&w.sink, sstable.WriterOptions{
		BlockSize: o.BlockBytes,
		// One index block: a second level would cost a read where the tail is not cached, and saves nothing where it is.
		IndexBlockSize: maxIndexBytes,
		Comparer:       keyComparer,
		KeySchema:      &keySchema,
		Compression:    o.Compression.profile(),
		FilterPolicy:   &w.filter,
		TableFormat:    sstable.TableFormatPebblev7,
		Checksum:       block.ChecksumTypeCRC32c,
		// Value blocks would move all but a key's first value to the end of the object.
		DisableValueBlocks: true,
		BlockPropertyCollectors: []func() sstable.BlockPropertyCollector{
			func() sstable.BlockPropertyCollector { return &identity },
			func() sstable.BlockPropertyCollector { return &w.spans },
		},
	})
	return w
}

// profile is how blocks are compressed. What is random, or compressed already,
// would take zstd most of the time that a table takes to find out block by block:
// there samples tell, and MinLZ is tried instead. Listing rows, which come first,
// nearly always shrink. For less than twelve per cent a block stays as it is.
func (c Compression) profile() *sstable.CompressionProfile {
	if c == None {
		return sstable.NoCompression
	}
	p := *sstable.MinLZCompression
	p.Name, p.DataBlocks = "zstd1", sstable.ZstdCompression.DataBlocks
	p.DataBlocks.Level, p.AdaptiveReductionCutoffPercent = 1, 5
	return &p
}

// trailer is the internal key trailer of every row: Pebble's sequence 0, SET.
const trailer = 1

// AddListing adds the listing row of key. All of them come before the first
// entry, in ascending order of their keys. row is opaque; neither slice is kept.
func (w *Writer) AddListing(key, row []byte) error {
	if w.err != nil {
		return w.err
	}
	if w.entries || w.started && bytes.Compare(key, w.prev) <= 0 {
		return w.fail(fmt.Errorf("%w: listing of %.80q", ErrOrder, key))
	}
	if err := w.begin(key); err != nil {
		return err
	}
	w.keyBuf = AppendListingKey(w.keyBuf[:0], key)
	w.prev = w.keyBuf[1 : 1+len(key)]
	w.filter.add, w.spans.pending.entry = false, false
	return w.add(row)
}

// Add adds an entry. Entries come in ascending order of (key, seq). With
// FlagTLVs, value begins with a section of AppendTLVs. Neither slice is kept.
func (w *Writer) Add(key []byte, seq uint64, ms int64, flags Flags, value []byte) error {
	if w.err != nil {
		return w.err
	}
	if w.entries && bytes.Equal(key, w.prev) {
		if seq <= w.lastSeq {
			return w.fail(fmt.Errorf("%w: entry %.80q/%d after %d", ErrOrder, key, seq, w.lastSeq))
		}
		w.filter.add = false
	} else if err := w.newKey(key, seq); err != nil {
		return err
	}
	delta := uint64(ms) - uint64(w.base)
	if err := w.checkEntry(key, seq, ms, flags); err != nil {
		return w.fail(err)
	}
	w.keyBuf = appendSuffix(w.keyBuf[:w.prefix], seq)
	w.prev = w.keyBuf[1 : 1+len(key)]
	w.valueBuf = append(appendEntryHead(w.valueBuf[:0], flags, delta), value...)
	w.spans.pending.seq, w.spans.pending.ms, w.spans.pending.entry = seq, delta, true
	w.lastSeq = seq
	w.count(len(key), seq, ms, flags, value)
	return w.add(w.valueBuf)
}

// newKey goes from the rows before to the first entry of key.
func (w *Writer) newKey(key []byte, seq uint64) error {
	if w.entries && bytes.Compare(key, w.prev) < 0 {
		return w.fail(fmt.Errorf("%w: entry %.80q/%d after key %.80q", ErrOrder, key, seq, w.prev))
	}
	if !w.entries {
		w.last = append(w.last, w.prev...)
	}
	if err := w.begin(key); err != nil {
		return err
	}
	w.keyBuf = appendPrefix(w.keyBuf[:0], KindEntry, key)
	w.prefix, w.entries, w.filter.add = len(w.keyBuf), true, true
	w.t.Keys++
	return nil
}

// begin checks a key that was not seen in the row before.
func (w *Writer) begin(key []byte) error {
	if len(key) > MaxKeyBytes {
		return w.fail(fmt.Errorf("%w: key of %d bytes, want at most %d", ErrTooLarge, len(key), MaxKeyBytes))
	}
	if !w.started || bytes.Compare(key, w.min) < 0 {
		w.min = append(w.min[:0], key...)
	}
	w.started = true
	return nil
}

func (w *Writer) checkEntry(key []byte, seq uint64, ms int64, flags Flags) error {
	if err := flags.check(); err != nil {
		return fmt.Errorf("segment: entry %.80q/%d: %w", key, seq, err)
	}
	if ms < w.base {
		return fmt.Errorf("segment: entry %.80q/%d: time %d ms is before the table's base %d: %w", key, seq, ms, w.base, ErrOrder)
	}
	if seq == math.MaxUint64 {
		return fmt.Errorf("segment: entry %.80q: sequence %d has no successor: %w", key, seq, ErrTooLarge)
	}
	return nil
}

func (w *Writer) count(keyLen int, seq uint64, ms int64, flags Flags, value []byte) {
	w.t.Records++
	w.t.KeyBytes += uint64(keyLen)
	w.t.ValueBytes += uint64(len(value))
	if flags&FlagTLVs != 0 {
		section, _, err := CutTLVs(value)
		w.t.ValueBytes -= uint64(len(section))
		if err != nil {
			_ = w.fail(fmt.Errorf("segment: entry with sequence %d: %w", seq, err))
		}
	}
	w.t.Start, w.t.End = min(w.t.Start, seq), max(w.t.End, seq+1)
	w.t.FirstMs, w.t.LastMs = min(w.t.FirstMs, ms), max(w.t.LastMs, ms)
}

// add writes the row of keyBuf.
func (w *Writer) add(value []byte) error {
	if w.err != nil {
		return w.err
	}
	w.work.Did(turn.Row + len(value))
	if err := w.raw.Add(sstable.InternalKey{UserKey: w.keyBuf, Trailer: trailer}, value, false); err != nil {
		return w.fail(fmt.Errorf("segment: table %s: %w", w.t.Name(), err))
	}
	return nil
}

func (w *Writer) fail(err error) error {
	if w.err == nil {
		w.err = err
	}
	return w.err
}

// Size estimates the object's size in bytes if it were finished now.
func (w *Writer) Size() int64 {
	if w.raw == nil {
		return w.t.Size
	}
	return int64(w.raw.EstimatedSize() + w.t.Keys*filterBits/8)
}

// Finish returns the object's bytes, which are the caller's, and what the
// manifest is to say about it: Start and End are those of the entries, and may
// be widened. A table without entries is an error.
func (w *Writer) Finish() ([]byte, Table, error) {
	if w.raw == nil {
		return nil, Table{}, errFinished
	}
	err := w.raw.Close()
	w.raw = nil
	switch {
	case w.err != nil:
		return nil, Table{}, w.err
	case err != nil:
		return nil, Table{}, w.fail(fmt.Errorf("segment: table %s: %w", w.t.Name(), err))
	case w.t.Records == 0:
		return nil, Table{}, w.fail(errNoEntries)
	}
	b := w.sink.bytes()
	foot, err := parseFooter(b, int64(len(b)))
	if err != nil {
		return nil, Table{}, w.fail(fmt.Errorf("segment: table %s: %w", w.t.Name(), err))
	}
	t := w.t
	t.Size, t.Tail = int64(len(b)), int64(foot.index.Offset)
	t.Lo = lowBound(w.min)
	if bytes.Compare(w.prev, w.last) > 0 {
		w.last = w.prev
	}
	t.Hi, t.HiOpen = highBound(w.last)
	w.err = errFinished
	return b, t, nil
}
