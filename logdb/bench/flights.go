package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strconv"
)

// flights draws records from a data set. Route, delay and time of day are drawn from it independently of each other
// and the day from ten years, so that no record repeats: a data set that was loaded again and again would compress
// better than any log does.
type flights struct {
	routes []route
	delays []int
	clocks []string // HH:MM
	pick   []int    // one route per flight: busy routes are drawn more often
}

type route struct {
	origin, destination string
	distance            int
}

func readFlights(name string) (*flights, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("bench: data set: %w", err)
	}
	var rows []struct {
		Date                string
		Delay, Distance     int
		Origin, Destination string
	}
	if err := json.Unmarshal(data, &rows); err != nil {
		return nil, fmt.Errorf("bench: data set %s: %w", name, err)
	}
	f := &flights{}
	index := map[route]int{}
	for i, row := range rows {
		if len(row.Date) < 5 {
			return nil, fmt.Errorf("bench: data set %s: flight %d has date %q, want YYYY/MM/DD HH:MM", name, i, row.Date)
		}
		r := route{row.Origin, row.Destination, row.Distance}
		at, known := index[r]
		if !known {
			at = len(f.routes)
			index[r] = at
			f.routes = append(f.routes, r)
		}
		f.pick = append(f.pick, at)
		f.delays = append(f.delays, row.Delay)
		f.clocks = append(f.clocks, row.Date[len(row.Date)-5:])
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("bench: data set %s has no flights", name)
	}
	sort.Ints(f.delays) // the draw is uniform: order says nothing
	return f, nil
}

// append appends one flight: its route as the key, then its JSON.
func (f *flights) append(b []byte, ends []int, r *rng) ([]byte, []int) {
	way := f.routes[f.pick[r.below(len(f.pick))]]
	b = append(append(append(b, way.origin...), '-'), way.destination...)
	ends = append(ends, len(b))
	b = append(b, `{"date":"`...)
	b = strconv.AppendInt(b, int64(2001+r.below(10)), 10)
	b = append(pad2(append(b, '/'), 1+r.below(12)), '/')
	b = append(pad2(b, 1+r.below(28)), ' ')
	b = append(append(b, f.clocks[r.below(len(f.clocks))]...), `","delay":`...)
	b = append(strconv.AppendInt(b, int64(f.delays[r.below(len(f.delays))]), 10), `,"distance":`...)
	b = append(strconv.AppendInt(b, int64(way.distance), 10), `,"origin":"`...)
	b = append(append(b, way.origin...), `","destination":"`...)
	b = append(append(b, way.destination...), `"}`...)
	return b, append(ends, len(b))
}

func pad2(b []byte, n int) []byte { return append(b, byte('0'+n/10), byte('0'+n%10)) }
