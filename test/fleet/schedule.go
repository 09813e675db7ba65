package main

import (
	"time"

	"irsa-sidecar/internal/credentials"
)

// schedule decides when a pod calls STS.
type schedule struct {
	name string

	// refresh returns the wait after a call that brought credentials.
	refresh func(lifetime time.Duration, random float64) time.Duration

	// backoff returns the wait after the nth call in a row that did not, when
	// the credentials at hand are valid for remaining yet.
	backoff func(n int, remaining time.Duration, random float64) time.Duration
}

// sidecar is what irsa-sidecar does.
func sidecar() schedule {
	return schedule{"sidecar", credentials.RefreshDelay, credentials.Backoff}
}

// fixed is what a program does whose author has thought of one pod: it renews
// at 80 % of the lifetime, as the kubelet does its tokens, and after a failure
// waits a second, then twice as long each time up to a minute.
func fixed() schedule {
	return schedule{
		"fixed 80 %",
		func(lifetime time.Duration, _ float64) time.Duration { return lifetime / 5 * 4 },
		func(n int, _ time.Duration, _ float64) time.Duration {
			return min(time.Second<<min(n-1, 6), time.Minute)
		},
	}
}
