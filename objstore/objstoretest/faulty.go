package objstoretest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/logdb-go/logdb/objstore"
)

// Faulty is a bucket whose requests break as a Plan says.
type Faulty struct {
	bucket objstore.Bucket
	faults
}

// NewFaulty returns b with the faults of plan. The caller calls Wait before it looks at what became of late writes.
func NewFaulty(b objstore.Bucket, plan Plan) *Faulty {
	f := &Faulty{bucket: b}
	f.init(plan)
	return f
}

// admit is the common beginning of all requests: what becomes of this one.
func (f *Faulty) admit(op Op) (Op, Fault, error) {
	if f.down.Load() {
		return op, Fault{}, fmt.Errorf("%s %q: store is down: %w", op.Kind, op.Name, ErrInjected)
	}
	fault := f.choose(&op)
	return op, fault, nil
}

// refused is the answer of the faults that apply nothing, nil for others.
func refused(op Op, fault Fault) error {
	switch fault.Kind {
	case Refuse:
		return injected(op, "refused")
	case Fail:
		return injected(op, "failed")
	case SlowDown:
		return busy(fault, injected(op, "slow down"))
	case Denied:
		return fmt.Errorf("%w: %w", injected(op, "credentials have expired"), objstore.ErrAccessDenied)
	}
	return nil
}

// busy gives an answer the time that the store asks for.
func busy(fault Fault, err error) error {
	if fault.Delay <= 0 {
		return err
	}
	return &objstore.RetryAfterError{After: wholeSeconds(fault.Delay), Err: err}
}

func wholeSeconds(d time.Duration) time.Duration {
	return (d + time.Second - 1).Truncate(time.Second)
}

func injected(op Op, what string) error {
	return fmt.Errorf("%s %q, attempt %d: %s: %w", op.Kind, op.Name, op.Attempt, what, ErrInjected)
}

// stall answers nothing until the context or the fault's own wait ends.
func (f *Faulty) stall(ctx context.Context, op Op, fault Fault) error {
	if fault.Delay > 0 || fault.Gate != "" {
		if err := f.gates.wait(ctx, fault); err == nil {
			return injected(op, "no answer")
		}
	}
	<-ctx.Done()
	return fmt.Errorf("%s %q, attempt %d: no answer: %w", op.Kind, op.Name, op.Attempt, ctx.Err())
}

// write runs one write under its fault. apply is called at most once, with the context it is to be sent with.
func (f *Faulty) write(ctx context.Context, op Op, fault Fault, apply func(context.Context) error) error {
	if err := refused(op, fault); err != nil {
		return err
	}
	switch fault.Kind {
	case Stall:
		return f.stall(ctx, op, fault)
	case Slow:
		if err := f.gates.wait(ctx, fault); err != nil {
			return err
		}
	}
	err := apply(ctx)
	if err == nil {
		f.wrote(op)
	}
	switch fault.Kind {
	case Cut:
		return injected(op, "connection broke")
	case ApplyThenError:
		return injected(op, "applied, answered with an error")
	case LoseResponse:
		return f.stall(ctx, op, Fault{})
	case SlowAnswer:
		if waited := f.gates.wait(ctx, fault); waited != nil {
			return waited
		}
	}
	return err
}

// later applies a write when the fault's wait is over, whatever has become of the caller.
func (f *Faulty) later(ctx context.Context, fault Fault, apply func(context.Context)) {
	ctx = context.WithoutCancel(ctx)
	f.late.Go(func() {
		if f.gates.wait(ctx, fault) == nil {
			apply(ctx)
		}
	})
}

// Put implements objstore.Bucket.
func (f *Faulty) Put(ctx context.Context, name string, data []byte, c objstore.Condition) (string, error) {
	op, fault, err := f.admit(Op{Kind: Put, Name: name, Data: data, Condition: c})
	if err != nil {
		return "", err
	}
	if fault.Kind == ApplyLater {
		data = bytes.Clone(data)
		f.later(ctx, fault, func(ctx context.Context) {
			if _, err := f.bucket.Put(ctx, name, data, c); err == nil {
				f.wrote(op)
			}
		})
		return "", injected(op, "will be applied later")
	}
	if fault.Kind == IgnoreCondition {
		c = objstore.Always()
	}
	var etag string
	err = f.write(ctx, op, fault, func(ctx context.Context) (err error) {
		etag, err = f.bucket.Put(ctx, name, data, c)
		return err
	})
	if err != nil {
		return "", err
	}
	return etag, nil
}

