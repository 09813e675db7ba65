package credentials

import (
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// clockTolerance is how much longer than requested credentials may seem to last: the clock
// here may be slow. With a clock that is off by more than a quarter of an hour AWS accepts
// no request anyway.
const clockTolerance = time.Hour

// accept returns fresh as it is to be served, or why it must not replace old: a refresh can
// never make things worse.
func (r *Refresher) accept(fresh, old aws.Credentials) (aws.Credentials, error) {
	now := r.now()
	fresh.Expires = r.believe(fresh.Expires, old.Expires, now)
	switch {
	case !isText(fresh.AccessKeyID) || !isText(fresh.SecretAccessKey) || !isText(fresh.SessionToken) || !fresh.CanExpire:
		return fresh, newReason(codeInvalidResponse, r.grantor+" answered with incomplete credentials, which are not used")
	case !fresh.Expires.After(now):
		return fresh, newReason(codeInvalidResponse, fmt.Sprintf("%s answered with credentials that expired at %s, and the time here is %s: check the clock of this node",
			r.grantor, fresh.Expires.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339)))
	case fresh.Expires.Before(old.Expires):
		return fresh, newReason(codeInvalidResponse, fmt.Sprintf("%s answered with credentials that expire at %s, before the current ones, which expire at %s",
			r.grantor, fresh.Expires.UTC().Format(time.RFC3339), old.Expires.UTC().Format(time.RFC3339)))
	}
	return fresh, nil
}

// believe returns the expiration to serve: the granted one, but no later than the requested
// lifetime and clockTolerance allow. Otherwise one answer of the year 9999 would be served
// for good, as nothing that expires earlier replaces it. If the clock was set back, the
// expiration may be that of the current credentials, so that newer ones can replace them.
func (r *Refresher) believe(granted, current, now time.Time) time.Time {
	latest := now.Add(r.lifetime + clockTolerance)
	if current.After(latest) {
		latest = current
	}
	if !granted.After(latest) {
		return granted
	}
	r.log.Warn("expiration is not believed", "expiration", granted.UTC(), "served", latest.UTC(), "at_most", r.lifetime.String(),
		"hint", "they cannot last that long: check the clock of this node, --sts-endpoint, and whether something else answers in place of "+r.grantor)
	return latest
}

// isText reports whether s can be a key or a session token: printable ASCII characters, as
// they are sent in headers.
func isText(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' })
}
