package objstoretest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/logdb-go/logdb/objstore"
)

// Conformance runs the suite that every Bucket passes, one subtest for each promise. open returns an empty bucket, all of
// it for the one subtest that asks; a fresh prefix in a shared bucket will do. It makes about 3,000 requests.
func Conformance(t *testing.T, open func(t *testing.T) objstore.Bucket) {
	subtests := []struct {
		name string
		run  func(*testing.T, objstore.Bucket)
	}{
		{"names that break the grammar are refused", testNames},
		{"what is absent is not found", testAbsent},
		{"what was put is read back", testRoundTrip},
		{"slices stay the caller's", testOwnership},
		{"an object may be empty", testEmpty},
		{"an object may have 8 MiB", testLarge},
		{"an ended context writes nothing", testEndedContext},
		{"a deleted object is gone", testDelete},
		{"the probe finds it safe", testProbe},
		{"if-absent writes once", testIfAbsent},
		{"if-match writes over what it names only", testIfMatch},
		{"16 racers for a name have one winner", testRaceIfAbsent},
		{"16 racers for an etag have one winner", testRaceIfMatch},
		{"a counter under compare-and-set loses nothing", testCounter},
		{"readers see whole objects", testWhole},
		{"a conditional read spares what is known", testGetIfChanged},
		{"ranges are exact", testRanges},
		{"a listing is in byte order", testListOrder},
		{"a listing is cut by prefix and after", testListCut},
		{"a listing may be left", testListLeft},
		{"a listing has more than one page", testListPages},
	}
	for _, sub := range subtests {
		t.Run(strings.ReplaceAll(sub.name, " ", "_"), func(t *testing.T) { sub.run(t, open(t)) })
	}
}

func mustPut(t *testing.T, b objstore.Bucket, name string, data []byte, c objstore.Condition) string {
	t.Helper()
	etag, err := b.Put(t.Context(), name, data, c)
	if err != nil {
		t.Fatalf("put %q (%v): %v", name, c, err)
	}
	if etag == "" {
		t.Fatalf("put %q (%v): got no etag", name, c)
	}
	return etag
}

func mustGet(t *testing.T, b objstore.Reader, name string) objstore.Object {
	t.Helper()
	o, err := b.Get(t.Context(), name)
	if err != nil {
		t.Fatalf("get %q: %v", name, err)
	}
	return o
}

func wantBody(t *testing.T, b objstore.Reader, name string, want []byte) {
	t.Helper()
	if got := mustGet(t, b, name).Data; !bytes.Equal(got, want) {
		t.Fatalf("get %q: got %d bytes (%.40q), want %d (%.40q)", name, len(got), got, len(want), want)
	}
}

func wantError(t *testing.T, what string, got error, want ...error) {
	t.Helper()
	for _, w := range want {
		if errors.Is(got, w) {
			return
		}
	}
	t.Fatalf("%s: got %v, want %v", what, got, want)
}

func testNames(t *testing.T, b objstore.Bucket) {
	ctx := t.Context()
	for _, name := range []string{
		"", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.hidden", "a\x00b", "a\nb", `a\b`, "\xff", "a\uffff",
		strings.Repeat("x", 256), strings.Repeat("abcdefg/", 128) + "h",
	} {
		_, err := b.Put(ctx, name, nil, objstore.Always())
		wantError(t, "put "+name, err, fs.ErrInvalid)
		_, err = b.Get(ctx, name)
		wantError(t, "get "+name, err, fs.ErrInvalid)
		_, err = b.GetIfChanged(ctx, name, "x")
		wantError(t, "get if changed "+name, err, fs.ErrInvalid)
		_, err = b.GetRange(ctx, name, 0, 1)
		wantError(t, "get range "+name, err, fs.ErrInvalid)
		_, err = b.GetRange(ctx, name, 0, 0)
		wantError(t, "get empty range "+name, err, fs.ErrInvalid)
		wantError(t, "delete "+name, b.Delete(ctx, name), fs.ErrInvalid)
	}
	for _, name := range []string{"a b+c%2F&d=é", "wal/0000000001-00000000000000000002", "x/" + strings.Repeat("y", 255), "~/…"} {
		mustPut(t, b, name, []byte(name), objstore.IfAbsent())
		wantBody(t, b, name, []byte(name))
	}
}

