package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	bin  = 15 * time.Second // the resolution of a line
	tick = 20 * time.Minute // between two labels on the time axis
)

// A picture is laid out in integers, in tenths of a pixel: floating-point products
// may differ between machines.
const (
	pictureWidth = 9600
	plotLeft     = 900
	plotRight    = 9300
	plotHeight   = 2200
	firstTop     = 1350 // upper edge of the first plot
	nextTop      = 3050 // from one plot's upper edge to the next one's
)

// picture plots two fleets over time.
type picture struct {
	file   string
	title  string
	axis   string        // label of the time axis
	zero   time.Duration // its origin
	shown  span
	shade  span       // when STS was down
	fleets []*outcome // the sidecar's first
	panels []panel
}

// panel is a plot in a picture.
type panel struct {
	title  string
	limit  int // draws a dashed line; 0: none
	label  string
	values func(*outcome, span) int // for one bin
}

func callsPanel() panel {
	return panel{"calls to STS per second, 15 s means", defaultQuota, "default quota, 600", func(o *outcome, s span) int {
		return sum(within(o.calls, s)) / int(bin/time.Second)
	}}
}

func lackingPanel() panel {
	return panel{"pods without credentials, sampled every 15 s", 0, "", func(o *outcome, s span) int { return within(o.lacking, s)[0] }}
}

// colours are the colours of the fleets, distinguishable by colour-blind people.
func colours() [2]string { return [...]string{"#0b62c4", "#d9730d"} }

// markdown embeds the picture in a page in the same folder.
func (p picture) markdown() string { return fmt.Sprintf("![%s](%s)", p.title, p.file) }

// svg returns the picture as a file, with a white background.
func (p picture) svg() string {
	var b strings.Builder
	bottom := firstTop + (len(p.panels)-1)*nextTop + plotHeight
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" role="img" font-family="Helvetica, Arial, sans-serif" font-size="145" fill="#1f2328">
<title>%s</title>
<rect width="100%%" height="100%%" rx="80" fill="#fff"/>
<text x="%d" y="400" font-size="210" font-weight="bold">%s</text>
`, pictureWidth, bottom+650, pictureWidth/10, p.title, plotLeft, p.title)
	for i, o := range p.fleets {
		x := plotLeft + i*1600
		fmt.Fprintf(&b, `<path d="M%d 700h360" stroke="%s" stroke-width="40"/><text x="%d" y="750">%s</text>`+"\n", x, colours()[i], x+450, o.name)
	}
	for i, panel := range p.panels {
		p.draw(&b, panel, firstTop+i*nextTop)
	}
	text(&b, (plotLeft+plotRight)/2, bottom+470, "middle", p.axis)
	b.WriteString("</svg>\n")
	return b.String()
}

// draw draws a panel whose plot has its upper edge at top.
func (p picture) draw(b *strings.Builder, panel panel, top int) {
	var lines [][]int
	greatest := max(panel.limit, 1)
	for _, o := range p.fleets {
		line := p.line(o, panel)
		greatest = max(greatest, slices.Max(line))
		lines = append(lines, line)
	}
	step := niceStep(greatest)
	full := (greatest + step - 1) / step * step
	y := func(v int) int { return top + plotHeight - v*plotHeight/full }

	if p.shade.to > 0 {
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" fill="#eceff2"/>`+"\n", p.x(p.shade.from), top, p.x(p.shade.to)-p.x(p.shade.from), plotHeight)
		text(b, p.x(p.shade.from)+80, top+190, "start", "no STS")
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" font-weight="bold">%s</text>`+"\n", plotLeft, top-150, panel.title)
	for v := 0; v <= full; v += step {
		fmt.Fprintf(b, `<path d="M%d %dH%d" stroke="#d1d9e0" stroke-width="8"/>`+"\n", plotLeft, y(v), plotRight)
		text(b, plotLeft-100, y(v)+50, "end", count(v))
	}
	p.drawTime(b, y(0))
	for i := len(lines) - 1; i >= 0; i-- {
		fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="22" stroke-linejoin="round"/>`+"\n", p.path(lines[i], y), colours()[i])
	}
	if panel.limit > 0 {
		fmt.Fprintf(b, `<path d="M%d %dH%d" stroke="#59636e" stroke-width="15" stroke-dasharray="70 50"/>`+"\n", plotLeft, y(panel.limit), plotRight)
		text(b, plotRight-60, y(panel.limit)-70, "end", panel.label)
	}
}

// drawTime draws the labels of the time axis, which is at y.
func (p picture) drawTime(b *strings.Builder, y int) {
	for t := p.shown.from; t <= p.shown.to; t += tick {
		fmt.Fprintf(b, `<path d="M%d %dv70" stroke="#59636e" stroke-width="10"/>`+"\n", p.x(t), y)
		text(b, p.x(t), y+230, "middle", fmt.Sprint(int((t-p.zero)/time.Minute)))
	}
}

func text(b *strings.Builder, x, y int, anchor, s string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="%s">%s</text>`+"\n", x, y, anchor, s)
}

// line returns the values of a panel for a fleet, bin by bin.
func (p picture) line(o *outcome, panel panel) []int {
	var line []int
	for t := p.shown.from; t < p.shown.to; t += bin {
		line = append(line, panel.values(o, span{t, t + bin}))
	}
	return line
}

// path draws each value of a line at the start of its bin.
func (p picture) path(line []int, y func(int) int) string {
	var b strings.Builder
	command := "M"
	for i, v := range line {
		if i > 0 && i+1 < len(line) && line[i-1] == v && v == line[i+1] {
			continue // a level stretch needs only its ends
		}
		fmt.Fprintf(&b, "%s%d %d", command, p.x(p.shown.from+time.Duration(i)*bin), y(v))
		command = "L"
	}
	return b.String()
}

func (p picture) x(t time.Duration) int {
	return plotLeft + int((plotRight-plotLeft)*(t-p.shown.from)/(p.shown.to-p.shown.from))
}

// niceStep returns a round step that reaches greatest in at most five steps.
func niceStep(greatest int) int {
	for ten := 1; ; ten *= 10 {
		for _, step := range []int{ten, 2 * ten, 5 * ten} {
			if greatest <= 5*step {
				return step
			}
		}
	}
}
