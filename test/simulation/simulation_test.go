package main

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"irsa-sidecar/internal/credentials"
)

// TestOnePod checks every call of a pod against the design, calculated by hand for
// a random source that always returns 0: a refresh after half of the remaining
// lifetime, a back-off of half the step.
func TestOnePod(t *testing.T) {
	s := scenario{
		schedule: sidecar(), pods: 1, lifetime: time.Hour, start: 1, quota: unlimited, length: time.Hour + 5*time.Minute,
		trouble: trouble{span: span{30 * time.Minute, 31 * time.Minute}},
	}
	s.refresh = func(lifetime time.Duration, _ float64) time.Duration { return sidecar().refresh(lifetime, 0) }
	s.backoff = func(f credentials.Failures, throttled bool, remaining time.Duration, _ float64) (credentials.Failures, time.Duration) {
		return f.Add(throttled, remaining, 0)
	}
	seen := map[int]int{}
	for second, n := range s.run().calls {
		if n > 0 {
			seen[second] = n
		}
	}
	want := map[int]int{
		0:    1, // answered at 0.1 with 3599.9 left: next at 1800.05
		1800: 1, // refused at 1800.15 with 1799.85 left: next after half of a 32nd
		1828: 1, // refused with 1771.7 left: next after a 32nd
		1883: 1, // granted
		3683: 1,
	}
	if !maps.Equal(seen, want) {
		t.Errorf("calls by second: %v, want %v", seen, want)
	}
}

// TestEndInOutage checks that a pod without credentials at the end of the
// simulation counts as in error, and that the time before its first ones does not.
func TestEndInOutage(t *testing.T) {
	o := scenario{
		schedule: sidecar(), pods: 1, lifetime: time.Hour, start: 1, quota: unlimited, length: 2 * time.Hour,
		trouble: trouble{span: span{30 * time.Minute, 3 * time.Hour}},
	}.run()
	if o.erred != 1 || o.firstErred != time.Hour || o.timeWithout != time.Hour || o.recovered != o.length {
		t.Errorf("%d pods in error, the first at %s, for %s, until %s; want 1, 1h, 1h, 2h", o.erred, o.firstErred, o.timeWithout, o.recovered)
	}
	if got := sum(o.lacking); got != 1+3600 {
		t.Errorf("without credentials at %d whole seconds, want 1 before the first ones and 3600 at the end", got)
	}
}

// TestFailuresInARow checks that a granted call resets the failures.
func TestFailuresInARow(t *testing.T) {
	s := scenario{schedule: sidecar(), lifetime: time.Hour, length: 24 * time.Hour}
	s.mix = []member{{s.schedule, s.lifetime}}
	sim := &simulation{scenario: s, random: rand.New(rand.NewPCG(0, 0)), seen: newOutcome(s)}
	var p pod
	for i, want := range []int{1, 2, 3, 0, 1, 0} {
		sim.sts.quota = 0
		if want == 0 {
			sim.sts.quota = unlimited
		}
		sim.call(&p)
		if p.failures.InARow != want {
			t.Errorf("call %d: %d failures in a row, want %d", i, p.failures.InARow, want)
		}
	}
}

// TestSTSGrants checks that in every second STS grants all calls up to the quota.
func TestSTSGrants(t *testing.T) {
	const quota, left = 6, 2
	hour := trouble{span{time.Hour, 2 * time.Hour}, 10 * left}
	s := sts{quota: quota, trouble: hour}
	random := rand.New(rand.NewPCG(1, 1))
	calls, grants := map[time.Duration]int{}, map[time.Duration]int{}
	for at := time.Duration(0); at < 3*time.Hour; at += time.Duration(random.Int64N(int64(400 * time.Millisecond))) {
		second := at.Truncate(time.Second)
		calls[second]++
		granted, throttled := s.grants(at)
		if granted {
			grants[second]++
		}
		if granted == throttled {
			t.Fatalf("at %v granted and throttled are both %t", at, granted)
		}
	}
	for second, n := range calls {
		want := min(n, quota)
		if hour.has(second) {
			want = min(n, left)
		}
		if grants[second] != want {
			t.Fatalf("second %s: %d of %d calls granted, want %d", second, grants[second], n, want)
		}
	}
}

