package main

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"irsa-sidecar/internal/credentials"
)

// scenario is a fleet and what happens to it.
type scenario struct {
	schedule
	pods     int
	lifetime time.Duration // of credentials
	start    time.Duration // each pod starts at a random moment of the first start; 0: see settle
	mix      []member      // the kinds of pods, in turn; empty: all have schedule and lifetime
	quota    int           // of calls that STS grants a second
	trouble  trouble
	length   time.Duration
	seed     uint64
}

// member is a kind of pod in a mixed fleet.
type member struct {
	schedule
	lifetime time.Duration
}

// pod is one sidecar. Its only event is its next call.
type pod struct {
	next     time.Duration // time of the next call
	expires  time.Duration // expiration of its credentials; start time before the first ones
	member   int           // index into scenario.mix
	failures credentials.Failures
	ready    bool // has had credentials
	erred    bool // has lost them
}

// simulation is a fleet whose pods are queued by the second of their next call.
type simulation struct {
	scenario
	sts    sts
	random *rand.Rand
	fleet  []pod
	queue  [][]*pod // by second
	free   [][]*pod // to use again
	seen   *outcome
}

// run simulates the scenario. It is deterministic.
func (s scenario) run() *outcome {
	sim := s.begin()
	for second := range len(sim.queue) {
		sim.second(second)
	}
	for i := range sim.fleet {
		sim.seen.recordGap(&sim.fleet[i], s.length)
	}
	return sim.seen
}

// begin returns a simulation in which no pod has called yet.
func (s scenario) begin() *simulation {
	if s.mix == nil {
		s.mix = []member{{s.schedule, s.lifetime}}
	}
	sim := &simulation{
		scenario: s,
		sts:      sts{quota: s.quota, trouble: s.trouble},
		random:   rand.New(rand.NewPCG(s.seed, 0)),
		fleet:    make([]pod, s.pods),
		queue:    make([][]*pod, (s.length+time.Second-1)/time.Second),
		seen:     newOutcome(s),
	}
	for i := range sim.fleet {
		p := &sim.fleet[i]
		p.member = i % len(s.mix)
		if s.start > 0 {
			p.next = time.Duration(sim.random.Int64N(int64(s.start)))
			p.expires = p.next
		} else {
			sim.settle(p)
		}
		sim.enqueue(p)
	}
	return sim
}

// settle makes p a pod that has been running for long: it has credentials, and is at a
// random moment between two calls.
func (s *simulation) settle(p *pod) {
	m := s.mix[p.member]
	period := m.refresh(m.lifetime, s.random.Float64())
	age := time.Duration(s.random.Float64() * float64(period))
	p.ready, p.next, p.expires = true, period-age, m.lifetime-age
}

// enqueue queues p for its next call, if that is in this simulation.
func (s *simulation) enqueue(p *pod) {
	second := int(p.next / time.Second)
	if p.next >= s.length {
		return
	}
	if s.queue[second] == nil && len(s.free) > 0 {
		last := len(s.free) - 1
		s.queue[second], s.free = s.free[last], s.free[:last]
	}
	s.queue[second] = append(s.queue[second], p)
}

// second makes all calls of that second, in order.
func (s *simulation) second(second int) {
	earlier := func(a, b *pod) int { return cmp.Compare(a.next, b.next) }
	slices.SortFunc(s.queue[second], earlier)
	for i := 0; i < len(s.queue[second]); i++ {
		p := s.queue[second][i]
		s.call(p)
		if int(p.next/time.Second) != second {
			s.enqueue(p)
			continue
		}
		at, _ := slices.BinarySearchFunc(s.queue[second][i+1:], p, earlier)
		s.queue[second] = slices.Insert(s.queue[second], i+1+at, p)
	}
	s.free = append(s.free, s.queue[second][:0])
	s.queue[second] = nil
}

// call makes the call of p that is due, and sets its next one as
// credentials.Refresher does.
func (s *simulation) call(p *pod) {
	at, received := p.next, p.next+answerTime
	s.seen.calls[at/time.Second]++
	granted, throttled := s.sts.grants(at)
	if granted {
		s.grant(p, at)
		return
	}
	var wait time.Duration
	p.failures, wait = s.mix[p.member].backoff(p.failures, throttled, max(0, p.expires-received), s.random.Float64())
	p.next = received + wait
}

// grant gives p the credentials that it called for.
func (s *simulation) grant(p *pod, at time.Duration) {
	received := at + answerTime
	s.seen.recordGap(p, received)
	p.failures, p.ready = credentials.Failures{}, true
	m := s.mix[p.member]
	p.expires = at + m.lifetime
	p.next = received + m.refresh(p.expires-received, s.random.Float64())
}
