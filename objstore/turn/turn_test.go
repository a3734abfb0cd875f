package turn

import (
	"bytes"
	"runtime"
	"sync/atomic"
	"testing"
)

// On one processor nobody else runs until somebody yields: a thousand turns take a few milliseconds, less than the
// scheduler would let them have.
func TestOthersGetTheirTurn(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var ran atomic.Bool
	go ran.Store(true)
	var w Work
	for range 1000 {
		w.Did(Bytes)
	}
	if !ran.Load() {
		t.Error("another goroutine did not get a turn")
	}
}

func TestCopyIsAppend(t *testing.T) {
	src := make([]byte, 3*Bytes+7)
	for i := range src {
		src[i] = byte(i % 251)
	}
	for _, n := range []int{0, 1, Bytes - 1, Bytes, Bytes + 1, len(src)} {
		dst := make([]byte, 2, 2+n)
		got := Copy(dst, src[:n])
		if !bytes.Equal(got, append([]byte{0, 0}, src[:n]...)) {
			t.Errorf("%d bytes: got %d others", n, len(got))
		}
		if &got[0] != &dst[0] {
			t.Errorf("%d bytes: the copy is elsewhere", n)
		}
	}
}
