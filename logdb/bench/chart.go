package bench

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"slices"
)

// chart is bars beneath each other. They begin at 0, unless they differ so much that only their orders of magnitude can
// be shown.
type chart struct {
	title, figure string
	bars          []bar
	mark          float64  // a line across all bars, where it is not 0
	legend        []string // of the bars' colours; one needs none
}

// bar is one bar of a chart: the median, and a line from the least to the most.
type bar struct {
	name   string
	colour int
	value  spread
}

var colours = []string{"#2b6cb0", "#a0aec0", "#dd6b20"}

const (
	chartWidth = 860
	chartLeft  = 340 // room for names
	chartRight = 90  // room for numbers
)

// svg draws the chart.
func (c *chart) svg() []byte {
	const top, step = 60, 28
	x, how := c.scale()
	height := top + step*len(c.bars) + 12
	if len(c.legend) > 1 {
		height += 24
	}
	w := &svg{}
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", chartWidth, height, chartWidth, height)
	w.rect(0, 0, chartWidth, float64(height), "#ffffff")
	w.text(15, 22, "start", c.title)
	w.text(15, 42, "start", c.figure+how)
	for i, b := range c.bars {
		y := float64(top + i*step)
		w.rect(chartLeft, y, x(b.value.median)-chartLeft, 18, colours[b.colour%len(colours)])
		w.line(x(b.value.least), y+9, x(b.value.most), y+9, "#222222")
		w.text(chartLeft-8, y+14, "end", b.name)
		w.text(x(b.value.most)+8, y+14, "start", number(b.value.median))
	}
	if c.mark > 0 {
		w.line(x(c.mark), top-6, x(c.mark), float64(top+step*len(c.bars)), "#c53030")
	}
	if len(c.legend) > 1 {
		for i, name := range c.legend {
			left, y := float64(15+i*240), float64(height-20)
			w.rect(left, y, 12, 12, colours[i%len(colours)])
			w.text(left+18, y+11, "start", name)
		}
	}
	fmt.Fprintln(w, "</svg>")
	return w.Bytes()
}

// scale returns where a value lies across the chart, and what is to be said of that.
func (c *chart) scale() (x func(float64) float64, how string) {
	const across, apart = chartWidth - chartLeft - chartRight, 500
	most, least := c.mark, math.Inf(1)
	for _, b := range c.bars {
		most = max(most, b.value.most)
		if b.value.median > 0 {
			least = min(least, b.value.median)
		}
	}
	if most <= 0 {
		most = 1
	}
	if most < apart*least || c.mark > 0 {
		return func(v float64) float64 { return chartLeft + max(v, 0)/most*across }, ""
	}
	from := math.Floor(math.Log10(least))
	decades := math.Log10(most) - from
	return func(v float64) float64 {
		if v <= 0 {
			return chartLeft
		}
		return chartLeft + max(math.Log10(v)-from, 0)/decades*across
	}, fmt.Sprintf("; logarithmic, from %s", number(math.Pow(10, from)))
}

type svg struct{ bytes.Buffer }

func (w *svg) rect(x, y, width, height float64, colour string) {
	fmt.Fprintf(w, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`+"\n", x, y, width, height, colour)
}

func (w *svg) line(x1, y1, x2, y2 float64, colour string) {
	fmt.Fprintf(w, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>`+"\n", x1, y1, x2, y2, colour)
}

func (w *svg) text(x, y float64, anchor, s string) {
	fmt.Fprintf(w, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="#222222">`, x, y, anchor)
	_ = xml.EscapeText(w, []byte(s)) // a buffer takes everything
	fmt.Fprintln(w, "</text>")
}

// rowChart has the named figures of all cases of a row that ran.
func rowChart(row Row, r *Recorded, figures []string) *chart {
	c := &chart{title: row.Title, figure: "median, least and most"}
	if len(figures) == 1 {
		c.figure = figures[0] + ": " + c.figure
	}
	spreads := make([]map[string]spread, len(row.Cases))
	for i, k := range row.Cases {
		if spreads[i] = r.spreads(i); len(spreads[i]) > 0 {
			c.legend = append(c.legend, k.Name)
		}
	}
	for _, name := range figures {
		for i, k := range row.Cases {
			s, ok := spreads[i][name]
			if !ok {
				continue
			}
			label := name
			if len(figures) == 1 {
				label = k.Name
			}
			c.bars = append(c.bars, bar{label, slices.Index(c.legend, k.Name), s})
		}
	}
	return c
}

// allowance is how much of what a goal allows was taken: 1 is its limit, less is better. It is not known where a figure
// is missing, or nothing is allowed and something taken.
func (g Goal) allowance(cases []Metrics) (share float64, known bool) {
	limit, _, known := g.met(cases)
	if !known {
		return 0, false
	}
	got := cases[0][g.Figure]
	if !g.AtMost {
		got, limit = limit, got
	}
	switch {
	case got == 0:
		return 0, true
	case limit == 0:
		return 0, false
	}
	share = got / limit
	return share, !math.IsNaN(share)
}
