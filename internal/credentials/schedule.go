package credentials

import (
	"math"
	"time"
)

const (
	// The share of the lifetime after which credentials are refreshed, random
	// between the two so that pods that started together drift apart. The upper end
	// keeps well clear of 80 %. Of an hour at least 21 minutes are left, and botocore
	// and the Java SDK ask at every call once 15 are left (botocore/credentials.py,
	// _advisory_refresh_timeout).
	refreshEarliest = 0.50
	refreshLatest   = 0.65

	// longestPeriod bounds the lifetime that the schedule uses, so that credentials
	// are refreshed about hourly however long they live: a longer lifetime buys time
	// to survive an outage of STS.
	longestPeriod = 100 * time.Minute

	// A failed refresh is repeated after firstBackoff, or later while much lifetime is
	// left. Each further wait is twice as long, up to longestBackoff or, again, longer.
	firstBackoff   = time.Second
	longestBackoff = time.Minute

	// halfBackoff is the longest wait with nothing valid left when the attempts go to two
	// STSs in turn: each of them is then asked about as often as one would be, and is
	// asked within 70 seconds even if every attempt takes ten.
	halfBackoff = 25 * time.Second

	// minSpacing is the time between calls to STS: neither a file that flaps nor a
	// clock that jumps can cause a storm. Only the first steps of a back-off are
	// shorter.
	minSpacing = 5 * time.Second

	// A throttled answer means that the account may make fewer calls than all of its
	// pods need, so pods that have time let those go first that have none. The first wait
	// is a random part of what remains, rather long than short, because long waits keep
	// the number of calls low, but leaves lastTries. After that a pod tries again up to
	// throttledTries times, spread evenly over the rest: at twice the capacity half of all
	// calls are throttled, and hardly anybody has bad luck that often. It makes no more
	// tries than the back-off would, of which one follows another after averageBackoff.
	// The figures were found by simulation: docs/scale.md has the alternatives.
	lastTries      = 150 * time.Second
	throttledTries = 20
	averageBackoff = 45 * time.Second
)

// RefreshDelay returns how long after their receipt credentials are refreshed: between
// 0.50 and 0.65 of lifetime or of 100 minutes, whichever is less, but never within five
// seconds. random is uniform in [0,1).
func RefreshDelay(lifetime time.Duration, random float64) time.Duration {
	return max(scale(min(lifetime, longestPeriod), refreshEarliest, refreshLatest, random), minSpacing)
}

// Failures is what the schedule knows about the failures since the last success.
type Failures struct {
	InARow int
	share  time.Duration // between two calls that give way; 0: none was throttled yet
}

// Add returns f with another failure, and how long to wait after it when the current
// credentials are still valid for remaining. random is uniform in [0,1).
//
// After a throttled answer a pod with time gives way. The first wait is up to all but two
// and a half minutes of what remains, or of 100 minutes, and the square root makes it the
// longer of two random ones. The rest is divided into shares, as many as there are 45 s in
// what remained, but 20 at most, of ten seconds at least; each further wait is one share,
// give or take a quarter. After any other failure, and without time, see backoff.
func (f Failures) Add(throttled bool, remaining time.Duration, random float64) (Failures, time.Duration) {
	f.InARow++
	wait := backoff(f.InARow, remaining, random)
	switch {
	case !throttled || remaining <= 0:
	case f.share == 0:
		given := math.Sqrt(random) * float64(min(remaining, longestPeriod)-lastTries)
		wait = max(wait, time.Duration(given))
		tries := max(1, min(throttledTries, remaining/averageBackoff))
		f.share = max((remaining-wait)/tries, 2*minSpacing)
	default:
		wait = min(scale(f.share, 0.75, 1.25, random), max(remaining, 2*minSpacing))
	}
	return f, wait
}

// untilElsewhere returns how long to wait with nothing valid left, at most, before an attempt
// that goes to another STS than the last: 15 to 25 seconds. random is uniform in [0,1).
func untilElsewhere(random float64) time.Duration { return scale(halfBackoff, 0.6, 1, random) }

// backoff returns how long to wait after the nth failure in a row. The step is a second, or
// a 32nd of remaining up to a minute, doubled with each failure, up to a minute or an eighth
// of remaining, whichever is more. The wait is in the upper half of the step.
func backoff(n int, remaining time.Duration, random float64) time.Duration {
	limit := max(longestBackoff, remaining/8)
	step := min(max(firstBackoff, remaining/32), longestBackoff)
	for range n - 1 {
		if step >= limit {
			break
		}
		step *= 2
	}
	return scale(min(step, limit), 0.5, 1, random)
}

// scale returns a random part of d, between from and to of it.
func scale(d time.Duration, from, to, random float64) time.Duration {
	return time.Duration((from + random*(to-from)) * float64(d))
}
