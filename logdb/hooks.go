package logdb

import "time"

// hooks let tests see and stop the writer at named steps, and take its
// defences away one at a time. They are zero in the product.
type hooks struct {
	// step is called when the writer has reached a step, before the next.
	step func(name string)
	// off is a defence that is not there: a test shows that its loss is
	// noticed.
	off defence
	// put sends a WAL object in place of putObject.
	put func(s *shipper, sh *shipment, body []byte) error
	// away is how long the bucket must have been away before memtables are
	// staged, if it is not 0.
	away time.Duration
	// steady takes the jitter out of retries.
	steady bool
	// ahead is how far limits are stored ahead, if it is not 0.
	ahead uint64
	// grace is how long the collector keeps names, if it is not 0.
	grace time.Duration
	// forgets lets memtables go as soon as they are in tables: reads go to the
	// parts of a view, all of them.
	forgets bool
	// recovered is told where the log that Open found ends: in the bucket, and
	// with what only the local WAL has.
	recovered func(bucket, local uint64)
}

func (h *hooks) at(name string) {
	if h.step != nil {
		h.step(name)
	}
}

// found tells where the recovered log ends.
func (h *hooks) found(bucket, local uint64) {
	if h.recovered != nil {
		h.recovered(bucket, local)
	}
}

// calm makes the waits of a retry the same each time.
func (h *hooks) calm(r *retry) {
	if h.steady {
		r.delay.RandomizationFactor = 0
	}
}

// open returns a channel that can be received from without a defence, else nil.
func (h *hooks) open(d defence) <-chan struct{} {
	if !h.without(d) {
		return nil
	}
	c := make(chan struct{})
	close(c)
	return c
}

// limitAhead returns how far ahead a limit is stored.
func (h *hooks) limitAhead(usual uint64) uint64 {
	if h.ahead > 0 {
		return h.ahead
	}
	return usual
}

// stageAfter returns how long the bucket must have been away before memtables
// are staged.
func (h *hooks) stageAfter() time.Duration {
	if h.away > 0 {
		return h.away
	}
	return stageAfter
}

// defence names one rule of the protocol.
type defence string

const (
	limitInDirectory   defence = "the directory's limit"
	limitOfRun         defence = "the directory's limit counts in its run only"
	limitInManifest    defence = "the manifest's limit"
	limitHolds         defence = "nothing is shown at or above a limit"
	directoryRun       defence = "the directory's run"
	epochByNonce       defence = "an epoch is ours by our own nonce"
	manifestAfterFence defence = "the manifest is read again after the fence"
	replayFromEnd      defence = "local frames count from the bucket's end on"
	stagedFromEnd      defence = "staged tables count from the bucket's end on"
	stagedInOrder      defence = "staging begins with the oldest memtable"
	timesGoOn          defence = "times go on from the last"
	tablesFirst        defence = "tables are there before the object that names them"
	cutAtAttempted     defence = "a memtable is cut at the last attempted number"
	landedFirst        defence = "a flush ends at or below the remote watermark"
	flushInOrder       defence = "a flush starts where the last one ended"
	editOnce           defence = "an edit asks whether it is there already"
	fencesStay         defence = "fences are never deleted"
	graceFirst         defence = "names are kept for the grace"
	orphanEpoch        defence = "tables of a running epoch are no orphans"
	heldTables         defence = "tables that the WAL names are no orphans"
	compactorEpoch     defence = "a merge counts only in the compactor's own epoch"
	inputsThere        defence = "a merge's inputs are in the base of its edit"
	recoveryComplete   defence = "a writer's tables are judged once recovery has passed its fence"
	walNames           defence = "a sweep from another process reads what the WAL names"
	tailDropped        defence = "a reader drops its tail when flushed passes it"
	manifestFollowed   defence = "a reader reads the manifest again"
	gapRefused         defence = "a reader refuses a gap"
	refreshBounded     defence = "a refresh that took too long starts again"
	readsApplied       defence = "a writer reads what it has applied"
	landedInOrder      defence = "the remote watermark waits for the lowest number"
	syncedFirst        defence = "local is told after the sync"
	viewAtOnce         defence = "a view changes at once"
	withdrawnStays     defence = "what was withdrawn is not written"
)

// without reports whether a defence has been switched off.
func (h *hooks) without(d defence) bool { return h.off == d && d != "" }
