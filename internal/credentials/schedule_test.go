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
			before := Failures{InARow: tt.failure - 1}
			for _, throttled := range []bool{false, tt.remaining == 0} { // without time it makes no difference
				checkAdd(t, before, throttled, tt.remaining, []time.Duration{tt.step / 2, tt.step * 3 / 4, tt.step})
			}
		})
	}
}

// TestThrottledGivesWay checks the waits after throttled answers.
func TestThrottledGivesWay(t *testing.T) {
	tests := []struct {
		name      string
		before    Failures
		remaining time.Duration
		waits     []time.Duration // the shortest, the median and the longest
	}{
		// The first wait is no shorter than after another failure, here half of a 32nd.
		{"first", Failures{}, 16 * time.Minute, []time.Duration{15 * time.Second, 572757 * time.Millisecond, 13*time.Minute + 30*time.Second}},
		{"first, after an outage", Failures{InARow: 8}, 16 * time.Minute, []time.Duration{time.Minute, 572757 * time.Millisecond, 13*time.Minute + 30*time.Second}},
		{"first, with little left", Failures{}, 2 * time.Minute, []time.Duration{1875 * time.Millisecond, 2812500 * time.Microsecond, 3750 * time.Millisecond}},
		{"first, with much left", Failures{}, 11 * time.Hour, []time.Duration{30 * time.Second, 4136575 * time.Millisecond, 97*time.Minute + 30*time.Second}},
		{"second", Failures{1, 40 * time.Second}, 10 * time.Minute, []time.Duration{30 * time.Second, 40 * time.Second, 50 * time.Second}},
		{"twentieth", Failures{19, 40 * time.Second}, 10 * time.Minute, []time.Duration{30 * time.Second, 40 * time.Second, 50 * time.Second}},
		{"second, with less than a share left", Failures{1, 40 * time.Second}, 35 * time.Second, []time.Duration{30 * time.Second, 35 * time.Second, 35 * time.Second}},
		{"second, with nearly nothing left", Failures{1, 40 * time.Second}, time.Second, []time.Duration{10 * time.Second, 10 * time.Second, 10 * time.Second}},
		{"third, with nothing left", Failures{2, 40 * time.Second}, 0, []time.Duration{2 * time.Second, 3 * time.Second, 4 * time.Second}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkAdd(t, tt.before, true, tt.remaining, tt.waits) })
	}
}

// checkAdd checks the shortest, the median and the longest wait after another failure.
func checkAdd(t *testing.T, before Failures, throttled bool, remaining time.Duration, want []time.Duration) {
	t.Helper()
	for i, random := range []float64{0, 0.5, almostOne} {
		after, wait := before.Add(throttled, remaining, random)
		checkWait(t, []string{"shortest", "median", "longest"}[i], wait, want[i])
		if after.InARow != before.InARow+1 {
			t.Errorf("%d failures in a row after %d", after.InARow, before.InARow)
		}
	}
}

// TestShares checks how what remains after the first throttled answer is divided.
func TestShares(t *testing.T) {
	tests := []struct {
		remaining      time.Duration
		shortest, most time.Duration // with the longest and the shortest first wait
	}{
		{25 * time.Minute, 10 * time.Second, 73829 * time.Millisecond},                                   // the rest is 2:30 or 24:37, in 20
		{6 * time.Minute, 18750 * time.Millisecond, 44297 * time.Millisecond},                            // in 8
		{30 * time.Second, 29 * time.Second, 29500 * time.Millisecond},                                   // one
		{8 * time.Hour, 19*time.Minute + 7500*time.Millisecond, 1438*time.Second + 500*time.Millisecond}, // in 20
	}
	for _, tt := range tests {
		long, _ := Failures{}.Add(true, tt.remaining, almostOne)
		short, _ := Failures{}.Add(true, tt.remaining, 0)
		checkWait(t, tt.remaining.String()+", shortest share", long.share, tt.shortest)
		checkWait(t, tt.remaining.String()+", longest share", short.share, tt.most)
	}
}

// TestOtherFailuresKeepTheShare checks that throttling mixed with other failures gives way
// once only.
func TestOtherFailuresKeepTheShare(t *testing.T) {
	before := Failures{InARow: 3, share: time.Minute}
	after, wait := before.Add(false, 10*time.Minute, 0.5)
	if after.share != before.share {
		t.Errorf("the share became %v", after.share)
	}
	checkWait(t, "median", wait, 56250*time.Millisecond)
}

// TestNothingLeftIsAskedForWithinAMinute checks the longest wait that P4 allows, also of a
// wait that begins while credentials are valid and ends when they are not.
func TestNothingLeftIsAskedForWithinAMinute(t *testing.T) {
	for remaining := time.Duration(0); remaining < 12*time.Hour; remaining += 67 * time.Second {
		for n := range 60 {
			for _, share := range []time.Duration{0, 10 * time.Second, time.Hour} {
				for _, throttled := range []bool{false, true} {
					if _, wait := (Failures{n, share}).Add(throttled, remaining, almostOne); wait > remaining+time.Minute {
						t.Fatalf("after %d failures and with a share of %v and %v left: %v", n, share, remaining, wait)
					}
				}
			}
		}
	}
}

func checkWait(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if diff := got - want; diff < -time.Millisecond || diff > time.Millisecond {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
