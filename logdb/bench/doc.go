// Package bench puts a log under load and says what that cost: time, processor, memory, and requests to the bucket.
//
//	Ingest     appends, as fast as the target takes them or at a given rate
//	Followers  many keys, each read by a follower at its own pace, beside the writer
//	Scan       one key of a sealed segment; one long key, forward and backward
//	Open       a writer after a kill; a reader over many tables and WAL objects
//	Verify     everything that was written is read back and its hash compared
//	Keys       listing and counting, and memory at rest
//	Idle       what a log costs that nobody uses
//
// Each has a Run method that takes a [Place] (bucket, latency model, target) and answers with a [Result]: numbers under
// plain names, which [Meaning] explains. Loads are drawn from a seed and from nothing else, so that a run can be
// repeated. Requests are counted exactly; tests assert them. Times depend on the machine, and no test asserts one.
//
// # What is measured
//
// A GB is 1e9 bytes of keys and values. Latency in an open loop is counted from the moment at which an operation was due,
// whether or not anything was ready to start it, so that a stall is seen by everything that it delayed. The generator's
// own timers are up to a millisecond late, and that counts too; the figures named schedule_lag show it. Processor time
// and memory are those of the whole process, the load generator included; what the generator alone takes is measured
// by a dry run and printed beside. Nothing is subtracted.
//
// # Goals
//
// [Goals] is the table of what is wanted, [RunGoals] runs its rows in processes of their own, and [Report] makes a page
// of the results. Beside it, compare shows what a commit changed, comparisons does so for the optimisations of the
// engine, profile shows where time and memory go, and PROFILES.md says what was made of that.
package bench
