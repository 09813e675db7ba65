package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// reportedLosses is how many losses an error lists: the first ones show the cause.
const reportedLosses = 5

// loadFigure is a row of the table of a load.
type loadFigure struct {
	name    string
	decimal int // places
	of      func(round) float64
}

func loadFigures() []loadFigure {
	return []loadFigure{
		{"requests", 0, func(r round) float64 { return float64(r.requests) }},
		{"lost", 0, func(r round) float64 { return float64(r.lost) }},
		{"p50 (ms)", 2, func(r round) float64 { return r.p50 }},
		{"p99 (ms)", 2, func(r round) float64 { return r.p99 }},
		{"p99.9 (ms)", 2, func(r round) float64 { return r.p999 }},
		{"longest (ms)", 2, func(r round) float64 { return r.longest }},
	}
}

// printLoad prints tables in Markdown.
func printLoad(w io.Writer, results []result, refreshes int, stall time.Duration) error {
	var all, near strings.Builder
	for _, r := range results {
		sidecar, bare := merge(r.sidecar), merge(r.bare)
		name := r.load.name
		for _, f := range loadFigures() {
			fmt.Fprintf(&all, "| %s | %s | %.*f | %.*f | %s |\n", name, f.name,
				f.decimal, f.of(sidecar), f.decimal, f.of(bare), ratio(f.of(sidecar), f.of(bare), 2))
			name = ""
		}
		printNear(&near, r.load.name+": sidecar", sidecar)
		if r.load.interval > 0 { // both servers were measured during the refresh
			printNear(&near, r.load.name+": bare", bare)
		}
	}
	_, err := fmt.Fprintf(w, `| load | figure | sidecar | bare net/http | ratio |
|---|---|---|---|---|
%s
The sidecar renewed its credentials %d times. The machine stalled for up to %v.
Requests within %v of a renewal:

| load | requests | p50, all (ms) | p50, these (ms) | ratio | p99, all (ms) | p99, these (ms) | ratio |
|---|---|---|---|---|---|---|---|
%s`, &all, refreshes, stall.Round(time.Millisecond), refreshWindow, &near)
	return err
}

// printNear prints a row, unless there were no requests near a refresh.
func printNear(w io.Writer, name string, r round) {
	if r.near == 0 {
		return
	}
	fmt.Fprintf(w, "| %s | %d | %.2f | %.2f | %s | %.2f | %.2f | %s |\n", name, r.near,
		r.p50, r.p50Near, ratio(r.p50Near, r.p50, 2), r.p99, r.p99Near, ratio(r.p99Near, r.p99, 2))
}

// merge combines the rounds: sums, and medians of the percentiles.
func merge(rounds []round) round {
	var t round
	for _, r := range rounds {
		t.requests += r.requests
		t.lost += r.lost
		t.losses = append(t.losses, r.losses...)
		t.near += r.near
	}
	t.p50 = median(rounds, func(r round) float64 { return r.p50 })
	t.p99 = median(rounds, func(r round) float64 { return r.p99 })
	t.p999 = median(rounds, func(r round) float64 { return r.p999 })
	t.longest = median(rounds, func(r round) float64 { return r.longest })
	t.p50Near = median(rounds, func(r round) float64 { return r.p50Near })
	t.p99Near = median(rounds, func(r round) float64 { return r.p99Near })
	return t
}

// lossError returns an error with the first losses, or nil if there are none.
func lossError(results []result, stall time.Duration) error {
	var all []round
	for _, r := range results {
		all = slices.Concat(all, r.sidecar, r.bare)
	}
	t := merge(all)
	if t.lost == 0 {
		return nil
	}
	slices.SortFunc(t.losses, func(a, b loss) int { return a.at.Compare(b.at) })
	var first strings.Builder
	for _, l := range t.losses[:min(reportedLosses, len(t.losses))] {
		fmt.Fprintf(&first, "\n%s %v", l.at.Format("15:04:05.000"), l.err)
	}
	return fmt.Errorf("%d of %d requests lost; the machine stalled for up to %v; first losses:%s",
		t.lost, t.requests, stall.Round(time.Millisecond), &first)
}
