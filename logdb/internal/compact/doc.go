// Package compact plans merges of tables and carries them out. It starts no
// goroutines beside the reads of a merge's inputs, writes no object and knows
// nothing of the manifest: who calls it puts the outputs and makes the edit.
//
// A segment is rewritten once, when it is sealed: all of its tables become one
// run, sorted by key, of tables of bounded size. Before that only small tables
// are merged, the leavings of a trickle, and each merge at least doubles the
// table that a record lies in, so that a record is rewritten a few times at most.
//
// Merged are neighbours in concatenation order. What was between the entries of
// a key before the merge is therefore between them afterwards, and outputs that
// take the place of their inputs keep the order of the segment.
package compact
