package logdb

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"
)

// The model that Porcupine holds the history of one key against. It is a tree
// of logs: every writer that opened has a branch, which starts as a prefix of
// the branch of the writer before it. The rules, one for each kind of step:
//
//   - open: the new branch is a prefix of the branch before it, and of nothing
//     else. The prefix holds all that anybody was told to be Remote there and,
//     if no other WAL directory came between, all that was told to be Local.
//     From this step on the old branch is over: it may grow, for nobody has told
//     its writer yet, but nothing of it becomes Remote any more.
//   - append: the batch is behind everything of its branch, and not below a
//     frontier or watermark that the branch has shown. It takes effect between
//     call and answer, whatever level the caller waits for.
//   - mark: at an acknowledgement at Local or Remote, a Flush, a seal, a Close,
//     or a reading of DurableSequence. Everything below it is in the branch. If
//     it is Remote, it is not behind the end of a branch that is over.
//   - scan at Applied: exactly the whole branch, as number of records and hash
//     over all their sequences and values, each hash chained to the one before.
//   - scan at Remote: exactly the branch below the frontier that came with it,
//     which is not below an earlier one or what is known to be Remote.
//   - follow: exactly the branch below the frontier that came with it.
//   - count: the number of records of the whole branch, and at most so many
//     more as had no answer and were shown to nobody.
//
// What has no answer because the process was killed may have happened at any
// time from its call on, or never. If a read, of anybody at any time, has shown
// the records, their sequences are known and the append counts as one that took
// for ever; if none has, it has not happened as far as anybody can tell, and is
// left out. A *PendingError tells the sequences, and counts as an append that
// took for ever, too; but if it was the caller's context that ended the wait,
// the batch is in its branch by then. What was refused with another error is
// left out, and a rule of its own says that nobody is ever shown it.
//
// A LogDbReader is not linearizable and is not in here: it may be late. What it
// shows must be a prefix of the log all the same; see linear_global_test.go.

// linStepKind is one of the rules above.
type linStepKind int

const (
	linOpen linStepKind = iota
	linAppend
	linMark
	linScan
	linScanRemote
	linFollow
	linCount
)

// linStep is one operation on one key. The fields below answer are what the
// engine said; nothing of them is used to decide what a client asks for.
type linStep struct {
	kind   linStepKind
	branch int

	parent    int  // open: the branch before; -1: none
	unbroken  bool // open: what was Local on parent is there
	level     Durability
	records   []linSum // append: those of this key
	nth       int      // append: how many of the branch's own batches are before it
	needs     int      // own batches of the branch (open: of parent) that lie below at
	at        uint64   // frontier, watermark, or the end of what was recovered
	remote    uint64   // open: watermark
	first     uint64   // append
	count     uint64
	lost      uint64 // count: records that nobody can tell of
	hash      uint64
	described string
}

// linSum is what the model keeps of a record.
type linSum struct{ sequence, value uint64 }

// linChain is a branch's log of one key, newest record first.
type linChain struct {
	before      *linChain
	sequence    uint64
	count, hash uint64
}

func (c *linChain) sum() (count, hash uint64) {
	if c == nil {
		return 0, 0
	}
	return c.count, c.hash
}

func (c *linChain) end() uint64 {
	if c == nil {
		return 0
	}
	return c.sequence + 1
}

// below returns the part of the chain that lies below a sequence.
func (c *linChain) below(at uint64) *linChain {
	for c != nil && c.sequence >= at {
		c = c.before
	}
	return c
}

// linHash chains one record to the hash of those before it.
func linHash(before uint64, r linSum) uint64 {
	var b [24]byte
	binary.LittleEndian.PutUint64(b[0:], before)
	binary.LittleEndian.PutUint64(b[8:], r.sequence)
	binary.LittleEndian.PutUint64(b[16:], r.value)
	h := fnv.New64a()
	_, _ = h.Write(b[:])
	return h.Sum64()
}

func linValue(v []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(v)
	return h.Sum64()
}

// linBranch is one writer's log of the key.
type linBranch struct {
	log         *linChain
	own         int // batches appended here
	opened      bool
	over        bool
	fork        uint64 // where the next writer's log parts from this one
	shown       uint64 // nothing new appears below it
	localBelow  uint64 // known to be Local
	remoteBelow uint64 // known to be Remote
}

// linState is all branches.
type linState []linBranch

