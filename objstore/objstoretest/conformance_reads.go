package objstoretest

import (
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/logdb-go/logdb/objstore"
)

func testGetIfChanged(t *testing.T, b objstore.Bucket) {
	ctx := t.Context()
	first := mustPut(t, b, "o", []byte("first"), objstore.Always())
	o, err := b.GetIfChanged(ctx, "o", first)
	wantError(t, "get if changed of what is known", err, objstore.ErrNotModified)
	if o.ETag != first || len(o.Data) != 0 {
		t.Fatalf("not modified: got etag %q and %d bytes, want %q and none", o.ETag, len(o.Data), first)
	}
	second := mustPut(t, b, "o", []byte("second"), objstore.Always())
	o, err = b.GetIfChanged(ctx, "o", first)
	if err != nil || string(o.Data) != "second" || o.ETag != second {
		t.Fatalf("get if changed: got %q, etag %q, %v, want %q, %q", o.Data, o.ETag, err, "second", second)
	}
	if o, err = b.GetIfChanged(ctx, "o", ""); err != nil || string(o.Data) != "second" {
		t.Fatalf("get if changed since nothing: got %q, %v", o.Data, err)
	}
}

func testRanges(t *testing.T, b objstore.Bucket) {
	ctx := t.Context()
	mustPut(t, b, "r", []byte("0123456789"), objstore.Always())
	for _, r := range []struct {
		off, n int64
		want   string
	}{{0, 10, "0123456789"}, {0, 1, "0"}, {3, 4, "3456"}, {9, 1, "9"}, {4, 0, ""}, {99, 0, ""}} {
		got, err := b.GetRange(ctx, "r", r.off, r.n)
		if err != nil || string(got) != r.want {
			t.Fatalf("%d bytes at %d: got %q, %v, want %q", r.n, r.off, got, err, r.want)
		}
	}
	for _, r := range [][2]int64{{0, 11}, {9, 2}, {10, 1}, {11, 1}, {1 << 40, 1}, {0, 1 << 50}, {5, math.MaxInt64 - 5}} {
		got, err := b.GetRange(ctx, "r", r[0], r[1])
		wantError(t, fmt.Sprintf("%d bytes at %d of 10", r[1], r[0]), err, io.ErrUnexpectedEOF)
		if len(got) != 0 {
			t.Fatalf("%d bytes at %d of 10: got %d bytes beside the error", r[1], r[0], len(got))
		}
	}
	for _, r := range [][2]int64{{-1, 1}, {0, -1}, {math.MaxInt64, 1}, {1, math.MaxInt64}} {
		_, err := b.GetRange(ctx, "r", r[0], r[1])
		wantError(t, fmt.Sprintf("%d bytes at %d", r[1], r[0]), err, fs.ErrInvalid)
	}
	mustPut(t, b, "empty", nil, objstore.Always())
	_, err := b.GetRange(ctx, "empty", 0, 1)
	wantError(t, "one byte of an empty object", err, io.ErrUnexpectedEOF)
}

func names(t *testing.T, b objstore.Reader, prefix, after string) []string {
	t.Helper()
	var got []string
	for info, err := range b.List(t.Context(), prefix, after) {
		if err != nil {
			t.Fatalf("list %q after %q: %v", prefix, after, err)
		}
		got = append(got, info.Name)
	}
	return got
}

func wantNames(t *testing.T, b objstore.Reader, prefix, after string, want ...string) {
	t.Helper()
	if got := names(t, b, prefix, after); !slices.Equal(got, want) {
		t.Fatalf("list %q after %q: got %q, want %q", prefix, after, got, want)
	}
}

// listed is in byte order; "a-", "a/" and "a0" fool whoever sorts a folder by its name without the slash.
var listed = []string{
	"a-b", "a.b/x", "a/b", "a/b.c", "a/b0", "a/c/d/e", "a/c0", "a0", "ab/c", "b", "seg/0000000001/w1", "seg/0000000001/w2",
	"seg/0000000002/w1", "z é", "é/x",
}

func putListed(t *testing.T, b objstore.Bucket) {
	t.Helper()
	for _, i := range []int{7, 3, 11, 0, 14, 5, 1, 9, 13, 2, 12, 4, 10, 6, 8} {
		mustPut(t, b, listed[i], make([]byte, i), objstore.IfAbsent())
	}
}

func testListOrder(t *testing.T, b objstore.Bucket) {
	wantNames(t, b, "", "")
	putListed(t, b)
	wantNames(t, b, "", "", listed...)
	i := 0
	for info, err := range b.List(t.Context(), "", "") {
		if err != nil || info.Size != int64(i) || info.Modified.IsZero() {
			t.Fatalf("list: got %+v, %v, want size %d and a time", info, err, i)
		}
		i++
	}
}

func testListCut(t *testing.T, b objstore.Bucket) {
	putListed(t, b)
	prefixes := []string{"", "a", "a/", "a/b", "a/c", "a/c/d/", "a/c/d/e", "a/c/d/e/", "b", "seg/", "seg/0000000001", "s", "x", "é", "../", "/", ".", "a/../", "a/.", "seg//", "a\x00", "\xff"}
	afters := append([]string{"", "a", "a.", "a/", "a/c", "a/c/", "a/zz", "seg", "seg/0000000001/", "seg/0000000001/w9", "zzz", "ü", "../", "a/../b", "a/\x00", "\xff"}, listed...)
	for _, prefix := range prefixes {
		for _, after := range afters {
			var want []string
			for _, name := range listed {
				if strings.HasPrefix(name, prefix) && name > after {
					want = append(want, name)
				}
			}
			wantNames(t, b, prefix, after, want...)
		}
	}
}

func testListLeft(t *testing.T, b objstore.Bucket) {
	putListed(t, b)
	for stop := range 4 {
		var got []string
		for info, err := range b.List(t.Context(), "a", "") {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, info.Name); len(got) > stop {
				break
			}
		}
		if !slices.Equal(got, listed[:stop+1]) {
			t.Fatalf("left after %d: got %q", stop+1, got)
		}
	}
}

// testListPages makes a listing longer than a page of S3, 1000 names.
func testListPages(t *testing.T, b objstore.Bucket) {
	const total, hands = 1050, 16
	name := func(i int) string { return fmt.Sprintf("page/%05d", i) }
	var group sync.WaitGroup
	for hand := range hands {
		group.Go(func() {
			for i := hand; i < total; i += hands {
				if _, err := b.Put(t.Context(), name(i), nil, objstore.IfAbsent()); err != nil {
					t.Errorf("put: %v", err)
					return
				}
			}
		})
	}
	group.Wait()
	var want []string
	for i := range total {
		want = append(want, name(i))
	}
	wantNames(t, b, "page/", "", want...)
	wantNames(t, b, "page/", name(19), want[20:]...)
}
