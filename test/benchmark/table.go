package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// figure is a row of the table.
type figure struct {
	name    string
	decimal int     // places
	limit   float64 // for the sidecar; 0: none
	of      func(*process) float64
}

func figures() []figure {
	const mebibyte = 1 << 20
	return []figure{
		{"resident memory, idle (MiB)", 1, 13.5, func(p *process) float64 { return float64(p.rss) / mebibyte }},
		{"of which anonymous (MiB)", 1, 3.9, func(p *process) float64 { return float64(p.anonymous) / mebibyte }},
		{"resident memory, peak (MiB)", 1, 0, func(p *process) float64 { return float64(p.peak) / mebibyte }},
		{"wake-ups a minute, idle", 0, 10, func(p *process) float64 { return p.wakeUps }},
		{"CPU a minute, idle (ms)", 1, 20, func(p *process) float64 { return milliseconds(p.cpu) }},
		{"start to first answer, excluding STS (ms)", 0, 50, func(p *process) float64 { return milliseconds(p.startTime) }},
	}
}

func milliseconds(d time.Duration) float64 {
	return float64(d) / float64(time.Millisecond)
}

// printTable prints the medians in Markdown.
func printTable(w io.Writer, sidecar, bare *kind) error {
	if _, err := fmt.Fprint(w, "| figure | sidecar | bare net/http | ratio | limit |\n|---|---|---|---|---|\n"); err != nil {
		return err
	}
	size := func(k *kind) float64 { return float64(k.binary) / (1 << 20) }
	if err := printRow(w, figure{name: "stripped binary (MiB)", decimal: 1, limit: 11}, size(sidecar), size(bare)); err != nil {
		return err
	}
	for _, f := range figures() {
		if err := printRow(w, f, median(sidecar.processes, f.of), median(bare.processes, f.of)); err != nil {
			return err
		}
	}
	return nil
}

func printRow(w io.Writer, f figure, sidecar, bare float64) error {
	limit := "–"
	if f.limit > 0 {
		limit = fmt.Sprintf("%g", f.limit)
	}
	if f.limit > 0 && sidecar > f.limit {
		limit += ", **missed**"
	}
	_, err := fmt.Fprintf(w, "| %s | %.*f | %.*f | %s | %s |\n", f.name, f.decimal, sidecar, f.decimal, bare, ratio(sidecar, bare, 1), limit)
	return err
}

// ratio returns a/b with that many decimal places, or a dash if b is 0.
func ratio(a, b float64, decimal int) string {
	if b == 0 {
		return "–"
	}
	return fmt.Sprintf("%.*f", decimal, a/b)
}

// median returns the median of the values that of returns for an odd number of
// things.
func median[T any](things []T, of func(T) float64) float64 {
	values := make([]float64, len(things))
	for i, thing := range things {
		values[i] = of(thing)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
