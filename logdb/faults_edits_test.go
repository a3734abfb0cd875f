package logdb

// sourceEdits are the defences that no hook takes away.
var sourceEdits = []sourceEdit{
	{
		name: "a writer opens without a probe", file: "logdb/logdb.go",
		old: "return objstore.Probe(ctx, o.bucket)", new: "return nil",
		run: []string{"TestScripts/open/refused", "TestStoreThatShowsLateIsRefused"},
	},
	{
		name: "a fence under our name is taken for our own object", file: "logdb/put.go",
		old: `return fmt.Errorf("%w: %s names epoch %d, ours is %d", ErrFenced, name, there.Next.Epoch, h.At.Epoch)`, new: "return nil",
		run: []string{"TestZombie", "TestSchedules/zombie PUT on a fence's number"},
	},
	{
		name: "local records of the run are set aside", file: "logdb/logdb.go",
		old: "from, to = o.base.DirSince, o.base.Epoch", new: "_ = o.base.Epoch",
		run: []string{"TestKill", "TestEveryCrash", "TestEveryDiskIsWhole", "TestSchedules/killed twice while opening"},
	},
	{
		name: "a step that nobody is killed at", file: "logdb/kill_test.go",
		old: `"collect#2", `, new: "",
		run: []string{"TestNoStepIsForgotten"},
	},
	{
		name: "the name of an object in files is not synced", file: "objstore/file_write.go",
		old: "\treturn f.syncFolder(filepath.Dir(f.path(name)))\n}\n\n// renameIfAbsent", new: "\treturn nil\n}\n\n// renameIfAbsent",
		pkg: "objstore", run: []string{"TestFileSurvivesPowerLoss"},
	},
	{
		name: "the bytes of an object in files are not synced", file: "objstore/file_temp.go",
		old: "err = f.sync(temp.file)", new: "err = nil",
		pkg: "objstore", run: []string{"TestFileSurvivesPowerLoss"},
	},
	{
		name: "a new folder is not synced", file: "objstore/file_write.go",
		old: "for folder := path; folder != top; folder = filepath.Dir(folder) {", new: "for folder := top; folder != top; folder = filepath.Dir(folder) {",
		pkg: "objstore", run: []string{"TestFileSurvivesPowerLoss"},
	},
	{
		name: "Local is said before the sync", file: "logdb/commit.go",
		old: "\tc.db.opts.hooks.at(\"append: applied\")\n", new: "\tif c.log != nil {\n\t\tc.db.local.advance(c.next)\n\t}\n",
		run: []string{"TestEveryDiskIsWhole"},
	},
	{
		name: "a WAL object's checksum is not compared", file: "wal/object_decode.go",
		old: "binary.LittleEndian.Uint32(b[want-objectChecksumBytes:]); got != want {", new: "binary.LittleEndian.Uint32(b[want-objectChecksumBytes:]); got != want && false {",
		run: []string{"TestEveryFlippedBitOfTheBucket"},
	},
	{
		name: "the manifest's checksum is not compared", file: "segment/manifestcodec.go",
		old: "crc32.Checksum(b[:end], castagnoli); got != want {", new: "crc32.Checksum(b[:end], castagnoli); got != want && false {",
		run: []string{"TestEveryFlippedBitOfTheBucket"},
	},
	{
		name: "the disk cache is believed", file: "segment/diskio.go",
		old: "crc32.Checksum(buf[diskHead:], castagnoli) == sum", new: "(crc32.Checksum(buf[diskHead:], castagnoli) == sum || true)",
		pkg: "segment", run: []string{"TestDiskIsNeverBelieved"},
	},
	{
		name: "nobody looks behind a torn end", file: "wal/scan.go",
		old: "return s.checkTorn()", new: "return nil",
		run: []string{"TestEveryFlippedBitOfTheDisk"},
	},
	{
		name: "a request has no end", file: "logdb/retry.go",
		old: "attemptTime = 30 * time.Second", new: "attemptTime = 30000 * time.Hour",
		run: []string{"TestStormsUnderTheLog", "TestScripts/errors/pending"},
	},
	{
		name: "the third failure is the end", file: "logdb/retry.go",
		old: "\tr.pauses++\n", new: "\tif r.pauses++; r.pauses == 3 {\n\t\treturn err\n\t}\n",
		run: []string{"TestStormsUnderTheLog"},
	},
	{
		name: "a refusal is final for a writer", file: "logdb/retry.go",
		old: "if r.deniedIsFinal && errors.Is", new: "if errors.Is",
		run: []string{"TestStormsUnderTheLog"},
	},
	{
		name: "a refusal is not final for a reader", file: "logdb/retry.go",
		old: "if r.deniedIsFinal && errors.Is", new: "if false && errors.Is",
		run: []string{"TestReaderWithoutPermission"},
	},
	{
		name: "times follow the clock back", file: "logdb/commit.go",
		old: "c.last = max(c.last, now.UnixMilli())", new: "c.last = now.UnixMilli()",
		run: []string{"TestClockJumps"},
	},
	{
		name: "segments are sealed by the wall clock", file: "logdb/commit.go",
		old: "left := time.Until(c.seg.due); left > 0", new: "left := c.db.opts.Segments.Interval - c.db.opts.Clock().Sub(c.seg.opened); left > 0",
		run: []string{"TestSegmentsAreSealedWhateverTheClockSays"},
	},
	{
		name: "ages go by the times of records only", file: "logdb/ages.go",
		old: "age = max(age, time.Since(since))", new: "_ = since",
		run: []string{"TestRetentionWhateverTheClockSays"},
	},
	{
		name: "a clock that is a year ahead is believed", file: "logdb/ages.go",
		old: "now.Sub(o.date) <= clockAhead", new: "now.Sub(o.date) <= 1<<62",
		run: []string{"TestRetentionWhateverTheClockSays"},
	},
	{
		name: "a table that is gone ends a scan", file: "logdb/iterator.go",
		old: "case vanished(err) && tries < renewals:\n", new: "case vanished(err):\n\t\t\tit.over = true\n\t\t\treturn false\n\t\tcase vanished(err) && tries < renewals:\n",
		run: []string{"TestSlowReaderAgainstCollector"},
	},
	{
		name: "nobody is told of what was trimmed", file: "logdb/iterator.go",
		old: "if it.o.Strict && lo < v.TrimmedBelow", new: "if false && lo < v.TrimmedBelow",
		run: []string{"TestSlowReaderAgainstCollector", "TestScripts/retention/age"},
	},
	{
		name: "no table is an orphan", file: "logdb/sweep.go",
		old: "\tcase strings.HasPrefix(info.Name, collectorTables):\n", new: "\tcase strings.HasPrefix(info.Name, collectorTables):\n\t\tif true {\n\t\t\treturn false, nil\n\t\t}\n",
		run: []string{"TestBucketConverges"},
	},
	{
		name: "memtables without a bound", file: "logdb/commit.go",
		old: "d.stager.room(d.state.inMemory() >= keptMemtables, ", new: "d.stager.room(false, ",
		run: []string{"TestScripts/errors/queue_full", "TestALongTailHoldsAppendsBack", "TestOutage"},
	},
	{
		name: "a backlog grows as fast as the disk takes it", file: "logdb/stageroom.go",
		old: "stagePrice = 2", new: "stagePrice = 0",
		run: []string{"TestBacklogDrains"},
	},
	{
		name: "recovery begins where it always did", file: "logdb/install.go",
		old: "\tm.ReplayEpoch, m.ReplayNumber = g.after.Epoch, g.after.Number\n", new: "",
		run: []string{"TestOpenReadsTheTailOnly"},
	},
	{
		name: "the local WAL is not trimmed", file: "logdb/install.go",
		old: "\treturn d.trim(m.Flushed, ", new: "\tif true {\n\t\treturn nil\n\t}\n\treturn d.trim(m.Flushed, ",
		run: []string{"TestOpenReadsTheTailOnly"},
	},
	{
		name: "many small objects are not flushed", file: "logdb/ship.go",
		old: "left > 0 && g.objects < flushAtObjects {", new: "left > 0 {",
		run: []string{"TestATrickleKeepsTheTailShort"},
	},
	{
		name: "a value may be of any size", file: "logdb/append.go",
		old: "if len(r.Value) > d.opts.Limits.ValueBytes {", new: "if false {",
		run: []string{"TestScripts/errors/limits"},
	},
	{
		name: "a batch may be of any size", file: "logdb/append.go",
		old: "if total > d.opts.Limits.BatchBytes {", new: "if false {",
		run: []string{"TestScripts/errors/limits"},
	},
	{
		name: "who stops waiting is not told where the batch is", file: "logdb/append.go",
		old: "return Appended{}, &PendingError{Appended: r.appended(), Level: r.level, Err: ctx.Err()}", new: "return Appended{}, ctx.Err()",
		run: []string{"TestScripts/errors/pending"},
	},
	{
		name: "a manifest of a later format is read", file: "segment/manifestcodec.go",
		old: "if b[offFormat] != manifestFormat {", new: "if false {",
		pkg: "segment", run: []string{"TestManifestRejectsInOrder"},
	},
	{
		name: "the server says nothing of a pending batch", file: "logdb/server/errors.go",
		old: "case errors.As(err, &pending):", new: "case false && errors.As(err, &pending):",
		pkg: "server", run: []string{"TestPendingAppendsGet504"},
	},
	{
		name: "an error of the disk is forgotten", file: "wal/log.go",
		old: "\tif l.mu.err == nil {\n\t\tl.mu.err = err\n\t}\n\tl.signal()\n", new: "\tl.signal()\n",
		run: []string{"TestDiskFull"},
	},
	{
		name: "the disk's budget is not looked at", file: "logdb/stageroom.go",
		old: "over := used+d.opts.Memory.Memtable > d.opts.LocalBytes || s.refused()", new: "over := false",
		run: []string{"TestDiskBudget", "TestDiskFullWhileStaging"},
	},
	{
		name: "a slot that was cut off is of a later version", file: "wal/state.go",
		old: "case v == 0:", new: "case v == 255:",
		run: []string{"TestDiskFull"},
	},
	{
		name: "an object that the log names may be missing", file: "logdb/internal/inspect/check.go",
		old: `return c.found(name, 0, "the log names it, and it is not there")`, new: "return nil",
		run: []string{"TestCheckFindsEveryLossThatMatters"},
	},
	{
		name: "tables are put over what is there", file: "logdb/flush.go",
		old: "_, err := b.Put(ctx, t.Name(), body, objstore.IfAbsent())", new: "_, err := b.Put(ctx, t.Name(), body, objstore.Always())",
		run: []string{"TestSchedules/table name taken"},
	},
	{
		name: "WAL objects are put over what is there", file: "logdb/put.go",
		old: "_, err := b.Put(ctx, name, body, objstore.IfAbsent())", new: "_, err := b.Put(ctx, name, body, objstore.Always())",
		run: []string{"TestTheFirstUnderANumberStays", "TestSchedules/zombie PUT on a fence's number"},
	},
	{
		name: "fences are put over what is there", file: "logdb/open.go",
		old: "_, err := o.bucket.Put(ctx, name, body, objstore.IfAbsent())", new: "_, err := o.bucket.Put(ctx, name, body, objstore.Always())",
		run: []string{"TestPutsThatAreNotSeenAtOnce"},
	},
	{
		name: "a log is created beside other objects", file: "logdb/open.go",
		old: `if !strings.HasPrefix(info.Name, "probe-") {`, new: `if false && !strings.HasPrefix(info.Name, "probe-") {`,
		run: []string{"TestSchedules/manifest missing beside objects"},
	},
	{
		name: "a watermark goes by what landed, in any order", file: "logdb/ship.go",
		old: "\t\t\tsh.landed = true\n", new: "\t\t\tsh.landed = true\n\t\t\ts.db.remote.advance(sh.header.End)\n",
		run: []string{"TestSchedules/a number lost for ever, the next one landed"},
	},
	{
		name: "nothing is set aside", file: "logdb/logdb.go",
		old: "files, frames, err := o.dir.MoveToLost(o.current.Log, from, to)", new: "files, frames, err := 0, uint64(0), error(nil)",
		run: []string{"TestScripts/open/takeover"},
	},
	{
		name: "a seal is trimmed where it lies", file: "logdb/stage.go",
		old: "return d.committer.log.Trim(end)", new: "return d.committer.log.TrimSealed(end)",
		run: []string{"TestSealAtFlushedStays"},
	},
	{
		name: "a refresh ends with its first piece", file: "logdb/refresh.go",
		old: "r.publish() // far behind: show what there is", new: "return nil",
		run: []string{"TestOneRefreshCatchesUp"},
	},
	{
		name: "a WAL directory is not locked", file: "wal/lock.go",
		old: "\tlock, err := fs.Lock(fs.PathJoin(path, lockName))\n", new: "\tlock, err := io.Closer(io.NopCloser(nil)), error(nil)\n",
		pkg: "wal", run: []string{"TestDirIsLockedAgainstOtherProcesses"},
	},
	{
		name: "a fenced writer reads on", file: "logdb/dbread.go",
		old: "errors.Is(err, ErrFenced) || errors.Is(err, ErrClosed) {", new: "errors.Is(err, ErrClosed) {",
		run: []string{"TestAFencedWriterShowsNothing"},
	},
	{
		name: "an older manifest is taken", file: "logdb/refresh.go",
		old: "if r.manifest != nil && m.Version < r.manifest.Version {", new: "if false {",
		run: []string{"TestAnOlderManifestIsRefused"},
	},
	{
		name: "a follower is not woken by a commit", file: "logdb/commit.go",
		old: "\tc.db.followers.wake(g.frames, c.next)\n", new: "",
		run: []string{"TestScripts/follow"},
	},
	{
		name: "a polite writer is not", file: "logdb/open.go",
		old: "if !o.opts.Polite || base.Closed", new: "if true || base.Closed",
		run: []string{"TestScripts/open/takeover"},
	},
}
