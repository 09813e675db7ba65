package sts

import (
	"slices"
	"strings"
)

// The codes of failures that STS does not name itself.
const (
	codeThrottled       = "throttled"
	codeTimeout         = "timeout"
	codeNetwork         = "network"
	codeInvalidResponse = "invalid_response"
	codeOther           = "other"
)

// Reason is one way in which a call to STS can fail.
type Reason struct {
	Code  string // a value of the result label of irsa_sidecar_refreshes_total
	Cause string
	Fix   string // ends the messages of errors with this code
}

// Reasons returns every reason. It is the only place where they are written: messages,
// metrics and docs/troubleshooting.md take them from here. They are in the terms of the
// Amazon EKS user guide, "Troubleshoot IAM roles for service accounts".
func Reasons() []Reason {
	return append(operationReasons(), []Reason{{
		Code:  codeThrottled,
		Cause: "The account makes more calls to STS than its quota allows.",
		Fix:   "find out in CloudTrail what else in the account calls STS this often",
	}, {
		Code:  codeTimeout,
		Cause: "STS did not answer in time. The message says at which stage the call was: DNS, connecting, the TLS handshake, sending the request, or waiting for the answer.",
		Fix:   "check DNS, network policies, security groups, HTTPS_PROXY and NO_PROXY; a mesh proxy must start before the sidecar or leave STS traffic and DNS alone",
	}, {
		Code:  codeNetwork,
		Cause: "STS cannot be reached. Without a route to the internet the VPC needs an endpoint for STS.",
		Fix:   "check DNS, network policies, security groups, HTTPS_PROXY, NO_PROXY and AWS_CA_BUNDLE; a mesh proxy must start before the sidecar or leave STS traffic and DNS alone",
	}, {
		Code:  codeInvalidResponse,
		Cause: "The answer is not one of STS, or its credentials are incomplete, expired, or expire before the current ones.",
		Fix:   "check --sts-endpoint, whether a proxy or a captive portal answers in place of STS, and the clock of the node",
	}, {
		Code: codeOther,
		Cause: "Any other error of STS, or an outage of STS (HTTP 5xx). Right after the start: STS has not answered yet. " +
			"With \"credentials expired at\": the clock jumped or the node was suspended, and the sidecar is requesting new ones.",
		Fix: "check the STS endpoint, and the AWS Health Dashboard for STS",
	}}...)
}

// operationReasons returns the errors of the operation that mean one thing each:
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
func operationReasons() []Reason {
	return []Reason{{
		Code:  "AccessDenied",
		Cause: "The role does not exist, or its trust policy does not allow this service account.",
		Fix:   `compare the role ARN with the service account's annotation; the role's trust policy must allow sts:AssumeRoleWithWebIdentity for the issuer, audience (:aud) and subject (:sub) in the log line "token loaded"`,
	}, {
		Code:  "ExpiredTokenException",
		Cause: "The token has expired: the kubelet does not replace it (it never replaces one that is mounted with subPath), or the clock of the node is wrong.",
		Fix:   "check that the token volume is mounted without subPath, that the kubelet reaches the API server, and the clock of the node",
	}, {
		Code:  "IDPCommunicationError",
		Cause: "STS cannot fetch the keys of the token's issuer.",
		Fix:   "check that the issuer's URL is publicly reachable",
	}, {
		Code:  "IDPRejectedClaim",
		Cause: "The issuer's keys do not match the token, or the token is no longer valid.",
		Fix:   "check that the token has not expired, and that the issuer publishes its current keys",
	}, {
		Code:  "InvalidIdentityToken",
		Cause: "The account of the role has no IAM OIDC provider for the token's issuer, or the provider does not list the token's audience as a client ID.",
		Fix:   `create an IAM OIDC provider in the role's account with the issuer and audience in the log line "token loaded"; if that audience is not sts.amazonaws.com, correct the token volume`,
	}, {
		Code:  "MalformedPolicyDocument",
		Cause: "The session policy is not a valid IAM policy.",
		Fix:   "correct the policy in --session-policy-file",
	}, {
		Code:  "PackedPolicyTooLarge",
		Cause: "The session policies are too large.",
		Fix:   "shorten --session-policy-file or --session-policy-arns",
	}, {
		Code:  "RegionDisabledException",
		Cause: "STS is not active in this region for the account.",
		Fix:   "activate STS for this region in the account, or set another --region",
	}, {
		Code:  "ValidationError",
		Cause: "STS rejects a parameter. Often --duration exceeds the role's maximum session duration, which is 1 h unless changed.",
		Fix:   "correct the setting that the message names; --duration must not exceed the role's maximum session duration",
	}}
}

// fix returns what to do about a failure with that code.
func fix(code string) string {
	for _, reason := range Reasons() {
		if reason.Code == code {
			return reason.Fix
		}
	}
	return ""
}

// codeFor returns the code of an error of STS: raw is STS's own code.
func codeFor(raw string, status int) string {
	isRaw := func(r Reason) bool { return r.Code == raw }
	switch {
	case status == 429 || strings.HasPrefix(raw, "Throttling"):
		return codeThrottled
	case status < 500 && slices.ContainsFunc(operationReasons(), isRaw):
		return raw
	}
	return codeOther
}
