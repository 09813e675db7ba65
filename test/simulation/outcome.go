package main

import (
	"slices"
	"time"
)

// longWait is how long a pod may wait for its first credentials: people notice a
// rollout that is held up for longer.
const longWait = time.Minute

// outcome is the result of a scenario. Its slices have one element per second.
type outcome struct {
	scenario
	calls   []int
	lacking []int // started pods without credentials at that moment

	losses                    // of all pods
	of          []losses      // of each kind of pods
	delayed     int           // pods that waited longer than longWait for their first credentials
	longestWait time.Duration // for the first credentials
	recovered   time.Duration // when the last pod without credentials got some
}

// losses are about the pods that had credentials and lost them.
type losses struct {
	erred       int           // how many
	firstErred  time.Duration // when the first one lost them
	timeWithout time.Duration // total
	longest     time.Duration // without credentials
}

func (l *losses) record(p *pod, gap time.Duration) {
	l.timeWithout += gap
	l.longest = max(l.longest, gap)
	if !p.erred {
		l.erred++
	}
	if l.firstErred == 0 || p.expires < l.firstErred {
		l.firstErred = p.expires
	}
}

func newOutcome(s scenario) *outcome {
	seconds := int(s.length/time.Second) + 1
	return &outcome{
		scenario: s,
		calls:    make([]int, seconds),
		lacking:  make([]int, seconds),
		of:       make([]losses, len(s.mix)),
	}
}

// recordGap records the time until end in which p had no credentials, if any.
func (o *outcome) recordGap(p *pod, end time.Duration) {
	end = min(end, o.length)
	gap := end - p.expires
	if gap <= 0 {
		return
	}
	// Count the whole seconds from expiry on and before end.
	first := (p.expires + time.Second - 1) / time.Second
	last := (end + time.Second - 1) / time.Second
	for i := first; i < last; i++ {
		o.lacking[i]++
	}
	o.recovered = max(o.recovered, end)
	if !p.ready {
		o.longestWait = max(o.longestWait, gap)
		if gap > longWait {
			o.delayed++
		}
		return
	}
	o.losses.record(p, gap)
	o.of[p.member].record(p, gap)
	p.erred = true
}

// peak returns the highest number of calls in a second of s.
func (o *outcome) peak(s span) int {
	return slices.Max(within(o.calls, s))
}

// mean returns the mean number of calls per second in s.
func (o *outcome) mean(s span) float64 {
	return float64(sum(within(o.calls, s))) / (s.to - s.from).Seconds()
}

// exhausted returns the number of seconds of s in which the whole quota was used.
func (o *outcome) exhausted(s span) int {
	n := 0
	for _, calls := range within(o.calls, s) {
		if calls >= o.quota {
			n++
		}
	}
	return n
}

// calm is the steady state: the time before the trouble, or before the end.
func (o *outcome) calm() span {
	end := o.length
	if o.trouble.from > 0 {
		end = o.trouble.from
	}
	return span{end - calmTime, end}
}

// within returns the elements for the whole seconds of s.
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