func (s linState) equal(o linState) bool {
	return slices.EqualFunc(s, o, func(a, b linBranch) bool {
		ac, ah := a.log.sum()
		bc, bh := b.log.sum()
		a.log, b.log = nil, nil
		return a == b && ac == bc && ah == bh
	})
}

func (s linState) hash() uint64 {
	h := uint64(0)
	for i := range s {
		_, sum := s[i].log.sum()
		h = linHash(h, linSum{sum + uint64(s[i].own), s[i].shown ^ s[i].remoteBelow<<20 ^ s[i].localBelow<<40})
	}
	return h
}

// with returns a state in which one branch is another.
func (s linState) with(i int, b linBranch) linState {
	s = slices.Clone(s)
	s[i] = b
	return s
}

// step applies one operation, or says that it cannot happen now.
func (s linState) step(op *linStep) (bool, linState) {
	if op.kind == linOpen {
		return s.open(op)
	}
	b := s[op.branch]
	if !b.opened {
		return false, s
	}
	switch op.kind {
	case linAppend:
		if b.own != op.nth || op.first < max(b.log.end(), b.shown) || b.over && op.first < b.fork {
			return false, s
		}
		b.own++
		b.log = b.log.append(op)
		return true, s.with(op.branch, b)
	case linMark:
		if b.own < op.needs || op.level == Remote && b.over && op.at > b.fork {
			return false, s
		}
	case linScanRemote:
		count, hash := b.log.below(op.at).sum()
		if b.own < op.needs || count != op.count || hash != op.hash || op.at < b.remoteBelow || b.over && op.at > b.fork {
			return false, s
		}
	case linFollow:
		count, hash := b.log.below(op.at).sum()
		if b.own < op.needs || count != op.count || hash != op.hash || op.level == Remote && b.over && op.at > b.fork {
			return false, s
		}
	case linScan:
		if count, hash := b.log.sum(); count != op.count || hash != op.hash || op.at < b.shown {
			return false, s
		}
	case linCount:
		count, _ := b.log.sum()
		return count <= op.count && op.count <= count+op.lost, s
	}
	b.show(op)
	return true, s.with(op.branch, b)
}

// show notes what an operation has told of the branch.
func (b *linBranch) show(op *linStep) {
	b.shown = max(b.shown, op.at)
	switch {
	case op.level == Remote:
		b.remoteBelow = max(b.remoteBelow, op.at)
		b.localBelow = max(b.localBelow, op.at)
	case op.level == Local:
		b.localBelow = max(b.localBelow, op.at)
	}
}

func (c *linChain) append(op *linStep) *linChain {
	for _, r := range op.records {
		count, hash := c.sum()
		c = &linChain{before: c, sequence: r.sequence, count: count + 1, hash: linHash(hash, r)}
	}
	return c
}

func (s linState) open(op *linStep) (bool, linState) {
	b := linBranch{opened: true, shown: op.at, localBelow: op.at, remoteBelow: op.remote}
	if op.parent < 0 {
		return !s[op.branch].opened, s.with(op.branch, b)
	}
	p := s[op.parent]
	if !p.opened || p.over || p.own < op.needs || op.at < p.remoteBelow || op.unbroken && op.at < p.localBelow {
		return false, s
	}
	p.over, p.fork = true, op.at
	b.log = p.log.below(op.at)
	return true, s.with(op.parent, p).with(op.branch, b)
}

// linModel is the model of one key in a history with so many branches.
func linModel(branches int) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return make(linState, branches) },
		Step: func(state, input, _ any) (bool, any) { return state.(linState).step(input.(*linStep)) },
		Equal: func(a, b any) bool {
			return a.(linState).equal(b.(linState))
		},
		Hash:              func(s any) uint64 { return s.(linState).hash() },
		DescribeOperation: func(input, _ any) string { return input.(*linStep).described },
		DescribeState:     func(s any) string { return s.(linState).describe() },
	}
}

func (s linState) describe() string {
	var out []string
	for i, b := range s {
		if !b.opened {
			continue
		}
		count, hash := b.log.sum()
		line := fmt.Sprintf("w%d: %d records, hash %08x, below %d, shown %d, local %d, remote %d", i, count, hash>>32, b.log.end(), b.shown, b.localBelow, b.remoteBelow)
		if b.over {
			line += fmt.Sprintf(", over at %d", b.fork)
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}
