package main

import (
	"slices"
	"time"
)

// longWait is how long a pod may wait for its first credentials: a rollout that
// is held up for longer is noticed.
const longWait = time.Minute

// outcome is what was seen of a scenario. Its slices have an element a second.
type outcome struct {
	scenario
	calls   []int
	lacking []int // started pods without credentials at that moment

	erred       int           // pods without credentials after they had had some
	firstErred  time.Duration // when the first of these was
	delayed     int           // pods that waited for their first ones for more than longWait
	longestWait time.Duration // for the first ones
	recovered   time.Duration // since when no pod lacks credentials
	timeWithout time.Duration // of all pods, after they had had some
}

func newOutcome(s scenario) *outcome {
	seconds := int(s.length/time.Second) + 1
	return &outcome{
		scenario: s,
		calls:    make([]int, seconds),
		lacking:  make([]int, seconds),
	}
}

// without records that p had no credentials from the end of its old ones until
// then, if that is so.
func (o *outcome) without(p *pod, then time.Duration) {
	then = min(then, o.length)
	gap := then - p.expires
	if gap <= 0 {
		return
	}
	// The moments are whole seconds: those from expiry on, before then.
	first := (p.expires + time.Second - 1) / time.Second
	last := (then + time.Second - 1) / time.Second
	for i := first; i < last; i++ {
		o.lacking[i]++
	}
	o.recovered = max(o.recovered, then)
	if !p.ready {
		o.longestWait = max(o.longestWait, gap)
		if gap > longWait {
			o.delayed++
		}
		return
	}
	o.timeWithout += gap
	if !p.erred {
		p.erred = true
		o.erred++
	}
	if o.firstErred == 0 || p.expires < o.firstErred {
		o.firstErred = p.expires
	}
}

// peak returns the most calls in a second of s.
func (o *outcome) peak(s span) int {
	return slices.Max(within(o.calls, s))
}

// mean returns the calls a second in s.
func (o *outcome) mean(s span) float64 {
	return float64(sum(within(o.calls, s))) / (s.to - s.from).Seconds()
}

// exhausted returns how many seconds of s left no call to anybody else in the
// account.
func (o *outcome) exhausted(s span) int {
	n := 0
	for _, calls := range within(o.calls, s) {
		if calls >= o.quota {
			n++
		}
	}
	return n
}

// calm is the time before the trouble, or before the end.
func (o *outcome) calm() span {
	end := o.length
	if o.trouble.from > 0 {
		end = o.trouble.from
	}
	return span{end - calmTime, end}
}

// within returns the elements of the whole seconds of s.
func within(seconds []int, s span) []int {
	return seconds[s.from/time.Second : s.to/time.Second]
}

func sum(values []int) int {
	total := 0
	for _, v := range values {
		total += v
	}
	return total
}
