package objstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Get implements Reader.
func (s *S3) Get(ctx context.Context, name string) (Object, error) {
	return s.get(ctx, name, nil)
}

// GetIfChanged implements Reader.
func (s *S3) GetIfChanged(ctx context.Context, name, etag string) (Object, error) {
	if etag == "" {
		return s.get(ctx, name, nil)
	}
	o, err := s.get(ctx, name, &etag)
	if err == nil && o.ETag == etag {
		// The server does not know conditional reads.
		return Object{ETag: etag, Date: o.Date}, wrap("get", name, ErrNotModified)
	}
	return o, err
}

func (s *S3) get(ctx context.Context, name string, unless *string) (Object, error) {
	key, err := s.key(name)
	if err != nil {
		return Object{}, err
	}
	in := &s3.GetObjectInput{Bucket: &s.bucket, Key: key, IfNoneMatch: unless, ChecksumMode: types.ChecksumModeEnabled}
	out, data, err := s.fetch(ctx, in)
	if err == nil {
		return Object{Data: data, ETag: aws.ToString(out.ETag), Date: serverTime(out)}, nil
	}
	mapped := readError("get", name, err)
	if unless != nil && errors.Is(mapped, ErrNotModified) {
		return Object{ETag: *unless, Date: errorDate(err)}, mapped
	}
	return Object{}, mapped
}

func serverTime(out *s3.GetObjectOutput) time.Time {
	date, _ := awsmiddleware.GetServerTime(out.ResultMetadata)
	return date
}

// GetRange implements Reader.
func (s *S3) GetRange(ctx context.Context, name string, off, n int64) ([]byte, error) {
	if err := checkRange(name, off, n); err != nil {
		return nil, err
	}
	key, err := s.key(name)
	if err != nil || n == 0 {
		return []byte{}, err
	}
	in := &s3.GetObjectInput{Bucket: &s.bucket, Key: key, Range: aws.String(fmt.Sprintf("bytes=%d-%d", off, off+n-1))}
	out, data, err := s.fetch(ctx, in)
	if err != nil {
		if statusOf(err) == 416 {
			return nil, errShortUnsized(name, off, n)
		}
		return nil, readError("get range of", name, err)
	}
	return checkRanged(out, data, name, off, n)
}

// checkRanged makes sure that the bytes are those that were asked for.
func checkRanged(out *s3.GetObjectOutput, data []byte, name string, off, n int64) ([]byte, error) {
	got := int64(len(data))
	served := aws.ToString(out.ContentRange)
	whole := served == "" && off == 0
	if !whole && !strings.HasPrefix(served, fmt.Sprintf("bytes %d-", off)) {
		return nil, wrap("get range of", name, fmt.Errorf("%w: content-range %q", errRangeIgnored, served))
	}
	switch {
	case got < n:
		return nil, errShortUnsized(name, off, n)
	case got > n:
		return nil, wrap("get range of", name, fmt.Errorf("%w: got %d bytes, want %d", errRangeIgnored, got, n))
	default:
		return data, nil
	}
}

// fetch gets an object and its body. The SDK tries the request again by itself but leaves the body to its caller, and a
// connection that breaks halfway is the common way for a large read to fail.
func (s *S3) fetch(ctx context.Context, in *s3.GetObjectInput) (*s3.GetObjectOutput, []byte, error) {
	for attempt := 1; ; attempt++ {
		out, err := s.client.GetObject(ctx, in)
		if err != nil {
			s.credentials.doubt(err)
			return nil, nil, err
		}
		data, err := readBody(out)
		if err == nil || attempt == readAttempts || ctx.Err() != nil {
			return out, data, err
		}
	}
}

// bodyHint bounds the memory that is set aside because a header says so; what is really there may be more.
const bodyHint = 64 << 20

// readBody reads to the very end, where the SDK compares checksums.
func readBody(out *s3.GetObjectOutput) ([]byte, error) {
	defer out.Body.Close()
	size := min(max(aws.ToInt64(out.ContentLength), 0), bodyHint)
	buf := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
	if _, err := buf.ReadFrom(out.Body); err != nil {
		return nil, fmt.Errorf("body broke off after %d of %d bytes: %w", buf.Len(), aws.ToInt64(out.ContentLength), err)
	}
	return buf.Bytes(), nil
}

// List implements Reader. Every 1000 names are one request.
func (s *S3) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		if !mayBegin(prefix) {
			return
		}
		in := &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: aws.String(s.folder + prefix)}
		if after != "" && mayBegin(after) { // names are compared below in any case
			in.StartAfter = aws.String(s.folder + after)
		}
		for pages := s3.NewListObjectsV2Paginator(s.client, in); pages.HasMorePages(); {
			page, err := pages.NextPage(ctx)
			if err != nil {
				s.credentials.doubt(err)
				yield(Info{}, readError("list", prefix, err))
				return
			}
			for _, object := range page.Contents {
				name := strings.TrimPrefix(aws.ToString(object.Key), s.folder)
				if name <= after || checkName(name) != nil {
					continue // consoles make folders by objects whose names end in a slash
				}
				if !yield(Info{Name: name, Size: aws.ToInt64(object.Size), Modified: aws.ToTime(object.LastModified)}, nil) {
					return
				}
			}
		}
	}
}

// readError masks io.ErrUnexpectedEOF: here it is a connection that broke, and callers of GetRange would take it for an
// object that is too short.
func readError(verb, name string, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New(err.Error())
	}
	return s3Error(verb, name, err)
}
