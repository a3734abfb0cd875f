// Package segment is entries sorted by (key, sequence), written once: the
// tables of a log, the manifest that names them, and the cache they are read
// through.
//
// A [Table] is one immutable object: listing rows, one per key, then entries,
// sorted by key and sequence, in a plain Pebble sstable. A [Writer] builds one
// in memory; a [Cache] opens tables with one ranged read each and hands out a
// [Reader]; iterators come from the reader. A [Manifest] is the checksummed
// message that says which tables make up a log. FORMAT.md describes all bytes.
//
// # Requests
//
// A table whose tail (index, filter, properties) is not cached costs one
// GetRange to open. Reading one key's entries costs one more if they fit one
// window, none if the filter says that the key is not there or if the blocks
// are cached. Nothing else is ever asked of the bucket, and nothing is written.
//
// Windows grow from 64 KiB to 4 MiB. A scan that has used up a window may read
// ahead, see [Ahead]: it asks for the same windows, but for several at once.
//
// # Errors
//
// Bytes that fail a check are an *objstore.CorruptError naming the object, a
// version or a required feature from the future matches
// objstore.ErrUnsupported, and what the bucket answered is wrapped:
// errors.Is(err, objstore.ErrNotFound) holds for a table that is gone.
//
// # Concurrency and bytes
//
// Cache and Reader may be used from any number of goroutines, a Writer and an
// iterator from one at a time. The only goroutines that the package starts are
// those of reads ahead, which end with the iterator at the latest: closing it
// waits for them. (A Pebble table writer has one, from NewWriter until Finish.) Slices that an
// iterator returns are valid until its next move and must not be changed;
// everything else that is returned is the caller's.
package segment
