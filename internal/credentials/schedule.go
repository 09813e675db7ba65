package credentials

import "time"

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
	// left: pods that have time let those go first that have none, when STS grants the
	// account fewer calls than all of them need (test/simulation, scarcity). Each further
	// wait is twice as long, up to longestBackoff or, again, longer.
	firstBackoff   = time.Second
	longestBackoff = time.Minute

	// minSpacing is the time between calls to STS: neither a file that flaps nor a
	// clock that jumps can cause a storm. Only the first steps of a back-off are
	// shorter.
	minSpacing = 5 * time.Second
)

// RefreshDelay returns how long after their receipt credentials are refreshed: between
// 0.50 and 0.65 of lifetime or of 100 minutes, whichever is less, but never within five
// seconds. random is uniform in [0,1).
func RefreshDelay(lifetime time.Duration, random float64) time.Duration {
	share := refreshEarliest + random*(refreshLatest-refreshEarliest)
	delay := time.Duration(share * float64(min(lifetime, longestPeriod)))
	return max(delay, minSpacing)
}

// Backoff returns how long to wait after the nth failure in a row, when the current
// credentials are still valid for remaining. The step is a second, or a 32nd of remaining
// up to a minute, doubled with each failure, up to a minute or an eighth of remaining,
// whichever is more. The wait is in the upper half of the step: random, uniform in [0,1),
// says where.
func Backoff(n int, remaining time.Duration, random float64) time.Duration {
	limit := max(longestBackoff, remaining/8)
	step := min(max(firstBackoff, remaining/32), longestBackoff)
	for range n - 1 {
		if step >= limit {
			break
		}
		step *= 2
	}
	step = min(step, limit)
	return step/2 + time.Duration(random*float64(step/2))
}
