package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// The picture's measures in pixels.
const (
	svgWidth  = 960
	svgLeft   = 250 // of the bars; names are left of it
	svgRight  = 170 // figures are right of the bars
	svgRow    = 34
	svgBar    = 20
	svgMargin = 24
)

// bar is a row of the picture: its parts are drawn one after the other.
type bar struct {
	name, note string
	parts      []barPart
	mark       float64 // ms; a tick, 0: none
}

type barPart struct {
	name, colour string
	value        float64
}

func (b bar) sum() float64 {
	s := 0.0
	for _, p := range b.parts {
		s += p.value
	}
	return s
}

// picture draws the report as SVG: a bar a capsule of the mean parts of its latency, and bars of
// the CPU time of a frame.
func (r *benchReport) picture() string {
	var b strings.Builder
	latency, cpu := r.latencyBars(), r.cpuBars()
	height := 150 + svgRow*(len(latency)+len(cpu)) + 110
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="Helvetica, Arial, sans-serif" font-size="13">`+"\n",
		svgWidth, height, svgWidth, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", svgWidth, height)
	label(&b, svgMargin, 36, "start", "#1d2733", 20, fmt.Sprintf("%.1f frames a second", r.FPS))
	label(&b, svgMargin, 58, "start", "#5b6875", 13, fmt.Sprintf("%s, %d frames in %d rounds", base(r.Source), r.Frames, len(r.Rounds)))
	y := legend(&b, 84)
	label(&b, svgMargin, y+4, "start", "#1d2733", 14, "Latency of a call: mean in ms; the tick is p99")
	y = rows(&b, y+14, latency)
	label(&b, svgMargin, y+30, "start", "#1d2733", 14, "CPU time of a frame in ms")
	rows(&b, y+40, cpu)
	b.WriteString("</svg>\n")
	return b.String()
}

func (r *benchReport) latencyBars() []bar {
	var list []bar
	for i := range r.Capsules {
		c := &r.Capsules[i]
		row := bar{name: c.Name, mark: c.Whole.P99, note: fmt.Sprintf("%.2f · p99 %.2f", c.Whole.Mean, c.Whole.P99)}
		for _, p := range parts {
			row.parts = append(row.parts, barPart{p.name, p.colour, p.of(c).Mean})
		}
		list = append(list, row)
	}
	whole := bar{name: "frame, start to end", mark: r.Latency.P99, note: fmt.Sprintf("%.2f · p99 %.2f", r.Latency.Mean, r.Latency.P99)}
	whole.parts = []barPart{{"frame", "#6b7785", r.Latency.Mean}}
	return append(list, whole)
}

func (r *benchReport) cpuBars() []bar {
	all := bar{name: "all processes", note: fmt.Sprintf("%.2f", r.allCPU())}
	var list []bar
	for i, name := range r.processes() {
		colour := []string{"#6b7785", "#a779b5", "#5aa6a6", "#d1848f", "#b5a642", "#7d6bb5"}[i%6]
		part := barPart{name, colour, r.CPU[name]}
		all.parts = append(all.parts, part)
		list = append(list, bar{name: name, note: fmt.Sprintf("%.2f", part.value), parts: []barPart{part}})
	}
	return append(list, all)
}

// rows draws bars on one scale and an axis under them, and gives the y below.
func rows(b *strings.Builder, y int, list []bar) int {
	most := 0.0
	for _, row := range list {
		most = max(most, row.sum(), row.mark)
	}
	step := axisStep(most)
	end := max(step, math.Ceil(most/step)*step)
	scale := float64(svgWidth-svgLeft-svgRight) / end
	bottom := y + svgRow*len(list)
	for v := 0.0; v <= end*1.0001; v += step {
		x := svgLeft + v*scale
		fmt.Fprintf(b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#e3e7ec"/>`+"\n", x, y, x, bottom)
		label(b, x, bottom+16, "middle", "#5b6875", 11, fmt.Sprintf("%g", v))
	}
	for i, row := range list {
		row.draw(b, y+svgRow*i+(svgRow-svgBar)/2, scale)
	}
	return bottom + 24
}

func (row bar) draw(b *strings.Builder, y int, scale float64) {
	label(b, svgLeft-10, y+svgBar-5, "end", "#1d2733", 13, row.name)
	x := float64(svgLeft)
	for _, p := range row.parts {
		w := p.value * scale
		fmt.Fprintf(b, `<rect x="%.2f" y="%d" width="%.2f" height="%d" fill="%s"><title>%s: %.3f ms</title></rect>`+"\n",
			x, y, w, svgBar, p.colour, html.EscapeString(p.name), p.value)
		x += w
	}
	if row.mark > 0 {
		at := svgLeft + row.mark*scale
		fmt.Fprintf(b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#1d2733" stroke-width="2"/>`+"\n", at, y-3, at, y+svgBar+3)
	}
	label(b, svgWidth-svgMargin, y+svgBar-5, "end", "#1d2733", 13, row.note)
}

func legend(b *strings.Builder, y int) int {
	x := float64(svgMargin)
	for _, p := range parts {
		fmt.Fprintf(b, `<rect x="%.0f" y="%d" width="14" height="14" fill="%s"/>`+"\n", x, y, p.colour)
		label(b, x+20, y+12, "start", "#1d2733", 13, p.name)
		x += 110
	}
	return y + 44
}

func label(b *strings.Builder, x float64, y int, anchor, colour string, size int, text string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="%s" fill="%s" font-size="%d">%s</text>`+"\n", x, y, anchor, colour, size, html.EscapeString(text))
}

// axisStep gives 1, 2 or 5 times a power of ten, so that there are at most eight steps.
func axisStep(most float64) float64 {
	if !(most > 0) {
		return 1
	}
	step := math.Pow(10, math.Floor(math.Log10(most/8)))
	for _, k := range []float64{1, 2, 5, 10} {
		if most/(step*k) <= 8 {
			return step * k
		}
	}
	return step * 10
}

// base is the last part of a path or URL, for a title.
func base(source string) string {
	source = strings.TrimRight(source, "/")
	return source[strings.LastIndexByte(source, '/')+1:]
}
