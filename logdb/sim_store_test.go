package logdb

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"sync"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
	"github.com/logdb-go/logdb/wal"
)

// simStore is the bucket itself. It sees every write in the order in which
// they are applied and holds each against what the protocol allows.
type simStore struct {
	*objstore.Mem
	oracle *simOracle
	trace  func(string, ...any)

	mu     sync.Mutex
	digest uint64
	// The manifest as it is, and who held the log when.
	manifest *segment.Manifest
	epochs   []simEpoch
}

// simEpoch is one writer's incarnation, as the manifest named it.
type simEpoch struct {
	epoch uint64
	dir   objstore.ID
	at    int // on the oracle's clock
}

func newSimStore(o *simOracle) *simStore { return &simStore{Mem: objstore.NewMem(), oracle: o} }

func (s *simStore) Put(ctx context.Context, name string, data []byte, c objstore.Condition) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	etag, err := s.Mem.Put(ctx, name, data, c)
	s.note("put", name, err)
	if err == nil && name == segment.ManifestName {
		s.moved(data)
	}
	if err == nil && strings.HasPrefix(name, "wal/") {
		if obj, err := wal.DecodeObject(name, data); err == nil {
			s.trace("  landed %s %v [%d,%d)", name, obj.Kind, obj.Start, obj.End)
		}
	}
	return etag, err
}

func (s *simStore) Delete(ctx context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !strings.HasPrefix(name, "probe-") {
		s.deletable(ctx, name)
		s.note("delete", name, nil)
	}
	return s.Mem.Delete(ctx, name)
}

// note folds a write into the digest of the schedule.
func (s *simStore) note(kind, name string, err error) {
	if strings.HasPrefix(name, "probe-") {
		return
	}
	h := fnv.New64a()
	fmt.Fprintf(h, "%d|%s|%s|%v", s.digest, kind, name, err)
	s.digest = h.Sum64()
	if err == nil && name != segment.ManifestName {
		s.trace("  %s %s", kind, name)
	}
}

// moved checks a new manifest against the one it replaced.
func (s *simStore) moved(data []byte) {
	m, err := segment.DecodeManifest(data)
	if err != nil {
		s.oracle.fail("manifest does not decode: %v", err)
		return
	}
	s.trace("  manifest v%d epoch %d flushed %d limit %d trimmed %d replay %d-%d closed %v", m.Version, m.Epoch, m.Flushed, m.Limit, m.TrimmedBelow, m.ReplayEpoch, m.ReplayNumber, m.Closed)
	if old := s.manifest; old != nil {
		at := func(m *segment.Manifest) wal.Position {
			return wal.Position{Epoch: m.ReplayEpoch, Number: m.ReplayNumber}
		}
		switch {
		case m.Log != old.Log:
			s.oracle.fail("manifest of log %v replaced that of log %v", m.Log, old.Log)
		case m.Version != old.Version+1 || m.Epoch < old.Epoch || m.Flushed < old.Flushed || m.TrimmedBelow < old.TrimmedBelow,
			at(m).Less(at(old)), m.NextSegment < old.NextSegment, m.LastMs < old.LastMs, m.CompactorEpoch < old.CompactorEpoch:
			s.oracle.fail("manifest goes back: version %d epoch %d flushed %d trimmed %d replay %v, after version %d epoch %d flushed %d trimmed %d replay %v",
				m.Version, m.Epoch, m.Flushed, m.TrimmedBelow, at(m), old.Version, old.Epoch, old.Flushed, old.TrimmedBelow, at(old))
		}
	}
	s.thereAll(m)
	if s.manifest == nil || m.Epoch > s.manifest.Epoch {
		s.epochs = append(s.epochs, simEpoch{epoch: m.Epoch, dir: m.Dir, at: s.oracle.tick()})
	}
	s.manifest = m
}

// thereAll fails where a manifest names what is not there, or is there no more.
func (s *simStore) thereAll(m *segment.Manifest) {
	for i := range m.Segments {
		for _, t := range m.Segments[i].Tables {
			if _, err := s.Mem.GetRange(context.Background(), t.Name(), 0, 1); err != nil {
				s.oracle.fail("manifest version %d names %s: %v", m.Version, t.Name(), err)
			}
		}
	}
}

// deletable fails where a delete takes what the log needs: the manifest, a
// fence, a table that is named, or a WAL object that recovery reads.
func (s *simStore) deletable(ctx context.Context, name string) {
	if name == segment.ManifestName || s.manifest == nil {
		s.oracle.fail("%s was deleted", name)
		return
	}
	m := s.manifest
	for i := range m.Segments {
		for _, t := range m.Segments[i].Tables {
			if t.Name() == name {
				s.oracle.fail("table %s was deleted while manifest version %d names it", name, m.Version)
			}
		}
	}
	if epoch, number, ok := wal.ParseObjectName(name); ok {
		at := wal.Position{Epoch: epoch, Number: number}
		obj, err := s.object(ctx, at)
		if err == nil && obj.Kind == wal.Fence {
			s.oracle.fail("fence %s was deleted", name)
		}
	}
	s.walkWAL(ctx, func(obj wal.Object) {
		if wal.ObjectName(obj.At.Epoch, obj.At.Number) == name {
			s.oracle.fail("%s was deleted and recovery starts at %d-%d", name, m.ReplayEpoch, m.ReplayNumber)
		}
		if obj.Kind != wal.Tables || obj.End <= m.Flushed {
			return
		}
		tables, _ := segment.DecodeTables(obj.Body)
		for _, t := range tables {
			if t.Name() == name {
				s.oracle.fail("table %s was deleted while %v names it", name, obj.At)
			}
		}
	})
}

func (s *simStore) object(ctx context.Context, at wal.Position) (wal.Object, error) {
	name := wal.ObjectName(at.Epoch, at.Number)
	got, err := s.Mem.Get(ctx, name)
	if err != nil {
		return wal.Object{}, err
	}
	return wal.DecodeObject(name, got.Data)
}

// walkWAL visits what recovery would read now.
func (s *simStore) walkWAL(ctx context.Context, f func(wal.Object)) {
	at := wal.Position{Epoch: s.manifest.ReplayEpoch, Number: s.manifest.ReplayNumber}
	for {
		obj, err := s.object(ctx, at)
		if err != nil {
			if !errors.Is(err, objstore.ErrNotFound) {
				s.oracle.fail("WAL object %v: %v", at, err)
			}
			return
		}
		f(obj)
		at.Number++
		if obj.Kind == wal.Fence {
			at = obj.Next
		}
	}
}

// history returns who held the log, oldest first.
func (s *simStore) history() []simEpoch {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epochs[:len(s.epochs):len(s.epochs)]
}

func (s *simStore) now() *segment.Manifest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.manifest
}

// unbroken reports whether every epoch in (from, to] was held by dir.
func (s *simStore) unbroken(dir objstore.ID, from, to uint64) bool {
	for _, e := range s.history() {
		if e.epoch > from && e.epoch <= to && e.dir != dir {
			return false
		}
	}
	return true
}
