package main

import (
	"math"
	"time"
)

const (
	// answerTime is how long a call takes, whether STS grants it, throttles it or
	// is unreachable: typical within a region. In an outage in which calls hang,
	// they would be up to ten seconds, the limit of an attempt, further apart.
	answerTime = 100 * time.Millisecond

	// defaultQuota is the default number of calls per second that STS grants an
	// account in a Region. AWS documents it for calls signed with credentials.
	// AssumeRoleWithWebIdentity is not signed and has no documented figure, so this
	// one gives only the order of magnitude:
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
	// The quota is counted per second:
	// https://aws.amazon.com/blogs/security/how-to-monitor-and-query-iam-resources-at-scale-part-2/
	defaultQuota = 600

	unlimited = math.MaxInt
)

// sts grants calls, which must come in chronological order.
type sts struct {
	quota   int // of calls granted in any whole second
	trouble trouble

	second  time.Duration // of the latest call
	granted int           // calls in that second
}

// trouble is a time in which STS grants fewer calls than usual.
type trouble struct {
	span
	per10s int // calls granted in ten seconds; 0: an outage
}

// in returns how many calls are granted in a second of the trouble.
func (t trouble) in(second time.Duration) int {
	n := int(second / time.Second)
	return (n+1)*t.per10s/10 - n*t.per10s/10
}

// grants reports whether a call at that time is granted, and counts it; if it is not, it
// reports whether that was for the quota.
func (s *sts) grants(at time.Duration) (granted, throttled bool) {
	second := at.Truncate(time.Second)
	if second != s.second {
		s.second, s.granted = second, 0
	}
	if s.granted >= s.allowed(second) {
		return false, !s.trouble.has(at) || s.trouble.per10s > 0
	}
	s.granted++
	return true, false
}

// allowed returns how many calls are granted in a second.
func (s *sts) allowed(second time.Duration) int {
	if s.trouble.has(second) {
		return min(s.quota, s.trouble.in(second))
	}
	return s.quota
}

// span is the half-open interval [from, to), counted from the start of the simulation.
type span struct{ from, to time.Duration }

func (s span) has(at time.Duration) bool { return s.from <= at && at < s.to }
