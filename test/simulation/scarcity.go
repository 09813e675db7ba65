package main

import (
	"slices"
	"time"
)

const (
	// podsPerCall is how many pods share one call a second while other callers use
	// the rest of the account's quota. To renew the credentials of so many pods once
	// in their hour takes 0.7 calls a second; the fixed schedule makes 0.9 and the
	// sidecar 1.2.
	podsPerCall = 2500

	// podsPerCallAtHalf is how many share one if the account has half of what they need.
	podsPerCallAtHalf = 7200

	scarcityStart = time.Hour

	// seeds is how often a scenario of scarcity is run: whether a pod in thousands loses
	// its credentials is chance.
	seeds = 5
)

// scarcity is a scenario in which calls are throttled, once per seed.
type scarcity struct {
	what string
	runs []*outcome
}

// scarce is a settled fleet, pods of which then share a call a second.
func scarce(pods, perCall int, length time.Duration) scenario {
	end := scarcityStart + length
	return scenario{
		pods: pods, lifetime: time.Hour, quota: unlimited,
		trouble: trouble{span{scarcityStart, end}, max(1, 10*pods/perCall)}, length: end + afterTrouble,
	}
}

// mixed is a fleet of those members in turn in an hour of scarcity.
func mixed(pods, perCall int, members ...member) scenario {
	s := scarce(pods, perCall, time.Hour)
	s.mix = members
	return s
}

// rolloutInto is a rollout, whose first renewals meet scarcity.
func rolloutInto(pods int) scenario {
	s := scarce(pods, podsPerCall, time.Hour)
	s.start = rolloutTime
	s.trouble.span = span{20 * time.Minute, 80 * time.Minute}
	return s
}

// schedules are the sidecar's, the alternatives to it, and the limits.
func schedules() []schedule {
	return []schedule{sidecar(), soon(), once(), impatient(), fixed(), oracle()}
}

func scarcities(runs *runner, seed uint64, sizes []int) (all []*scarcity) {
	add := func(what string, s scenario, of ...schedule) {
		for _, s.schedule = range of {
			all = append(all, runs.addScarcity(what, s, seed))
		}
	}
	for _, pods := range sizes {
		add("an hour", scarce(pods, podsPerCall, time.Hour), schedules()...)
	}
	smallest, largest := sizes[0], slices.Max(sizes)
	few := []schedule{sidecar(), impatient(), fixed(), oracle()}
	add("six hours", scarce(smallest, podsPerCall, 6*time.Hour), schedules()...)
	add("six hours", scarce(largest, podsPerCall, 6*time.Hour), sidecar())
	add("half of what they need, an hour", scarce(smallest, podsPerCallAtHalf, time.Hour), few...)
	add("ten minutes, a quarter of that", scarce(smallest, 4*podsPerCall, 10*time.Minute), few...)
	add("a rollout 20 min before the hour", rolloutInto(smallest), schedules()...)
	return all
}

func mixtures(runs *runner, seed uint64, pods int) (all []*scarcity) {
	add := func(what string, s scenario) { all = append(all, runs.addScarcity(what, s, seed)) }
	for _, s := range []schedule{sidecar(), impatient()} {
		add("half SDK", mixed(pods, 3000, member{s, time.Hour}, member{sdk(), time.Hour}))
	}
	for _, s := range []schedule{sidecar(), impatient()} {
		short, hour, long := member{s, 15 * time.Minute}, member{s, time.Hour}, member{s, 12 * time.Hour}
		add("lifetimes", mixed(pods, podsPerCall, short, hour, long, hour, long, hour, long, hour, long, hour))
	}
	return all
}

// addScarcity runs s once per seed.
func (r *runner) addScarcity(what string, s scenario, seed uint64) *scarcity {
	all := &scarcity{what: what}
	for s.seed = seed; s.seed < seed+seeds; s.seed++ {
		all.runs = append(all.runs, r.add(s))
	}
	return all
}
