package objstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path/filepath"
	"strings"
	"testing"

	"github.com/logdb-go/logdb/objstore"
	"github.com/logdb-go/logdb/objstore/objstoretest"
)

func TestID(t *testing.T) {
	a, b := objstore.NewID(), objstore.NewID()
	if a == b || a.IsZero() || !(objstore.ID{}).IsZero() {
		t.Fatalf("ids: got %v and %v, want two that differ and are not zero", a, b)
	}
	if got, err := objstore.ParseID(a.String()); err != nil || got != a {
		t.Fatalf("parse %v: got %v, %v", a, got, err)
	}
	if got := (objstore.ID{0: 0x01, 15: 0xff}).String(); got != "010000000000000000000000000000ff" {
		t.Fatalf("string: got %q", got)
	}
	for _, s := range []string{"", "01", strings.Repeat("g", 32), strings.Repeat("A", 32), strings.Repeat("0", 33)} {
		if _, err := objstore.ParseID(s); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("parse %q: got %v, want %v", s, err, fs.ErrInvalid)
		}
	}
}

func FuzzParseID(f *testing.F) {
	f.Add("")
	f.Add("010000000000000000000000000000ff")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := objstore.ParseID(s); err == nil && id.String() != s {
			t.Fatalf("parse %q: got %v", s, id)
		}
	})
}

// FuzzFileNames: whatever name is put, the file bucket writes inside its directory or not at all, and lists what it took.
func FuzzFileNames(f *testing.F) {
	for _, name := range []string{"a", "a/b", "../a", "/etc/x", "a/../../b", ".tmp/lock", "a\x00", "c:", "a//b", "é"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		outer := t.TempDir()
		b := openFile(t, filepath.Join(outer, "bucket"))
		_, err := b.Put(t.Context(), name, []byte("x"), objstore.IfAbsent())
		if entries, _ := filepath.Glob(filepath.Join(outer, "*")); len(entries) > 1 || err == nil && len(entries) != 1 {
			t.Fatalf("put %q left %q", name, entries)
		}
		listed := listNames(t, b, "")
		if err == nil && (len(listed) != 1 || listed[0] != name) || err != nil && len(listed) != 0 {
			t.Fatalf("put %q: %v, and listed %q", name, err, listed)
		}
	})
}

func TestCondition(t *testing.T) {
	for c, want := range map[objstore.Condition]string{
		{}: "false  false always", objstore.Always(): "false  false always",
		objstore.IfAbsent(): "true  false if-absent", objstore.IfMatch("e"): "false e true if-match e",
	} {
		etag, ok := c.Match()
		if got := fmt.Sprint(c.Absent(), " ", etag, " ", ok, " ", c); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestCorruptError(t *testing.T) {
	err := fmt.Errorf("open table: %w", &objstore.CorruptError{Object: "wal/1", Offset: 12, Err: io.ErrUnexpectedEOF})
	var corrupt *objstore.CorruptError
	if !errors.As(err, &corrupt) || corrupt.Offset != 12 || !errors.Is(err, objstore.ErrCorrupt) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("got %v, which does not match what it is made of", err)
	}
	if errors.Is(err, objstore.ErrUnsupported) || !strings.Contains(err.Error(), `"wal/1" at byte 12`) {
		t.Fatalf("got %v", err)
	}
}

func TestOpen(t *testing.T) {
	setS3Env(t)
	ctx, dir := t.Context(), t.TempDir()
	t.Chdir(dir)
	open := func(url string) objstore.Bucket {
		t.Helper()
		b, err := objstore.Open(ctx, url)
		if err != nil {
			t.Fatalf("open %q: %v", url, err)
		}
		return b
	}
	put(t, open("mem:"), "o", "1", objstore.IfAbsent())
	put(t, open("mem:"), "o", "another bucket", objstore.IfAbsent())
	shared := "mem:" + objstore.NewID().String() // of the process: another run of this test shares it, too
	put(t, open(shared), "o", "shared", objstore.IfAbsent())
	if o, err := open(shared).Get(ctx, "o"); err != nil || string(o.Data) != "shared" {
		t.Fatalf("mem:name opened twice: got %q, %v", o.Data, err)
	}
	put(t, open("file:relative/a%20b"), "o", "1", objstore.IfAbsent())
	if o, err := open("file://"+dir+"/relative/a%20b").Get(ctx, "o"); err != nil || string(o.Data) != "1" {
		t.Fatalf("file, relative and absolute: got %q, %v", o.Data, err)
	}
	open("s3://bucket/some/prefix/?region=eu-west-1")
	open("s3://bucket?endpoint=http://127.0.0.1:9000&path_style=true")
	for _, url := range []string{
		"", "bucket", "http://bucket", "mem://host", "mem:/path", "mem:?x=1", "file:", "file://host/dir", "file:///dir?x=1", "s3:///prefix",
		"s3://bucket?region=x&colour=red", "s3://bucket?region=x&path_style=maybe", "s3://bucket?region=x#fragment",
		"s3://key:secret@bucket?region=x", "s3://bucket/../up?region=x", "s3://bucket?endpoint=nowhere", "%", "s3://b?region=%zz",
	} {
		if _, err := objstore.Open(ctx, url); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("open %q: got %v, want %v", url, err, fs.ErrInvalid)
		}
	}
}

