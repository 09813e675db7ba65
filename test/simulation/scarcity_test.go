package main

import (
	"testing"
	"time"
)

// TestScarcity checks what the rule for throttled answers is for: with one call a second
// for 2,500 pods, which is enough to renew each in its hour, at most one of 10,000 pods loses
// its credentials, and not even twice as many calls are made as are granted.
func TestScarcity(t *testing.T) {
	for _, length := range []time.Duration{time.Hour, 6 * time.Hour} {
		s := scarce(10_000, podsPerCall, length)
		s.schedule = sidecar()
		for s.seed = 10; s.seed < 15; s.seed++ {
			o := s.run()
			if offered := o.mean(o.trouble.span) * 10 / float64(o.trouble.per10s); o.erred > 1 || offered > 2 {
				t.Errorf("seed %d, %v: %d pods in error, want at most 1; offered %.2f times what is granted, want at most 2", s.seed, length, o.erred, offered)
			}
		}
	}
}

// TestThrottlingNeverCausesCalls checks that the rule for throttled answers makes no
// situation worse: there are no more calls than with the back-off for other failures, hardly
// more pods in error (6 %, if a whole rollout is throttled at once), and recovery is as fast.
func TestThrottlingNeverCausesCalls(t *testing.T) {
	rollouts := rollout(5000, time.Second, 250, 2*time.Hour)
	short, half, long := scarce(5000, podsPerCall, time.Hour), scarce(5000, podsPerCall, time.Hour), scarce(5000, podsPerCall, time.Hour)
	short.lifetime, half.lifetime, long.lifetime = 15*time.Minute, 30*time.Minute, 12*time.Hour
	for name, s := range map[string]scenario{
		"an hour":                  scarce(5000, podsPerCall, time.Hour),
		"half of what they need":   scarce(5000, podsPerCallAtHalf, time.Hour),
		"a tenth of it":            scarce(5000, 10*podsPerCallAtHalf, time.Hour),
		"a burst":                  scarce(5000, 4*podsPerCall, 10*time.Minute),
		"a rollout under a quota":  rollouts,
		"a rollout, then scarcity": rolloutInto(5000),
		"15 minutes":               short,
		"30 minutes":               half,
		"12 hours":                 long,
	} {
		s.schedule = sidecar()
		got := s.run()
		s.schedule = impatient()
		limit := s.run()
		if sum(got.calls) > sum(limit.calls) || got.erred > limit.erred+limit.erred*6/100 {
			t.Errorf("%s: %d calls and %d pods in error, want at most %d and %d", name, sum(got.calls), got.erred, sum(limit.calls), limit.erred)
		}
		if end := max(s.trouble.to, limit.recovered) + time.Minute; got.recovered > end {
			t.Errorf("%s: recovered after %v, want by %v", name, got.recovered, end)
		}
	}
}

// TestOracle checks that the oracle is a limit: it serves whose credentials expire first,
// as many as are granted.
func TestOracle(t *testing.T) {
	s := scarce(5000, podsPerCallAtHalf, time.Hour)
	s.schedule = oracle()
	o := s.runOracle()
	if offered := o.mean(o.trouble.span) * 10 / float64(o.trouble.per10s); offered > 1.001 || offered < 0.99 {
		t.Errorf("offered %.3f times what is granted, want 1", offered)
	}
	s.schedule = sidecar()
	if other := s.run(); o.longest > other.longest || o.timeWithout > other.timeWithout {
		t.Errorf("in all %v without credentials and at most %v, the sidecar %v and %v", o.timeWithout, o.longest, other.timeWithout, other.longest)
	}
	s = scarce(5000, podsPerCall, 6*time.Hour)
	s.schedule = oracle()
	if o := s.runOracle(); o.erred > 0 {
		t.Errorf("%d pods in error although there are enough calls", o.erred)
	}
}
