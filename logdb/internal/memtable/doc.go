// Package memtable holds the newest records of a log in memory: chunks
// sorted once.
//
// A [Table] takes whole WAL frames and keeps them; keys and values stay where
// they were encoded and are never copied. Beside the frames lies an index: a
// hash of the key leads to a stream, and a stream is a list of fixed-size
// records in ascending sequence. Streams and records live in append-only
// chunks, are addressed by number and hold no pointers, so the garbage
// collector looks at frames only. Keys are put in order when somebody asks for
// order: once for a flush, or for a listing of keys.
//
// # Concurrency
//
// One goroutine applies frames. Any number of goroutines read at the same
// time, without locks: what a reader can reach was complete before it was
// linked, and links are stored atomically. The four links that change after
// they were published are the tail of a stream, the next of a record, a slot of
// the hash and the directory of a chunk list.
//
// What a reader sees is decided by the hi it passes and not by the moment of
// its call. A hi at or below [Table.End] shows every record below it and no
// other; a hi above End may show a part of the batch that is being applied, so
// nobody passes one.
//
// # Lifetime
//
// A table is never emptied. It is dropped as a whole, and every key and value
// that a reader still holds keeps its frame alive.
package memtable
