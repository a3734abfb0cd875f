//go:build !unix

package bench

import "time"

// Systems without getrusage: nothing is known, and metrics that need it are left out.
func cpuTime() time.Duration { return 0 }
func peakRSS() int64         { return 0 }
