package sts

import (
	"slices"
	"strings"
)

// The causes that need more than their Fix: check prints a command or a policy for them, or
// makes another call.
const (
	CauseDenied      = "denied"
	CauseNoProvider  = "no provider"
	CauseAudience    = "audience"
	CauseTooLong     = "duration"
	CauseUnknownHost = "unknown host"
	CauseNoProxy     = "no proxy"
	CauseProxy       = "proxy"
	CauseCertificate = "certificate"
	CauseClock       = "clock"
	CauseRefused     = "refused"
	CauseMesh        = "mesh"
)

// Cause is what a failure proves, where that is more than its code says.
type Cause struct {
	Name   string // one of the constants, or ""
	Code   string // of the Reason that it makes more precise
	Says   string // one of these texts, separated by bars; "": anything
	Proves string
	Fix    string // ends the messages of errors in place of the Fix of the Reason
}

// Causes returns every cause. It is the only place where they are written: messages, check
// and docs/troubleshooting.md take them from here. The texts are those of STS that people
// have reported; AWS documents none of them.
func Causes() []Cause {
	return append(answers(), connectionCauses()...)
}

// answers returns what STS says, in the order in which it looks at things.
func answers() []Cause {
	return slices.Concat(tokenCauses(), timeCauses(), roleCauses())
}

// publicIssuer is what to check if STS cannot read what an issuer publishes.
const publicIssuer = "check that the issuer's /.well-known/openid-configuration and its jwks_uri can be read from the internet, and that the keys there have the token's kid"

// tokenCauses returns what STS says about a token and its issuer.
func tokenCauses() []Cause {
	const invalid = "InvalidIdentityToken"
	return []Cause{{
		Code: invalid, Says: "is not a valid JWT",
		Proves: "The file does not hold a token of a projected volume.",
		Fix:    "name a file that the kubelet writes, from a projected volume with a serviceAccountToken source",
	}, {
		Code: invalid, Says: "Missing a required claim",
		Proves: "The token is not one of a projected volume: one of a Secret has no audience and no expiration.",
		Fix:    "mount a projected volume with a serviceAccountToken source, audience sts.amazonaws.com",
	}, {
		Name: CauseNoProvider, Code: invalid, Says: "No OpenIDConnect provider found",
		Proves: "The account of the role has no IAM OIDC provider for the token's issuer.",
		Fix:    `create an IAM OIDC provider for the issuer in the log line "token loaded", in the account of the role; if it has one, compare the URLs letter by letter, and check that STS is active in this region for the account`,
	}, {
		Code: invalid, Says: "thumbprint",
		Proves: "The provider exists, and its thumbprint is not that of the certificate that the issuer's server has.",
		Fix:    "correct the thumbprint of the IAM OIDC provider (aws iam update-open-id-connect-provider-thumbprint)",
	}, {
		Code: invalid, Says: "Couldn't retrieve verification key",
		Proves: "The provider exists, and STS could not fetch the issuer's keys, or they have no key with the token's kid.",
		Fix:    "wait: this often passes; if it does not, " + publicIssuer,
	}, {
		Code: invalid, Says: "could not be validated|token signature|token's signature",
		Proves: "The provider exists, and the token is not signed with the issuer's key.",
		Fix:    "check that the issuer publishes the keys of this cluster, and of no other, and whether the cluster's signing key was replaced: then restart the pod",
	}, {
		Name: CauseAudience, Code: invalid, Says: "Incorrect token audience",
		Proves: "The provider exists, and the token's audience is not one of its client IDs.",
		Fix:    `if the audience in the log line "token loaded" is not sts.amazonaws.com, correct the token volume; otherwise add it to the client IDs of the IAM OIDC provider (aws iam add-client-id-to-open-id-connect-provider)`,
	}}
}

// timeCauses returns what STS says about when a token is valid, and about an issuer that it
// could not reach.
func timeCauses() []Cause {
	return []Cause{{
		Code: "InvalidIdentityToken", Says: "not valid yet|not yet valid|in the future|before it was issued|before issued",
		Proves: "By the clock of AWS the token is not valid yet.",
		Fix:    "check the clock of the machine that issues tokens, which is the API server's",
	}, {
		Code: "ExpiredTokenException", Says: "Token too old",
		Proves: "The token was issued too long ago, whatever its expiration says.",
		Fix:    "check that the token volume is mounted without subPath, and that its expirationSeconds is at most 86400",
	}, {
		Code:   "IDPCommunicationError",
		Proves: "STS could not reach the token's issuer, or not in time.",
		Fix:    "wait: this often passes; if it does not, " + publicIssuer,
	}}
}

