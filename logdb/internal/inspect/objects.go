package inspect

import (
	"errors"
	"math"
	"strings"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
	"github.com/logdb-go/logdb/wal"
)

// shipWindow is how many WAL objects a writer starts above the lowest that has
// not landed: a crash may leave that many behind an absent number.
const shipWindow = 16

// objects lists everything below the prefix: the sizes of what the log names,
// and the bytes of what it does not.
func (c *checker) objects() error {
	var beyond string
	for info, err := range c.bucket.List(c.ctx, "", "") {
		if err != nil {
			return err
		}
		c.n.Objects++
		c.n.Bytes += uint64(info.Size)
		size, named := c.named[info.Name]
		switch {
		case named && size >= 0 && size != info.Size:
			err = c.found(info.Name, 0, "has %d bytes, the log says %d", info.Size, size)
		case !named && info.Name == segment.ManifestName: // it came into being meanwhile
		case !named:
			if c.beyond(info.Name) {
				beyond = info.Name
			}
			err = c.orphan(info)
		}
		if err != nil {
			return err
		}
	}
	if _, there := c.named[segment.ManifestName]; !there {
		if c.n.Objects == 0 {
			return c.noLog
		}
		return c.found(segment.ManifestName, 0, "there is none, and the bucket is not empty: %d objects", c.n.Objects)
	}
	return c.hole(beyond)
}

// orphan checks an object that the log does not name. Having no name is no
// finding, being damaged or of another log is one.
func (c *checker) orphan(info objstore.Info) error {
	c.n.Orphans++
	var err error
	switch {
	case strings.HasPrefix(info.Name, "wal/"):
		err = c.orphanWAL(info.Name)
	case strings.HasSuffix(info.Name, ".sst"):
		err = c.orphanTable(info)
	}
	if errors.Is(err, objstore.ErrNotFound) {
		return nil // collected meanwhile
	}
	if err != nil {
		return c.failed(info.Name, err)
	}
	return nil
}

func (c *checker) orphanWAL(name string) error {
	got, err := c.bucket.Get(c.ctx, name)
	if err != nil {
		return err
	}
	obj, err := wal.DecodeObject(name, got.Data)
	if err != nil {
		return err
	}
	if obj.Kind == wal.Fence {
		c.n.Orphans-- // kept for ever
	}
	if err := c.ours(name, obj.Log); err != nil {
		return err
	}
	for _, err := range obj.Frames() {
		if err != nil {
			return err
		}
	}
	if obj.Kind == wal.Tables {
		_, err = segment.DecodeTables(obj.Body)
	}
	return err
}

// orphanTable reads a table that nothing names, all of it: what it should hold
// is not known, but that it holds together can be seen.
func (c *checker) orphanTable(info objstore.Info) error {
	a, err := segment.Dissect(c.ctx, c.bucket, info.Name, info.Size)
	if err != nil {
		return err
	}
	if err := c.ours(info.Name, a.Log); err != nil {
		return err
	}
	r, err := c.cache.Open(c.ctx, c.bucket, a.Log, a.Table)
	if err != nil {
		return err
	}
	defer r.Close()
	everything := window{segment: a.Table.Segment, end: math.MaxUint64}
	p := &pass{name: info.Name, reader: r, window: everything, seen: newSequences()}
	return p.run(c)
}

func (c *checker) ours(name string, log objstore.ID) error {
	if c.m != nil && log != c.m.Log {
		return finding(name, 0, "object of log %s, the manifest is of %s", log, c.m.Log)
	}
	return nil
}

// beyond reports whether a WAL object lies so far behind the end of the chain
// that the objects between must have been there once.
func (c *checker) beyond(name string) bool {
	epoch, number, ok := wal.ParseObjectName(name)
	if !ok || c.chain == nil || c.chain.broken || len(c.chain.findings) > 0 {
		return false
	}
	end := c.chain.at
	return epoch > end.Epoch || epoch == end.Epoch && number > end.Number+shipWindow
}

// hole reports an absent WAL object whose successors are there, if it is still
// absent and still needed: the writer went on while objects were listed.
func (c *checker) hole(beyond string) error {
	if beyond == "" {
		return nil
	}
	name := wal.ObjectName(c.chain.at.Epoch, c.chain.at.Number)
	if _, err := c.bucket.Get(c.ctx, name); err == nil || !errors.Is(err, objstore.ErrNotFound) {
		return err
	}
	m, err := readManifest(c.ctx, c.bucket)
	if err != nil {
		return c.failed(segment.ManifestName, err)
	}
	replay := wal.Position{Epoch: m.ReplayEpoch, Number: m.ReplayNumber}
	if c.chain.at.Less(replay) {
		return nil
	}
	return c.found(name, 0, "it is not there, and %s behind it is", beyond)
}
