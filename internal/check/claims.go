package check

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	stsAudience      = "sts.amazonaws.com"
	stsAudienceChina = "sts.amazonaws.com.cn"
	agentAudience    = "pods.eks.amazonaws.com"

	// slightly and badly are how far clocks differ before a warning and a failure. STS
	// tolerates minutes, but does not document how many.
	slightly = 10 * time.Second
	badly    = time.Minute

	// overdue is the part of a token's lifetime after which the kubelet should have
	// replaced it: it does so at 80 %, or after 24 h.
	overdue = 0.9
)

// checkClaims checks what the token says.
func (r *run) checkClaims(context.Context) outcome {
	if r.raw == nil {
		return skip("there is no token")
	}
	claims, err := r.ParseClaims(r.raw)
	if err != nil {
		return fail("%s", err.Error()).advise(notAToken)
	}
	r.claims = &claims
	for _, problem := range []outcome{r.checkPresent(), r.checkAudience(), r.checkTimes()} {
		if problem != nil {
			return problem
		}
	}
	return ok("%s", r.describeClaims())
}

func (r *run) checkPresent() outcome {
	c := r.claims
	for _, claim := range []struct {
		name    string
		missing bool
	}{{"iss", c.Issuer == ""}, {"sub", c.Subject == ""}, {"aud", len(c.Audience) == 0}, {"exp", c.Expiry.IsZero()}, {"iat", c.IssuedAt.IsZero()}} {
		if claim.missing {
			return fail("the token has no claim %s: it is not one of a projected volume", claim.name).
				advise("mount a projected volume with a serviceAccountToken source; the token of a Secret has no audience and no expiration")
		}
	}
	return nil
}

func (r *run) checkAudience() outcome {
	c := r.claims
	wanted, own := stsAudience, func(a string) bool { return a == c.Issuer || strings.Contains(a, "kubernetes.default.svc") }
	if r.PodIdentity {
		wanted = agentAudience
	}
	advice := "set the audience of the serviceAccountToken in the pod's volume to " + wanted
	isAgents := slices.Contains(c.Audience, agentAudience)
	switch {
	case r.PodIdentity && isAgents:
		return nil
	case r.PodIdentity:
		return fail("the token is for %s, and the EKS Pod Identity agent accepts only %s", list(c.Audience), agentAudience).
			advise(advice)
	case isAgents && len(c.Audience) == 1:
		return fail("the token is for %s, the audience of EKS Pod Identity: STS does not accept it", agentAudience).
			advise(advice)
	case !slices.ContainsFunc(c.Audience, func(a string) bool { return !own(a) }):
		return fail("the token is for the API server itself (audience %s): STS does not accept it, and it should not leave the cluster", list(c.Audience)).
			advise(advice)
	}
	return nil
}

func (r *run) checkTimes() outcome {
	c, now := r.claims, r.Now()
	from := c.IssuedAt
	if c.NotBefore.After(from) {
		from = c.NotBefore
	}
	ahead, life := from.Sub(now), c.Expiry.Sub(c.IssuedAt)
	const clock = "correct the clock of the node (NTP); if it is right, that of the API server is ahead"
	switch {
	case ahead > badly:
		return fail("the token is valid only in %s (iat %s, and it is %s here): this node's clock is behind", short(ahead.Round(time.Second)), stamp(from), stamp(now)).
			advise(clock)
	case !now.Before(c.Expiry):
		return fail("the token expired %s ago, at %s", short(now.Sub(c.Expiry).Round(time.Second)), stamp(c.Expiry)).
			advise("the kubelet replaces a token before it expires: check that the volume is mounted without subPath, that the kubelet reaches the API server, and the clock of this node")
	case ahead > slightly:
		return warn("the token is valid only in %s: this node's clock is behind", short(ahead.Round(time.Second))).
			advise(clock)
	case float64(now.Sub(c.IssuedAt)) > overdue*float64(life), now.Sub(c.IssuedAt) > 25*time.Hour:
		return warn("the token is from %s and expires in %s: the kubelet should have replaced it", stamp(c.IssuedAt), short(c.Expiry.Sub(now).Round(time.Second))).
			advise("check that the volume is mounted without subPath, and that the kubelet reaches the API server")
	}
	return nil
}

func (r *run) describeClaims() string {
	c := r.claims
	text := fmt.Sprintf("%s for %s, issued by %s, expires in %s", c.Subject, list(c.Audience), c.Issuer, short(c.Expiry.Sub(r.Now()).Round(time.Second)))
	if !r.PodIdentity && !slices.Contains(c.Audience, stsAudience) && !slices.Contains(c.Audience, stsAudienceChina) {
		text += "; the client IDs of the IAM OIDC provider must have this audience"
	}
	if c.Pod != "" || c.Node != "" {
		text += fmt.Sprintf("; pod %s on node %s", c.Pod, c.Node)
	}
	if c.ID != "" {
		text += ", jti " + c.ID
	}
	return text
}

func list(words []string) string { return strings.Join(words, ", ") }

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
