package credentials

import (
	"testing"
	"time"
)

// almostOne is about the largest value that rand.Float64 returns.
const almostOne = 1 - 1e-9

func TestRefreshDelay(t *testing.T) {
	tests := []struct {
		lifetime time.Duration
		min, max time.Duration
	}{
		{lifetime: 15 * time.Minute, min: 7*time.Minute + 30*time.Second, max: 9*time.Minute + 45*time.Second},
		{lifetime: time.Hour, min: 30 * time.Minute, max: 39 * time.Minute},
		{lifetime: 100 * time.Minute, min: 50 * time.Minute, max: 65 * time.Minute},
		{lifetime: 12 * time.Hour, min: 50 * time.Minute, max: 65 * time.Minute},
		{lifetime: 10 * time.Second, min: 5 * time.Second, max: 6500 * time.Millisecond},
		{lifetime: 3 * time.Second, min: 5 * time.Second, max: 5 * time.Second},
		{lifetime: 0, min: 5 * time.Second, max: 5 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.lifetime.String(), func(t *testing.T) {
			checkWait(t, "earliest", RefreshDelay(tt.lifetime, 0), tt.min)
			checkWait(t, "latest", RefreshDelay(tt.lifetime, almostOne), tt.max)
		})
	}
}

func TestBackoff(t *testing.T) {
	tests := []struct {
		name      string
		failure   int
		remaining time.Duration
		step      time.Duration
	}{
		{name: "first", failure: 1, step: time.Second},
		{name: "second", failure: 2, step: 2 * time.Second},
		{name: "sixth", failure: 6, step: 32 * time.Second},
		{name: "seventh", failure: 7, step: time.Minute},
		{name: "thousandth", failure: 1000, step: time.Minute},
		{name: "first with half a minute left", failure: 1, remaining: 30 * time.Second, step: time.Second},
		{name: "first with 16 minutes left", failure: 1, remaining: 16 * time.Minute, step: 30 * time.Second},
		{name: "third with 16 minutes left", failure: 3, remaining: 16 * time.Minute, step: 2 * time.Minute},
		{name: "fourth with 16 minutes left", failure: 4, remaining: 16 * time.Minute, step: 2 * time.Minute},
		{name: "first with much time left", failure: 1, remaining: 8 * time.Hour, step: time.Minute},
		{name: "thousandth with much time left", failure: 1000, remaining: 8 * time.Hour, step: time.Hour},
		{name: "thousandth with five minutes left", failure: 1000, remaining: 5 * time.Minute, step: time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkWait(t, "shortest", Backoff(tt.failure, tt.remaining, 0), tt.step/2)
			checkWait(t, "longest", Backoff(tt.failure, tt.remaining, almostOne), tt.step)
		})
	}
}

func checkWait(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if diff := got - want; diff < -time.Millisecond || diff > time.Millisecond {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