func testAbsent(t *testing.T, b objstore.Bucket) {
	ctx := t.Context()
	mustPut(t, b, "folder/object", []byte("1"), objstore.Always())
	for _, name := range []string{"nothing", "folder", "folder/nothing", "nofolder/nothing"} {
		_, err := b.Get(ctx, name)
		wantError(t, "get "+name, err, objstore.ErrNotFound)
		_, err = b.GetIfChanged(ctx, name, "1")
		wantError(t, "get if changed "+name, err, objstore.ErrNotFound)
		_, err = b.GetRange(ctx, name, 0, 1)
		wantError(t, "get range "+name, err, objstore.ErrNotFound)
		if err := b.Delete(ctx, name); err != nil {
			t.Fatalf("delete %q: got %v, want no error for what is absent", name, err)
		}
	}
	wantNames(t, b, "nothing", "")
	wantNames(t, b, "folder/nothing/", "")
	wantBody(t, b, "folder/object", []byte("1"))
}

func testRoundTrip(t *testing.T, b objstore.Bucket) {
	first := mustPut(t, b, "a/b/c", []byte("first"), objstore.Always())
	o := mustGet(t, b, "a/b/c")
	if string(o.Data) != "first" || o.ETag != first {
		t.Fatalf("got %q with etag %q, want %q with %q", o.Data, o.ETag, "first", first)
	}
	second := mustPut(t, b, "a/b/c", []byte("the second"), objstore.Always())
	o = mustGet(t, b, "a/b/c")
	if string(o.Data) != "the second" || o.ETag != second || first == second {
		t.Fatalf("got %q with etag %q, want %q with %q, and not %q", o.Data, o.ETag, "the second", second, first)
	}
}

func testOwnership(t *testing.T, b objstore.Bucket) {
	data := []byte("as it was put")
	mustPut(t, b, "o", data, objstore.Always())
	copy(data, "overwritten..")
	read := mustGet(t, b, "o").Data
	copy(read, "scribbled....")
	ranged, err := b.GetRange(t.Context(), "o", 0, 5)
	if err != nil || string(ranged) != "as it" {
		t.Fatalf("get range: got %q, %v, want %q", ranged, err, "as it")
	}
	copy(ranged, "?????")
	wantBody(t, b, "o", []byte("as it was put"))
}

func testEmpty(t *testing.T, b objstore.Bucket) {
	mustPut(t, b, "empty", nil, objstore.IfAbsent())
	wantBody(t, b, "empty", nil)
	wantNames(t, b, "", "", "empty")
	_, err := b.Put(t.Context(), "empty", []byte("x"), objstore.IfAbsent())
	wantError(t, "put if absent over an empty object", err, objstore.ErrPrecondition)
}

func testLarge(t *testing.T, b objstore.Bucket) {
	data := make([]byte, 8<<20)
	rng := rand.NewChaCha8(sha256.Sum256([]byte("large")))
	_, _ = rng.Read(data)
	mustPut(t, b, "large", data, objstore.IfAbsent())
	wantBody(t, b, "large", data)
	part, err := b.GetRange(t.Context(), "large", 5<<20, 1<<20)
	if err != nil || !bytes.Equal(part, data[5<<20:6<<20]) {
		t.Fatalf("get range of 1 MiB at 5 MiB: got %d bytes, %v", len(part), err)
	}
}

func testEndedContext(t *testing.T, b objstore.Bucket) {
	mustPut(t, b, "there", []byte("1"), objstore.Always())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.Put(ctx, "there", []byte("2"), objstore.Always())
	wantError(t, "put", err, context.Canceled)
	_, err = b.Get(ctx, "there")
	wantError(t, "get", err, context.Canceled)
	_, err = b.GetRange(ctx, "there", 0, 1)
	wantError(t, "get range", err, context.Canceled)
	wantError(t, "delete", b.Delete(ctx, "there"), context.Canceled)
	for _, err = range b.List(ctx, "nothing", "") {
	}
	wantError(t, "list", err, context.Canceled)
	wantBody(t, b, "there", []byte("1"))
}

func testDelete(t *testing.T, b objstore.Bucket) {
	mustPut(t, b, "f/gone", []byte("1"), objstore.IfAbsent())
	mustPut(t, b, "f/kept", []byte("2"), objstore.IfAbsent())
	for range 2 {
		if err := b.Delete(t.Context(), "f/gone"); err != nil {
			t.Fatalf("delete: %v", err)
		}
	}
	_, err := b.Get(t.Context(), "f/gone")
	wantError(t, "get of a deleted object", err, objstore.ErrNotFound)
	wantNames(t, b, "", "", "f/kept")
	mustPut(t, b, "f/gone", []byte("3"), objstore.IfAbsent())
	wantBody(t, b, "f/gone", []byte("3"))
}

func testProbe(t *testing.T, b objstore.Bucket) {
	if err := objstore.Probe(t.Context(), b); err != nil {
		t.Fatalf("probe: %v", err)
	}
	wantNames(t, b, "", "")
}
