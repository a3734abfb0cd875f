// Package wal keeps what was acknowledged until it is in a table.
//
// It has three nouns. A [Frame] is one batch, or one seal, in bytes. A [Dir] is
// a local directory that holds frames in files and remembers which log, epoch
// and limit it belongs to; a [Log] appends to it. An [Object] is a run of
// frames, or what stands for them, in a bucket. The frames in a file and in an
// object are the same bytes.
//
// # What survives
//
// A frame is durable on this machine once the callback given to [Dir.NewLog]
// has reported its end without an error. It is never half there: a frame is
// read back whole or not at all, and no frame is read back whose predecessor in
// the same epoch is missing.
//
// # Goroutines
//
// A Log has two of its own, one that reports what is durable and one that
// closes and creates files, and each open file has the flush goroutine of the
// record writer. Log.Close joins all of them. A Dir has none.
//
// # Lifetime of bytes
//
// Append copies before it returns. A decoded frame, its keys and its values
// alias the bytes it was decoded from; Replay hands out frames that the callee
// may keep.
//
// FORMAT.md, beside this file, describes every byte.
package wal
