package logdb

import (
	"context"
	"errors"
	"fmt"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/segment"
	"github.com/logdb-go/logdb/wal"
)

// put makes the object's bytes, once, and sends them until they land.
func (s *shipper) put(sh *shipment) {
	ctx := s.db.stop
	var body []byte
	if sh.header.Kind == wal.Tables {
		select {
		case <-sh.gen.uploaded:
		case <-ctx.Done():
			return
		}
		body = wal.EncodeTables(sh.header, segment.AppendTables(nil, sh.gen.late))
	} else {
		body = wal.AppendData(s.spare.take(), sh.header, sh.frames)
		if s.db.opts.hooks.put == nil {
			sh.frames = nil
		}
	}
	sh.size = len(body)
	s.db.opts.hooks.at("ship: encoded")
	var err error
	if send := s.db.opts.hooks.put; send != nil {
		err = send(s, sh, body)
	} else {
		retry := s.db.retry("ship")
		if err = putObject(ctx, s.db.bucket, sh.header, body, retry); err == nil && sh.header.Kind == wal.Data {
			s.spare.give(body, retry)
		}
	}
	if err != nil {
		s.db.fail(err)
		return
	}
	s.db.opts.hooks.at("ship: put")
	select {
	case s.done <- sh:
	case <-ctx.Done():
	}
}

// putObject puts a WAL object under its name, if absent, until it is there.
// An error is final: the log was taken over, somebody else's object lies under
// the name, or ctx ended with the outcome unknown.
func putObject(ctx context.Context, b objstore.Bucket, h wal.ObjectHeader, body []byte, retry *retry) error {
	name := wal.ObjectName(h.At.Epoch, h.At.Number)
	for {
		err := retry.attempt(ctx, len(body), func(ctx context.Context) error {
			_, err := b.Put(ctx, name, body, objstore.IfAbsent())
			return err
		})
		if err == nil {
			return nil
		}
		if errors.Is(err, objstore.ErrPrecondition) {
			there, err := readObject(ctx, b, name, retry)
			switch {
			case errors.Is(err, objstore.ErrNotFound): // refused and yet absent: a store in motion
			case err != nil:
				return err
			case there.Nonce == h.Nonce:
				return nil
			case there.Kind == wal.Fence && there.Next.Epoch > h.At.Epoch:
				return fmt.Errorf("%w: %s names epoch %d, ours is %d", ErrFenced, name, there.Next.Epoch, h.At.Epoch)
			default:
				return &CorruptError{Object: name, Err: fmt.Errorf("somebody else's object: nonce %v, ours is %v", there.Nonce, h.Nonce)}
			}
		}
		if err := retry.pause(ctx, name, err); err != nil {
			return err
		}
	}
}

// readObject reads a WAL object, repeating what may pass. ErrNotFound is an
// answer.
func readObject(ctx context.Context, b objstore.Reader, name string, retry *retry) (wal.Object, error) {
	got, err := retry.get(ctx, b, name, "")
	if err != nil {
		return wal.Object{}, err
	}
	return wal.DecodeObject(name, got.Data)
}
