package objstoretest

import (
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// ErrInjected is wrapped by every error that Faulty makes up, but for those of an ended context.
var ErrInjected = errors.New("objstoretest: injected fault")

// FaultKind is what goes wrong with a request.
type FaultKind int

// The faults. Where one makes no sense for a request (a late read, a flipped bit in a Delete), the nearest that does
// takes its place: reads are refused instead of applied in part, writes pass the faults of reads unharmed.
const (
	// BySeed leaves the choice to Plan.Rates. It is the zero FaultKind.
	BySeed FaultKind = iota
	// None lets the request through.
	None
	// Refuse answers with an error; nothing was applied. Over HTTP nobody answers: the connection is refused, or cut
	// before the request was read.
	Refuse
	// ApplyThenError applies a write and answers with an error, over HTTP with a 500.
	ApplyThenError
	// ApplyLater answers a write with an error at once and applies it after Fault's wait, its condition checked
	// then, whatever others have written in between and even if the caller's context has ended.
	ApplyLater
	// LoseResponse applies a write and does not answer until the context ends.
	LoseResponse
	// Stall applies nothing and does not answer until the context ends, or with an error after Fault's wait if it has one.
	Stall
	// Slow sends the request after Fault's wait.
	Slow
	// SlowAnswer sends the request at once and gives the answer after Fault's wait, by when it may be stale. Over
	// HTTP the headers and half of the body come at once, and the rest after the wait.
	SlowAnswer
	// Truncate cuts what Get returns, makes a GetRange fall short, and ends a List early with an error. Over HTTP the
	// body is shorter than its Content-Length.
	Truncate
	// FlipBit inverts one bit of what a read returns.
	FlipBit
	// IgnoreCondition writes as if the condition were Always.
	IgnoreCondition
	// Fail answers with an error of the store's own, a 500 over HTTP; nothing was applied.
	Fail
	// SlowDown answers that the store is busy; nothing was applied. Fault.Delay, in whole seconds and rounded up, is what
	// it asks to wait: an objstore.RetryAfterError, over HTTP a 503 with Retry-After. With a Delay of 0 it does not say.
	SlowDown
	// Cut applies a write and breaks the connection instead of answering: an error at once, that tells nothing.
	Cut
	// NotFound answers a read as if the object were not there. Writes pass.
	NotFound
	// Denied answers objstore.ErrAccessDenied, over HTTP a 403 with the code ExpiredToken; nothing was applied.
	Denied
	faultKinds
)

var faultNames = [faultKinds]string{
	"by-seed", "none", "refuse", "apply-then-error", "apply-later", "lose-response", "stall", "slow", "slow-answer",
	"truncate", "flip-bit", "ignore-condition", "fail", "slow-down", "cut", "not-found", "denied",
}

// String is the kind's name, as Plan.String has it.
func (k FaultKind) String() string {
	if k < 0 || k >= faultKinds {
		return "FaultKind(" + strconv.Itoa(int(k)) + ")"
	}
	return faultNames[k]
}

// Fault is what happens to one request. The wait that some kinds speak of is over when Delay has passed and, if Gate
// is set, Open has been called for it.
type Fault struct {
	Kind  FaultKind
	Delay time.Duration
	Gate  string
}

// Plan says which requests break. The zero Plan breaks none.
type Plan struct {
	// Seed chooses, together with kind, name and attempt of a request, and with nothing else: neither order
	// nor concurrency changes what becomes of the third Put of "manifest". The ID in the name of a probe- object is
	// left out of it.
	Seed uint64
	// Rates is the share of requests, 0 to 1 each and together, that suffers each fault.
	Rates map[FaultKind]float64
	// MaxDelay bounds the delays that the seed draws, evenly from (0, MaxDelay]. 0 is one second.
	MaxDelay time.Duration
	// Storms are faults that last: they are asked after Hook and before Rates, the first that is in force decides.
	Storms []Storm
	// Unseen is how long reads of an object by name answer that it is not there, after the Put that made it. Stores that
	// promise to show what was written have none of it.
	Unseen time.Duration
	// Hook, if set, is asked first about every request. The zero Fault leaves it to what the rest of the plan says. It
	// may be called concurrently and must not call the bucket. It is not part of what String prints.
	Hook func(Op) Fault
}

const defaultMaxDelay = time.Second

// draw is what the seed has for a request: a pure function of the plan, the request's kind, name and attempt.
func (p *Plan) draw(op Op) Fault {
	rng := seeded(p.Seed, op)
	draw, sum := rng.Float64(), 0.0
	for kind := None + 1; kind < faultKinds; kind++ {
		if sum += p.Rates[kind]; draw < sum {
			return Fault{Kind: kind, Delay: p.delay(kind, rng)}
		}
	}
	return Fault{Kind: None}
}

func (p *Plan) delay(kind FaultKind, rng *rand.Rand) time.Duration {
	switch kind {
	case ApplyLater, Slow, SlowAnswer, SlowDown:
	default:
		return 0
	}
	limit := p.MaxDelay
	if limit <= 0 {
		limit = defaultMaxDelay
	}
	return 1 + time.Duration(rng.Int64N(int64(limit)))
}

// seeded is the random source of one request.
func seeded(seed uint64, op Op) *rand.Rand {
	name := op.Name
	if i := strings.LastIndex(name, "probe-"); i >= 0 {
		name = name[:i]
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(string(op.Kind) + "\x00" + name + "\x00" + strconv.Itoa(op.Attempt)))
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}
