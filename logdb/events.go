package logdb

import "time"

// EventListener is told of what a LogDb does in the background. Functions are
// called from the goroutine that did it, after the fact, and may be called from
// several at once; they must not block and must not call back into the log.
type EventListener struct {
	Shipped func(Event) // a WAL object is in the bucket; Name is data, tables or fence
	Staged  func(Event) // a memtable was written to WALDir as tables, while the bucket is away
	Flushed func(Event) // tables entered the manifest
	Sealed  func(Event) // a segment was sealed
	Merged  func(Event) // tables of a segment were merged
	Dropped func(Event) // retention dropped a segment
	Deleted func(Event) // the collector deleted an object
	Retried func(Event) // a request to the bucket failed and will be repeated; Err says why
	Fenced  func(Event) // a newer writer took over, or Err stopped this one
}

// Event is one such happening. Fields that do not apply are zero.
type Event struct {
	Name     string // what it was
	Object   string // object it concerns
	Segment  uint64
	Range    Range // sequences it covers
	Bytes    int64
	Tables   int // of Merged: how many were replaced
	Duration time.Duration
	Err      error
}

func (l *EventListener) emit(f func(Event), e Event) {
	if f != nil {
		f(e)
	}
}
