package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/logdb-go/logdb/objstore"
)

func headerAt(epoch, number, start uint64) ObjectHeader {
	return ObjectHeader{
		Log: testLog, At: Position{epoch, number}, Nonce: objstore.ID{15: 0xbb}, Start: start, ManifestVersion: 12,
	}
}

func someFrames() []Frame {
	return []Frame{
		batchOf(100, 50, "user/1=hello", "user/2="),
		NewSeal(Header{First: 102, TimeMs: 55, Segment: 7, SegmentStart: 5}, []byte("meta")),
		batchOf(110, 60, "user/1="+strings.Repeat("again ", 40)),
	}
}

func framesOf(t testing.TB, o Object) (frames []Frame) {
	t.Helper()
	for f, err := range o.Frames() {
		must(t, err)
		frames = append(frames, f)
	}
	return frames
}

func TestDataObjectRoundTrip(t *testing.T) {
	frames := someFrames()
	random := make([]byte, 5000)
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	bodies := map[string][]Frame{
		"compressible": frames,
		"random":       {batchOf(100, 50, "k="+string(random))},
		"pads":         {frames[0], Frame(bytes.Clone(padFrame())), frames[1], frames[2]},
		"constant":     {batchOf(100, 50, "k="+strings.Repeat("x", 3<<20))},
	}
	for name, in := range bodies {
		b := AppendData(nil, headerAt(3, 9, 90), in)
		o, err := DecodeObject(ObjectName(3, 9), b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := headerAt(3, 9, 90)
		want.Kind, want.MinMs, want.MaxMs, want.End = Data, 50, in[len(in)-1].Header().TimeMs, in[len(in)-1].End()
		if o.ObjectHeader != want || o.Size != len(b) {
			t.Errorf("%s: got %+v of %d bytes, want %+v of %d", name, o.ObjectHeader, o.Size, want, len(b))
		}
		in = slices.DeleteFunc(in, func(f Frame) bool { return f.kind() == Pad })
		if got := framesOf(t, o); !slices.EqualFunc(got, in, func(a, b Frame) bool { return bytes.Equal(a, b) }) {
			t.Errorf("%s: frames changed on the way", name)
		}
		if h, err := DecodeObjectHeader(ObjectName(3, 9), b[:objectMinHeaderBytes]); err != nil || h != want {
			t.Errorf("%s: header alone: got %+v, %v", name, h, err)
		}
	}
	if c := AppendData(nil, headerAt(3, 9, 90), bodies["random"])[objectCompressionAt]; c != compressionNone {
		t.Error("a random body was compressed")
	}
	if c := AppendData(nil, headerAt(3, 9, 90), bodies["compressible"])[objectCompressionAt]; c != compressionS2 {
		t.Error("a compressible body was not compressed")
	}
}

// An object is appended to what is there, whatever the memory behind it holds, and allocates nothing.
func TestDataObjectInMemoryUsedBefore(t *testing.T) {
	h, frames := headerAt(3, 9, 90), someFrames()
	want := AppendData(nil, h, frames)
	dirty := bytes.Repeat([]byte{0xff}, 3+2*len(want)+64<<10)
	got := AppendData(append(dirty[:0], "abc"...), h, frames)
	if string(got[:3]) != "abc" || !bytes.Equal(got[3:], want) {
		t.Errorf("got %q, want abc and %q", got, want)
	}
	if &got[0] != &dirty[0] {
		t.Error("the object is elsewhere, although there was room")
	}
}

// Whether a large body is worth compressing is told by samples of all of it.
func TestLargeBodiesAreSampled(t *testing.T) {
	random := make([]byte, 4<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(random)
	for _, c := range []struct {
		plain int // bytes at the end that shrink
		want  byte
	}{
		{0, compressionNone}, {len(random) / 64, compressionNone}, {len(random) / 4, compressionS2}, {len(random) / 4 * 3, compressionS2},
	} {
		value := bytes.Clone(random)
		clear(value[len(value)-c.plain:])
		in := []Frame{batchOf(100, 50, "k="+string(value))}
		b := AppendData(nil, headerAt(3, 9, 90), in)
		if b[objectCompressionAt] != c.want {
			t.Errorf("%d of %d bytes shrink: got compression %d, want %d", c.plain, len(value), b[objectCompressionAt], c.want)
		}
		o, err := DecodeObject(ObjectName(3, 9), b)
		must(t, err)
		if got := framesOf(t, o); len(got) != 1 || !bytes.Equal(got[0], in[0]) {
			t.Errorf("%d of %d bytes shrink: the frame changed on the way", c.plain, len(value))
		}
	}
}

func padFrame() Frame {
	f := make(Frame, frameHeaderSize)
	f.stampPad(1, 2, 3)
	return f
}

func TestTablesAndFenceRoundTrip(t *testing.T) {
	h := headerAt(3, 10, 90)
	h.End, h.MinMs, h.MaxMs = 500, 1, 2
	o, err := DecodeObject(ObjectName(3, 10), EncodeTables(h, []byte("payload")))
	must(t, err)
	h.Kind = Tables
	if o.ObjectHeader != h || string(o.Body) != "payload" || framesOf(t, o) != nil {
		t.Fatalf("got %+v with %q", o.ObjectHeader, o.Body)
	}
	fence := headerAt(3, 11, 500)
	fence.End, fence.Next = 500, Position{5, 0}
	b := EncodeFence(fence)
	o, err = DecodeObject(ObjectName(3, 11), b)
	must(t, err)
	fence.Kind = Fence
	if o.ObjectHeader != fence || len(o.Body) != 0 || len(b) != objectMinHeaderBytes+objectChecksumBytes {
		t.Fatalf("got %+v with %q in %d bytes", o.ObjectHeader, o.Body, len(b))
	}
}

func TestObjectNames(t *testing.T) {
	if got, want := ObjectName(3, 9), "wal/0000000003-00000000000000000009"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, p := range []Position{{}, {1, 2}, {1 << 63, 1<<64 - 1}} {
		e, n, ok := ParseObjectName(ObjectName(p.Epoch, p.Number))
		if !ok || e != p.Epoch || n != p.Number {
			t.Errorf("%s does not parse", p)
		}
	}
	for _, name := range []string{
		"", "wal/", "wal/1-2", "0000000003-00000000000000000009", "wal/0000000003-00000000000000000009/", "wal/00000000030-00000000000000000009",
		"wal/+000000003-00000000000000000009", "wal/0000000003-99999999999999999999", "wal/wal/0000000003-00000000000000000009",
	} {
		if _, _, ok := ParseObjectName(name); ok {
			t.Errorf("%q parses", name)
		}
	}
	ordered := []Position{{1, 2}, {1, 3}, {2, 0}}
	for i := range ordered[1:] {
		a, b := ordered[i], ordered[i+1]
		if !a.Less(b) || b.Less(a) || a.Less(a) || a.String() >= b.String() {
			t.Errorf("%s and %s are out of order", a, b)
		}
	}
}

// Version and flags come before the checksum: whoever wrote a later version had reasons that a reader of this one must
// be told of. Everything else that flips is damage.
func TestAFlippedByteInAnObjectIsFound(t *testing.T) {
	h := headerAt(3, 9, 90)
	h.End, h.Next = 90, Position{5, 0}
	for _, b := range [][]byte{AppendData(nil, headerAt(3, 9, 90), someFrames()), EncodeTables(headerAt(3, 9, 0), []byte("payload")), EncodeFence(h)} {
		for i := range b {
			for _, bit := range []byte{0x01, 0x80} {
				c := bytes.Clone(b)
				c[i] ^= bit
				_, err := DecodeObject(ObjectName(3, 9), c)
				want := objstore.ErrCorrupt
				if i == objectVersionAt || i == objectFlagsAt {
					want = objstore.ErrUnsupported
				}
				if !errors.Is(err, want) {
					t.Fatalf("byte %d of %d: got %v, want %v", i, len(b), err, want)
				}
			}
		}
		for cut := range b {
			if _, err := DecodeObject(ObjectName(3, 9), b[:cut]); !errors.Is(err, objstore.ErrCorrupt) {
				t.Fatalf("cut to %d of %d: got %v, want ErrCorrupt", cut, len(b), err)
			}
		}
		if _, err := DecodeObject(ObjectName(3, 9), append(bytes.Clone(b), 0)); !errors.Is(err, objstore.ErrCorrupt) {
			t.Fatalf("a byte behind the object: got %v, want ErrCorrupt", err)
		}
		if _, err := DecodeObject(ObjectName(3, 8), b); !errors.Is(err, objstore.ErrCorrupt) {
			t.Fatalf("under another name: got %v, want ErrCorrupt", err)
		}
	}
}

// resum sets both checksums right after an edit.
func resum(b []byte) []byte {
	if len(b) < objectMinHeaderBytes+objectChecksumBytes {
		return b
	}
	n := int(binary.LittleEndian.Uint32(b[objectHeaderBytesAt:]))
	if n < objectMinHeaderBytes || n > len(b)-objectChecksumBytes {
		return b
	}
	at, end := n-objectChecksumBytes, len(b)-objectChecksumBytes
	binary.LittleEndian.PutUint32(b[at:], crc32.Checksum(b[:at], castagnoli))
	binary.LittleEndian.PutUint32(b[end:], crc32.Checksum(b[at:end], castagnoli))
	return b
}

func TestDecodeObjectRejectsWhatItsChecksumAllows(t *testing.T) {
	le64 := func(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }
	data := AppendData(nil, headerAt(3, 9, 90), someFrames())
	raw := EncodeTables(headerAt(3, 9, 0), []byte("payload"))
	h := headerAt(3, 9, 90)
	h.End, h.Next = 90, Position{5, 0}
	fence := EncodeFence(h)
	cases := []struct {
		name string
		of   []byte
		at   int
		b    []byte
		want error
	}{
		{"kind 0", data, objectKindAt, []byte{0}, objstore.ErrUnsupported},
		{"kind 4", data, objectKindAt, []byte{4}, objstore.ErrUnsupported},
		{"compression", data, objectCompressionAt, []byte{2}, objstore.ErrUnsupported},
		{"start above end", data, objectStartAt, le64(1000), objstore.ErrCorrupt},
		{"times swapped", data, objectMinMsAt, le64(1000), objstore.ErrCorrupt},
		{"next of data", data, objectNextEpochAt, le64(9), objstore.ErrCorrupt},
		{"body longer than it says", data, objectBodyBytesAt, le64(10), objstore.ErrCorrupt},
		{"body beyond the bound", data, objectBodyBytesAt, le64(maxBodyBytes + 1), objstore.ErrCorrupt},
		{"body beyond the expansion", data, objectBodyBytesAt, le64(maxBodyBytes), objstore.ErrCorrupt},
		{"stored length", data, objectStoredBytesAt, le64(1 << 63), objstore.ErrCorrupt},
		{"raw body of two lengths", raw, objectBodyBytesAt, le64(8), objstore.ErrCorrupt},
		{"garbage for S2", data, objectMinHeaderBytes + 3, bytes.Repeat([]byte{0xff}, 20), objstore.ErrCorrupt},
		{"fence with records", fence, objectEndAt, le64(91), objstore.ErrCorrupt},
		{"fence that leads back", fence, objectNextEpochAt, le64(3), objstore.ErrCorrupt},
	}
	for _, c := range cases {
		b := bytes.Clone(c.of)
		copy(b[c.at:], c.b)
		if _, err := DecodeObject(ObjectName(3, 9), resum(b)); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

// A later version may add TLVs to the header: odd types for whoever knows them, even types for all.
func TestObjectHeaderTLVs(t *testing.T) {
	b := EncodeTables(headerAt(3, 9, 0), []byte("payload"))
	with := func(tlvs ...byte) []byte {
		c := slices.Insert(bytes.Clone(b), objectTLVsAt, tlvs...)
		binary.LittleEndian.PutUint32(c[objectHeaderBytesAt:], uint32(objectMinHeaderBytes+len(tlvs)))
		return resum(c)
	}
	if o, err := DecodeObject(ObjectName(3, 9), with(3, 2, 'x', 'y', 5, 0)); err != nil || string(o.Body) != "payload" {
		t.Errorf("odd types: got %q, %v", o.Body, err)
	}
	if _, err := DecodeObject(ObjectName(3, 9), with(3, 0, 2, 0)); !errors.Is(err, objstore.ErrUnsupported) {
		t.Errorf("even type: got %v, want ErrUnsupported", err)
	}
	if _, err := DecodeObject(ObjectName(3, 9), with(3, 7)); !errors.Is(err, objstore.ErrCorrupt) {
		t.Errorf("length beyond the header: got %v, want ErrCorrupt", err)
	}
}

func TestFramesChecksWhatTheHeaderSays(t *testing.T) {
	frames := someFrames()
	bad := func(name string, frames []Frame, edit func(b []byte)) {
		b := AppendData(nil, headerAt(3, 9, 90), frames)
		if edit != nil {
			edit(b)
		}
		o, err := DecodeObject(ObjectName(3, 9), resum(b))
		must(t, err)
		for _, err = range o.Frames() {
			if err != nil {
				break
			}
		}
		var c *objstore.CorruptError
		if !errors.As(err, &c) || c.Object != ObjectName(3, 9) {
			t.Errorf("%s: got %v, want a CorruptError with the name", name, err)
		}
	}
	set := func(at int, v uint64) func([]byte) {
		return func(b []byte) { binary.LittleEndian.PutUint64(b[at:], v) }
	}
	bad("out of order", []Frame{frames[0], frames[0], frames[2]}, nil)
	bad("before the start", frames, set(objectStartAt, 101))
	bad("short of the end", frames, set(objectEndAt, 112))
	bad("beyond the end", frames, set(objectEndAt, 110))
	bad("before the first time", frames, set(objectMinMsAt, 51))
	bad("after the last time", frames, set(objectMaxMsAt, 59))
	bad("garbage", []Frame{frames[0], append(bytes.Clone(frames[2]), 1)}, nil)

	o := Object{ObjectHeader: ObjectHeader{Kind: Data, End: 10, MaxMs: 100}, Body: padFrame()}
	for _, err := range o.Frames() {
		if !errors.Is(err, objstore.ErrCorrupt) {
			t.Errorf("pad: got %v, want ErrCorrupt", err)
		}
	}
	o.Body = withTLVs(2, 0)
	for _, err := range o.Frames() {
		if !errors.Is(err, objstore.ErrUnsupported) {
			t.Errorf("frame of a later version: got %v, want ErrUnsupported", err)
		}
	}
}

func FuzzDecodeObject(f *testing.F) {
	h := headerAt(3, 9, 90)
	h.End, h.Next = 90, Position{5, 0}
	f.Add(AppendData(nil, headerAt(3, 9, 90), someFrames()))
	f.Add(EncodeTables(headerAt(3, 9, 0), []byte("payload")))
	f.Add(EncodeFence(h))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, b := range [][]byte{b, resum(bytes.Clone(b))} {
			o, err := DecodeObject(ObjectName(3, 9), b)
			if err != nil {
				continue
			}
			if len(o.Body) > maxExpansion*len(b) {
				t.Fatalf("%d bytes became %d", len(b), len(o.Body))
			}
			var frames []Frame
			ok := o.Kind == Data
			for fr, err := range o.Frames() {
				if ok = err == nil; ok {
					frames = append(frames, fr)
				}
			}
			if !ok || len(frames) == 0 {
				continue
			}
			again, err := DecodeObject(ObjectName(3, 9), AppendData(nil, o.ObjectHeader, frames))
			if err != nil || !bytes.Equal(again.Body, o.Body) {
				t.Fatalf("what was decoded does not survive encoding: %v", err)
			}
		}
	})
}

// jsonFrames are batches of 100 log lines of about 230 bytes.
func jsonFrames(bytesWanted int, random bool) (frames []Frame, size int) {
	rng := rand.New(rand.NewPCG(1, 2))
	for seq := uint64(0); size < bytesWanted; seq += 100 {
		f := AppendBatch(nil, 100, onceEach(100, func() ([]byte, []byte) {
			key := fmt.Sprintf("tenant-%04d/device-%06d", rng.IntN(1000), rng.IntN(100_000))
			if random {
				v := make([]byte, 256)
				for i := range v {
					v[i] = byte(rng.Uint32())
				}
				return []byte(key), v
			}
			return []byte(key), fmt.Appendf(nil, `{"ts":"2026-11-20T23:%02d:%02d.%03dZ","level":"%s","service":"%s","trace":"%016x",`+
				`"msg":"request finished","method":"GET","path":"/api/v1/items/%d","status":%d,"duration_ms":%d,"user":"user-%d"}`,
				rng.IntN(60), rng.IntN(60), rng.IntN(1000), []string{"info", "warn", "error"}[rng.IntN(3)], []string{"api", "auth", "search"}[rng.IntN(3)],
				rng.Uint64(), rng.IntN(100_000), 200+rng.IntN(5)*100, rng.IntN(2000), rng.IntN(100_000))
		}))
		f.Stamp(seq, int64(seq), 1, 0)
		frames = append(frames, f)
		size += len(f)
	}
	return frames, size
}

// onceEach remembers what make answered, as AppendBatch asks twice.
func onceEach(n int, build func() (key, value []byte)) func(i int) (key, value []byte) {
	records := make([]Record, n)
	for i := range records {
		records[i].Key, records[i].Value = build()
	}
	return func(i int) ([]byte, []byte) { return records[i].Key, records[i].Value }
}

func BenchmarkAppendData(b *testing.B) {
	for _, random := range []bool{false, true} {
		for _, size := range []int{16 << 10, 1 << 20, 8 << 20} {
			frames, n := jsonFrames(size, random)
			b.Run(fmt.Sprintf("random=%v/%dK", random, size>>10), func(b *testing.B) {
				b.SetBytes(int64(n))
				b.ReportAllocs()
				var out []byte
				for b.Loop() {
					out = AppendData(out[:0], headerAt(1, 1, 0), frames)
				}
				b.ReportMetric(float64(n)/float64(len(out)), "ratio")
			})
			b.Run(fmt.Sprintf("random=%v/%dK/decode", random, size>>10), func(b *testing.B) {
				out := AppendData(nil, headerAt(1, 1, 0), frames)
				b.SetBytes(int64(n))
				for b.Loop() {
					o, err := DecodeObject(ObjectName(1, 1), out)
					must(b, err)
					framesOf(b, o)
				}
			})
		}
	}
}
