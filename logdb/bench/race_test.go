//go:build race

package bench

import "runtime"

// Bubbles of testing/synctest crash the race detector of Go 1.26 where two of their goroutines find their timers
// expired at the same moment on two threads. It needs no parallel threads to see a race.
func init() { runtime.GOMAXPROCS(1) }
