package doctor

import (
	"fmt"
	"strings"
	"time"

	"github.com/logdb-go/logdb/objstore"
)

// Verdict is the worst of the findings. Optional ones that are unknown do not count.
func (r Report) Verdict() Verdict {
	order := []Verdict{OK, Slow, Warning, Unknown, Unsafe}
	worst := 0
	for _, f := range r.Findings {
		for rank, v := range order {
			if f.Verdict == v && !(v == Unknown && f.Optional) {
				worst = max(worst, rank)
			}
		}
	}
	return order[worst]
}

// Safe reports whether everything that a log needs was examined and no promise was broken.
func (r Report) Safe() bool {
	v := r.Verdict()
	return len(r.Findings) > 0 && v != Unsafe && v != Unknown
}

// Sentence is the verdict in plain words.
func (r Report) Sentence() string {
	switch r.Verdict() {
	case Unsafe:
		return "Do not keep a log here, records can be lost; broken: " + r.named(Unsafe) + "."
	case Unknown:
		return "Whether a log is safe here is not known; not examined: " + r.named(Unknown) + "."
	case Warning:
		return "A log is safe here, as far as can be seen from here, but look at: " + r.named(Warning) + "."
	case Slow:
		return "A log is safe here, as far as can be seen from here, but the store is slow."
	default:
		return "A log is safe here, as far as can be seen from here."
	}
}

// named lists the findings of one verdict.
func (r Report) named(v Verdict) string {
	var names []string
	for _, f := range r.Findings {
		if f.Verdict == v && !(v == Unknown && f.Optional) {
			names = append(names, f.Name)
		}
	}
	return strings.Join(names, ", ")
}

// Prices are dollars for 1000 requests. Deletes are free.
type Prices struct {
	Put float64 // and per list
	Get float64
}

// S3Standard is the price list of S3 Standard in us-east-1.
var S3Standard = Prices{Put: 0.005, Get: 0.0004}

// Of returns what counted requests cost, in dollars. Requests that fail are billed like others.
func (p Prices) Of(c objstore.Counts) float64 {
	return p.of(float64(c.Requests["put"]+c.Requests["list"]), float64(c.Requests["get"]+c.Requests["get_range"]))
}

func (p Prices) of(puts, gets float64) float64 { return (puts*p.Put + gets*p.Get) / 1000 }

// Cost is what a month of one log costs in requests: storage, and bytes that leave the region, come on top, and so do
// the requests of scans that are not served from memory.
type Cost struct {
	Prices                        Prices
	ShipInterval, RefreshInterval time.Duration
	Readers                       int

	// Puts and Gets of a month in which the writer has something to ship in every interval, and what they cost.
	Puts, Gets float64
	Dollars    float64
	// IdleGets of a month in which nothing is appended; the writer is silent then.
	IdleGets    float64
	IdleDollars float64
}

const (
	month = 30 * 24 * time.Hour

	// What a writer does by default: a flush is two writes, and is due when so much is unflushed.
	flushEvery   = time.Minute
	flushObjects = 256
	flushPuts    = 2
	// And a reader: it reads the manifest when that has changed, and at the latest after this time.
	manifestEvery = 30 * time.Second
)

func perMonth(every time.Duration) float64 { return month.Seconds() / every.Seconds() }

func price(o Options) Cost {
	c := Cost{Prices: o.Prices, ShipInterval: o.ShipInterval, RefreshInterval: o.RefreshInterval, Readers: o.Readers}
	flush := c.flushInterval()
	c.Puts = perMonth(c.ShipInterval) + flushPuts*perMonth(flush)
	c.Gets = float64(c.Readers) * (perMonth(c.ShipInterval) + perMonth(c.RefreshInterval) + perMonth(min(flush, manifestEvery)))
	c.IdleGets = float64(c.Readers) * (perMonth(c.RefreshInterval) + perMonth(manifestEvery))
	c.Dollars = c.Prices.of(c.Puts, c.Gets)
	c.IdleDollars = c.Prices.of(0, c.IdleGets)
	return c
}

func (c Cost) flushInterval() time.Duration { return min(flushEvery, flushObjects*c.ShipInterval) }

// Formula says how the numbers came about.
func (c Cost) Formula() string {
	flush := c.flushInterval()
	return fmt.Sprintf(`puts = month/%v ship + %d * month/%v flush
gets = %d readers * (month/%v ship + month/%v refresh + month/%v manifest); idle without ship
dollars = puts * $%g/1000 + gets * $%g/1000; month = %.0f s`,
		c.ShipInterval, flushPuts, flush, c.Readers, c.ShipInterval, c.RefreshInterval, min(flush, manifestEvery),
		c.Prices.Put, c.Prices.Get, month.Seconds())
}
