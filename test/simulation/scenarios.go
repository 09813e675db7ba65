package main

import (
	"runtime"
	"sync"
	"time"
)

const (
	// rolloutTime is how long a rollout takes to start all pods, however many.
	rolloutTime = time.Minute

	// growthTime is how long it takes to start the pods of a fleet that grew
	// slowly: twelve periods of the fixed schedule with an hour of lifetime and one
	// with twelve hours, so that its phases are spread evenly, to its advantage.
	growthTime = 576 * time.Minute

	// calmTime is how long steady state is observed: five periods of the fixed
	// schedule, so that its mean does not depend on when that begins.
	calmTime = 4 * time.Hour

	troubleStart = 14 * time.Hour // more than calmTime after the last pod has started
	afterTrouble = 2 * time.Hour  // observed after the trouble
)

// rollout is a scenario in which all pods start within start.
func rollout(pods int, start time.Duration, quota int, length time.Duration) scenario {
	return scenario{pods: pods, lifetime: time.Hour, start: start, quota: quota, length: length}
}

// troubled is a fleet that grew slowly, and then has an outage.
func troubled(pods int, lifetime time.Duration, quota int, length time.Duration) scenario {
	end := troubleStart + length
	return scenario{
		pods: pods, lifetime: lifetime, start: growthTime, quota: quota,
		trouble: trouble{span{troubleStart, end}, 0}, length: end + afterTrouble,
	}
}

// lifetimes are the default and the maximum of --duration.
func lifetimes() []time.Duration { return []time.Duration{time.Hour, 12 * time.Hour} }

func outageLengths() []time.Duration {
	return []time.Duration{10 * time.Minute, 20 * time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 10 * time.Hour}
}

// outcomes are the outcomes of all scenarios, those of the two schedules in turn.
type outcomes struct {
	rollouts, outages           []*outcome // with an STS that grants every call
	quotaRollouts, quotaOutages []*outcome // with defaultQuota
	lengths                     []*outcome // four for each of outageLengths
	scarcities, mixtures        []*scarcity
}

// simulate runs all scenarios with fleets of those sizes, except the outages of
// other lengths, which it runs only with sample pods. Those of scarcity run with several
// seeds, beginning with seed.
func simulate(seed uint64, sample int, sizes ...int) outcomes {
	var all outcomes
	var runs runner
	add := func(to *[]*outcome, s scenario) {
		s.seed = seed
		for _, s.schedule = range []schedule{sidecar(), fixed()} {
			*to = append(*to, runs.add(s))
		}
	}
	for _, pods := range sizes {
		add(&all.rollouts, rollout(pods, rolloutTime, unlimited, 24*time.Hour))
		for _, lifetime := range lifetimes() {
			add(&all.outages, troubled(pods, lifetime, unlimited, time.Hour))
		}
		for _, start := range []time.Duration{rolloutTime, rolloutTime / 6} {
			add(&all.quotaRollouts, rollout(pods, start, defaultQuota, 4*time.Hour))
		}
		add(&all.quotaOutages, troubled(pods, time.Hour, defaultQuota, time.Hour))
	}
	for _, length := range outageLengths() {
		for _, lifetime := range lifetimes() {
			add(&all.lengths, troubled(sample, lifetime, unlimited, length))
		}
	}
	all.scarcities = scarcities(&runs, seed, sizes)
	all.mixtures = mixtures(&runs, seed, sizes[0])
	runs.wait()
	return all
}

// runner runs scenarios on all processors.
type runner struct {
	slots chan struct{}
	group sync.WaitGroup
}

// add returns an outcome that is there after wait.
func (r *runner) add(s scenario) *outcome {
	if r.slots == nil {
		r.slots = make(chan struct{}, runtime.GOMAXPROCS(0))
	}
	o := new(outcome)
	r.slots <- struct{}{}
	r.group.Go(func() {
		defer func() { <-r.slots }()
		if s.name == oracleName {
			*o = *s.runOracle()
		} else {
			*o = *s.run()
		}
	})
	return o
}

func (r *runner) wait() { r.group.Wait() }
