package objstore

import (
	"context"
	"iter"
	"strings"
)

// WithPrefix returns the part of b below the folder prefix, whose names then lack it. A slash at the end of prefix
// changes nothing and an empty prefix returns b. A prefix that is no valid name makes every request fs.ErrInvalid.
func WithPrefix(b Bucket, prefix string) Bucket {
	folder := strings.TrimSuffix(prefix, "/")
	if folder == "" {
		return b
	}
	return &prefixed{bucket: b, folder: folder + "/"}
}

type prefixed struct {
	bucket Bucket
	folder string // ends in a slash
}

func (p *prefixed) Get(ctx context.Context, name string) (Object, error) {
	if err := checkName(name); err != nil {
		return Object{}, err
	}
	return p.bucket.Get(ctx, p.folder+name)
}

func (p *prefixed) GetIfChanged(ctx context.Context, name, etag string) (Object, error) {
	if err := checkName(name); err != nil {
		return Object{}, err
	}
	return p.bucket.GetIfChanged(ctx, p.folder+name, etag)
}

func (p *prefixed) GetRange(ctx context.Context, name string, off, n int64) ([]byte, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	return p.bucket.GetRange(ctx, p.folder+name, off, n)
}

func (p *prefixed) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	if after != "" {
		after = p.folder + after
	}
	listing := p.bucket.List(ctx, p.folder+prefix, after)
	return func(yield func(Info, error) bool) {
		for info, err := range listing {
			info.Name = strings.TrimPrefix(info.Name, p.folder)
			if !yield(info, err) {
				return
			}
		}
	}
}

func (p *prefixed) Put(ctx context.Context, name string, data []byte, c Condition) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	return p.bucket.Put(ctx, p.folder+name, data, c)
}

func (p *prefixed) Delete(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	return p.bucket.Delete(ctx, p.folder+name)
}
