package segment

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/cockroachdb/pebble/v2/sstable/block"
	"github.com/cockroachdb/pebble/v2/sstable/colblk"

	"github.com/logdb-go/logdb/objstore"
)

// The footer of a Pebble v7 table, little endian.
const (
	footerBytes   = 61
	footerMagic   = "\xf0\x9f\xaa\xb3\xf0\x9f\xaa\xb3"
	footerVersion = 7

	footerOffMagic   = footerBytes - 8
	footerOffVersion = footerOffMagic - 4
	footerOffCRC     = footerOffVersion - 4
)

// footer says where the blocks of the tail are. Pebble parses it too, but
// believes the handles it finds there.
type footer struct {
	meta, index block.Handle
}

// parseFooter looks at the end of tail, which are the last bytes of an object
// of the given size.
func parseFooter(tail []byte, size int64) (f footer, err error) {
	if f, err = decodeFooter(tail); err != nil {
		return f, err
	}
	lo := size - int64(len(tail))
	for _, h := range []block.Handle{f.meta, f.index} {
		if err := checkHandle(h, lo, size-footerBytes); err != nil {
			return f, err
		}
	}
	return f, nil
}

// decodeFooter reads the footer at the end of tail, wherever its blocks lie.
func decodeFooter(tail []byte) (f footer, err error) {
	if len(tail) < footerBytes {
		return f, fmt.Errorf("tail: got %d bytes, want at least %d", len(tail), footerBytes)
	}
	b := tail[len(tail)-footerBytes:]
	if got := string(b[footerOffMagic:]); got != footerMagic {
		return f, fmt.Errorf("magic: got %q, want %q", got, footerMagic)
	}
	if v := binary.LittleEndian.Uint32(b[footerOffVersion:]); v != footerVersion {
		return f, fmt.Errorf("sstable version: got %d, want %d: %w", v, footerVersion, objstore.ErrUnsupported)
	}
	if c := b[0]; c != byte(block.ChecksumTypeCRC32c) {
		return f, fmt.Errorf("checksum type: got %d, want %d: %w", c, block.ChecksumTypeCRC32c, objstore.ErrUnsupported)
	}
	want := maskCRC(crc32.Update(crc32.Checksum(b[:footerOffCRC], castagnoli), castagnoli, b[footerOffVersion:]))
	if got := binary.LittleEndian.Uint32(b[footerOffCRC:]); got != want {
		return f, fmt.Errorf("footer checksum: got %08x, want %08x", got, want)
	}
	var n, m int
	f.meta, n = block.DecodeHandle(b[1:footerOffCRC])
	f.index, m = block.DecodeHandle(b[1+n : footerOffCRC])
	if n == 0 || m == 0 {
		return f, fmt.Errorf("footer: block handles end early")
	}
	return f, nil
}

// maskCRC is what LevelDB does to a checksum that it stores.
func maskCRC(c uint32) uint32 { return (c>>15 | c<<17) + 0xa282ead8 }

func checkHandle(h block.Handle, lo, hi int64) error {
	if h.Offset < uint64(lo) || h.Offset > uint64(hi) || h.Length > uint64(hi)-h.Offset || uint64(hi)-h.Offset-h.Length < block.TrailerLen {
		return fmt.Errorf("block of %d bytes at %d, want it inside [%d, %d)", h.Length, h.Offset, lo, hi)
	}
	return nil
}

// tailBlock returns a block of the tail, checked and unpacked, in memory of its own.
func tailBlock(tail []byte, size int64, h block.Handle) ([]byte, error) {
	lo := size - int64(len(tail))
	if err := checkHandle(h, lo, size-footerBytes); err != nil {
		return nil, err
	}
	b := tail[int64(h.Offset)-lo:][:h.Length+block.TrailerLen]
	if err := block.ValidateChecksum(block.ChecksumTypeCRC32c, b, h); err != nil {
		return nil, err
	}
	indicator := block.CompressionIndicator(b[h.Length])
	b = b[:h.Length]
	if indicator == block.NoCompressionIndicator {
		return append(make([]byte, 0, len(b)), b...), nil
	}
	n, err := block.DecompressedLen(indicator, b)
	if err != nil {
		return nil, err
	}
	if n < 0 || n > maxIndexBytes {
		return nil, fmt.Errorf("block of %d bytes at %d: unpacks to %d, want at most %d", h.Length, h.Offset, n, maxIndexBytes)
	}
	out := make([]byte, n)
	return out, block.DecompressInto(indicator, b, out)
}

// findFilter returns the filter's bytes.
func findFilter(tail []byte, size int64, f footer) ([]byte, error) {
	meta, err := tailBlock(tail, size, f.meta)
	if err != nil {
		return nil, fmt.Errorf("metaindex: %w", err)
	}
	var d colblk.KeyValueBlockDecoder
	d.Init(meta)
	for i := range d.BlockDecoder().Rows() {
		if string(d.KeyAt(i)) != "fullfilter."+filterName {
			continue
		}
		h, n := block.DecodeHandle(d.ValueAt(i))
		if n == 0 {
			return nil, fmt.Errorf("metaindex: filter without a handle")
		}
		filter, err := tailBlock(tail, size, h)
		if err == nil {
			err = checkFilter(filter)
		}
		return filter, err
	}
	return nil, fmt.Errorf("metaindex: no filter %q", filterName)
}
