package main

import (
	"slices"
	"time"
)

// refreshWindow is how long before and after a refresh it may slow down requests:
// its handshake comes before, garbage collection after.
const refreshWindow = 250 * time.Millisecond

// sample is a request that was answered.
type sample struct {
	due  time.Time
	took time.Duration // from then to the end of the answer
}

// near reports whether s was in flight within refreshWindow of a refresh.
func (s sample) near(refreshes []time.Time) bool {
	return slices.ContainsFunc(refreshes, func(at time.Time) bool {
		return !s.due.After(at.Add(refreshWindow)) && !s.due.Add(s.took).Before(at.Add(-refreshWindow))
	})
}

// round is the result of one load on one server for roundTime. The percentiles
// are in milliseconds.
type round struct {
	requests, lost          int
	losses                  []loss // the first few of each client
	p50, p99, p999, longest float64

	near             int // requests near a refresh
	p50Near, p99Near float64
}

func newRound(samples []sample, lost int, losses []loss, refreshes []time.Time) round {
	var all, near []time.Duration
	for _, s := range samples {
		all = append(all, s.took)
		if s.near(refreshes) {
			near = append(near, s.took)
		}
	}
	slices.Sort(all)
	slices.Sort(near)
	return round{
		requests: len(samples) + lost,
		lost:     lost,
		losses:   losses,
		p50:      percentile(all, 500),
		p99:      percentile(all, 990),
		p999:     percentile(all, 999),
		longest:  percentile(all, 1000),
		near:     len(near),
		p50Near:  percentile(near, 500),
		p99Near:  percentile(near, 990),
	}
}

// percentile returns, in milliseconds, the smallest of the sorted values that
// perMille of a thousand values do not exceed; 0 if there are no values.
func percentile(sorted []time.Duration, perMille int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return milliseconds(sorted[(len(sorted)*perMille+999)/1000-1])
}
