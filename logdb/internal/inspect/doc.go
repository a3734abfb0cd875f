// Package inspect reads every byte of a log for people who doubt it: [Check]
// verifies what the bucket can show, [Dump] prints one object. It writes
// nothing, starts no goroutine and knows no writer.
package inspect
