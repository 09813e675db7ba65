package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// column is a column of a table that has a row for each T.
type column[T any] struct {
	name string
	of   func(T) string
}

// table returns a table in Markdown.
func table[T any](rows []T, columns ...column[T]) string {
	var b strings.Builder
	for _, c := range columns {
		fmt.Fprintf(&b, "| %s ", c.name)
	}
	b.WriteString("|\n" + strings.Repeat("|---", len(columns)) + "|\n")
	for _, row := range rows {
		for _, c := range columns {
			fmt.Fprintf(&b, "| %s ", c.of(row))
		}
		b.WriteString("|\n")
	}
	return b.String()
}

type outcomeColumn = column[*outcome]

// fleetColumns identify the fleet of a row.
func fleetColumns() []outcomeColumn {
	return []outcomeColumn{
		{"pods", func(o *outcome) string { return count(o.pods) }},
		{"schedule", func(o *outcome) string { return o.name }},
	}
}

func peakColumn(name string, s span) outcomeColumn {
	return outcomeColumn{name, func(o *outcome) string { return count(o.peak(s)) }}
}

func erredColumn() outcomeColumn {
	return outcomeColumn{"pods in error", func(o *outcome) string { return count(o.erred) }}
}

func startColumn() outcomeColumn {
	return outcomeColumn{"started within", func(o *outcome) string { return short(o.start) }}
}

func lifetimeColumn() outcomeColumn {
	return outcomeColumn{"lifetime", func(o *outcome) string { return short(o.lifetime) }}
}

func readyColumns() []outcomeColumn {
	return []outcomeColumn{
		{"all ready after", func(o *outcome) string { return short(o.recovered) }},
		{"longest wait", func(o *outcome) string { return short(o.longestWait) }},
		{"waited over a minute", func(o *outcome) string { return count(o.delayed) }},
		erredColumn(),
	}
}

func rolloutTable(rows []*outcome) string {
	return table(rows, slices.Concat(fleetColumns(), []outcomeColumn{
		peakColumn("peak, first 5 min", span{0, settled}),
		peakColumn("rest of hour 1", span{settled, time.Hour}),
		peakColumn("hour 2", span{time.Hour, 2 * time.Hour}),
		peakColumn("hour 6", span{5 * time.Hour, 6 * time.Hour}),
		{"mean of the day", func(o *outcome) string { return rate(o.mean(span{0, o.length})) }},
	}, readyColumns())...)
}

func steadyTable(rows []*outcome) string {
	return table(rows, slices.Concat([]outcomeColumn{startColumn()}, fleetColumns(), []outcomeColumn{
		lifetimeColumn(),
		{"peak", func(o *outcome) string { return count(o.peak(o.calm())) }},
		{"mean", func(o *outcome) string { return rate(o.mean(o.calm())) }},
		{"most pods without credentials", func(o *outcome) string { return count(slices.Max(within(o.lacking, o.calm()))) }},
	})...)
}

func quotaRolloutTable(rows []*outcome) string {
	return table(rows, slices.Concat([]outcomeColumn{startColumn()}, fleetColumns(), []outcomeColumn{
		{"peak", func(o *outcome) string { return count(o.peak(span{0, o.length})) }},
		{"mean of 4 h", func(o *outcome) string { return rate(o.mean(span{0, o.length})) }},
		{"seconds at the quota", func(o *outcome) string { return count(o.exhausted(span{0, o.length})) }},
	}, readyColumns())...)
}

// troubleTable is the table of fleets with a time in which STS did not grant every
// call.
func troubleTable(rows []*outcome, more ...outcomeColumn) string {
	return table(rows, slices.Concat(fleetColumns(), []outcomeColumn{
		lifetimeColumn(),
		{"peak, during", func(o *outcome) string { return count(o.peak(o.trouble.span)) }},
		{"mean, during", func(o *outcome) string { return rate(o.mean(o.trouble.span)) }},
		{"peak, 5 min after", func(o *outcome) string { return count(o.peak(span{o.trouble.to, o.trouble.to + settled})) }},
		{"peak, later", func(o *outcome) string { return count(o.peak(span{o.trouble.to + settled, o.length})) }},
		erredColumn(),
		{"first error after", func(o *outcome) string { return dashIf(o.erred == 0, short(o.firstErred-o.trouble.from)) }},
		{"mean time in error", func(o *outcome) string {
			return dashIf(o.erred == 0, short(o.timeWithout/time.Duration(max(1, o.erred))))
		}},
		{"recovered after", func(o *outcome) string { return dashIf(o.recovered <= o.trouble.to, short(o.recovered-o.trouble.to)) }},
	}, more)...)
}

// exhaustedColumn is about the time after the trouble.
func exhaustedColumn() outcomeColumn {
	return outcomeColumn{"seconds at the quota, after", func(o *outcome) string { return count(o.exhausted(span{o.trouble.to, o.length})) }}
}

// lengthTable has a row for each length of an outage.
func lengthTable(rows []*outcome) string {
	perLength := slices.Collect(slices.Chunk(rows, len(rows)/len(outageLengths())))
	columns := []column[[]*outcome]{
		{"outage", func(row []*outcome) string { return short(row[0].trouble.to - row[0].trouble.from) }},
	}
	for i, o := range perLength[0] {
		columns = append(columns, column[[]*outcome]{o.name + ", " + short(o.lifetime), func(row []*outcome) string {
			return share(row[i].erred, row[i].pods)
		}})
	}
	return table(perLength, columns...)
}

// settled is how long after a rollout or the end of an outage the first rush is
// over; peaks after that are waves.
const settled = 5 * time.Minute

// dashIf returns cell, or a dash if there is nothing to show.
func dashIf(empty bool, cell string) string {
	if empty {
		return "–"
	}
	return cell
}

// count writes 100000 as 100,000.
func count(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// rate writes calls per second.
func rate(f float64) string {
	if f < 100 {
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return count(int(f + 0.5))
}

// share writes n of all as a percentage, and writes 0 % and 100 % only if exact.
func share(n, all int) string {
	switch percent := (100*n + all/2) / all; {
	case percent == 0 && n > 0:
		return "< 1 %"
	case percent == 100 && n < all:
		return "> 99 %"
	default:
		return fmt.Sprintf("%d %%", percent)
	}
}

// short writes a minute as 1m, not as 1m0s, and rounds to seconds above one second.
func short(d time.Duration) string {
	if d > time.Second {
		d = d.Round(time.Second)
	}
	s := d.Round(time.Millisecond).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
