package logdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
	"github.com/logdb-go/logdb/wal"
)

// opening is the state of one Open: the steps run in the order of the methods
// below, and each leaves what the next one needs.
type opening struct {
	opts   Options
	bucket objstore.Bucket
	dir    *wal.Dir // nil when diskless
	dirID  objstore.ID
	retry  func(what string) *retry

	base    *segment.Manifest // the manifest that was replaced; nil for a new log
	current *segment.Manifest // ours
	etag    string
	date    time.Time // the store's, when it was asked for the manifest; zero if it did not say
	epoch   uint64
	// compactor is the compactor epoch that we took with it, which another
	// process may have raised since.
	compactor uint64
	end       uint64 // R: end of the last WAL object before our fence
	rec       recovery
	lost      Lost
}

// openTries is how often the first requests to a bucket are repeated. A passing
// fault must not fail an Open, and a wrong address must not hang it.
const openTries = 4

// few repeats f a few times, unless its error is an answer.
func (o *opening) few(ctx context.Context, object string, f func(context.Context) error) error {
	retry := o.retry("open")
	retry.tries = openTries
	for {
		err := retry.attempt(ctx, 0, f)
		for _, answer := range []error{nil, objstore.ErrNotFound, objstore.ErrUnsafe, objstore.ErrCorrupt} {
			if errors.Is(err, answer) {
				return err
			}
		}
		if err := retry.pause(ctx, object, err); err != nil {
			return err
		}
	}
}

// readOrCreate returns the manifest of the log, after creating one under an
// empty prefix. A prefix that holds other objects and no manifest is never
// made into a log: the manifest may have been lost.
func (o *opening) readOrCreate(ctx context.Context) (*segment.Manifest, string, error) {
	var got objstore.Object
	err := o.few(ctx, segment.ManifestName, func(ctx context.Context) (err error) {
		got, err = o.bucket.Get(ctx, segment.ManifestName)
		return err
	})
	if err == nil {
		o.date = got.Date
		m, err := segment.DecodeManifest(got.Data)
		return m, got.ETag, err
	}
	if !errors.Is(err, objstore.ErrNotFound) {
		return nil, "", fmt.Errorf("logdb: read manifest: %w", err)
	}
	if err := o.checkEmpty(ctx); errors.Is(err, errCreated) {
		return o.readOrCreate(ctx)
	} else if err != nil {
		return nil, "", err
	}
	m := &segment.Manifest{Log: objstore.NewID(), NextSegment: 1, ReplayEpoch: 1, OldestEpoch: 1, Closed: true}
	return m, "", nil
}

// errCreated: another opener created the log between our two looks.
var errCreated = errors.New("the log was created meanwhile")

// checkEmpty makes sure that a log may be created here. Another opener may be
// doing the same: its probe objects do not count.
func (o *opening) checkEmpty(ctx context.Context) error {
	for info, err := range o.bucket.List(ctx, "", "") {
		if err != nil {
			return fmt.Errorf("logdb: list bucket: %w", err)
		}
		if info.Name == segment.ManifestName { // sorts before whatever a log consists of
			return errCreated
		}
		if !strings.HasPrefix(info.Name, "probe-") {
			return fmt.Errorf("%w: no manifest, yet object %q: not an empty prefix", ErrForeign, info.Name)
		}
	}
	if o.dir != nil && o.dir.State().Bound() {
		return fmt.Errorf("%w: WAL directory belongs to log %v, the bucket holds none", ErrForeign, o.dir.State().Log)
	}
	return nil
}

