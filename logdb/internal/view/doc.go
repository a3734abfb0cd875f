// Package view is the snapshot that the writer and the reader of a log both
// read through.
//
// A [View] is a list of parts, tables and memtables, in concatenation order:
// for every key, the entries of the parts in this order ascend in sequence. So
// a scan of one key goes through the parts one after the other and never merges
// entries; only a listing of keys merges, and it reads listings instead of
// data.
//
// # Requests
//
// A part that sequence, time or key bounds rule out costs nothing, and neither
// does a memtable. A table that is left costs what its cache does not hold: one
// read for its index and filter, and none beyond that if the filter says no.
// Tables are opened one at a time, as the scan arrives at them, except by a scan
// that has shown that it is long, which opens the tables that it comes to next
// beside its other reads ahead, and by [View.Keys], which needs all of them at
// once and opens them side by side.
//
// [Recent] is memtables that stay for a while when they are in tables: a scan
// that begins at or above it costs nothing, however many tables there are.
//
// # Concurrency and lifetime
//
// A view never changes and may be used by any number of goroutines; an iterator
// belongs to one. The only goroutines started here open tables: those of
// [View.Keys] end before its first Next returns, those of a scan before its end
// or its Close. Nothing counts the references to a view: tables that it names
// may be deleted under it once retention or a merge has removed them and a grace
// has passed. A read then fails with an error that matches
// objstore.ErrNotFound, and the caller decides whether a newer view helps.
package view