// Delete implements objstore.Bucket.
func (f *Faulty) Delete(ctx context.Context, name string) error {
	op, fault, err := f.admit(Op{Kind: Delete, Name: name})
	if err != nil {
		return err
	}
	if fault.Kind == ApplyLater {
		f.later(ctx, fault, func(ctx context.Context) { _ = f.bucket.Delete(ctx, name) })
		return injected(op, "will be applied later")
	}
	return f.write(ctx, op, fault, func(ctx context.Context) error { return f.bucket.Delete(ctx, name) })
}

// read runs one read under its fault. What it does to the bytes is left to damage.
func (f *Faulty) read(ctx context.Context, op Op, fault Fault, ask func() error) error {
	if err := refused(op, fault); err != nil {
		return err
	}
	switch fault.Kind {
	case ApplyThenError, ApplyLater, Cut:
		return injected(op, "refused")
	case NotFound:
		if byName(op.Kind) {
			return fmt.Errorf("%w: %w", injected(op, "not there yet"), objstore.ErrNotFound)
		}
	case Stall, LoseResponse:
		return f.stall(ctx, op, fault)
	case Slow:
		if err := f.gates.wait(ctx, fault); err != nil {
			return err
		}
	}
	err := ask()
	if fault.Kind == SlowAnswer {
		if waited := f.gates.wait(ctx, fault); waited != nil {
			return waited
		}
	}
	return err
}

// damage is what Truncate and FlipBit do to the bytes of a read: the same to each replay of it.
func damage(seed uint64, op Op, fault Fault, data []byte) []byte {
	if len(data) == 0 {
		return data
	}
	rng := seeded(seed+1, op)
	switch fault.Kind {
	case Truncate:
		return data[:rng.IntN(len(data))]
	case FlipBit:
		data[rng.IntN(len(data))] ^= 1 << rng.IntN(8)
	}
	return data
}

// Get implements objstore.Reader.
func (f *Faulty) Get(ctx context.Context, name string) (objstore.Object, error) {
	return f.get(ctx, Op{Kind: Get, Name: name}, func() (objstore.Object, error) { return f.bucket.Get(ctx, name) })
}

// GetIfChanged implements objstore.Reader.
func (f *Faulty) GetIfChanged(ctx context.Context, name, etag string) (objstore.Object, error) {
	return f.get(ctx, Op{Kind: GetIfChanged, Name: name}, func() (objstore.Object, error) {
		return f.bucket.GetIfChanged(ctx, name, etag)
	})
}

func (f *Faulty) get(ctx context.Context, op Op, ask func() (objstore.Object, error)) (objstore.Object, error) {
	op, fault, err := f.admit(op)
	if err != nil {
		return objstore.Object{}, err
	}
	var o objstore.Object
	err = f.read(ctx, op, fault, func() (err error) {
		o, err = ask()
		return err
	})
	o.Data = damage(f.plan.Seed, op, fault, o.Data)
	if err != nil {
		o.Data = nil
	}
	return o, err
}

// GetRange implements objstore.Reader.
func (f *Faulty) GetRange(ctx context.Context, name string, off, n int64) ([]byte, error) {
	op, fault, err := f.admit(Op{Kind: GetRange, Name: name, Offset: off, Length: n})
	if err != nil {
		return nil, err
	}
	if fault.Kind == Truncate && n > 0 {
		return nil, fmt.Errorf("%w: %w", injected(op, "truncated"), io.ErrUnexpectedEOF)
	}
	var data []byte
	err = f.read(ctx, op, fault, func() (err error) {
		data, err = f.bucket.GetRange(ctx, name, off, n)
		return err
	})
	if err != nil {
		return nil, err
	}
	return damage(f.plan.Seed, op, fault, data), nil
}

// List implements objstore.Reader. It is one request, however many pages the bucket makes of it.
func (f *Faulty) List(ctx context.Context, prefix, after string) iter.Seq2[objstore.Info, error] {
	return func(yield func(objstore.Info, error) bool) {
		op, fault, err := f.admit(Op{Kind: List, Name: prefix})
		if err == nil {
			err = f.read(ctx, op, fault, func() error { return nil })
		}
		if err != nil {
			yield(objstore.Info{}, err)
			return
		}
		left := -1
		if fault.Kind == Truncate {
			left = seeded(f.plan.Seed+1, op).IntN(4)
		}
		for info, err := range f.bucket.List(ctx, prefix, after) {
			if left == 0 {
				break
			}
			left--
			if !yield(info, err) || err != nil {
				return
			}
		}
		if fault.Kind == Truncate {
			yield(objstore.Info{}, injected(op, "listing broke off"))
		}
	}
}
