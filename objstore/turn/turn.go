// Package turn lets work that takes long give way to work that takes microseconds.
//
// Go takes the processor away from a goroutine that keeps it every ten milliseconds, and not at all inside a memmove or
// a checksum. Tables are built, sorted and copied for hundreds of milliseconds; with as many of them under way as there
// are processors, appends and reads waited for one slice after another.
package turn

import "runtime"

// Bytes is how much is copied between two yields, or done that takes as long: about a tenth of a millisecond.
const Bytes = 128 << 10

// Row is what finding a row of a memtable or a table takes, and writing it, beside copying its bytes.
const Row = 512

// Work counts what a goroutine has done since it last yielded. The zero value is ready to use.
type Work struct{ done int }

// Did says that n bytes were copied, or as much was done as copying n bytes takes, and yields if it is time to.
func (w *Work) Did(n int) {
	if w.done += n; w.done >= Bytes {
		w.done = 0
		runtime.Gosched()
	}
}

// Copy appends src to dst, which has room for it.
func Copy(dst, src []byte) []byte {
	var w Work
	for len(src) > 0 {
		n := min(len(src), Bytes)
		dst = append(dst, src[:n]...)
		src = src[n:]
		w.Did(n)
	}
	return dst
}
