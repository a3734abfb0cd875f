package segment

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

func openDisk(t testing.TB, fs vfs.FS, dir string) *Disk {
	t.Helper()
	d, err := OpenDisk(fs, dir, MinDiskBytes)
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	return d
}

// testPiece is the nth piece of a made-up table, and what it holds.
func testPiece(n, size int) (piece, []byte) {
	rng := rand.New(rand.NewPCG(uint64(n), 9))
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	return piece{log: testLog, table: tableKey{segment: 1, id: TableID{Epoch: 1, N: uint64(n)}, nonce: testNonce}, off: int64(n), bytes: int64(size)}, data
}

// keep makes a piece's second read.
func keep(d *Disk, p piece, data []byte) {
	d.add(p, data, false)
	d.add(p, data, false)
}

// onDisk is a table whose blocks are read through a disk and no memory.
type onDisk struct {
	t     *testing.T
	b     *bucket
	table Table
	es    []entry
}

func newOnDisk(t *testing.T) *onDisk {
	o := testOptions()
	o.BlockBytes = 1 << 10
	var es []entry
	for i := range 300 {
		es = append(es, entry{key: fmt.Sprintf("key %d", i%3), seq: uint64(i), ms: 1_700_000_000_000, value: strings.Repeat(string(rune('a'+i%26)), 100)})
	}
	slices.SortFunc(es, compareEntries)
	body, table := build(t, o, es)
	return &onDisk{t: t, b: newBucket(t, table.Name(), body), table: table, es: es}
}

// read reads all entries of one key and returns how many requests it took.
func (o *onDisk) read(d *Disk, key string) int {
	o.t.Helper()
	c := NewCache(0, 0)
	c.UseDisk(d)
	defer c.Close()
	before := len(o.b.requests())
	r, err := c.Open(context.Background(), o.b, testLog, o.table)
	must(o.t, err)
	defer r.Close()
	it := r.Entries(context.Background(), []byte(key), 0, 0, false, EntryOptions{})
	got := forward(o.t, it)
	must(o.t, it.Close())
	wantEntries(o.t, key, got, slices.DeleteFunc(slices.Clone(o.es), func(e entry) bool { return e.key != key }))
	return len(o.b.requests()) - before
}

// What is read is kept, and is there when the process is another one.
func TestDiskKeepsWhatIsRead(t *testing.T) {
	fs, o := vfs.NewMem(), newOnDisk(t)
	d, err := OpenDisk(fs, "disk", MinDiskBytes)
	must(t, err)
	if first, second := o.read(d, "key 1"), o.read(d, "key 1"); first != 2 || second != 0 {
		t.Errorf("two reads took %d and %d requests, want tail and blocks, none", first, second)
	}
	if _, err := OpenDisk(fs, "disk", MinDiskBytes); err == nil {
		t.Error("two processes have the directory open")
	}
	must(t, d.Close())
	d = openDisk(t, fs, "disk")
	if n := o.read(d, "key 1"); n != 0 {
		t.Errorf("after a restart a read took %d requests", n)
	}
	if n := o.read(d, "key 2"); n != 1 {
		t.Errorf("another key took %d requests, want 1", n)
	}
	if s := d.Stats(); s.Hits == 0 || s.Misses == 0 || s.Failures != 0 || s.Pieces == 0 || s.Bytes == 0 || s.Budget != MinDiskBytes {
		t.Errorf("%+v", s)
	}
}

// Whatever becomes of the files, a read gets what the bucket holds, and no error.
func TestDiskIsNeverBelieved(t *testing.T) {
	fs, o := vfs.NewMem(), newOnDisk(t)
	d, err := OpenDisk(fs, "disk", MinDiskBytes)
	must(t, err)
	for range 3 {
		o.read(d, "key 1")
	}
	must(t, d.Close())
	name := "disk/0000000000.pieces"
	f, err := fs.Open(name)
	must(t, err)
	info, err := f.Stat()
	must(t, err)
	sound := make([]byte, info.Size())
	_, err = f.ReadAt(sound, 0)
	must(t, err)
	must(t, f.Close())
	write := func(data []byte) {
		f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
		must(t, err)
		_, err = f.Write(slices.Clone(data))
		must(t, err)
		must(t, f.Close())
	}
	damaged := 0
	for at := range sound {
		bad := slices.Clone(sound)
		bad[at] ^= 1
		write(bad)
		d, err := OpenDisk(fs, "disk", MinDiskBytes)
		must(t, err)
		if o.read(d, "key 1") > 0 {
			damaged++
		}
		must(t, d.Close())
	}
	if damaged < len(sound)*9/10 {
		t.Errorf("%d of %d bytes were flipped and noticed", damaged, len(sound))
	}
	for _, n := range []int{0, 1, diskHead - 1, diskHead, len(sound) / 2, len(sound) - 1} {
		write(sound[:n])
		d, err := OpenDisk(fs, "disk", MinDiskBytes)
		must(t, err)
		o.read(d, "key 1")
		must(t, d.Close())
	}
}

