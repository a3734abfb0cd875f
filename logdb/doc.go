// Package logdb is a key-oriented log on object storage: every byte key is an
// ordered, append-only stream of its own, created by writing to it; one global
// sequence orders all records; the bucket is the database.
//
// A [LogDb] is the one writer of a log. It appends through a local write-ahead
// log and a memtable, ships WAL objects and tables to the bucket, and reads
// what it wrote. Any number of [LogDbReader]s, in other processes and with
// read permission only, follow the log from the bucket alone. Both implement
// [LogRead].
//
// Buckets come from package objstore: S3 and what speaks its protocol, a local
// directory, and memory. A log on [objstore.NewMem] is complete, so the
// library is its own test double: see the example.
//
// # Order
//
// A record's [Entry.Sequence] is unique, grows over the whole log and is never
// given to another record, not even after a crash that lost the first one.
// Sequences are not dense. The records of one Append are one batch: they have
// contiguous sequences and one time, lie in one segment, and are applied,
// shipped and recovered whole or not at all. Times never decrease, even if the
// clock does.
//
// # Durability and visibility
//
// How far a record has come is a [Durability]: [Applied] (readable here),
// [Local] (fsynced on this disk), [Remote] (in the bucket). An append waits for
// the level that it asks for; [LogDb.DurableSequence] and
// [LogDb.SubscribeDurable] tell how far the whole log is. A LogDb shows records
// that are Applied, or only those that are Remote if asked to; a LogDbReader
// shows what is Remote, late by at most one shipment (Options.ShipInterval) and
// one refresh (ReaderOptions.RefreshInterval).
//
// # Errors of appends
//
// *[PendingError] means that the batch is in the log and was not seen to reach
// the level: it must not be appended again. Any other error means that nothing
// was written.
//
// # When the bucket is away
//
// A store that is away is not an error: requests are repeated for as long as
// the log is open, and everything is shipped, in order, when it is back. With a
// WAL directory, appends at Applied and Local go on meanwhile: memtables that
// memory has no room for are staged, as tables, in the WAL directory, where they
// are read and survive a restart, up to Options.LocalBytes; then appends fail
// with [ErrDiskFull]. Without one they wait once the memtables are full.
// [LogDb.Health] tells which of it is so.
//
// # One writer
//
// Opening a log fences the writer before it, wherever that runs. Nothing that
// the old writer appends after the fence is acknowledged at Remote; it learns
// of it at its next shipment and answers ErrFenced from then on, to reads too,
// since its memory may hold records that are not in the log.
//
// # Merging elsewhere
//
// A log keeps itself in order: it merges tables and deletes what nothing names.
// A [Compactor] does that in a process of its own, under an epoch of its own,
// beside a writer with Options.ExternalCompactor or, for a while, beside any. A
// read that meets a table which was merged away goes on in a newer view.
//
// # Lifetimes
//
// Append copies what it is given. Bytes of an iterator's entry live until its
// next move; those of Get are the caller's. Iterators must be closed. Close of
// a LogDb waits for its goroutines, of which there are, owned by the struct of
// the same name: committer (order, sequences, segments), shipper (WAL objects;
// one more per PUT under way), flusher (tables; one more per upload), stager (tables on the local
// disk while the bucket is away), install (manifest), limiter (sequence limits),
// maintainer (retention and merges), collector (deletes). A LogDbReader has one,
// refresher.
//
// # Requests
//
// Requests are money. An idle log costs none; a reader one per refresh. A
// caught-up follower costs none. A scan of one key in one table costs two when
// nothing is cached, none when its filter says no. LIST is used when a log is
// created and by the collector, once per opening and day.
package logdb