// claim takes the next epoch by compare-and-set. The epoch is ours only if our
// own nonce is seen in the manifest; if another write hid it, the next one is
// taken.
func (o *opening) claim(ctx context.Context) error {
	for {
		base, etag, err := o.readOrCreate(ctx)
		if err != nil {
			return err
		}
		if err := o.checkPolite(ctx, base); err != nil {
			return err
		}
		m := o.successor(base)
		if o.dir != nil {
			if err := o.dir.NoteEpoch(m.Log, m.Epoch, m.Nonce); err != nil {
				return foreignDir(err)
			}
			o.opts.hooks.at("open: noted")
		}
		ours, err := o.swap(ctx, m, etag)
		if err != nil {
			return err
		}
		if ours {
			o.base, o.epoch, o.compactor = base, m.Epoch, m.CompactorEpoch
			return nil
		}
	}
}

// foreignDir gives a WAL directory's own refusal the public name.
func foreignDir(err error) error {
	var foreign *wal.ForeignError
	if errors.As(err, &foreign) {
		return fmt.Errorf("%w: %w", ErrForeign, err)
	}
	return err
}

// successor is the manifest that makes us the writer.
func (o *opening) successor(base *segment.Manifest) *segment.Manifest {
	m := base.Clone()
	m.Version++
	m.Nonce = objstore.NewID()
	m.Epoch++
	if !o.opts.ExternalCompactor {
		m.CompactorEpoch++
	}
	m.Closed = false
	m.Host, _ = os.Hostname()
	m.PID = os.Getpid()
	m.WrittenMs = o.opts.Clock().UnixMilli()
	if o.dir == nil || base.Dir != o.dirID || base.Epoch == 0 || o.opts.hooks.without(directoryRun) {
		m.DirSince = m.Epoch
	}
	m.Dir = o.dirID
	ahead := uint64(manifestAhead)
	if o.dir == nil {
		ahead = disklessAhead
	}
	m.Limit = max(base.Limit, limitInForce(base, o.dir, &o.opts.hooks)+o.opts.hooks.limitAhead(ahead))
	return m
}

// swap writes m over the manifest with that etag ("": none) and settles
// whether it is ours.
func (o *opening) swap(ctx context.Context, m *segment.Manifest, etag string) (ours bool, err error) {
	body := segment.EncodeManifest(m)
	retry := o.retry("open")
	cond := objstore.IfAbsent()
	if etag != "" {
		cond = objstore.IfMatch(etag)
	}
	for {
		var tag string
		err := retry.attempt(ctx, len(body), func(ctx context.Context) (err error) {
			tag, err = o.bucket.Put(ctx, segment.ManifestName, body, cond)
			return err
		})
		if err == nil {
			o.current, o.etag = m, tag
			return true, nil
		}
		if errors.Is(err, objstore.ErrNotFound) {
			return false, fmt.Errorf("%w: the manifest is gone", ErrForeign)
		}
		if errors.Is(err, objstore.ErrPrecondition) {
			there, tag, err := readRefused(ctx, o.bucket, retry)
			if errors.Is(err, ErrForeign) && etag == "" {
				return false, nil // the other one that created the log has failed: nothing is there
			}
			if err != nil {
				return false, err
			}
			if there.Nonce == m.Nonce || o.opts.hooks.without(epochByNonce) && there.Epoch == m.Epoch {
				o.current, o.etag = m, tag
				return true, nil
			}
			if tag != etag {
				return false, nil
			}
		}
		if err := retry.pause(ctx, segment.ManifestName, err); err != nil {
			return false, err
		}
	}
}

// politeSilence is how long a writer must have written nothing before a
// polite Open takes its log.
const politeSilence = time.Minute

// checkPolite refuses to fence a writer that may be alive, if asked to.
func (o *opening) checkPolite(ctx context.Context, base *segment.Manifest) error {
	if !o.opts.Polite || base.Closed || o.dir != nil && base.Dir == o.dirID {
		return nil
	}
	seen := base.WrittenMs
	at := wal.Position{Epoch: base.ReplayEpoch, Number: base.ReplayNumber}
	_, err := walk(ctx, o.bucket, at, 1, o.retry("open"), func(obj wal.Object) error {
		seen = max(seen, obj.MaxMs)
		return nil
	})
	if err != nil {
		return err
	}
	last := time.UnixMilli(seen)
	if o.opts.Clock().Sub(last) < politeSilence {
		return &BusyError{Host: base.Host, PID: base.PID, Epoch: base.Epoch, LastSeen: last}
	}
	return nil
}

