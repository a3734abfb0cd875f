package objstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	thanos "github.com/thanos-io/objstore"
)

// FromThanos makes a Reader of any bucket of github.com/thanos-io/objstore. That interface has neither ETags nor conditional
// reads, so an ETag here is a hash of the content and GetIfChanged fetches everything; and it lists names only,
// in no certain order, so a List holds all names of the folder in memory and asks for the attributes of each name
// it yields. Date is never known.
func FromThanos(b thanos.BucketReader) Reader { return &fromThanos{bucket: b} }

type fromThanos struct{ bucket thanos.BucketReader }

func (r *fromThanos) Get(ctx context.Context, name string) (Object, error) {
	return r.GetIfChanged(ctx, name, "")
}

func (r *fromThanos) GetIfChanged(ctx context.Context, name, etag string) (Object, error) {
	if err := readable(ctx, name); err != nil {
		return Object{}, wrap("get", name, err)
	}
	body, err := r.bucket.Get(ctx, name)
	if err != nil {
		return Object{}, wrap("get", name, r.mapped(err))
	}
	data, err := io.ReadAll(body)
	if err = errors.Join(err, body.Close()); err != nil {
		return Object{}, wrap("get", name, r.mapped(err))
	}
	o := Object{Data: data, ETag: contentETag(data)}
	if o.ETag == etag {
		return Object{ETag: etag}, wrap("get", name, ErrNotModified)
	}
	return o, nil
}

func (r *fromThanos) GetRange(ctx context.Context, name string, off, n int64) ([]byte, error) {
	if err := checkRange(name, off, n); err != nil {
		return nil, err
	}
	if n == 0 {
		return []byte{}, checkName(name)
	}
	if err := readable(ctx, name); err != nil {
		return nil, wrap("get range of", name, err)
	}
	data, err := r.fetchRange(ctx, name, off, n)
	if err == nil && int64(len(data)) == n {
		return data, nil
	}
	// Some providers answer a range that the object does not hold with fewer bytes, others with errors of their own.
	attributes, sized := r.bucket.Attributes(ctx, name)
	if sized == nil && off+n > attributes.Size {
		return nil, errShort(name, off, n, attributes.Size)
	}
	if err == nil {
		err = fmt.Errorf("got %d bytes, want %d", len(data), n)
	}
	return nil, wrap("get range of", name, r.mapped(err))
}

func (r *fromThanos) fetchRange(ctx context.Context, name string, off, n int64) ([]byte, error) {
	body, err := r.bucket.GetRange(ctx, name, off, n)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(body, n))
	return data, errors.Join(err, body.Close())
}

// mapped says it in this package's words. A connection that broke must not look like an object that is too short.
func (r *fromThanos) mapped(err error) error {
	switch {
	case r.bucket.IsObjNotFoundErr(err):
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case r.bucket.IsAccessDeniedErr(err):
		return fmt.Errorf("%w: %w", ErrAccessDenied, err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New(err.Error())
	default:
		return err
	}
}

func (r *fromThanos) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		names, err := r.names(ctx, prefix, after)
		if err != nil {
			yield(Info{}, wrap("list", prefix, r.mapped(err)))
			return
		}
		for _, name := range names {
			attributes, err := r.bucket.Attributes(ctx, name)
			if err != nil && r.bucket.IsObjNotFoundErr(err) {
				continue
			}
			if err != nil {
				yield(Info{}, wrap("list", prefix, r.mapped(err)))
				return
			}
			if !yield(Info{Name: name, Size: attributes.Size, Modified: attributes.LastModified}, nil) {
				return
			}
		}
	}
}

func (r *fromThanos) names(ctx context.Context, prefix, after string) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var names []string
	folder := prefix[:strings.LastIndexByte(prefix, '/')+1]
	err := r.bucket.Iter(ctx, folder, func(name string) error {
		if strings.HasPrefix(name, prefix) && name > after && checkName(name) == nil {
			names = append(names, name)
		}
		return nil
	}, thanos.WithRecursiveIter())
	if err != nil && !r.bucket.IsObjNotFoundErr(err) {
		return nil, err
	}
	slices.Sort(names)
	return names, nil
}

// AsThanos shows b as a bucket of github.com/thanos-io/objstore, for its wrappers and for programs that are built on it.
// Uploads are held in memory whole and put without a condition; they are atomic and durable as b's are. Content
// types are not kept. Close does nothing.
func AsThanos(b Bucket) thanos.Bucket { return &asThanos{bucket: b} }

type asThanos struct{ bucket Bucket }

func (t *asThanos) Close() error { return nil }

func (t *asThanos) Provider() thanos.ObjProvider { return providerOf(t.bucket) }

