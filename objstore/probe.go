package objstore

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const probeCleanup = 10 * time.Second

// Probe writes an object named probe- and a fresh ID, with conditions that hold and conditions that do not, and
// deletes it again: about eight small requests, sent one after the other, for a writer that opens. It returns nil if
// the store behaved, ErrUnsafe with a plain sentence if it took a write that it should have refused or hid one that it
// had acknowledged, and otherwise what kept it from finding out. It cannot show that conditions are atomic under a race;
// the conformance suite of objstoretest looks for that.
func Probe(ctx context.Context, b Bucket) error {
	name := "probe-" + NewID().String()
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeCleanup)
		defer cancel()
		// What is left behind is harmless and named so that a sweep knows it.
		_ = b.Delete(ctx, name)
	}()
	p := prober{ctx: ctx, bucket: b, name: name}
	first := p.mustPut("first", IfAbsent())
	p.mustRefuse("overwrote an object although it was asked to write only where none is", IfAbsent())
	second := p.mustPut("second", IfMatch(first))
	p.mustRefuse("overwrote an object that had changed since", IfMatch(first))
	p.mustRead("second", second)
	p.mustDelete()
	p.mustRefuse("created an object although it was asked to replace one", IfMatch(second))
	if p.err != nil {
		return fmt.Errorf("probe bucket with %q: %w", name, p.err)
	}
	return nil
}

// prober keeps the first error and does nothing after it.
type prober struct {
	ctx    context.Context
	bucket Bucket
	name   string
	err    error
}

func (p *prober) mustPut(body string, c Condition) (etag string) {
	if p.err != nil {
		return ""
	}
	etag, err := p.bucket.Put(p.ctx, p.name, []byte(body), c)
	switch {
	case errors.Is(err, ErrPrecondition), errors.Is(err, ErrNotFound):
		p.err = fmt.Errorf("the store refused a write whose condition (%v) holds: %w", c, err)
	case err != nil:
		p.err = err
	case etag == "":
		p.err = fmt.Errorf("%w: the store answers writes without an etag, so nothing can be compared", ErrUnsafe)
	}
	return etag
}

func (p *prober) mustRefuse(did string, c Condition) {
	if p.err != nil {
		return
	}
	_, err := p.bucket.Put(p.ctx, p.name, []byte("must not be written"), c)
	switch {
	case err == nil:
		p.err = fmt.Errorf("%w: the store %s; two writers could destroy each other's data", ErrUnsafe, did)
	case !errors.Is(err, ErrPrecondition) && !errors.Is(err, ErrNotFound):
		p.err = err
	}
}

func (p *prober) mustRead(body, etag string) {
	if p.err != nil {
		return
	}
	o, err := p.bucket.Get(p.ctx, p.name)
	switch {
	case errors.Is(err, ErrNotFound):
		p.err = fmt.Errorf("%w: the store does not show an object that it has just acknowledged: %w", ErrUnsafe, err)
	case err != nil:
		p.err = err
	case string(o.Data) != body:
		p.err = fmt.Errorf("%w: the store holds %.40q after it acknowledged %q and refused the rest", ErrUnsafe, o.Data, body)
	case o.ETag != etag:
		p.err = fmt.Errorf("%w: the store reads etag %q where it wrote %q", ErrUnsafe, o.ETag, etag)
	}
}

func (p *prober) mustDelete() {
	if p.err == nil {
		p.err = p.bucket.Delete(p.ctx, p.name)
	}
}
