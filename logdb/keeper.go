package logdb

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
)

// keeper edits the manifest. Edits are functions, not contents: on a lost
// compare-and-set the function runs again on what is there now.
//
// Whoever holds the turn owns the other fields; a turn lasts as long as the
// write takes to settle, so an edit never leaves its outcome unknown behind.
type keeper struct {
	bucket  objstore.Bucket
	epoch   uint64
	now     func() int64
	retry   func(what string) *retry
	version atomic.Uint64 // of current, for WAL object headers

	turn    chan struct{}
	current *segment.Manifest
	etag    string
}

// errDone is returned by an edit that finds its effect in the base already.
var errDone = errors.New("already in the manifest")

// edit applies f to the newest manifest and returns the manifest that holds
// its effect. f may run several times and must only change what it is given;
// it checks that its effect is not there already (errDone) and that its inputs
// still are (any other error, which ends the edit).
//
// ctx is the log's own, never a caller's: giving up in the middle would leave
// an unknown outcome.
func (k *keeper) edit(ctx context.Context, f func(m *segment.Manifest) error) (*segment.Manifest, error) {
	select {
	case k.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-k.turn }()
	for {
		m := k.current.Clone()
		if err := f(m); err != nil {
			if errors.Is(err, errDone) {
				return k.current, nil
			}
			return nil, err
		}
		m.Version++
		m.Nonce = objstore.NewID()
		m.WrittenMs = k.now()
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

// replace writes m over the current manifest and settles the outcome: true if
// m is in the bucket, false if another write took its place and is current
// now. Seeing the old manifest settles nothing; the same bytes are sent again.
func (k *keeper) replace(ctx context.Context, m *segment.Manifest) (bool, error) {
	body := segment.EncodeManifest(m)
	retry := k.retry("manifest")
	for {
		var etag string
		err := retry.attempt(ctx, len(body), func(ctx context.Context) (err error) {
			etag, err = k.bucket.Put(ctx, segment.ManifestName, body, objstore.IfMatch(k.etag))
			return err
		})
		if err == nil {
			k.adopt(m, etag)
			return true, nil
		}
		if errors.Is(err, objstore.ErrNotFound) {
			return false, fmt.Errorf("%w: the manifest is gone", ErrForeign)
		}
		if errors.Is(err, objstore.ErrPrecondition) {
			there, etag, err := readManifest(ctx, k.bucket, retry)
			if err != nil {
				return false, err
			}
			switch {
			case there.Nonce == m.Nonce:
				k.adopt(m, etag)
				return true, nil
			case there.Log != m.Log:
				return false, fmt.Errorf("%w: manifest of log %v, ours is %v", ErrForeign, there.Log, m.Log)
			case there.Epoch > k.epoch:
				return false, fmt.Errorf("%w: manifest has epoch %d, ours is %d", ErrFenced, there.Epoch, k.epoch)
			case there.Nonce != k.current.Nonce:
				k.adopt(there, etag)
				return false, nil
			}
			k.etag = etag // refused without another write: the store was busy
		}
		if err := retry.pause(ctx, segment.ManifestName, err); err != nil {
			return false, err
		}
	}
}

func (k *keeper) adopt(m *segment.Manifest, etag string) {
	k.current, k.etag = m, etag
	k.version.Store(m.Version)
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