// TestSteadyState checks that the mean is one call per period, within four standard
// deviations, and that no pod is ever without credentials.
func TestSteadyState(t *testing.T) {
	const pods = 10_000
	tests := []struct {
		schedule schedule
		lifetime time.Duration
		want     time.Duration // the mean period
	}{
		{sidecar(), time.Hour, 2070 * time.Second}, // 57.5 % of an hour
		{sidecar(), 12 * time.Hour, 3450 * time.Second},
		{fixed(), time.Hour, 2880 * time.Second},
		{fixed(), 12 * time.Hour, 34560 * time.Second},
	}
	for _, test := range tests {
		s := troubled(pods, test.lifetime, unlimited, 0)
		s.schedule = test.schedule
		o := s.run()
		want := pods / test.want.Seconds()
		tolerance := 4 * math.Sqrt(want/calmTime.Seconds())
		if got := o.mean(o.calm()); math.Abs(got-want) > tolerance {
			t.Errorf("%s, lifetime %s: %.3f calls a second, want %.3f ± %.3f", test.schedule.name, test.lifetime, got, want, tolerance)
		}
		if o.erred > 0 || slices.Max(o.lacking[growthTime/time.Second+1:]) > 0 {
			t.Errorf("%s, lifetime %s: %d pods lost their credentials although nothing happened", test.schedule.name, test.lifetime, o.erred)
		}
	}
}

// TestFirstWave fails if pods that start together renew together. Spread over 9
// minutes, 10,000 calls are 18.5 a second, with a random peak of about 35; without
// jitter, the wave is as high as the rollout.
func TestFirstWave(t *testing.T) {
	s := rollout(10_000, rolloutTime, unlimited, 50*time.Minute)
	for _, test := range []struct {
		schedule  schedule
		low, high int
	}{
		{sidecar(), 20, 45},
		{fixed(), 150, 250},
	} {
		s.schedule = test.schedule
		if peak := s.run().peak(span{settled, s.length}); peak < test.low || peak > test.high {
			t.Errorf("%s: the first wave's peak is %d calls a second, want %d to %d", test.schedule.name, peak, test.low, test.high)
		}
	}
}

// TestOutage checks how many pods lose their credentials in an outage, and how soon
// they recover: a pod waits at most a minute for its next attempt.
func TestOutage(t *testing.T) {
	tests := []struct {
		name      string
		schedule  schedule
		lifetime  time.Duration
		length    time.Duration
		low, high float64 // share of the pods
	}{
		// At least 21 minutes of an hour are left.
		{"shorter than the minimum runway", sidecar(), time.Hour, 20 * time.Minute, 0, 0},
		{"longer than the minimum runway", sidecar(), time.Hour, 30 * time.Minute, 0.1, 0.2},
		{"longer than any lifetime", sidecar(), time.Hour, time.Hour, 1, 1},
		{"shorter than the minimum runway of 12 h", sidecar(), 12 * time.Hour, 10 * time.Hour, 0, 0},
		// 12 to 60 minutes of an hour are left, evenly spread, so that 18/48 of the
		// pods lose them within 30, and some more before their next attempt.
		{"shorter than the fixed runway", fixed(), time.Hour, 11 * time.Minute, 0, 0},
		{"longer than the fixed runway", fixed(), time.Hour, 30 * time.Minute, 0.36, 0.41},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			const pods = 5000
			s := troubled(pods, test.lifetime, unlimited, test.length)
			s.schedule = test.schedule
			o := s.run()
			if share := float64(o.erred) / pods; share < test.low || share > test.high {
				t.Errorf("%.3f of the pods were without credentials, want %.2f to %.2f", share, test.low, test.high)
			}
			if limit := s.trouble.to + time.Minute + 3*answerTime; o.recovered > limit {
				t.Errorf("the last pod recovered at %s, want by %s", o.recovered, limit)
			}
		})
	}
}

// TestQuotaRollout checks a rollout against an STS whose quota allows all pods in 20
// seconds: with jitter it takes little more than the longest wait, a minute.
func TestQuotaRollout(t *testing.T) {
	s := rollout(5000, time.Second, 250, 2*time.Hour)
	s.schedule = sidecar()
	o := s.run()
	if o.recovered < 19*time.Second || o.recovered > 80*time.Second {
		t.Errorf("every pod was ready after %s, want 20 s to 80 s", o.recovered)
	}
	if o.erred > 0 || o.lacking[2] < 4000 {
		t.Errorf("%d pods in error, %d waiting after two seconds; want none and most", o.erred, o.lacking[2])
	}
	if got := o.exhausted(span{0, s.length}); got < 1 || got > 20 {
		t.Errorf("the quota was used up for %d s, want 1 to 20 (all pods are granted within 20)", got)
	}
}
