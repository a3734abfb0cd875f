package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/logdb-go/logdb/objstore"
)

// State is what a directory remembers across restarts.
type State struct {
	Log        objstore.ID // the log that the directory belongs to; zero: it was never bound to one
	Epoch      uint64      // the last epoch that was intended here
	Nonce      objstore.ID // of the attempt to take that epoch
	Limit      uint64      // exclusive sequence that nobody was shown or will be; zero: not known
	LimitEpoch uint64      // the epoch that set Limit
}

// Bound reports whether a writer of the log has set a limit here, which it should before it writes a frame.
func (s State) Bound() bool { return s.LimitEpoch > 0 }

// The state file has two slots, written in turn, so that the one that counts is never overwritten. Each lies in a page
// of its own.
const (
	stateName    = "state"
	stateTmpName = "state.tmp"
	stateMagic   = "LDBWDIR\n"
	stateVersion = 1

	slotBytes        = 4096
	slotVersionAt    = 8
	slotReservedAt   = 9
	slotCounterAt    = 16
	slotDirAt        = 24
	slotLogAt        = 40
	slotEpochAt      = 56
	slotNonceAt      = 64
	slotLimitAt      = 80
	slotLimitEpochAt = 88
	slotChecksumAt   = 96
	slotUsedBytes    = 100
)

const diskCategory = vfs.DiskWriteCategory("logdb-wal")

type slot struct {
	counter uint64 // the slot with the higher one counts
	dir     objstore.ID
	State
}

func (s slot) encode() []byte {
	b := make([]byte, 0, slotUsedBytes)
	b = append(b, stateMagic...)
	b = append(b, stateVersion, 0, 0, 0, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, s.counter)
	b = append(b, s.dir[:]...)
	b = append(b, s.Log[:]...)
	b = binary.LittleEndian.AppendUint64(b, s.Epoch)
	b = append(b, s.Nonce[:]...)
	b = binary.LittleEndian.AppendUint64(b, s.Limit)
	b = binary.LittleEndian.AppendUint64(b, s.LimitEpoch)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeSlot(b []byte) (slot, error) {
	if len(b) < slotUsedBytes {
		return slot{}, fmt.Errorf("slot: got %d bytes, want %d", len(b), slotUsedBytes)
	}
	if got := string(b[:len(stateMagic)]); got != stateMagic {
		return slot{}, fmt.Errorf("magic: got %q, want %q", got, stateMagic)
	}
	switch v := b[slotVersionAt]; {
	case v == 0: // no version: what is left of a write that did not come that far
		return slot{}, fmt.Errorf("version: got 0, want %d", stateVersion)
	case v != stateVersion:
		return slot{}, fmt.Errorf("version: got %d, want %d: %w", v, stateVersion, objstore.ErrUnsupported)
	}
	for i := slotReservedAt; i < slotCounterAt; i++ {
		if b[i] != 0 {
			return slot{}, fmt.Errorf("reserved byte %d: got %#x, want 0: %w", i, b[i], objstore.ErrUnsupported)
		}
	}
	sum := crc32.Checksum(b[:slotChecksumAt], castagnoli)
	if want := binary.LittleEndian.Uint32(b[slotChecksumAt:]); sum != want {
		return slot{}, fmt.Errorf("checksum: got %08x, want %08x", sum, want)
	}
	u64 := func(at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
	return slot{
		counter: u64(slotCounterAt),
		dir:     objstore.ID(b[slotDirAt:slotLogAt]),
		State: State{
			Log:        objstore.ID(b[slotLogAt:slotEpochAt]),
			Epoch:      u64(slotEpochAt),
			Nonce:      objstore.ID(b[slotNonceAt:slotLimitAt]),
			Limit:      u64(slotLimitAt),
			LimitEpoch: u64(slotLimitEpochAt),
		},
	}, nil
}

// decodeState returns the slot that counts. One broken slot is what a crash leaves of a write that was not durable yet,
// but also what damage leaves of the slot that counted: the limit of the other one may then be too low, so none is known.
// Two are corruption. A slot of a later version refuses the whole file, for it may be the one that counts.
func decodeState(name string, b []byte) (slot, error) {
	a, errA := decodeSlot(b[:min(len(b), slotBytes)])
	z, errZ := decodeSlot(b[min(len(b), slotBytes):])
	for _, err := range []error{errA, errZ} {
		if errors.Is(err, objstore.ErrUnsupported) {
			return slot{}, fmt.Errorf("wal state %s: %w", name, err)
		}
	}
	switch {
	case errA != nil && errZ != nil:
		return slot{}, corrupt(name, 0, "no valid slot: %w; %w", errA, errZ)
	case errA != nil:
		z.Limit = 0
		return z, nil
	case errZ != nil:
		a.Limit = 0
		return a, nil
	case a.dir != z.dir || a.counter == z.counter:
		return slot{}, corrupt(name, slotBytes, "slots contradict each other: directories %s and %s, counters %d and %d",
			a.dir, z.dir, a.counter, z.counter)
	case a.counter > z.counter:
		return a, nil
	}
	return z, nil
}

// stateFile owns the open state file. One goroutine at a time writes.
type stateFile struct {
	name string
	f    vfs.File
	cur  slot
	err  error // a failed write leaves the disk unknown: final
}

// createState makes a directory's state and with it its identity, atomically: a crash leaves the old or the new.
func createState(fs vfs.FS, dir string) error {
	tmp, name := fs.PathJoin(dir, stateTmpName), fs.PathJoin(dir, stateName)
	b := make([]byte, 2*slotBytes)
	copy(b, slot{dir: objstore.NewID()}.encode())
	f, err := fs.Create(tmp, diskCategory)
	if err != nil {
		return fmt.Errorf("wal: create state %s: %w", tmp, err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("wal: write state %s: %w", tmp, err)
	}
	if err := fs.Rename(tmp, name); err != nil {
		return fmt.Errorf("wal: rename state %s: %w", tmp, err)
	}
	return syncDir(fs, dir)
}

func openState(fs vfs.FS, dir string) (*stateFile, error) {
	name := fs.PathJoin(dir, stateName)
	f, err := fs.OpenReadWrite(name, diskCategory)
	if err != nil {
		return nil, fmt.Errorf("wal: open state %s: %w", name, err)
	}
	cur, err := decodeStateFrom(f, name)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &stateFile{name: name, f: f, cur: cur}, nil
}

func decodeStateFrom(r io.Reader, name string) (slot, error) {
	b := make([]byte, 2*slotBytes)
	n, err := io.ReadFull(r, b)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return slot{}, fmt.Errorf("wal: read state %s: %w", name, err)
	}
	return decodeState(name, b[:n])
}

// set makes s durable in the slot that does not count yet.
func (sf *stateFile) set(s State) error {
	if sf.err != nil {
		return sf.err
	}
	next := slot{counter: sf.cur.counter + 1, dir: sf.cur.dir, State: s}
	_, err := sf.f.WriteAt(next.encode(), int64(next.counter%2)*slotBytes)
	if err == nil {
		err = sf.f.SyncData()
	}
	if err != nil {
		sf.err = fmt.Errorf("wal: write state %s: %w", sf.name, err)
		return sf.err
	}
	sf.cur = next
	return nil
}
