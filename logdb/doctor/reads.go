package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/logdb-go/logdb/objstore"
)

func readAfterWrite(ctx context.Context, e *examiner) (string, error) {
	for range e.o.Rounds {
		name := e.name("new")
		// Readers of a log ask for the next object before it is written.
		if _, err := e.bucket.Get(ctx, name); !errors.Is(err, objstore.ErrNotFound) {
			if err == nil {
				return "", unsafe("the store holds an object that nobody wrote")
			}
			return "", err
		}
		if _, err := e.bucket.Put(ctx, name, []byte(name), objstore.IfAbsent()); err != nil {
			return "", err
		}
		if err := e.holds(ctx, name, name); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d of %d objects", e.o.Rounds, e.o.Rounds), nil
}

func readAfterOverwrite(ctx context.Context, e *examiner) (string, error) {
	name := e.name("over")
	for i := range e.o.Rounds {
		body := fmt.Sprintf("version %d", i)
		etag, err := e.bucket.Put(ctx, name, []byte(body), objstore.Always())
		if err != nil {
			return "", err
		}
		o, err := e.bucket.Get(ctx, name)
		switch {
		case errors.Is(err, objstore.ErrNotFound):
			return "", unsafe("an object was not there after it was overwritten")
		case err != nil:
			return "", err
		case string(o.Data) != body:
			return "", unsafe("a read returned %.40q after %q was acknowledged: readers would see the log go back", o.Data, body)
		case o.ETag != etag:
			return "", unsafe("a read has etag %q where the write had %q: compare-and-set cannot work", o.ETag, etag)
		}
	}
	return fmt.Sprintf("%d of %d versions", e.o.Rounds, e.o.Rounds), nil
}

func (e *examiner) listed(ctx context.Context, prefix, after string) ([]string, error) {
	var names []string
	for info, err := range e.bucket.List(ctx, prefix, after) {
		if err != nil {
			return nil, err
		}
		names = append(names, info.Name)
	}
	return names, nil
}

func listAfterWrite(ctx context.Context, e *examiner) (string, error) {
	rounds := (e.o.Rounds + 2) / 3
	for range rounds {
		prefix := e.name("list") + "-"
		name := prefix + "object"
		if _, err := e.bucket.Put(ctx, name, []byte("here"), objstore.IfAbsent()); err != nil {
			return "", err
		}
		names, err := e.listed(ctx, prefix, "")
		if err != nil {
			return "", err
		}
		if !slices.Equal(names, []string{name}) {
			return "", unsafe("a listing shows %q after %q was written: a log could be taken for an empty place", names, name)
		}
		if err := e.bucket.Delete(ctx, name); err != nil {
			return "", err
		}
		if names, err = e.listed(ctx, prefix, ""); err != nil {
			return "", err
		}
		if _, err := e.bucket.Get(ctx, name); err == nil || len(names) > 0 {
			return "", unsafe("an object is still there, or listed, after it was deleted: %q", names)
		} else if !errors.Is(err, objstore.ErrNotFound) {
			return "", err
		}
	}
	return fmt.Sprintf("%d of %d objects, and none once deleted", rounds, rounds), nil
}

func listOrder(ctx context.Context, e *examiner) (string, error) {
	prefix := e.name("order") + "-"
	var want []string
	for _, element := range []string{"0000000002-1", "0000000010-1", "a-b", "a.b", "a_b", "ab+c", "b", "é"} {
		want = append(want, prefix+element)
	}
	slices.Sort(want)
	for i := range want { // not in order
		if _, err := e.bucket.Put(ctx, want[(i*5+3)%len(want)], []byte("x"), objstore.Always()); err != nil {
			return "", err
		}
	}
	for _, after := range []string{"", want[2], prefix + "a", prefix + "zz"} {
		got, err := e.listed(ctx, prefix, after)
		if err != nil {
			return "", err
		}
		rest := slices.DeleteFunc(slices.Clone(want), func(name string) bool { return name <= after })
		if !slices.Equal(got, rest) {
			return "", unsafe("a listing after %q shows %s, want %s", after, strings.Join(got, " "), strings.Join(rest, " "))
		}
	}
	return fmt.Sprintf("%d names, from the start and from behind 3 others", len(want)), nil
}

const rangedBytes = 100_000

func rangeReads(ctx context.Context, e *examiner) (string, error) {
	name, data := e.name("range"), noise(rangedBytes)
	if _, err := e.bucket.Put(ctx, name, data, objstore.Always()); err != nil {
		return "", err
	}
	for _, r := range [][2]int64{{0, 1}, {0, rangedBytes}, {12345, 54321}, {rangedBytes - 1, 1}, {rangedBytes - 500, 500}} {
		got, err := e.bucket.GetRange(ctx, name, r[0], r[1])
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, objstore.ErrNotFound):
			return "", unsafe("%d bytes at %d of %d: %v", r[1], r[0], rangedBytes, err)
		case err != nil:
			return "", err
		case !bytes.Equal(got, data[r[0]:r[0]+r[1]]):
			return "", unsafe("%d bytes at %d of %d: the store answered %d others", r[1], r[0], rangedBytes, len(got))
		}
	}
	for _, r := range [][2]int64{{rangedBytes - 10, 11}, {rangedBytes, 1}, {2 * rangedBytes, 10}} {
		got, err := e.bucket.GetRange(ctx, name, r[0], r[1])
		if err == nil {
			return "", unsafe("%d bytes at %d of %d: the store answered %d bytes, want an error", r[1], r[0], rangedBytes, len(got))
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			return "", err
		}
	}
	return "5 inside, 3 past the end", nil
}

func conditionalRead(ctx context.Context, e *examiner) (string, error) {
	name := e.name("changed")
	first, err := e.bucket.Put(ctx, name, []byte("first"), objstore.Always())
	if err != nil {
		return "", err
	}
	_, err = e.bucket.GetIfChanged(ctx, name, first)
	if err == nil {
		return "", &violation{Warning, "a read of an object that has not changed says that it has: every look at the manifest costs all of it"}
	}
	if !errors.Is(err, objstore.ErrNotModified) {
		return "", err
	}
	if _, err := e.bucket.Put(ctx, name, []byte("second"), objstore.Always()); err != nil {
		return "", err
	}
	o, err := e.bucket.GetIfChanged(ctx, name, first)
	switch {
	case errors.Is(err, objstore.ErrNotModified), err == nil && string(o.Data) != "second":
		return "", unsafe("a read of an object that has changed does not show the change: readers would stand still")
	case err != nil:
		return "", err
	}
	return "yes", nil
}

// damager is what a bucket can do that sends checksums of its own: objstore.S3.
type damager interface {
	RefusesDamaged(ctx context.Context, name string) (bool, error)
}

func checksum(ctx context.Context, e *examiner) (string, error) {
	d, ok := e.raw.(damager)
	if !ok {
		return "", fmt.Errorf("this kind of bucket sends no checksums: %w", errors.ErrUnsupported)
	}
	name := e.name("damaged")
	e.bucket.remember(name)
	ctx, cancel := context.WithTimeout(ctx, e.o.RequestTimeout)
	defer cancel()
	refused, err := d.RefusesDamaged(ctx, name)
	if err != nil {
		return "", err
	}
	if !refused {
		return "", &violation{Warning, "the store keeps a body that does not have the checksum sent with it: what is damaged on its way is found when it is read, and not before"}
	}
	return "refused", nil
}
