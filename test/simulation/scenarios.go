package main

import "time"

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

	// podsPerCall is how many pods share one call a second while other callers use
	// the rest of the account's quota. To renew the credentials of so many pods once
	// in their hour takes 0.7 calls a second; the fixed schedule makes 0.9 and the
	// sidecar 1.2.
	podsPerCall = 2500
)

// rollout is a scenario in which all pods start within start.
func rollout(pods int, start time.Duration, quota int, length time.Duration) scenario {
	return scenario{pods: pods, lifetime: time.Hour, start: start, quota: quota, length: length}
}

// troubled is a fleet that grew slowly, and for which STS then grants only left
// calls a second for a time.
func troubled(pods int, lifetime time.Duration, quota, left int, length time.Duration) scenario {
	end := troubleStart + length
	return scenario{
		pods: pods, lifetime: lifetime, start: growthTime, quota: quota,
		trouble: trouble{span{troubleStart, end}, left}, length: end + afterTrouble,
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
	scarcities                  []*outcome
	lengths                     []*outcome // four for each of outageLengths
}

// simulate runs all scenarios with fleets of those sizes, except the outages of
// other lengths, which it runs only with sample pods.
func simulate(sample int, sizes ...int) outcomes {
	var all outcomes
	add := func(to *[]*outcome, s scenario) {
		for _, s.schedule = range []schedule{sidecar(), fixed()} {
			*to = append(*to, s.run())
		}
	}
	for _, pods := range sizes {
		add(&all.rollouts, rollout(pods, rolloutTime, unlimited, 24*time.Hour))
		for _, lifetime := range lifetimes() {
			add(&all.outages, troubled(pods, lifetime, unlimited, 0, time.Hour))
		}
		for _, start := range []time.Duration{rolloutTime, rolloutTime / 6} {
			add(&all.quotaRollouts, rollout(pods, start, defaultQuota, 4*time.Hour))
		}
		add(&all.quotaOutages, troubled(pods, time.Hour, defaultQuota, 0, time.Hour))
		add(&all.scarcities, troubled(pods, time.Hour, defaultQuota, pods/podsPerCall, time.Hour))
	}
	for _, length := range outageLengths() {
		for _, lifetime := range lifetimes() {
			add(&all.lengths, troubled(sample, lifetime, unlimited, 0, length))
		}
	}
	return all
}
