// Package objstore is bytes under names, with compare-and-set.
//
// An object is written whole and read whole or by range; nothing is ever changed in place. [Reader] is the half that
// needs no write permission, [Bucket] adds [Bucket.Put] under a [Condition] and [Bucket.Delete]. Buckets here:
//
//	NewMem    memory: tests, and logs that may be lost
//	NewFile   a directory: durable on one machine, safe between the processes of that machine
//	NewS3     Amazon S3 and servers that speak its protocol and honour conditional writes
//
// [Open] picks one of them by URL. [WithPrefix] narrows a bucket to a folder, [NewMeter] counts what is asked of it,
// [Probe] finds out whether the store behind it honours conditions, and [FromThanos] and [AsThanos] exchange buckets
// with github.com/thanos-io/objstore.
//
// # Names
//
// A name is 1 to 1024 bytes of UTF-8 without control characters and backslashes: elements of 1 to 255 bytes separated by
// single slashes, none beginning with a dot. Other names are fs.ErrInvalid, and objects that other programs gave such
// names do not show in a listing. No bucket checks that no name is a path prefix of another ("a" beside "a/b"); do not do it, since files
// cannot have it and some S3 servers answer it with objects that never show in a listing.
//
// # Outcomes
//
// A Put is applied (nil), not applied as far as this answer tells (ErrPrecondition, and ErrNotFound for IfMatch), or
// unknown (any other error, the end of the context included): then it may have been applied, or be applied later.
// ErrPrecondition is no proof of a rival either, since the network may have delivered an earlier attempt of one's
// own. Writers put a nonce into the body, read the object and compare. No Put is repeated below this interface.
//
// ETags are opaque and compare equal for equal contents on some buckets (S3 and files derive them from the bytes), so
// IfMatch cannot tell "never changed" from "changed and changed back"; bodies with a nonce in them never change back.
//
// # Concurrency and bytes
//
// All buckets and wrappers may be used from any number of goroutines. Slices given to Put stay the caller's and are
// not kept; slices returned are the caller's to keep and to change.
package objstore
