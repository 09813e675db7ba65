package check

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

const (
	callTimeout = 5 * time.Second

	// everyRole is the duration that every role allows, whatever its settings.
	everyRole = time.Hour
)

// sts calls AssumeRoleWithWebIdentity as the sidecar does, and once more with a shorter
// duration if that is what is wrong.
func (r *run) sts(ctx context.Context) outcome {
	switch {
	case !r.reached:
		return skip("STS is not in reach")
	case r.raw == nil:
		return skip("there is no token")
	}
	failure := r.assume(ctx, r.Duration)
	if failure == nil {
		return r.granted("AssumeRoleWithWebIdentity")
	}
	if failure.Kind == KindTooLong && r.Duration > everyRole && ctx.Err() == nil {
		shorter := r.assume(ctx, everyRole)
		if shorter == nil && r.Longest {
			return r.granted("AssumeRoleWithWebIdentity") // the sidecar finds out what the role allows
		}
		if shorter == nil {
			return fail("%s: the role does not allow --duration %s; %s works, so the trust policy is right", failure, short(r.Duration), short(everyRole)).
				advise(failure.Fix)
		}
	}
	return r.refused(failure)
}

// assume gets credentials, with a timeout.
func (r *run) assume(ctx context.Context, duration time.Duration) (failure *Failure) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	credentials, failure := r.Assume(ctx, duration)
	if failure == nil {
		r.credentials = credentials
	}
	return failure
}

// granted checks the credentials that whoever was asked has granted.
func (r *run) granted(who string) outcome {
	c, now := r.credentials, r.Now()
	switch {
	case c.AccessKeyID == "" || c.SecretAccessKey == "" || c.SessionToken == "":
		r.credentials = aws.Credentials{}
		return fail("%s answered with incomplete credentials", who).advise("find out what answers in place of AWS")
	case !c.Expires.After(now):
		return fail("%s granted credentials that expired at %s, and it is %s here", who, stamp(c.Expires), stamp(now)).
			advise("correct the clock of the node (NTP)")
	}
	return ok("%s granted credentials until %s", who, stamp(c.Expires))
}

func (f *Failure) String() string { return f.Code + ": " + f.What }

// refused says what a refusal of STS proves, and what to do.
func (r *run) refused(failure *Failure) outcome {
	result := Result{Status: Failed, Text: failure.String(), Advice: failure.advice()}
	if r.claims == nil || !r.isAWS() {
		return []Result{result}
	}
	switch failure.Kind {
	case KindDenied:
		result.Text += ". Provider, audience, signature and time are right; the trust policy does not match, or there is no such role"
		result.Advice, result.Paste = r.trustMistakes(), r.trustPolicy()
	case KindNoProvider:
		result.Text += fmt.Sprintf(". Account %s has no OIDC provider for the token's issuer", r.Role.AccountID)
		result.Advice = append(result.Advice, fmt.Sprintf("the command, for account %s:", r.Role.AccountID))
		result.Paste = r.createProvider()
	case KindAudience:
		if len(r.claims.Audience) == 0 {
			break
		}
		result.Text += ". The provider exists, and its client IDs lack " + list(r.claims.Audience)
		result.Advice = append(result.Advice, "the command that adds this audience:")
		result.Paste = r.addAudience()
	}
	return []Result{result}
}

// isAWS reports whether the role is one of AWS, whose accounts have twelve digits. Those of
// S3-compatible stores have none, or another.
func (r *run) isAWS() bool { return len(r.Role.AccountID) == 12 }

// identity checks whose credentials they are.
func (r *run) identity(ctx context.Context) outcome {
	switch {
	case r.credentials.AccessKeyID == "":
		return skip("there are no credentials")
	case r.Identity == nil:
		return skip("without a region there is no STS to ask")
	case !r.PodIdentity && !r.isAWS():
		return skip("the role is none of AWS: other services have no GetCallerIdentity")
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	who, failure := r.Identity(ctx, r.credentials)
	switch {
	case failure == nil:
		return r.compare(who)
	case failure.Code == "network" || failure.Code == "timeout":
		if r.PodIdentity {
			return skip("STS, which the EKS Pod Identity agent does not need, is not in reach: %s", failure.What)
		}
		return warn("GetCallerIdentity: %s", failure.String())
	case failure.Code == "AccessDenied":
		return warn("GetCallerIdentity: %s", failure.String()).
			advise("it needs no permission: the policy of a VPC endpoint for STS may deny it")
	}
	return fail("GetCallerIdentity: %s", failure.String()).
		advise("AWS does not accept the credentials: check the clock of the node, and what signs requests in between")
}

// compare checks that the owner of the credentials is the role that was asked for.
func (r *run) compare(who string) outcome {
	got, err := arn.Parse(who)
	if r.PodIdentity {
		return ok("%s", who)
	}
	name := r.Role.Resource[strings.LastIndexByte(r.Role.Resource, '/')+1:]
	if err != nil || got.AccountID != r.Role.AccountID || got.Partition != r.Role.Partition || !strings.HasPrefix(got.Resource, "assumed-role/"+name+"/") {
		return fail("the credentials are those of %s, and the role is %s", who, r.Role).
			advise("something between here and STS signs requests with credentials of its own, or answers in its place: look for a proxy that does")
	}
	return ok("%s", who)
}
