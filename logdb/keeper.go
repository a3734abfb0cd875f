package logdb

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
)

// keeper edits the manifest. Edits are functions, not contents: on a lost
// compare-and-set the function runs again on what is there now.
//
// Whoever holds the turn owns the other fields; a turn lasts as long as the
// write takes to settle, so an edit never leaves its outcome unknown behind.
type keeper struct {
	bucket objstore.Bucket
	// holds is ErrFenced where a manifest says that a younger process has this
	// one's part of the log.
	holds func(*segment.Manifest) error
	// sign is what the author of a manifest leaves of itself.
	sign    func(*segment.Manifest)
	retry   func(what string) *retry
	version atomic.Uint64 // of current, for WAL object headers
	read    atomic.Int64  // when current was the bucket's, after the keeper began
	begun   time.Time

	turn    chan struct{}
	current *segment.Manifest
	etag    string
}

func newKeeper(b objstore.Bucket, m *segment.Manifest, etag string, retry func(what string) *retry) *keeper {
	k := &keeper{bucket: b, retry: retry, turn: make(chan struct{}, 1), begun: time.Now(), sign: func(*segment.Manifest) {}}
	k.adopt(m, etag, k.begun)
	return k
}

// age is how long ago the manifest was surely the bucket's.
func (k *keeper) age() time.Duration { return time.Since(k.begun) - time.Duration(k.read.Load()) }

// errDone is returned by an edit that finds its effect in the base already.
var errDone = errors.New("already in the manifest")

// edit applies f to the newest manifest and returns the manifest that holds
// its effect. f may run several times and must only change what it is given;
// it checks that its effect is not there already (errDone) and that its inputs
// still are (any other error, which ends the edit and comes with the manifest
// that it was met in).
//
// ctx is the log's own, never a caller's: giving up in the middle leaves an
// unknown outcome, after which nothing that the edit names may be deleted.
func (k *keeper) edit(ctx context.Context, f func(m *segment.Manifest) error) (*segment.Manifest, error) {
	if err := k.take(ctx); err != nil {
		return nil, err
	}
	defer k.pass()
	for {
		m := k.current.Clone()
		if err := f(m); err != nil {
			if errors.Is(err, errDone) {
				return k.current, nil
			}
			return k.current, err
		}
		m.Version++
		m.Nonce = objstore.NewID()
		k.sign(m)
		if err := m.Validate(); err != nil {
			return nil, fmt.Errorf("logdb: edit of manifest version %d: %w", m.Version, err)
		}
		landed, err := k.replace(ctx, m)
		if err != nil {
			return nil, err
		}
		if landed {
			return m, nil
		}
	}
}

func (k *keeper) take(ctx context.Context) error {
	select {
	case k.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (k *keeper) pass() { <-k.turn }

// refresh returns the bucket's manifest: one conditional read.
func (k *keeper) refresh(ctx context.Context) (*segment.Manifest, error) {
	if err := k.take(ctx); err != nil {
		return nil, err
	}
	defer k.pass()
	begun := time.Now()
	got, err := k.retry("manifest").get(ctx, k.bucket, segment.ManifestName, k.etag)
	switch {
	case errors.Is(err, objstore.ErrNotModified):
		k.adopt(k.current, k.etag, begun)
		return k.current, nil
	case errors.Is(err, objstore.ErrNotFound):
		return nil, fmt.Errorf("%w: the manifest is gone", ErrForeign)
	case err != nil:
		return nil, err
	}
	m, err := segment.DecodeManifest(got.Data)
	if err != nil {
		return nil, err
	}
	if m.Version < k.current.Version {
		return nil, fmt.Errorf("logdb: manifest went back to version %d, had %d", m.Version, k.current.Version)
	}
	if err := k.judge(m); err != nil {
		return nil, err
	}
	k.adopt(m, got.ETag, begun)
	return m, nil
}

// judge says whether this process may go on under a manifest.
func (k *keeper) judge(m *segment.Manifest) error {
	if m.Log != k.current.Log {
		return fmt.Errorf("%w: manifest of log %v, ours is %v", ErrForeign, m.Log, k.current.Log)
	}
	return k.holds(m)
}

// replace writes m over the current manifest and settles the outcome: true if
// m is in the bucket, false if another write took its place and is current
// now. Seeing the old manifest settles nothing; the same bytes are sent again.
func (k *keeper) replace(ctx context.Context, m *segment.Manifest) (bool, error) {
	body := segment.EncodeManifest(m)
	retry := k.retry("manifest")
	for {
		var etag string
		begun := time.Now()
		err := retry.attempt(ctx, len(body), func(ctx context.Context) (err error) {
			etag, err = k.bucket.Put(ctx, segment.ManifestName, body, objstore.IfMatch(k.etag))
			return err
		})
		if err == nil {
			k.adopt(m, etag, begun)
			return true, nil
		}
		if errors.Is(err, objstore.ErrNotFound) {
			return false, fmt.Errorf("%w: the manifest is gone", ErrForeign)
		}
		if errors.Is(err, objstore.ErrPrecondition) {
			there, etag, err := readRefused(ctx, k.bucket, retry)
			if err != nil {
				return false, err
			}
			if there.Nonce == m.Nonce {
				k.adopt(m, etag, begun)
				return true, nil
			}
			if err := k.judge(there); err != nil {
				return false, err
			}
			if there.Nonce != k.current.Nonce {
				k.adopt(there, etag, begun)
				return false, nil
			}
			k.etag = etag // refused without another write: the store was busy
		}
		if err := retry.pause(ctx, segment.ManifestName, err); err != nil {
			return false, err
		}
	}
}

func (k *keeper) adopt(m *segment.Manifest, etag string, asOf time.Time) {
	k.current, k.etag = m, etag
	k.read.Store(int64(asOf.Sub(k.begun)))
	k.version.Store(m.Version)
}

// motionLooks is how often somebody looks for a manifest that refused a write by
// being there, and was not: some two seconds.
const motionLooks = 8

// readRefused reads the manifest that refused a write. A store in motion, with
// another write under way or just killed, may not show it yet: only one that
// stays away is gone.
func readRefused(ctx context.Context, b objstore.Reader, retry *retry) (*segment.Manifest, string, error) {
	for look := 1; ; look++ {
		m, etag, err := readManifest(ctx, b, retry)
		if !errors.Is(err, ErrForeign) || look == motionLooks {
			return m, etag, err
		}
		if err := retry.pause(ctx, segment.ManifestName, err); err != nil {
			return nil, "", err
		}
	}
}

// readManifest reads the manifest, repeating what may pass.
func readManifest(ctx context.Context, b objstore.Reader, retry *retry) (*segment.Manifest, string, error) {
	got, err := retry.get(ctx, b, segment.ManifestName, "")
	if errors.Is(err, objstore.ErrNotFound) {
		return nil, "", fmt.Errorf("%w: the manifest is gone", ErrForeign)
	}
	if err != nil {
		return nil, "", err
	}
	m, err := segment.DecodeManifest(got.Data)
	return m, got.ETag, err
}
