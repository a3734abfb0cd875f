package logdb

const faultIntro = `# Faults

What can go wrong around a log and inside its protocol, what the log does then, the tests that show it, and how each was
seen to fail: a test that nobody has seen fail shows nothing. This page is made from the tables in ` + "`faults_*_test.go`" + `;
` + "`go test ./logdb -run TestFaultTable`" + ` holds both against each other, and every test, mutant and edit named here against
the source; ` + "`-rewrite`" + ` makes the page anew.

*Shown by* names test functions, of this package or of the one before the dot. After a slash stands the directed schedule or
the script. Tests with S3 in their name use a fake server or, where ` + "`.ci/servers with minio`" + ` or ` + "`with versitygw`" + ` runs them, a real one.
*Seen to fail* says what was taken away:

- **mutant**: a defence is switched off by a hook. ` + "`go test ./logdb -run TestMutants -sim.mutants`" + ` looks for the loss in
  simulated histories, and plays the schedule that is for it.
- **linear**: the same with histories of concurrent clients, ` + "`-run TestLinearMutants`" + `.
- **edit**: a line of the source is compiled without its defence, and the named test must fail. All of them are in the last
  table: ` + "`go test ./logdb -run TestEdits -faults.edits . -v -timeout 1h`" + `.

More than what runs by default: ` + "`-faults.all`" + ` flips every bit, ` + "`-faults.large`" + ` opens a log of a million keys and 1 GiB after a
hard kill and prints how long that takes, ` + "`-crash.all`" + ` opens every crash in every way, ` + "`-kill.loops`" + ` and ` + "`-zombie.loops`" + ` go on
killing and stopping processes, ` + "`-sim.seeds`" + ` simulates more.
`

const faultEnd = `
## What is not defended

- A bucket that was copied has the same log id as the original. Two writers, one on each, are two logs that nobody can
  tell apart by name; a WAL directory that served one will serve the other.
- Flipped bits in the last record of the last local WAL file look like a write that power cut short: that record is
  dropped, as a torn one is. Damage anywhere before it is an error.
- Stores that do not show at once what they have acknowledged are refused where a writer's opening finds it out. They are not supported.
- A network file system under a WAL directory or under a bucket of files is as good as its locks and its fsync.
`

