package compact

import "github.com/logdb-go/logdb/segment"

// DefaultTableBytes is the size that outputs are bounded by.
const DefaultTableBytes = 64 << 20

// Merges of an unfinished segment take at least minRun and at most maxRun
// tables: fewer are not worth a rewrite, more keep too many open at once.
const (
	minRun = 4
	maxRun = 16
)

// Options bound what is planned. The zero value consolidates nothing, since
// nothing is known to be flushed.
type Options struct {
	// Flushed is the manifest's: a sealed segment that ends above it still gets tables and is not consolidated yet.
	Flushed uint64
	// TableBytes bounds an output's size in bytes; 0 means DefaultTableBytes.
	TableBytes int64
	// SmallBytes is the size in bytes below which a table of an unfinished segment is merged; 0 means a quarter of
	// TableBytes.
	SmallBytes int64
	// KeepSealed leaves sealed segments unconsolidated; their small tables are merged all the same.
	KeepSealed bool
}

func (o Options) withDefaults() Options {
	if o.TableBytes <= 0 {
		o.TableBytes = DefaultTableBytes
	}
	if o.SmallBytes <= 0 {
		o.SmallBytes = o.TableBytes / 4
	}
	return o
}

// Job is one merge: the outputs take the place of Tables, which are neighbours
// in their segment.
type Job struct {
	Segment uint64
	// Tables are the inputs in concatenation order. Job and manifest share their key bounds.
	Tables []segment.Table
	// Consolidates tells that Tables are all of the segment's and that it is consolidated afterwards.
	Consolidates bool
	// MarkOnly tells that the segment is one sorted run as it is: there is nothing to merge, only to note.
	MarkOnly bool
}

// Bytes is the size of the inputs.
func (j Job) Bytes() int64 {
	n := int64(0)
	for i := range j.Tables {
		n += j.Tables[i].Size
	}
	return n
}

// Plan says what to merge, oldest segment first. Jobs share no table, so they
// can be carried out in any order; after an edit the rest of a plan is as good
// as a new one.
func Plan(segments []segment.Segment, o Options) []Job {
	o = o.withDefaults()
	var jobs []Job
	for i := range segments {
		s := &segments[i]
		switch {
		case s.Consolidated:
		case s.Sealed && s.End <= o.Flushed && !o.KeepSealed:
			jobs = append(jobs, Job{
				Segment: s.ID, Tables: s.Tables, Consolidates: true, MarkOnly: len(s.Tables) < 2,
			})
		default:
			jobs = planSmall(jobs, s, o)
		}
	}
	return jobs
}

// planSmall adds the merges of a segment that is not finished.
func planSmall(jobs []Job, s *segment.Segment, o Options) []Job {
	for i := 0; i < len(s.Tables); {
		n := smallRun(s.Tables[i:], o)
		if n == 0 {
			i++
			continue
		}
		jobs = append(jobs, Job{Segment: s.ID, Tables: s.Tables[i : i+n : i+n]})
		i += n
	}
	return jobs
}

// smallRun returns how many of the first tables to merge, 0 for none. The
// largest is at most half of the whole, lest a large table be rewritten for every
// few small ones that follow it.
func smallRun(tables []segment.Table, o Options) int {
	run := 0
	total, largest := int64(0), int64(0)
	for i := range min(len(tables), maxRun) {
		size := tables[i].Size
		total, largest = total+size, max(largest, size)
		if size >= o.SmallBytes || total > o.TableBytes {
			break
		}
		if i+1 >= minRun && largest <= total/2 {
			run = i + 1
		}
	}
	return run
}