// TestOpenKeepsSecrets: somebody will put the keys into the URL, and the error into a log.
func TestOpenKeepsSecrets(t *testing.T) {
	for _, url := range []string{"s3://key:SECRET@bucket?region=x", "s3://key:SECRET@bucket:port%"} {
		if _, err := objstore.Open(t.Context(), url); err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("got %v, want an error that does not quote the password", err)
		}
	}
}

func TestPrefix(t *testing.T) {
	mem := objstore.NewMem()
	if objstore.WithPrefix(mem, "") != objstore.Bucket(mem) {
		t.Error("an empty prefix wraps the bucket")
	}
	put(t, mem, "a/b-beside", "1", objstore.Always())
	inner := objstore.WithPrefix(objstore.WithPrefix(mem, "a"), "b/")
	put(t, inner, "o", "2", objstore.Always())
	if got := strings.Join(listNames(t, mem, ""), " "); got != "a/b-beside a/b/o" {
		t.Errorf("list below: got %q", got)
	}
	if got := strings.Join(listNames(t, inner, ""), " "); got != "o" {
		t.Errorf("list: got %q", got)
	}
	if _, err := objstore.WithPrefix(mem, "../up").Put(t.Context(), "o", nil, objstore.Always()); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("put below a bad prefix: got %v, want %v", err, fs.ErrInvalid)
	}
}

func TestMeter(t *testing.T) {
	ctx := t.Context()
	m := objstore.NewMeter(objstore.NewMem())
	etag := put(t, m, "o", "12345", objstore.IfAbsent())
	_, _ = m.Put(ctx, "o", []byte("123"), objstore.IfAbsent())
	_, _ = m.Get(ctx, "o")
	_, _ = m.Get(ctx, "nothing")
	_, _ = m.GetIfChanged(ctx, "o", etag)
	_, _ = m.GetRange(ctx, "o", 1, 2)
	_, _ = m.GetRange(ctx, "o", 1, 20)
	_ = m.Delete(ctx, "o")
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, _ = m.Get(ended, "o")
	got := m.Counts()
	want := objstore.Counts{
		Requests: map[string]uint64{"get": 4, "get_range": 2, "list": 0, "put": 2, "delete": 1},
		Bytes:    map[string]uint64{"get": 5, "get_range": 2, "list": 0, "put": 8, "delete": 0},
		Errors: map[string]uint64{
			"put/precondition": 1, "get/not_found": 1, "get/not_modified": 1, "get/canceled": 1, "get_range/other": 1,
		},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// many lists n names and then fails.
type many struct {
	objstore.Bucket
	n int
}

func (m many) List(context.Context, string, string) iter.Seq2[objstore.Info, error] {
	return func(yield func(objstore.Info, error) bool) {
		for range m.n {
			if !yield(objstore.Info{}, nil) {
				return
			}
		}
		yield(objstore.Info{}, objstore.ErrAccessDenied)
	}
}

func TestMeterCountsPages(t *testing.T) {
	for names, pages := range map[int]uint64{0: 1, 1: 1, 1000: 1, 1001: 2, 2000: 2, 2001: 3} {
		m := objstore.NewReaderMeter(many{n: names})
		for range m.List(t.Context(), "", "") {
		}
		if c := m.Counts(); c.Requests["list"] != pages || c.Errors["list/access_denied"] != 1 {
			t.Errorf("%d names: got %v, want %d requests and one error", names, c, pages)
		}
	}
}

// TestProbe: each way to ignore conditions is found, and what merely fails is not called unsafe.
func TestProbe(t *testing.T) {
	ignore := func(nth int) func(objstoretest.Op) objstoretest.Fault {
		return func(op objstoretest.Op) objstoretest.Fault {
			if op.Kind == objstoretest.Put && op.Attempt == nth {
				return objstoretest.Fault{Kind: objstoretest.IgnoreCondition}
			}
			return objstoretest.Fault{Kind: objstoretest.None}
		}
	}
	// Puts 1 and 3 are to succeed; 2, 4 and 5 are to be refused.
	for nth, unsafe := range map[int]bool{1: false, 2: true, 3: false, 4: true, 5: true} {
		mem := objstore.NewMem()
		err := objstore.Probe(t.Context(), objstoretest.NewFaulty(mem, objstoretest.Plan{Hook: ignore(nth)}))
		if errors.Is(err, objstore.ErrUnsafe) != unsafe || err == nil == unsafe {
			t.Errorf("condition of put %d ignored: got %v", nth, err)
		}
		if left := listNames(t, mem, ""); len(left) != 0 {
			t.Errorf("condition of put %d ignored: left %q behind", nth, left)
		}
	}
	down := objstoretest.NewFaulty(objstore.NewMem(), objstoretest.Plan{})
	down.Down(true)
	if err := objstore.Probe(t.Context(), down); !errors.Is(err, objstoretest.ErrInjected) || errors.Is(err, objstore.ErrUnsafe) {
		t.Errorf("store down: got %v, want its own error", err)
	}
}