func providerOf(b Bucket) thanos.ObjProvider {
	switch b := b.(type) {
	case *Mem:
		return thanos.MEMORY
	case *File:
		return thanos.FILESYSTEM
	case *S3:
		return thanos.S3
	case *prefixed:
		return providerOf(b.bucket)
	default:
		return "OTHER"
	}
}

func (t *asThanos) Name() string {
	if s, ok := t.bucket.(*S3); ok {
		return s.bucket
	}
	return strings.ToLower(string(t.Provider()))
}

func (t *asThanos) IsObjNotFoundErr(err error) bool { return errors.Is(err, ErrNotFound) }

func (t *asThanos) IsAccessDeniedErr(err error) bool { return errors.Is(err, ErrAccessDenied) }

func (t *asThanos) SupportedIterOptions() []thanos.IterOptionType {
	return []thanos.IterOptionType{thanos.Recursive, thanos.UpdatedAt}
}

func (t *asThanos) Iter(ctx context.Context, dir string, f func(string) error, options ...thanos.IterOption) error {
	return t.IterWithAttributes(ctx, dir, func(a thanos.IterObjectAttributes) error { return f(a.Name) }, options...)
}

// IterWithAttributes lists everything below dir, and folds what is in folders of it unless asked for all.
func (t *asThanos) IterWithAttributes(ctx context.Context, dir string, f func(thanos.IterObjectAttributes) error, options ...thanos.IterOption) error {
	if err := thanos.ValidateIterOptions(t.SupportedIterOptions(), options...); err != nil {
		return err
	}
	params := thanos.ApplyIterOptions(options...)
	prefix := strings.TrimSuffix(dir, "/")
	if prefix != "" {
		prefix += "/"
	}
	folder := ""
	for info, err := range t.bucket.List(ctx, prefix, "") {
		if err != nil {
			return err
		}
		if folder != "" && strings.HasPrefix(info.Name, folder) {
			continue
		}
		name, modified := info.Name, info.Modified
		if slash := strings.IndexByte(name[len(prefix):], '/'); slash >= 0 && !params.Recursive {
			folder = name[:len(prefix)+slash+1]
			name, modified = folder, time.Time{}
		}
		attributes := thanos.IterObjectAttributes{Name: name}
		if params.LastModified {
			attributes.SetLastModified(modified)
		}
		if err := f(attributes); err != nil {
			return err
		}
	}
	return nil
}

func (t *asThanos) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	o, err := t.bucket.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	return thanos.NopCloserWithSize(bytes.NewReader(o.Data)), nil
}

// GetRange is more lenient than ours: a length of -1 is the rest, and what is beyond the end is left out.
func (t *asThanos) GetRange(ctx context.Context, name string, off, length int64) (io.ReadCloser, error) {
	if length >= 0 {
		data, err := t.bucket.GetRange(ctx, name, off, length)
		if err == nil {
			return thanos.NopCloserWithSize(bytes.NewReader(data)), nil
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, err
		}
	}
	attributes, err := t.Attributes(ctx, name)
	if err != nil {
		return nil, err
	}
	data, err := t.bucket.GetRange(ctx, name, off, max(attributes.Size-off, 0))
	if err != nil {
		return nil, err
	}
	return thanos.NopCloserWithSize(bytes.NewReader(data)), nil
}

func (t *asThanos) Exists(ctx context.Context, name string) (bool, error) {
	_, err := t.Attributes(ctx, name)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Attributes asks for a listing: the name itself comes first among the names that begin with it.
func (t *asThanos) Attributes(ctx context.Context, name string) (thanos.ObjectAttributes, error) {
	if err := checkName(name); err != nil {
		return thanos.ObjectAttributes{}, err
	}
	for info, err := range t.bucket.List(ctx, name, "") {
		if err != nil {
			return thanos.ObjectAttributes{}, err
		}
		if info.Name == name {
			return thanos.ObjectAttributes{Size: info.Size, LastModified: info.Modified}, nil
		}
		break
	}
	return thanos.ObjectAttributes{}, wrap("attributes of", name, ErrNotFound)
}

func (t *asThanos) Upload(ctx context.Context, name string, r io.Reader, _ ...thanos.ObjectUploadOption) error {
	var body bytes.Buffer
	if size, err := thanos.TryToGetSize(r); err == nil && size > 0 && size <= bodyHint {
		body.Grow(int(size) + bytes.MinRead)
	}
	if _, err := body.ReadFrom(r); err != nil {
		return wrap("upload", name, err)
	}
	_, err := t.bucket.Put(ctx, name, body.Bytes(), Always())
	return err
}

func (t *asThanos) Delete(ctx context.Context, name string) error { return t.bucket.Delete(ctx, name) }
