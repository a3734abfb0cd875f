package logdb

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/logdb-go/logdb/logdb/internal/compact"
	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
)

// Options configure a LogDb. The zero value is a diskless log with the
// defaults named below. Options are copied at Open.
type Options struct {
	// WALDir is a local directory for the write-ahead log, created when absent
	// and locked while open. "" is diskless: the bucket is the only durable
	// thing.
	WALDir string
	// Ack is what Default means for Append: Local where WALDir is set, else
	// Remote.
	Ack Durability
	// Visibility is what Default means for reads: Applied (read your writes)
	// or Remote (nothing that a crash of this machine could take back).
	Visibility Durability
	// Polite makes Open return *BusyError where the last writer, from another
	// WAL directory, neither closed the log nor was silent for a minute.
	// Without it Open fences whoever writes.
	Polite bool

	// LocalBytes is what WALDir may hold, in bytes: 8 GiB, or 16 memtables if
	// that is more. While the bucket is away, memtables are staged there as
	// tables, so that Local appends go on and memory stays within its budget.
	// With this used up, or the disk full, appends fail with ErrDiskFull until
	// the bucket is back. While it then takes what was staged, Local appends go
	// on at half the rate at which it does; those at Remote wait their turn.
	LocalBytes int64

	Limits    Limits
	Memory    Memory
	Segments  SegmentOptions
	Retention Retention

	// ShipInterval is the time between two WAL objects while nobody waits for
	// Remote: 250 ms. Every object is a paid PUT; a reader's lag is at least
	// this. Somebody waiting for Remote is never held back by it.
	ShipInterval time.Duration
	// FlushInterval bounds how long records stay in WAL objects only: 60 s.
	FlushInterval time.Duration
	// CollectGrace is how long an object that the log no longer names is kept
	// for readers of an older view: 2 minutes, at least 1 minute.
	CollectGrace time.Duration
	// DiskCache keeps copies of tables on this machine. It is not WALDir's and
	// not another process's directory.
	DiskCache DiskCache
	// ExternalCompactor leaves the merging of tables, and the sweeps for what
	// crashed processes left in the bucket, to a Compactor in another process.
	// The writer still drops what retention lets go and deletes what its own
	// edits removed. While it is read, it asks for the manifest every 30 s.
	ExternalCompactor bool

	// Logger is told what an operator wants to know. That a request failed and is
	// repeated is at Info, and at Warn once it has failed for half a minute, then
	// ever more seldom. nil discards.
	Logger *slog.Logger
	// Clock is the wall clock that gives records their times, which never go
	// back; nil: time.Now. Ages are counted from what it says at Open, or from
	// the store's date where it is more than an hour ahead of that, and by the
	// monotonic clock from then on: a clock that is set does not expire records.
	Clock  func() time.Time
	Events EventListener

	fs    vfs.FS // tests: the WAL directory's file system
	hooks hooks  // tests: defences switched off, named steps observed
}

// Limits bound what one append may carry. A larger one fails with *LimitError
// and nothing is written.
type Limits struct {
	ValueBytes int // 16 MiB
	BatchBytes int // 16 MiB of keys and values; at most a quarter of Memory.Memtable and of Memory.Queue
}

// MaxKeyBytes is the longest key.
const MaxKeyBytes = 64 << 10

// Memory is what a LogDb may hold, in bytes. The process also holds what its
// open iterators pin.
type Memory struct {
	// Memtable is the size at which the active memtable is flushed: 64 MiB. Up
	// to four exist at once; then appends wait for the flush, or for staging.
	Memtable int64
	// Queue and QueueRecords bound what is admitted and not yet applied: 64
	// MiB and 1 Mi records. TryAppend fails with ErrQueueFull above them,
	// Append waits.
	Queue        int64
	QueueRecords int
	// Cache is the block cache: 256 MiB of table data, and a quarter of that
	// again for indexes and filters. Of both together up to three quarters hold
	// memtables that were flushed lately, as far back as polls of the last
	// minute began: those find what is new without a request.
	Cache int64
	// Transfers bounds what is on its way to and from the bucket: nil is 256
	// MiB for this log alone. Logs and readers of one process that share one
	// keep to it together. Of what long scans read ahead, at most half as much
	// is on its way or waits to be read: 128 MiB by default, over all scans.
	// Where that is used up a scan reads one window after the other.
	Transfers *objstore.Budget
}

