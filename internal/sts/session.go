package sts

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	awssts "github.com/aws/aws-sdk-go-v2/service/sts"
)

// Session is a client of STS that adapts what is asked for: the duration to what the role
// allows, the session policy to what its file holds. It is not for concurrent use.
type Session struct {
	client    stscreds.AssumeRoleWithWebIdentityAPIClient
	log       *slog.Logger
	durations []time.Duration // to ask for, the first one now; empty: what the caller asks for

	policy   *Reloaded[string] // nil: there is no file
	accepted string            // the policy with which STS last granted credentials
	refused  string            // a policy that STS refused afterwards
}

// Longest returns the durations to ask for in turn while STS says that one exceeds the
// role's maximum: those that the IAM console offers. 1 h is what every role allows.
func Longest() []time.Duration {
	return []time.Duration{12 * time.Hour, 8 * time.Hour, 4 * time.Hour, 2 * time.Hour, time.Hour}
}

// NewSession returns a Session that asks client for the first of durations that the role
// allows, unless there are none, and with the policy of a file, unless that is nil.
func NewSession(client stscreds.AssumeRoleWithWebIdentityAPIClient, durations []time.Duration, policy *Reloaded[string], log *slog.Logger) *Session {
	s := &Session{client: client, log: log, durations: durations, policy: policy}
	if policy == nil {
		return s
	}
	read := policy.read
	policy.read = func() (string, error) {
		text, err := read()
		if err == nil && s.refused != "" && text == s.refused {
			err = errors.New("STS refuses the policy")
		}
		return text, err
	}
	return s
}

// AssumeRoleWithWebIdentity implements stscreds.AssumeRoleWithWebIdentityAPIClient.
func (s *Session) AssumeRoleWithWebIdentity(ctx context.Context, in *awssts.AssumeRoleWithWebIdentityInput, opts ...func(*awssts.Options)) (*awssts.AssumeRoleWithWebIdentityOutput, error) {
	adapted := *in
	if len(s.durations) > 0 {
		adapted.DurationSeconds = aws.Int32(int32(s.durations[0].Seconds()))
	}
	var policy string
	if s.policy != nil {
		policy = s.policy.Get()
		adapted.Policy = &policy
	}
	out, err := s.client.AssumeRoleWithWebIdentity(ctx, &adapted, opts...)
	if err == nil {
		s.accepted = policy
	} else if why, ok := errors.AsType[*Error](err); ok {
		s.learn(why, policy)
	}
	return out, err
}

// learn changes what is asked for next if STS refused it.
func (s *Session) learn(why *Error, policy string) {
	if why.code == "ValidationError" && why.cause.Name == CauseTooLong && len(s.durations) > 1 {
		s.log.Info("the role allows no session as long", "refused", s.durations[0].String(), "next", s.durations[1].String())
		s.durations = s.durations[1:]
	}
	refused := why.code == "MalformedPolicyDocument" || why.code == "PackedPolicyTooLarge"
	if refused && s.accepted != "" && policy != s.accepted {
		s.refused, s.policy.last = policy, s.accepted
	}
}
