//go:build race

package logdb

import (
	"os"
	"runtime"
	"testing"
)

const raceEnabled = true

// TestMain keeps to one processor: in a testing/synctest bubble all timers
// share one race context, and two goroutines that find their timers expired at
// the same moment, on two threads, crash the race detector (Go 1.26). It needs
// no parallel threads to see a race.
func TestMain(m *testing.M) {
	runtime.GOMAXPROCS(1)
	os.Exit(m.Run())
}
