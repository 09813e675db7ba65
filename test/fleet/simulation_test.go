package main

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestOnePod checks every call of a pod against the calls as the design has
// them, reckoned by hand for a random source that always gives 0: a refresh
// after half of what is left of the lifetime, a back-off of half the step.
func TestOnePod(t *testing.T) {
	s := scenario{
		schedule: sidecar(), pods: 1, lifetime: time.Hour, start: 1, quota: unlimited, length: time.Hour + 5*time.Minute,
		trouble: trouble{span: span{30 * time.Minute, 31 * time.Minute}},
	}
	s.refresh = func(lifetime time.Duration, _ float64) time.Duration { return sidecar().refresh(lifetime, 0) }
	s.backoff = func(n int, remaining time.Duration, _ float64) time.Duration {
		return sidecar().backoff(n, remaining, 0)
	}
	seen := map[int]int{}
	for second, n := range s.run().calls {
		if n > 0 {
			seen[second] = n
		}
	}
	want := map[int]int{
		0:    1, // answered at 0.1, 3599.9 are left: again at 1800.05
		1800: 1, // refused until 1800.15, 1799.85 are left: after half of a 32nd again
		1828: 1, // refused, 1771.7 are left: after a 32nd again
		1883: 1, // granted
		3683: 1,
	}
	if !maps.Equal(seen, want) {
		t.Errorf("calls by second: %v, want %v", seen, want)
	}
}

// TestEndInOutage checks that a pod which is without credentials when the
// simulation ends counts, and that only what comes after its first ones does.
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

// TestFailuresInARow checks that a granted call ends a back-off.
func TestFailuresInARow(t *testing.T) {
	s := scenario{schedule: sidecar(), lifetime: time.Hour, length: 24 * time.Hour}
	sim := &simulation{scenario: s, random: rand.New(rand.NewPCG(0, 0)), seen: newOutcome(s)}
	var p pod
	for i, want := range []int{1, 2, 3, 0, 1, 0} {
		sim.sts.quota = 0
		if want == 0 {
			sim.sts.quota = unlimited
		}
		sim.call(&p)
		if p.failures != want {
			t.Errorf("call %d: %d failures in a row, want %d", i, p.failures, want)
		}
	}
}

// TestSTSGrants checks that no second has more grants than the quota allows,
// nor fewer than it could have.
func TestSTSGrants(t *testing.T) {
	const quota, left = 6, 2
	hour := trouble{span{time.Hour, 2 * time.Hour}, left}
	s := sts{quota: quota, trouble: hour}
	random := rand.New(rand.NewPCG(1, 1))
	calls, grants := map[time.Duration]int{}, map[time.Duration]int{}
	for at := time.Duration(0); at < 3*time.Hour; at += time.Duration(random.Int64N(int64(400 * time.Millisecond))) {
		second := at.Truncate(time.Second)
		calls[second]++
		if s.grants(at) {
			grants[second]++
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

// TestSteadyState checks the mean against one call a period, within four times
// the deviation that chance makes, and that no pod is ever without credentials.
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
		s := troubled(pods, test.lifetime, unlimited, 0, 0)
		s.schedule = test.schedule
		o := s.run()
		want := pods / test.want.Seconds()
		chance := 4 * math.Sqrt(want/calmTime.Seconds())
		if got := o.mean(o.calm()); math.Abs(got-want) > chance {
			t.Errorf("%s, lifetime %s: %.3f calls a second, want %.3f ± %.3f", test.schedule.name, test.lifetime, got, want, chance)
		}
		if o.erred > 0 || slices.Max(o.lacking[growthTime/time.Second+1:]) > 0 {
			t.Errorf("%s, lifetime %s: %d pods lost their credentials although nothing happened", test.schedule.name, test.lifetime, o.erred)
		}
	}
}

// TestFirstWave fails if pods that start together renew together. Spread over
// 9 minutes, 10,000 calls are 18.5 a second, of which chance makes a peak of
// some 35; unspread, the wave is as high as the rollout.
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

// TestOutage checks who is without credentials in an outage of the length, and
// how soon no longer: a pod waits for its next attempt a minute at most.
func TestOutage(t *testing.T) {
	tests := []struct {
		name      string
		schedule  schedule
		lifetime  time.Duration
		long      time.Duration
		low, high float64 // share of the pods
	}{
		// Of an hour 21 minutes are left at the least.
		{"shorter than the least runway", sidecar(), time.Hour, 20 * time.Minute, 0, 0},
		{"longer than that", sidecar(), time.Hour, 30 * time.Minute, 0.1, 0.2},
		{"longer than any lifetime", sidecar(), time.Hour, time.Hour, 1, 1},
		{"shorter than the least runway of 12 h", sidecar(), 12 * time.Hour, 10 * time.Hour, 0, 0},
		// Of an hour 12 to 60 minutes are left, evenly spread, so that 18/48 of the
		// pods lose them within 30, and some more before their next attempt.
		{"shorter than the fixed runway", fixed(), time.Hour, 11 * time.Minute, 0, 0},
		{"longer than that, fixed", fixed(), time.Hour, 30 * time.Minute, 0.36, 0.41},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			const pods = 5000
			s := troubled(pods, test.lifetime, unlimited, 0, test.long)
			s.schedule = test.schedule
			o := s.run()
			if share := float64(o.erred) / pods; share < test.low || share > test.high {
				t.Errorf("%.3f of the pods were without credentials, want %.2f to %.2f", share, test.low, test.high)
			}
			if limit := s.trouble.to + time.Minute + 3*answerTime; o.recovered > limit {
				t.Errorf("the last pod had credentials at %s, want %s at the latest", o.recovered, limit)
			}
		})
	}
}

// TestQuotaRollout checks the queue at an STS that could serve the pods in 20
// seconds: jitter lets it do so in little more than the greatest wait, a minute.
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
		t.Errorf("the quota was used up for %d s, want 20 at most, in which all are granted", got)
	}
}