// A full disk, and one that reads nothing, are as if there were none.
func TestDiskThatFails(t *testing.T) {
	o := newOnDisk(t)
	broken := false
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken && (op.Kind == errorfs.OpFileWriteAt || op.Kind == errorfs.OpFileReadAt || op.Kind == errorfs.OpOpen || op.Kind == errorfs.OpCreate) {
			return syscall.ENOSPC
		}
		return nil
	}))
	d := openDisk(t, fs, "disk")
	for range 3 {
		o.read(d, "key 1")
	}
	broken = true
	for range 3 {
		o.read(d, "key 1")
		o.read(d, "key 2")
	}
	s := d.Stats()
	if s.Failures == 0 {
		t.Errorf("nothing failed: %+v", s)
	}
	broken = false
	o.read(d, "key 2")
	o.read(d, "key 2")
	if now := d.Stats(); now.Pieces > s.Pieces {
		t.Errorf("the disk was full a moment ago and is written to again")
	}
}

// The directory is somebody's to delete, at any time.
func TestDiskIsDeletedUnderneath(t *testing.T) {
	o, dir := newOnDisk(t), t.TempDir()
	d := openDisk(t, vfs.Default, dir+"/disk")
	for range 3 {
		o.read(d, "key 1")
	}
	must(t, os.RemoveAll(dir+"/disk"))
	for n := range 40 {
		p, data := testPiece(n, 200<<10)
		keep(d, p, data)
		o.read(d, "key 1")
		o.read(d, "key 2")
	}
	must(t, d.Close())
	o.read(openDisk(t, vfs.Default, dir+"/disk"), "key 1")
}

// It holds as much as it may, the newest, and what is read often longest.
func TestDiskIsBounded(t *testing.T) {
	fs := vfs.NewMem()
	d := openDisk(t, fs, "disk")
	hot, hotData := testPiece(1_000_000, 1000)
	keep(d, hot, hotData)
	missed := 0
	for n := range 4 * MinDiskBytes / (100 << 10) {
		p, data := testPiece(n, 100<<10)
		keep(d, p, data)
		if got := d.read(p); !bytes.Equal(got, data) {
			t.Fatalf("piece %d is not there, or not itself", n)
		}
		if d.read(hot) == nil {
			missed++
			d.add(hot, hotData, false)
		}
	}
	if missed == 0 || missed > 4 {
		t.Errorf("what was read all the time was missed %d times, want once in a turn of the files", missed)
	}
	names, err := fs.List("disk")
	must(t, err)
	total := int64(0)
	for _, name := range names {
		info, err := fs.Stat("disk/" + name)
		must(t, err)
		total += info.Size()
	}
	if s := d.Stats(); total > MinDiskBytes || s.Bytes > MinDiskBytes || s.Bytes < MinDiskBytes*3/4 {
		t.Errorf("%d bytes of files, %+v", total, s)
	}
}

// One scan of much more than there is room for leaves what is kept alone.
func TestScanDoesNotFloodTheDisk(t *testing.T) {
	d := openDisk(t, vfs.NewMem(), "disk")
	for n := range 100 {
		p, data := testPiece(n, 32<<10)
		keep(d, p, data)
	}
	for n := range 3 * MinDiskBytes / (32 << 10) {
		p, data := testPiece(1000+n, 32<<10)
		d.add(p, data, false)
	}
	for n := range 100 {
		p, data := testPiece(n, 32<<10)
		if !bytes.Equal(d.read(p), data) {
			t.Fatalf("a scan drove piece %d out", n)
		}
	}
}

// Nor does a scan of one long key: its beginning is kept, and the rest when it
// is read again.
func TestLongScanIsKeptWhenItComesAgain(t *testing.T) {
	o := newOnDisk(t)
	rng := rand.New(rand.NewPCG(3, 3))
	o.es = nil
	for i := range 1000 {
		value := make([]byte, 1000)
		for j := range value {
			value[j] = byte(rng.Uint32())
		}
		o.es = append(o.es, entry{key: "key 1", seq: uint64(i), ms: 1_700_000_000_000, value: string(value)})
	}
	body, table := build(t, testOptions(), o.es)
	o.b, o.table = newBucket(t, table.Name(), body), table
	d := openDisk(t, vfs.NewMem(), "disk")
	o.read(d, "key 1")
	once := d.Stats().Bytes
	o.read(d, "key 1")
	if twice := d.Stats().Bytes; once > table.Size-table.Tail+2*shortRead || twice < table.Size {
		t.Errorf("of a table of %d bytes %d are kept after one scan, %d after two", table.Size, once, twice)
	}
}

func TestDiskOptionsAreChecked(t *testing.T) {
	if _, err := OpenDisk(vfs.NewMem(), "disk", MinDiskBytes-1); err == nil {
		t.Error("too small a disk was opened")
	}
}

// Many goroutines read and write while files come and go.
func TestDiskInManyHands(t *testing.T) {
	d := openDisk(t, vfs.NewMem(), "disk")
	var g sync.WaitGroup
	for hand := range 8 {
		g.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(hand), 1))
			for range 400 {
				p, data := testPiece(rng.IntN(200), 150<<10)
				if got := d.read(p); got != nil && !bytes.Equal(got, data) {
					t.Error("a piece is not itself")
				}
				d.add(p, data, rng.IntN(2) == 0)
			}
		})
	}
	g.Wait()
	if s := d.Stats(); s.Failures != 0 || s.Hits == 0 || s.Bytes > MinDiskBytes {
		t.Errorf("%+v", s)
	}
}
