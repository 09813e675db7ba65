package main

import (
	"math"
	"time"
)

const (
	// answerTime is what a call takes, whether STS grants it, throttles it or
	// cannot be reached: a usual time within a region. An outage in which calls
	// hang would part them by up to ten seconds more, the limit of an attempt.
	answerTime = 100 * time.Millisecond

	// defaultQuota is how many calls a second STS grants an account in a Region
	// that has not asked for more. AWS documents it for the calls that are
	// signed with credentials; AssumeRoleWithWebIdentity is not signed and has
	// no documented figure, so that this one is good for the order only:
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
	// That what is granted is counted anew each second is from
	// https://aws.amazon.com/blogs/security/how-to-monitor-and-query-iam-resources-at-scale-part-2/
	defaultQuota = 600

	unlimited = math.MaxInt
)

// sts grants calls, which must come in the order of time.
type sts struct {
	quota   int // of calls granted in any whole second
	trouble trouble

	second  time.Duration // of the latest call
	granted int           // calls in that second
}

// trouble is a time in which STS grants fewer calls than usual.
type trouble struct {
	span
	quota int // 0: an outage
}

// grants says whether the call is granted.
func (s *sts) grants(at time.Duration) bool {
	if second := at.Truncate(time.Second); second != s.second {
		s.second, s.granted = second, 0
	}
	quota := s.quota
	if s.trouble.has(at) {
		quota = min(quota, s.trouble.quota)
	}
	if s.granted >= quota {
		return false
	}
	s.granted++
	return true
}

// span is the time from a moment until just before another. Both are counted
// from the beginning of the simulation.
type span struct{ from, to time.Duration }

func (s span) has(at time.Duration) bool { return s.from <= at && at < s.to }
