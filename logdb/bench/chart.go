package bench

import (
	"bytes"
	"encoding/xml"
	"fmt"
)

// bar is one bar of a chart: the median, and a line from the least to the most.
type bar struct {
	name  string
	value spread
}

// drawBars draws bars beneath each other, as SVG. They begin at 0.
func drawBars(title, figure string, bars []bar) []byte {
	const width, left, right, top, step = 720, 150, 110, 60, 40
	most := 0.0
	for _, b := range bars {
		most = max(most, b.value.most)
	}
	if most <= 0 {
		most = 1
	}
	x := func(v float64) float64 { return left + max(v, 0)/most*(width-left-right) }
	var w bytes.Buffer
	height := top + step*len(bars) + 15
	fmt.Fprintf(&w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", width, height, width, height)
	fmt.Fprintf(&w, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	text := func(x, y float64, anchor, s string) {
		fmt.Fprintf(&w, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="#222222">`, x, y, anchor)
		_ = xml.EscapeText(&w, []byte(s)) // a buffer takes everything
		fmt.Fprintln(&w, "</text>")
	}
	text(15, 22, "start", title)
	text(15, 42, "start", figure+": median, least and most")
	for i, b := range bars {
		y := float64(top + i*step)
		colour := "#2b6cb0"
		if i > 0 {
			colour = "#a0aec0"
		}
		fmt.Fprintf(&w, `<rect x="%d" y="%.1f" width="%.1f" height="22" fill="%s"/>`+"\n", left, y, x(b.value.median)-left, colour)
		fmt.Fprintf(&w, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#222222"/>`+"\n", x(b.value.least), y+11, x(b.value.most), y+11)
		text(left-8, y+15, "end", b.name)
		text(x(b.value.most)+8, y+15, "start", number(b.value.median))
	}
	fmt.Fprintln(&w, "</svg>")
	return w.Bytes()
}