// fence reads the WAL from where recovery starts and ends it with our fence.
// The fence is the moment of change: an object below it counts, one beyond it
// never does.
func (o *opening) fence(ctx context.Context) error {
	o.end = o.current.Flushed
	at := wal.Position{Epoch: o.current.ReplayEpoch, Number: o.current.ReplayNumber}
	if at.Epoch == o.epoch {
		return nil // a new log: nobody wrote before us
	}
	h := wal.ObjectHeader{Kind: wal.Fence, Log: o.current.Log, Nonce: objstore.NewID(), Next: wal.Position{Epoch: o.epoch}}
	retry := o.retry("fence")
	for {
		next, err := walk(ctx, o.bucket, at, 1, o.retry("open"), o.recovered(h.Nonce))
		if errors.Is(err, errOwnFence) {
			return nil
		}
		if err == nil && next == h.At { // taken, and yet absent: a store that shows it later
			err = retry.pause(ctx, wal.ObjectName(at.Epoch, at.Number), objstore.ErrPrecondition)
		}
		if err != nil {
			return err
		}
		at = next
		h.At, h.Start, h.End = at, o.end, o.end
		h.ManifestVersion = o.current.Version
		landed, err := o.putFence(ctx, h)
		if err != nil {
			return err
		}
		if landed {
			return nil
		}
	}
}

// errOwnFence ends a walk at the fence that we put.
var errOwnFence = errors.New("own fence")

// putFence puts the fence if the number is still free. False means that
// something is there: it is read, and the walk goes on.
func (o *opening) putFence(ctx context.Context, h wal.ObjectHeader) (bool, error) {
	body, retry := wal.EncodeFence(h), o.retry("fence")
	name := wal.ObjectName(h.At.Epoch, h.At.Number)
	for {
		err := retry.attempt(ctx, len(body), func(ctx context.Context) error {
			_, err := o.bucket.Put(ctx, name, body, objstore.IfAbsent())
			return err
		})
		if err == nil {
			return true, nil
		}
		if errors.Is(err, objstore.ErrPrecondition) {
			return false, nil
		}
		if err := retry.pause(ctx, name, err); err != nil {
			return false, err
		}
	}
}

// recovered takes each WAL object of the walk.
func (o *opening) recovered(own objstore.ID) func(wal.Object) error {
	return func(obj wal.Object) error {
		name := wal.ObjectName(obj.At.Epoch, obj.At.Number)
		if obj.Log != o.current.Log {
			return fmt.Errorf("%w: %s is of log %v, ours is %v", ErrForeign, name, obj.Log, o.current.Log)
		}
		if obj.Kind == wal.Fence {
			switch {
			case obj.Nonce == own:
				return errOwnFence
			case obj.Next.Epoch >= o.epoch:
				return fmt.Errorf("%w: %s names epoch %d, ours is %d", ErrFenced, name, obj.Next.Epoch, o.epoch)
			}
			return nil
		}
		if obj.Start > o.end {
			return &CorruptError{Object: name, Err: fmt.Errorf("starts at %d, the log before it ends at %d", obj.Start, o.end)}
		}
		o.end = max(o.end, obj.End)
		return o.rec.object(obj)
	}
}

// confirm reads the manifest again: only if the epoch is still ours was our
// fence put on the log's end, and not late, on a number long collected.
func (o *opening) confirm(ctx context.Context) error {
	m, etag, err := readManifest(ctx, o.bucket, o.retry("open"))
	if err != nil {
		return err
	}
	if m.Epoch != o.epoch && !o.opts.hooks.without(manifestAfterFence) {
		return fmt.Errorf("%w: manifest has epoch %d, ours is %d", ErrFenced, m.Epoch, o.epoch)
	}
	o.current, o.etag = m, etag
	return nil
}
