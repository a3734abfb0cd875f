package logdb

import (
	"flag"
	"math/rand/v2"
	"testing"
)

var drawSeed = flag.Uint64("draw.seed", 0, "what the tests draw from that do something else in each run; zero: a seed that nobody has seen")

// drawn returns what a test draws from that does something else in each run,
// and says how to have it do the same again.
func drawn(t testing.TB) *rand.Rand {
	t.Helper()
	seed := *drawSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d: go test ./logdb -run '^%s$' -draw.seed %[1]d", seed, t.Name())
	return rand.New(rand.NewPCG(seed, 0))
}
