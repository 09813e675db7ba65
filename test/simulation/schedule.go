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

	// backoff returns the wait after the nth failed call in a row, when the
	// current credentials are still valid for remaining.
	backoff func(n int, remaining time.Duration, random float64) time.Duration
}

// sidecar is the schedule of irsa-sidecar.
func sidecar() schedule {
	return schedule{"sidecar", credentials.RefreshDelay, credentials.Backoff}
}

// fixed is the schedule of a program written with a single pod in mind: it renews
// at 80 % of the lifetime, as the kubelet does with tokens, and after a failure
// waits a second, doubling up to a minute.
func fixed() schedule {
	return schedule{
		"fixed 80 %",
		func(lifetime time.Duration, _ float64) time.Duration { return lifetime / 5 * 4 },
		func(n int, _ time.Duration, _ float64) time.Duration {
			return min(time.Second<<min(n-1, 6), time.Minute)
		},
	}
}
