package main

import (
	"container/heap"
	"time"
)

// line is a heap of pods that wait for their turn: the first is the one whose credentials
// expire first.
type line []*pod

func (l line) Len() int           { return len(l) }
func (l line) Less(i, j int) bool { return l[i].expires < l[j].expires }
func (l line) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *line) Push(p any)        { *l = append(*l, p.(*pod)) }
func (l *line) Pop() any {
	last := (*l)[len(*l)-1]
	*l = (*l)[:len(*l)-1]
	return last
}

// runOracle simulates the scenario with the schedule oracle. At the beginning of each
// second it serves those that became due before.
func (s scenario) runOracle() *outcome {
	sim := s.begin()
	var waiting line
	for second := range len(sim.queue) {
		at := time.Duration(second) * time.Second
		for left := sim.sts.allowed(at); left > 0 && len(waiting) > 0; left-- {
			p := heap.Pop(&waiting).(*pod)
			sim.seen.calls[second]++
			sim.grant(p, at)
			sim.enqueue(p)
		}
		for _, p := range sim.queue[second] {
			heap.Push(&waiting, p)
		}
		sim.queue[second] = nil
	}
	for i := range sim.fleet {
		sim.seen.recordGap(&sim.fleet[i], s.length)
	}
	return sim.seen
}