// roleCauses returns what STS says about a role and the parameters of the call, after it
// has accepted the token.
func roleCauses() []Cause {
	const denied, invalid = "AccessDenied", "ValidationError"
	return []Cause{{
		Code: denied, Says: "VPC endpoint policy",
		Proves: "The policy of the VPC endpoint for STS does not allow the call.",
		Fix:    "have that policy allow sts:AssumeRoleWithWebIdentity for the role",
	}, {
		Code: denied, Says: "service control policy|resource control policy",
		Proves: "A policy of the organization (SCP, RCP) denies the call.",
		Fix:    "have the policy that the message names allow sts:AssumeRoleWithWebIdentity for the role",
	}, {
		Name: CauseDenied, Code: denied, Says: "Not authorized to perform",
		Proves: "Provider, audience, signature and time are right. The role does not exist, or its trust policy does not allow this service account.",
		Fix:    `compare the role ARN with the service account's annotation; the role's trust policy must allow sts:AssumeRoleWithWebIdentity for the issuer, audience (:aud) and subject (:sub) in the log line "token loaded": sidecar check prints it; an SCP or the policy of a VPC endpoint can deny the call too`,
	}, {
		Name: CauseTooLong, Code: invalid, Says: "MaxSessionDuration",
		Proves: "The trust policy is right. --duration exceeds the role's maximum session duration, which is 1 h unless changed.",
		Fix:    "set --duration to 1h, or raise the role's maximum (aws iam update-role --max-session-duration)",
	}, {
		Code: invalid, Says: "Request ARN is invalid|Invalid partition|Invalid ARN partition",
		Proves: "The role ARN is not one of a role in the partition of this STS.",
		Fix:    "correct --role-arn: compare its partition (aws, aws-cn, aws-us-gov), account and name with the role's ARN in IAM, and --region with the partition",
	}}
}

// connectionCauses returns what the connection to STS failed for.
func connectionCauses() []Cause {
	return []Cause{{
		Name: CauseNoProxy, Code: codeNetwork, Says: "proxyconnect",
		Proves: "The proxy that HTTPS_PROXY names cannot be reached. STS was not asked.",
		Fix:    "correct HTTPS_PROXY, or set NO_PROXY if STS is in reach without it; in a service mesh, its proxy must start before the sidecar",
	}, {
		Name: CauseUnknownHost, Code: codeNetwork, Says: "no such host",
		Proves: "DNS answers, and says that there is no such name.",
		Fix:    "correct the name of the region (--region); if it is right, check --sts-endpoint, and a private DNS zone that hides it",
	}, {
		Name: CauseProxy, Code: codeNetwork, Says: "the proxy HOST:PORT answered",
		Proves: "The proxy is in reach, and refuses to connect to STS, which was not asked.",
		Fix:    "have the proxy allow STS (407: put its user and password into HTTPS_PROXY), or set NO_PROXY if STS is in reach without it",
	}, {
		Name: CauseCertificate, Code: codeNetwork, Says: "certificate signed by unknown authority",
		Proves: "Something between here and STS opens TLS with a certificate of its own, whose issuer the message names.",
		Fix:    "put the root certificate of that issuer into AWS_CA_BUNDLE, or have STS excepted",
	}, {
		Name: CauseClock, Code: codeNetwork, Says: "certificate has expired or is not yet valid",
		Proves: "The certificate is not valid at the time that this node has.",
		Fix:    "check the clock of this node, whose time is in the message; if it is right, the certificate is not that of STS",
	}, {
		Name: CauseRefused, Code: codeNetwork, Says: "connection refused",
		Proves: "The address is in reach, and refuses connections.",
		Fix:    "check --sts-endpoint, network policies and HTTPS_PROXY; in a service mesh, its proxy must start before the sidecar or leave STS traffic alone",
	}, {
		Name: CauseMesh, Code: codeNetwork, Says: "connection refused",
		Proves: "The address is public, and STS refuses no connections there: something nearer does. Most likely Istio or Linkerd redirects what the pod sends to its proxy, which does not run yet.",
		Fix:    "in a mesh (Istio, Linkerd) have its proxy start before the sidecar, or exclude the sidecar from it (docs/meshes.md; sidecar check says which mesh it is); otherwise check network policies, --sts-endpoint and HTTPS_PROXY",
	}}
}

// causeOf returns the cause of a refusal with that code and text of STS, the zero Cause if
// there is none. A text counts for any code, because STS does not always use the same.
func causeOf(code, text string) Cause {
	text = strings.ToLower(text)
	for _, c := range answers() {
		if c.Says == "" && c.Code == code {
			return c
		}
		for known := range strings.SplitSeq(strings.ToLower(c.Says), "|") {
			if known != "" && strings.Contains(text, known) {
				return c
			}
		}
	}
	return Cause{}
}

// namedCause returns the cause with that name.
func namedCause(name string) Cause {
	for _, c := range Causes() {
		if c.Name == name {
			return c
		}
	}
	return Cause{}
}
