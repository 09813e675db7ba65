package main

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// scenario is a fleet and what happens to it.
type scenario struct {
	schedule
	pods     int
	lifetime time.Duration // of credentials
	start    time.Duration // each pod starts at a random moment of the first start
	quota    int           // of calls that STS grants a second
	trouble  trouble
	length   time.Duration
}

// pod is one sidecar. Its only event is its next call.
type pod struct {
	next     time.Duration // time of the next call
	expires  time.Duration // expiration of its credentials; start time before the first ones
	failures int           // in a row
	ready    bool          // has had credentials
	erred    bool          // has lost them
}

// simulation is a queue of pods, of which the first is the next to call.
type simulation struct {
	scenario
	sts    sts
	random *rand.Rand
	queue  []pod
	seen   *outcome
}

// run simulates the scenario. It is deterministic.
func (s scenario) run() *outcome {
	sim := &simulation{
		scenario: s,
		sts:      sts{quota: s.quota, trouble: s.trouble},
		random:   rand.New(rand.NewPCG(0, 0)),
		queue:    make([]pod, s.pods),
		seen:     newOutcome(s),
	}
	for i := range sim.queue {
		at := time.Duration(sim.random.Int64N(int64(s.start)))
		sim.queue[i] = pod{next: at, expires: at}
	}
	heap.Init(sim)
	for sim.queue[0].next < s.length {
		sim.call(&sim.queue[0])
		heap.Fix(sim, 0)
	}
	for i := range sim.queue {
		sim.seen.recordGap(&sim.queue[i], s.length)
	}
	return sim.seen
}

// call makes the call of p that is due, and sets its next one as
// credentials.Refresher does.
func (s *simulation) call(p *pod) {
	at, received := p.next, p.next+answerTime
	s.seen.calls[at/time.Second]++
	if !s.sts.grants(at) {
		p.failures++
		p.next = received + s.backoff(p.failures, max(0, p.expires-received), s.random.Float64())
		return
	}
	s.seen.recordGap(p, received)
	p.failures, p.ready = 0, true
	p.expires = at + s.lifetime
	p.next = received + s.refresh(p.expires-received, s.random.Float64())
}

func (s *simulation) Len() int           { return len(s.queue) }
func (s *simulation) Less(i, j int) bool { return s.queue[i].next < s.queue[j].next }
func (s *simulation) Swap(i, j int)      { s.queue[i], s.queue[j] = s.queue[j], s.queue[i] }

// Push and Pop are only for heap.Interface: a fleet does not grow or shrink.
func (s *simulation) Push(any) { panic("unreachable") }
func (s *simulation) Pop() any { panic("unreachable") }
