package podidentity

import "net/http"

// The codes of failures that EKS does not name itself.
const (
	codeThrottled       = "throttled"
	codeTimeout         = "timeout"
	codeNetwork         = "network"
	codeInvalidResponse = "invalid_response"
	codeOther           = "other"
)

// The codes of EKS that mean one thing each:
// https://docs.aws.amazon.com/eks/latest/APIReference/API_auth_AssumeRoleForPodIdentity.html
const (
	codeAccessDenied = "AccessDeniedException"
	codeNotFound     = "ResourceNotFoundException"
	codeExpired      = "ExpiredTokenException"
	codeInvalidToken = "InvalidTokenException"
)

// Reason is one way in which the agent can fail to give credentials.
type Reason struct {
	Code  string // a value of the result label of irsa_sidecar_refreshes_total
	Cause string
	Fix   string // ends the messages of errors with this code
}

// Reasons returns every reason. It is the only place where they are written: messages,
// metrics and docs/troubleshooting.md take them from here.
func Reasons() []Reason {
	const addOn = "is the eks-pod-identity-agent add-on running on this node, and may the pod reach its address (network policies, a mesh's proxy)? Fargate and Windows nodes have no agent"
	return []Reason{{
		Code:  codeAccessDenied,
		Cause: "The role does not trust EKS Pod Identity, or the node's role may not call EKS Auth.",
		Fix:   "the role's trust policy must allow sts:AssumeRole and sts:TagSession for the service pods.eks.amazonaws.com, and the node's role eks-auth:AssumeRoleForPodIdentity",
	}, {
		Code:  codeNotFound,
		Cause: "The service account has no Pod Identity association in this cluster.",
		Fix:   `create an association for the namespace and service account in the log line "token loaded" (aws eks create-pod-identity-association); a new one takes some seconds`,
	}, {
		Code:  codeExpired,
		Cause: "The token has expired: the kubelet does not replace it (it never replaces one that is mounted with subPath), or the clock of the node is wrong.",
		Fix:   "check that the token volume is mounted without subPath, that the kubelet reaches the API server, and the clock of the node",
	}, {
		Code:  codeInvalidToken,
		Cause: "The token is not one for EKS Pod Identity of this cluster.",
		Fix:   "the audience of the token volume must be pods.eks.amazonaws.com",
	}, {
		Code:  codeThrottled,
		Cause: "The agent, or EKS, limits how often credentials are asked for.",
		Fix:   "nothing, if it passes: the sidecar tries again; otherwise find out what on the node asks this often",
	}, {
		Code:  codeTimeout,
		Cause: "The agent did not answer in time. Where there is no agent, packets to its address are often dropped.",
		Fix:   addOn,
	}, {
		Code:  codeNetwork,
		Cause: "The agent cannot be reached.",
		Fix:   addOn,
	}, {
		Code:  codeInvalidResponse,
		Cause: "The answer is not one of the agent, or its credentials are incomplete, expired, or expire before the current ones. HTTP 404: the path of the agent's URL is wrong. HTTP 403: a proxy changed the Host of the request.",
		Fix:   "check that AWS_CONTAINER_CREDENTIALS_FULL_URI ends with /v1/credentials, find out what else answers at the agent's address, and check the clock of the node",
	}, {
		Code: codeOther,
		Cause: "Any other error of the agent or of EKS Auth, or an outage of it (HTTP 5xx). Right after the start: the agent has not answered yet. " +
			"With \"credentials expired at\": the clock jumped or the node was suspended, and the sidecar is requesting new ones.",
		Fix: "read the agent's log (kubectl logs -n kube-system -l app.kubernetes.io/name=eks-pod-identity-agent), and check the AWS Health Dashboard for EKS",
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

// codeFor returns the code of a refusal: raw is EKS's own code, or "". The agent itself
// refuses a token with status 400.
// https://github.com/aws/eks-pod-identity-agent
func codeFor(raw string, status int) string {
	switch {
	case status == http.StatusTooManyRequests || raw == "ThrottlingException":
		return codeThrottled
	case status >= 500:
		return codeOther
	case raw == codeAccessDenied, raw == codeNotFound, raw == codeExpired, raw == codeInvalidToken:
		return raw
	case raw == "" && status == http.StatusBadRequest:
		return codeInvalidToken
	case raw == "":
		return codeInvalidResponse
	}
	return codeOther
}
