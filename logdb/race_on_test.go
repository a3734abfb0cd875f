//go:build race

package logdb

import (
	"os"
	"runtime"
	"testing"
)

const raceEnabled = true

// raceShare is how many of n cases are looked at: the detector makes each many
// times slower, and what it looks for is in most of them.
func raceShare(n int) int { return max(n/10, 1) }

// TestMain keeps to one processor: in a testing/synctest bubble all timers
// share one race context, and two goroutines that find their timers expired at
// the same moment, on two threads, crash the race detector (Go 1.26). It needs
// no parallel threads to see a race.
func TestMain(m *testing.M) {
	runtime.GOMAXPROCS(1)
	os.Exit(m.Run())
}
