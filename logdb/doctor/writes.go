package doctor

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/logdb-go/logdb/objstore"
)

// refused settles the answer to a write whose condition did not hold.
func refused(err error, did string) error {
	switch {
	case err == nil:
		return unsafe("the store %s: two writers would destroy each other's records", did)
	case errors.Is(err, objstore.ErrPrecondition), errors.Is(err, objstore.ErrNotFound):
		return nil
	default:
		return err
	}
}

// taken settles the answer to a write whose condition held.
func taken(etag string, err error) error {
	switch {
	case errors.Is(err, objstore.ErrPrecondition), errors.Is(err, objstore.ErrNotFound):
		return unsafe("the store refused a write whose condition held: no log could be written here: %v", err)
	case err == nil && etag == "":
		return unsafe("the store answers writes without an etag: nothing can be compared")
	default:
		return err
	}
}

// holds compares what is there.
func (e *examiner) holds(ctx context.Context, name, want string) error {
	o, err := e.bucket.Get(ctx, name)
	switch {
	case errors.Is(err, objstore.ErrNotFound):
		return unsafe("the store acknowledged a write, and the object is not there: what was acknowledged is lost")
	case err != nil:
		return err
	case string(o.Data) != want:
		return unsafe("the store holds %.40q where it acknowledged %.40q", o.Data, want)
	default:
		return nil
	}
}

func ifAbsent(ctx context.Context, e *examiner) (string, error) {
	name := e.name("absent")
	if err := taken(e.bucket.Put(ctx, name, []byte("first"), objstore.IfAbsent())); err != nil {
		return "", err
	}
	_, err := e.bucket.Put(ctx, name, []byte("second"), objstore.IfAbsent())
	if err := refused(err, "overwrote an object although it was asked to write only where none is"); err != nil {
		return "", err
	}
	return "created one, overwrote none", e.holds(ctx, name, "first")
}

func ifMatch(ctx context.Context, e *examiner) (string, error) {
	name := e.name("match")
	first, err := e.bucket.Put(ctx, name, []byte("first"), objstore.Always())
	if err := taken(first, err); err != nil {
		return "", err
	}
	second, err := e.bucket.Put(ctx, name, []byte("second"), objstore.IfMatch(first))
	if err := taken(second, err); err != nil {
		return "", err
	}
	_, err = e.bucket.Put(ctx, name, []byte("third"), objstore.IfMatch(first))
	if err := refused(err, "overwrote an object that had changed since"); err != nil {
		return "", err
	}
	if err := e.holds(ctx, name, "second"); err != nil {
		return "", err
	}
	if err := e.bucket.Delete(ctx, name); err != nil {
		return "", err
	}
	_, err = e.bucket.Put(ctx, name, []byte("fourth"), objstore.IfMatch(second))
	if err := refused(err, "created an object although it was asked to replace one"); err != nil {
		return "", err
	}
	return "replaced the one named, no other, and created none", nil
}

// racers write to one object at once.
const racers = 16

// atOnce lets all racers put, and returns those that were acknowledged, and an error that was no refusal.
func atOnce(put func(i int) error) (won []int, failed error) {
	var mu sync.Mutex
	together(racers, func(i int) {
		err := put(i)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			won = append(won, i)
		} else if !errors.Is(err, objstore.ErrPrecondition) && !errors.Is(err, objstore.ErrNotFound) {
			failed = err
		}
	})
	return won, failed
}

func raceToCreate(ctx context.Context, e *examiner) (string, error) {
	decided, last := 0, errors.New("all were refused")
	for round := range e.o.Rounds {
		name := e.name("race")
		won, err := atOnce(func(i int) error {
			_, err := e.bucket.Put(ctx, name, []byte(strconv.Itoa(i)), objstore.IfAbsent())
			return err
		})
		if len(won) > 1 {
			return "", unsafe("round %d: %d of %d writers were told that they had created the same object: two writers would both own the log",
				round+1, len(won), racers)
		}
		if len(won) == 1 {
			if err := e.holds(ctx, name, strconv.Itoa(won[0])); err != nil {
				return "", err
			}
			decided++
		}
		if err != nil {
			last = err
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
	}
	if decided == 0 {
		return "", fmt.Errorf("none of %d rounds of %d writers had a winner; last error: %w", e.o.Rounds, racers, last)
	}
	return fmt.Sprintf("%d rounds of %d writers: one winner in %d, two in none", e.o.Rounds, racers, decided), nil
}

func raceToReplace(ctx context.Context, e *examiner) (string, error) {
	name := e.name("counter")
	if _, err := e.bucket.Put(ctx, name, []byte("0 start"), objstore.Always()); err != nil {
		return "", err
	}
	acknowledged, last := 0, errors.New("all were refused")
	for round := range e.o.Rounds {
		c, err := e.counter(ctx, name)
		if err != nil {
			return "", err
		}
		// No two bodies are equal: where an etag is the hash of a body, equal ones would hide a change.
		won, err := atOnce(func(i int) error {
			_, err := e.bucket.Put(ctx, name, fmt.Appendf(nil, "%d by %d in %d", c.n+1, i, round), objstore.IfMatch(c.etag))
			return err
		})
		if len(won) > 1 {
			return "", unsafe("round %d: %d of %d writers were told that they had replaced the same object: all but one of their changes are lost",
				round+1, len(won), racers)
		}
		acknowledged += len(won)
		if err != nil {
			last = err
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
	}
	c, err := e.counter(ctx, name)
	if err != nil {
		return "", err
	}
	if c.n < acknowledged {
		return "", unsafe("%d increments were acknowledged and %d are there: compare-and-set loses updates, and with them records", acknowledged, c.n)
	}
	if acknowledged == 0 {
		return "", fmt.Errorf("none of %d rounds of %d increments had a winner; last error: %w", e.o.Rounds, racers, last)
	}
	return fmt.Sprintf("%d rounds of %d writers: %d increments acknowledged, none lost", e.o.Rounds, racers, acknowledged), nil
}

type counted struct {
	n    int
	etag string
}

func (e *examiner) counter(ctx context.Context, name string) (counted, error) {
	o, err := e.bucket.Get(ctx, name)
	if errors.Is(err, objstore.ErrNotFound) {
		return counted{}, unsafe("a counter that was written is not there: what was acknowledged is lost")
	}
	if err != nil {
		return counted{}, err
	}
	digits, _, _ := strings.Cut(string(o.Data), " ")
	n, err := strconv.Atoi(digits)
	if err != nil {
		return counted{}, unsafe("a counter reads %.40q, which nobody wrote", o.Data)
	}
	return counted{n, o.ETag}, nil
}
