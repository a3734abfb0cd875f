// Package objstoretest is what buckets, and those who use them, are tested with.
//
//	Conformance  one suite that every Bucket passes, real servers included
//	Requests     records what was asked, in order, for tests that assert requests: they are money
//	Faulty       breaks requests: from a seed, replayably, or as a test directs
//	Replayable   a plan of faults, printed in one line by a test that fails, and read back from it
//	Transport    does the same to HTTP requests of any S3 client, and NewProxy to other processes
//	Latency      answers as slowly as S3 does, by a formula
//	Dollars      what counted requests would have cost there
//
// Faulty, Transport and Latency wait on timers of package time only. Over objstore.NewMem they run inside a testing/synctest
// bubble, where waiting takes no time.
package objstoretest