// faultRows are what goes wrong outside of the log's own protocol.
var faultRows = []faultRow{
	{
		name: "A PUT times out and was applied",
		does: "Sends the same bytes under the same name again. Refused, it reads the object and knows its own nonce: no duplicate, and no writer takes itself for fenced.",
		tests: []string{
			"TestSchedules/412 after an own unknown success", "TestEveryLostAnswer", "TestSimulation", "TestLinear", "TestS3AnswersAreLost", "objstore.TestS3BrokenWrites",
		},
		seen: []string{"mutant: a 412 is settled by reading", "mutant: bytes are frozen: a nonce per attempt", "mutant: an epoch is ours by our own nonce"},
	},
	{
		name:  "A PUT times out and is applied later, after others",
		does:  "A name that was given is put only if absent and with the same bytes always, so a late one finds them, or a fence, in its place. A late write of the manifest fails its condition.",
		tests: []string{"TestSchedules/zombie PUT on a fence's number", "TestSchedules/CAS that lands after the old was read", "TestSimulation", "objstore.TestS3LateWrite"},
		seen:  []string{"mutant: fences are never deleted", "mutant: bytes are frozen: a retry takes more in", "mutant: an unknown outcome is sent again", "edit: WAL objects are put over what is there"},
	},
	{
		name:  "The store ignores If-None-Match or If-Match",
		does:  "A writer that opens tries both and refuses the store with ErrUnsafeBucket; nothing but the probe was written. `logdb doctor` says what is wrong.",
		tests: []string{"TestScripts/open/refused", "TestStoreThatShowsLateIsRefused", "objstore.TestProbe", "objstore.TestS3IgnoredConditions", "doctor.TestBadStoresAreNamed"},
		seen:  []string{"edit: a writer opens without a probe"},
	},
	{
		name:  "Two writers: one is stopped, overtaken, and goes on",
		does:  "None of its appends is acknowledged at Remote that is not below the next writer's fence. Its callers get ErrFenced; what only it had stays in its directory, counted, reported and readable.",
		tests: []string{"TestZombie", "TestS3Zombie", "TestLinear", "TestReadsOfAFencedWriter", "cmd.TestTakeover", "TestCloseOfAnOvertakenWriterSaysSo"},
		seen:  []string{"edit: a fence under our name is taken for our own object", "linear: fences are never deleted", "linear: a 412 is settled by reading"},
	},
	{
		name:  "kill -9 at every step of append, ship, flush, seal, merge, expire, collect, open and close",
		does:  "What was acknowledged at Local or Remote is there, batches are whole or not there, no sequence is given twice. No step can be forgotten: their names are read from the source.",
		tests: []string{"TestKill", "TestS3Kill", "TestNoStepIsForgotten", "TestStoryComesToEveryStep", "TestEveryCrash", "TestCompactorKilledAtEveryWrite"},
		seen:  []string{"edit: local records of the run are set aside", "edit: a step that nobody is killed at"},
	},
	{
		name: "Power loss, with a bucket of files and with a local WAL",
		does: "Files and every folder on the way are synced before anything is said. Local is said after the fsync; a torn end is cut off, never read.",
		tests: []string{
			"objstore.TestFileSurvivesPowerLoss", "objstore.TestFileKilledProcesses", "wal.TestCrashesLoseNothingThatWasSynced", "wal.TestStateSurvivesACrashInAnyStep",
			"TestEveryDiskIsWhole", "TestEveryCrash",
		},
		seen: []string{
			"edit: the name of an object in files is not synced", "edit: the bytes of an object in files are not synced", "edit: a new folder is not synced",
			"edit: Local is said before the sync", "linear: local is told after the sync",
		},
	},
	{
		name: "Bit rot, truncation, swapped objects: manifest, WAL objects, tables, local WAL, staged tables, disk cache",
		does: "Found by checksum or identity, named by a typed error and by `logdb check` or `logdb wal`, never returned as data and never left out in silence. What the disk cache holds and a checksum refuses is read from the bucket again; what is cached in memory was checked.",
		tests: []string{
			"TestEveryFlippedBitOfTheBucket", "TestEveryFlippedBitOfTheDisk", "TestCheckFindsEveryDamagedByte", "TestCheckFindsEveryLossThatMatters", "segment.TestEveryFlippedByteIsNoticed",
			"segment.TestOpenComparesIdentities", "wal.TestAFlippedByteInAClosedFileIsCorruption", "wal.TestStagedFlips", "segment.TestDiskIsNeverBelieved", "wal.TestInspectNamesWhatIsDamaged", "TestS3DamagedRanges",
		},
		seen: []string{"edit: a WAL object's checksum is not compared", "edit: the manifest's checksum is not compared", "edit: nobody looks behind a torn end", "edit: an object that the log names may be missing", "edit: the disk cache is believed"},
	},
	{
		name: "The store accepts and never answers",
		does: "Each request has an end and is sent again. Local appends go on; who waits has the end that his context says; all goes on by itself when the store does. Health says that the store is gone, and not that the log is.",
		tests: []string{
			"TestStormsUnderTheLog", "TestScripts/errors/pending", "TestStalledReadsAreRepeated", "TestOpenOfAStalledStoreEnds", "TestReadsOfTablesEnd", "TestNobodyWaitsLongerThanHeSaid", "TestHealthOfAStalledStore", "TestOutage",
		},
		seen: []string{"edit: a request has no end"},
	},
	{
		name: "Storms of 503 and 500, 404 right after a PUT",
		does: "Repeated without end, with jitter, one budget for all retries and what Retry-After says; never a poisoned writer. What is refused and yet not shown is waited for.",
		tests: []string{
			"TestStormsUnderTheLog", "TestRetriesShareABudget", "TestRetryAfterIsObeyed", "TestPutsThatAreNotSeenAtOnce", "TestOpenWaitsForAnObjectThatIsNotShown", "objstore.TestS3ReadsAreTriedAgain",
		},
		seen: []string{"edit: the third failure is the end", "edit: fences are put over what is there"},
	},
	{
		name:  "Credentials expire under the log",
		does:  "A writer asks again until they are renewed, and Local appends go on. A reader says ErrAccessDenied and shows what it has. Missing permission at an opening is an error at once.",
		tests: []string{"TestStormsUnderTheLog", "TestReaderWithoutPermission", "TestS3KeysExpireUnderTheLog", "TestHealthWithExpiredKeys", "objstore.TestS3KeysRenewedInFile"},
		seen:  []string{"edit: a refusal is final for a writer", "edit: a refusal is not final for a reader"},
	},
	{
		name: "Clocks jump by years, back and forth; a writer is a year ahead",
		does: "Sequences do not know the time; times never go back. Sealing and ages go by the monotonic clock; ages start from the clock at Open, or from the store's date where that is more than an hour behind it.",
		tests: []string{
			"TestClockJumps", "TestSegmentsAreSealedWhateverTheClockSays", "TestRetentionWhateverTheClockSays", "TestScripts/open/reopen",
		},
		seen: []string{
			"edit: times follow the clock back", "edit: segments are sealed by the wall clock", "edit: ages go by the times of records only", "edit: a clock that is a year ahead is believed",
			"mutant: times go on from the last",
		},
	},
	{
		name:  "A reader falls behind while retention and the collector go on",
		does:  "It gets the right records, or a typed error that says where to go on. Objects stay for a grace after the manifest has let go of them.",
		tests: []string{"TestSlowReaderAgainstCollector", "TestScripts/retention/age", "TestSchedules/reader of a view that was merged", "TestSchedules/fresh reader between manifest and WAL"},
		seen:  []string{"edit: a table that is gone ends a scan", "edit: nobody is told of what was trimmed", "mutant: names are kept for the grace"},
	},
	{
		name: "Collection too early, or slower than the log grows",
		does: "An object dies a grace after it left the log, never by its age; what nobody names is found by a sweep in two passes. The bucket's size converges.",
		tests: []string{
			"TestBucketConverges", "TestBucketStaysSmall", "TestScripts/collection", "TestSchedules/sweep while tables are only in the WAL", "TestSchedules/sweep while a merge is unnamed",
			"TestSchedules/sweep while recovery is under way elsewhere", "TestSchedules/sweep of what another process's WAL names",
		},
		seen: []string{
			"edit: no table is an orphan", "mutant: tables of a running epoch are no orphans", "mutant: tables that the WAL names are no orphans",
			"mutant: a writer's tables are judged once recovery has passed its fence", "mutant: a sweep from another process reads what the WAL names",
		},
	},
	{
		name: "Memory: many keys, a slow store",
		does: "What is admitted, the memtables, what is on its way and the caches are bounded by bytes; beyond four memtables the disk takes them while the store is away, and gives them back faster than it takes more once that answers. Then TryAppend says ErrQueueFull and Append waits; it un-trips by itself. A merge holds one output.",
		tests: []string{
			"TestScripts/errors/queue_full", "TestOutage", "TestBacklogDrains", "TestALongTailHoldsAppendsBack", "TestSoak", "TestNobodyWaitsLongerThanHeSaid", "segment.TestMetaBudget", "compact.TestMemoryIsBoundedByOneOutput",
		},
		seen: []string{"edit: memtables without a bound", "edit: a backlog grows as fast as the disk takes it"},
	},
	{
		name:  "Start after a hard kill with much data behind it",
		does:  "Reads the manifest and the tail of the WAL; not a byte of a table. The tail is bounded by a number of objects and by the memtable.",
		tests: []string{"TestOpenReadsTheTailOnly", "TestOpenOfALargeLog", "TestATrickleKeepsTheTailShort"},
		seen:  []string{"edit: recovery begins where it always did", "edit: the local WAL is not trimmed", "edit: many small objects are not flushed"},
	},
	{
		name:  "Hot keys, hostile keys, large and empty records",
		does:  "Keys are any bytes, the empty one too. A record beyond a limit is refused alone, with its index; what others read does not depend on a busy key.",
		tests: []string{"TestModel", "TestScripts/errors/limits", "TestColdScanTakesTwoRequests", "segment.TestKeysSortLikeTheirParts", "memtable.TestSeekInALongStreamIsLogarithmic"},
		seen:  []string{"edit: a value may be of any size", "edit: a batch may be of any size"},
	},
	{
		name:  "A retry after a restart, a merge or a trim is to be the same append",
		does:  "Not offered: there are no producers' numbers, and an append that is repeated is there twice. What is known is said: *PendingError has the sequences of a batch whose outcome is not known, any other error means that nothing was written.",
		tests: []string{"TestScripts/errors/pending", "TestRefusedIsNotPending", "TestLinear"},
		seen:  []string{"edit: who stops waiting is not told where the batch is", "linear: what was withdrawn is not written"},
	},
	{
		name:  "Rolling upgrade, an old reader and a new writer, downgrade",
		does:  "There is one version of each format yet. A later one is refused loudly, by every decoder, and never replaced; later fields are skipped or refused as their type says. Golden files hold the bytes.",
		tests: []string{"segment.TestManifestRejectsInOrder", "segment.TestManifestFieldsOfALaterVersion", "segment.TestRowsOfALaterVersion", "segment.TestGoldenManifest", "segment.TestGoldenTable", "wal.TestFileHeaderRejects", "wal.TestGolden", "TestScripts/open/refused"},
		seen:  []string{"edit: a manifest of a later format is read"},
	},
	{
		name:  "The client loses its server after the commit and before the answer",
		does:  "Not settled by the server: a repeated append is there twice. While the connection stands it is answered as pending, with its sequences, and no client repeats it by itself.",
		tests: []string{"server.TestPendingAppendsGet504", "cmd.TestInterruptedAppend"},
		seen:  []string{"edit: the server says nothing of a pending batch"},
	},
	{
		name:  "A follower idle for hours, through proxies and a server's restart",
		does:  "Heartbeats; a cursor in every event, from which it goes on without gap or repeat. A follower that waits holds no memory of the log.",
		tests: []string{"TestScripts/follow", "TestCursorMeetsWhatComes", "TestAnIdleFollowerHoldsNoSnapshot", "server.TestHeartbeats", "server.TestFollowResumesWhereItWasLeft", "server.TestFollowersEndWithTheServer", "cmd.TestFollowAcrossARestart"},
		seen:  []string{"edit: a follower is not woken by a commit"},
	},
	{
		name:  "The disk of the local WAL is full, or its budget is used up; the disk of a cache is full",
		does:  "A write of the WAL that finds no room fails with the disk's own error, and the writer stops for good and can be read on; with room again all that was acknowledged is there, and what was refused is not. Where memtables are staged, appends fail with ErrDiskFull and go on by themselves. A disk cache that cannot be read or written is as if there were none.",
		tests: []string{"TestDiskFull", "TestDiskFullWhileStaging", "TestDiskBudget", "TestHealthWithTheDiskFull", "wal.TestADiskErrorIsFinal", "wal.TestAStateWriteThatFailsIsFinal", "segment.TestDiskThatFails", "segment.TestDiskIsDeletedUnderneath"},
		seen:  []string{"edit: an error of the disk is forgotten", "edit: a slot that was cut off is of a later version", "edit: the disk's budget is not looked at"},
	},
	{
		name:  "Snapshot, restore, copy to another bucket while it is written",
		does:  "Not offered as a command. All objects as they were at one instant are a log, and so is the bucket of a log that was closed. In a copy that was made object by object beside a writer, a check names what is missing.",
		tests: []string{"TestEveryCrash", "TestCheckFindsEveryLossThatMatters"},
		seen:  []string{"edit: an object that the log names may be missing"},
	},
}
