package main

import (
	"time"

	"irsa-sidecar/internal/credentials"
)

// schedule decides when a pod calls STS.
type schedule struct {
	name string

	// refresh returns the wait after a successful call.
	refresh func(lifetime time.Duration, random float64) time.Duration

	// backoff adds a failed call to the failures, and returns the wait after it, when
	// the current credentials are still valid for remaining.
	backoff func(f credentials.Failures, throttled bool, remaining time.Duration, random float64) (credentials.Failures, time.Duration)
}

// sidecar is the schedule of irsa-sidecar.
func sidecar() schedule {
	return schedule{"sidecar", credentials.RefreshDelay, credentials.Failures.Add}
}

// fixed is the schedule of a program written with a single pod in mind: it renews
// at 80 % of the lifetime, as the kubelet does with tokens, and after a failure
// waits a second, doubling up to a minute.
func fixed() schedule {
	return schedule{
		"fixed 80 %",
		func(lifetime time.Duration, _ float64) time.Duration { return lifetime / 5 * 4 },
		counting(func(n int, _ float64) time.Duration { return min(time.Second<<min(n-1, 6), time.Minute) }),
	}
}

// sdk is the schedule of an application whose SDK renews five minutes before the end. Its
// three attempts are up to a second and up to two apart; the application's next request
// comes ten seconds later.
func sdk() schedule {
	return schedule{
		"SDK",
		func(lifetime time.Duration, _ float64) time.Duration { return lifetime - 5*time.Minute },
		counting(func(n int, random float64) time.Duration {
			if n%3 == 0 {
				return 10 * time.Second
			}
			return time.Duration(random * float64(time.Second<<(n%3-1)))
		}),
	}
}

// counting is the backoff of a schedule that only counts failures.
func counting(wait func(n int, random float64) time.Duration) func(credentials.Failures, bool, time.Duration, float64) (credentials.Failures, time.Duration) {
	return func(f credentials.Failures, _ bool, _ time.Duration, random float64) (credentials.Failures, time.Duration) {
		f.InARow++
		return f, wait(f.InARow, random)
	}
}

// The sidecar with other answers to throttling, which were not chosen.

// impatient backs off after a throttled answer as after any failure.
func impatient() schedule {
	return schedule{"back-off alone", credentials.RefreshDelay, func(f credentials.Failures, _ bool, remaining time.Duration, random float64) (credentials.Failures, time.Duration) {
		return f.Add(false, remaining, random)
	}}
}

// once gives way once, and then backs off.
func once() schedule {
	return schedule{"one long wait", credentials.RefreshDelay, func(f credentials.Failures, throttled bool, remaining time.Duration, random float64) (credentials.Failures, time.Duration) {
		first := f == credentials.Failures{InARow: f.InARow}
		return f.Add(throttled && first, remaining, random)
	}}
}

// soon draws the first wait evenly: it squares what the sidecar takes the root of.
func soon() schedule {
	return schedule{"evenly random", credentials.RefreshDelay, func(f credentials.Failures, throttled bool, remaining time.Duration, random float64) (credentials.Failures, time.Duration) {
		if first := f == (credentials.Failures{InARow: f.InARow}); throttled && first && remaining > 0 {
			random *= random
		}
		return f.Add(throttled, remaining, random)
	}}
}

// oracle is the limit of what is possible: it is refreshed when the sidecar is, but no call
// is refused. Instead, whose credentials expire first is served first.
func oracle() schedule {
	return schedule{name: oracleName, refresh: credentials.RefreshDelay}
}

const oracleName = "oracle"