// Budget is what a writer holds, in bytes, with the defaults where a field is
// zero: four memtables and a quarter more for their indexes, the queue, both
// caches, the transfers, and 192 MiB for the merge that it carries out. Go's
// collector does not know of it and lets garbage grow beyond: a program that
// holds little else gives it, less about 128 MiB for its code and what the
// collector is late by, to debug.SetMemoryLimit or GOMEMLIMIT. With less than
// that the log works, and the collector takes the processors from it.
func (m Memory) Budget() int64 {
	o := Options{Memory: m}.withDefaults()
	return o.Memory.Queue + o.Memory.readers() + compact.Bytes
}

// readers is Budget without what only a writer has. All fields have their values.
func (m Memory) readers() int64 {
	transfers := int64(transferBytes)
	if m.Transfers != nil {
		transfers = m.Transfers.Size()
	}
	return keptMemtables*m.Memtable*5/4 + m.Cache + m.Cache/4 + transfers
}

// DiskCache is a local directory with copies of what reads want again, below
// the block cache in memory: a process that starts anew, or reads more than its
// memory holds, asks the bucket for less. It may be deleted at any time. The zero
// value is none.
type DiskCache struct {
	Dir string // made if it is not there, and locked while open; "" is none
	// Bytes bounds it: 4 GiB, at least 16 MiB. An entry of a block costs about
	// 100 bytes of memory.
	Bytes int64
}

func (c DiskCache) open(fs vfs.FS) (*segment.Disk, error) {
	if c.Dir == "" {
		return nil, nil
	}
	if c.Bytes == 0 {
		c.Bytes = 4 << 30
	}
	return segment.OpenDisk(fs, c.Dir, c.Bytes)
}

// SegmentOptions say when the active segment is sealed and what is done then.
type SegmentOptions struct {
	Interval time.Duration // age at which it is sealed, by timer too: 1 h
	Bytes    int64         // key and value bytes at which it is sealed: 1 GiB
	// NoConsolidation leaves a sealed segment's tables as they were flushed:
	// fewer bytes written, more requests per scan.
	NoConsolidation bool
}

// Retention drops whole sealed segments that are in the bucket, oldest first.
// A zero field is no rule; a segment goes when any rule allows it.
type Retention struct {
	Age     time.Duration // since the segment's last record
	Bytes   uint64        // keep at most about this many bytes of keys and values
	Records uint64        // keep at most about this many records
	Before  uint64        // drop segments that end at or below this sequence
}

const (
	keptMemtables  = 4
	maxBatchBytes  = 256 << 20
	flushAtObjects = 256  // unflushed WAL objects at which the memtable is flushed early: a minute of them, as options are by default
	holdAtObjects  = 1024 // and at which appends wait
	shipWindow     = 16   // WAL objects started above the lowest unresolved one
)

func (o Options) withDefaults() Options {
	def := func(p *int64, v int64) {
		if *p == 0 {
			*p = v
		}
	}
	if o.Ack == Default {
		o.Ack = Remote
		if o.WALDir != "" {
			o.Ack = Local
		}
	}
	if o.Visibility == Default {
		o.Visibility = Applied
	}
	if o.Limits.ValueBytes == 0 {
		o.Limits.ValueBytes = 16 << 20
	}
	if o.Limits.BatchBytes == 0 {
		o.Limits.BatchBytes = 16 << 20
	}
	def(&o.Memory.Memtable, 64<<20)
	def(&o.Memory.Queue, 64<<20)
	def(&o.LocalBytes, max(8<<30, 16*o.Memory.Memtable))
	if o.Memory.QueueRecords == 0 {
		o.Memory.QueueRecords = 1 << 20
	}
	def(&o.Memory.Cache, 256<<20)
	def(&o.Segments.Bytes, 1<<30)
	def((*int64)(&o.Segments.Interval), int64(time.Hour))
	def((*int64)(&o.ShipInterval), int64(250*time.Millisecond))
	def((*int64)(&o.FlushInterval), int64(time.Minute))
	def((*int64)(&o.CollectGrace), int64(2*time.Minute))
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.fs == nil {
		o.fs = vfs.Default
	}
	return o
}

