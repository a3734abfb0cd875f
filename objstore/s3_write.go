package objstore

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Put implements Bucket.
func (s *S3) Put(ctx context.Context, name string, data []byte, c Condition) (string, error) {
	return s.put(ctx, name, data, c, checksum(data))
}

// RefusesDamaged puts a small object under name with a checksum that is not its own, and reports whether the server
// refused it: one that does not would keep what was damaged on its way. Then the object is there, for the caller to
// delete. An error means that it is not known.
func (s *S3) RefusesDamaged(ctx context.Context, name string) (bool, error) {
	_, err := s.put(ctx, name, []byte("as it arrives"), Always(), checksum([]byte("as it was sent")))
	if statusOf(err) == http.StatusBadRequest && !errors.Is(err, ErrAccessDenied) {
		return true, nil
	}
	return false, err
}

func (s *S3) put(ctx context.Context, name string, data []byte, c Condition, sum string) (string, error) {
	if err := checkPut(name, c); err != nil {
		return "", err
	}
	key, err := s.key(name)
	if err != nil {
		return "", err
	}
	in := &s3.PutObjectInput{
		Bucket:            &s.bucket,
		Key:               key,
		Body:              bytes.NewReader(data),
		ContentLength:     aws.Int64(int64(len(data))),
		ContentType:       aws.String("application/octet-stream"),
		CacheControl:      aws.String("no-store"), // a cache between us and the store must not answer for it
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c,
		ChecksumCRC32C:    &sum,
	}
	if c.Absent() {
		in.IfNoneMatch = aws.String("*")
	}
	if etag, ok := c.Match(); ok {
		in.IfMatch = &etag
	}
	out, err := s.client.PutObject(ctx, in, once)
	if err != nil {
		s.credentials.doubt(err)
		return "", putError(name, c, err)
	}
	return aws.ToString(out.ETag), nil
}

// checksum is the CRC32C as S3 writes it: big-endian, in base64.
func checksum(data []byte) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.Checksum(data, castagnoli)))
}

// Delete implements Bucket.
func (s *S3) Delete(ctx context.Context, name string) error {
	key, err := s.key(name)
	if err != nil {
		return err
	}
	_, err = s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: key}, once)
	s.credentials.doubt(err)
	if err = s3Error("delete", name, err); errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// putError adds what only a condition's answer can mean. Without one, 409 is about something else than rivals, and 404
// about something else than the object.
func putError(name string, c Condition, err error) error {
	_, match := c.Match()
	status := statusOf(err)
	refused := status == http.StatusPreconditionFailed || status == http.StatusConflict
	switch {
	case refused && (match || c.Absent()):
		return fmt.Errorf("put %q (%v): %w: %w", name, c, ErrPrecondition, err)
	case status == http.StatusNotFound && !match && !isWithdrawn(err):
		return fmt.Errorf("objstore: put %q (%v): %w", name, c, err)
	default:
		return s3Error("put", name, err)
	}
}

// s3Error says in this package's words what the store answered. Only an object that is missing is ErrNotFound: a bucket
// that is, or a proxy that knows neither, must not pass for an empty log.
func s3Error(verb, name string, err error) error {
	if err == nil {
		return nil
	}
	switch status := statusOf(err); {
	case status == http.StatusNotModified:
		return fmt.Errorf("%s %q: %w", verb, name, ErrNotModified)
	case status == http.StatusNotFound && missingObject(err):
		return fmt.Errorf("%s %q: %w: %w", verb, name, ErrNotFound, err)
	case isWithdrawn(err): // S3 itself says 400
		return fmt.Errorf("%s %q: %w: %w", verb, name, ErrAccessDenied, err)
	case status == http.StatusForbidden:
		return fmt.Errorf("%s %q: %w (s3 answers so for an absent name, too, where the caller may not list the bucket): %w",
			verb, name, ErrAccessDenied, err)
	default:
		return busy(fmt.Errorf("objstore: %s %q: %w", verb, name, err))
	}
}

// busy adds what the store said about when to come again. Both ways of saying it are known: seconds and a date.
func busy(err error) error {
	switch statusOf(err) {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
	default:
		return err
	}
	var response *smithyhttp.ResponseError
	if !errors.As(err, &response) {
		return err
	}
	said := response.Response.Header.Get("Retry-After")
	after := time.Duration(0)
	if seconds, bad := strconv.ParseUint(said, 10, 32); bad == nil {
		after = time.Duration(seconds) * time.Second
	} else if at, bad := http.ParseTime(said); bad == nil {
		after = time.Until(at)
	}
	if after <= 0 {
		return err
	}
	return &RetryAfterError{After: after, Err: err}
}

// missingObject insists on the store's own word: the SDK makes up another code where a 404 has no body that it can read.
func missingObject(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == "NoSuchKey"
}

// statusOf is the HTTP status of an answer that is an error, 0 if there was no answer.
func statusOf(err error) int {
	var op *smithy.OperationError
	for rest := err; errors.As(rest, &op); rest = op.Err {
		if op.ServiceID != s3.ServiceID {
			return 0 // another service answered: where credentials are looked for, say
		}
	}
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) && response.Response != nil && response.Response.Response != nil {
		return response.HTTPStatusCode()
	}
	return 0
}

// errorDate is the store's clock in an answer that is an error.
func errorDate(err error) time.Time {
	var response *smithyhttp.ResponseError
	if !errors.As(err, &response) || response.Response == nil || response.Response.Response == nil {
		return time.Time{}
	}
	date, _ := http.ParseTime(response.Response.Header.Get("Date"))
	return date
}
