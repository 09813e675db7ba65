package main

import (
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	count := func(n int) []time.Duration {
		var values []time.Duration
		for i := range n {
			values = append(values, time.Duration(i+1)*time.Millisecond)
		}
		return values
	}
	tests := []struct {
		name     string
		sorted   []time.Duration
		perMille int
		want     float64
	}{
		{"no values", nil, 990, 0},
		{"one value", count(1), 500, 1},
		{"p50 of an even number", count(4), 500, 2},
		{"p50 of an odd number", count(5), 500, 3},
		{"p99 of 100", count(100), 990, 99},
		{"p99 of 101", count(101), 990, 100},
		{"p99.9 of 100", count(100), 999, 100},
		{"p99.9 of 1000", count(1000), 999, 999},
		{"p99.9 of 1001", count(1001), 999, 1000},
		{"the longest", count(1000), 1000, 1000},
		{"less than a millisecond", []time.Duration{150 * time.Microsecond}, 500, 0.15},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := percentile(tt.sorted, tt.perMille); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestNear(t *testing.T) {
	begin := time.Now()
	refreshes := []time.Time{begin.Add(time.Second), begin.Add(6 * time.Second)}
	const ms = time.Millisecond
	tests := []struct {
		name      string
		due, took time.Duration
		want      bool
	}{
		{"answered before the window", 749*ms - 1, ms, false},
		{"answered as the window begins", 749 * ms, ms, true},
		{"at the refresh", time.Second, ms, true},
		{"due as the window ends", 1250 * ms, ms, true},
		{"due after the window", 1250*ms + 1, ms, false},
		{"longer than the window", 0, 3 * time.Second, true},
		{"near the second refresh", 6100 * ms, ms, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := (sample{begin.Add(tt.due), tt.took}).near(refreshes); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestNewRound(t *testing.T) {
	begin := time.Now()
	refreshes := []time.Time{begin}
	samples := []sample{
		{begin.Add(time.Second), 3 * time.Millisecond},
		{begin, 2 * time.Millisecond},
		{begin.Add(time.Second), 1 * time.Millisecond},
	}
	got := newRound(samples, 2, make([]loss, 1), refreshes)
	if got.requests != 5 || got.lost != 2 || len(got.losses) != 1 || got.p50 != 2 || got.longest != 3 {
		t.Errorf("got %+v, want 5 requests, 2 lost, p50 2 ms, longest 3 ms", got)
	}
	if got.near != 1 || got.p50Near != 2 || got.p99Near != 2 {
		t.Errorf("got %+v, want one request of 2 ms near the refresh", got)
	}
}