// validate reports every violation at once, each with both numbers.
func (o Options) validate() error {
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("logdb: "+format, args...))
		}
	}
	bad(o.Ack > Remote, "Ack is %v", o.Ack)
	bad(o.Visibility != Applied && o.Visibility != Remote, "Visibility is %v, want applied or remote", o.Visibility)
	bad(o.Limits.ValueBytes < 0, "Limits.ValueBytes is %d, want at least 0", o.Limits.ValueBytes)
	bad(o.Limits.BatchBytes <= 0, "Limits.BatchBytes is %d, want more than 0", o.Limits.BatchBytes)
	bad(o.Limits.BatchBytes > maxBatchBytes, "Limits.BatchBytes is %d, limit %d", o.Limits.BatchBytes, maxBatchBytes)
	bad(int64(o.Limits.BatchBytes) > o.Memory.Memtable/4, "Limits.BatchBytes is %d, more than a quarter of Memory.Memtable (%d)", o.Limits.BatchBytes, o.Memory.Memtable)
	bad(int64(o.Limits.BatchBytes) > o.Memory.Queue/4, "Limits.BatchBytes is %d, more than a quarter of Memory.Queue (%d)", o.Limits.BatchBytes, o.Memory.Queue)
	bad(o.Limits.ValueBytes > o.Limits.BatchBytes, "Limits.ValueBytes is %d, more than Limits.BatchBytes (%d)", o.Limits.ValueBytes, o.Limits.BatchBytes)
	bad(o.Memory.QueueRecords < 1, "Memory.QueueRecords is %d, want at least 1", o.Memory.QueueRecords)
	bad(o.Memory.Cache < 1<<20, "Memory.Cache is %d, want at least %d", o.Memory.Cache, 1<<20)
	bad(o.WALDir != "" && o.LocalBytes < 2*keptMemtables*o.Memory.Memtable, "LocalBytes is %d, less than %d times Memory.Memtable (%d)", o.LocalBytes, 2*keptMemtables, o.Memory.Memtable)
	bad(o.Segments.Bytes <= 0, "Segments.Bytes is %d, want more than 0", o.Segments.Bytes)
	bad(o.Segments.Interval <= 0, "Segments.Interval is %v, want more than 0", o.Segments.Interval)
	bad(o.Retention.Age < 0, "Retention.Age is %v, want at least 0", o.Retention.Age)
	bad(o.Retention.Age > 0 && o.Retention.Age < o.Segments.Interval, "Retention.Age is %v, less than Segments.Interval (%v)", o.Retention.Age, o.Segments.Interval)
	bad(o.Retention.Bytes > 0 && o.Retention.Bytes < uint64(max(o.Segments.Bytes, 0)), "Retention.Bytes is %d, less than Segments.Bytes (%d)", o.Retention.Bytes, o.Segments.Bytes)
	bad(o.ShipInterval < time.Millisecond, "ShipInterval is %v, want at least %v", o.ShipInterval, time.Millisecond)
	bad(o.FlushInterval < o.ShipInterval, "FlushInterval is %v, less than ShipInterval (%v)", o.FlushInterval, o.ShipInterval)
	bad(o.CollectGrace < time.Minute, "CollectGrace is %v, want at least %v", o.CollectGrace, time.Minute)
	return errors.Join(errs...)
}
