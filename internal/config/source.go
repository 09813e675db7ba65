package config

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// The sources of credentials.
const (
	WebIdentity = "web-identity" // STS, in exchange for the token
	PodIdentity = "pod-identity" // the EKS Pod Identity agent of the node
)

// Where the EKS Pod Identity agent answers, and nothing else does:
// https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html
const (
	agentIPv4 = "169.254.170.23"
	agentIPv6 = "[fd00:ec2::23]"
)

// source returns where credentials come from, and why: what is set decides, in the order of
// the AWS SDKs, unless --source does.
func (l *loader) source() (source, why string) {
	value := l.value(keySource)
	name := func(k key) string { return l.settings[k].name() }
	switch {
	case value == WebIdentity || value == PodIdentity:
		return value, name(keySource) + " says so"
	case value != "":
		l.fail(keySource, "%s is neither %s nor %s", quoted(value), WebIdentity, PodIdentity)
		return "", ""
	case l.value(keyRoleARN) != "":
		return WebIdentity, "a role is set; " + name(keySource) + " would choose " + PodIdentity
	case l.value(keyAgentURL) != "" || l.value(keyAgentTokenFile) != "":
		return PodIdentity, "no role is set, and the agent's variables are; a role would choose " + WebIdentity
	case l.value(keyTokenFile) != "":
		return WebIdentity, "a token file is set"
	}
	l.fail(keySource, "there is nothing to take credentials from: web identity needs %s and %s, EKS Pod Identity needs %s and %s", l.settings[keyRoleARN].name(),
		l.settings[keyTokenFile].name(), l.settings[keyAgentURL].name(), l.settings[keyAgentTokenFile].name())
	l.hint("the EKS pod identity webhook sets either two if, before the pod is created, the service account has the annotation eks.amazonaws.com/role-arn or an EKS Pod Identity association, and deploy/inject sets the first two; without them write them in the pod")
	return "", ""
}

// webIdentity reads what a call to STS needs. Without a source it checks what is set, and
// requires nothing.
func (l *loader) webIdentity(cfg *Config) {
	if cfg.Source == WebIdentity {
		cfg.TokenFile = l.tokenFile()
		cfg.Role = l.role()
	}
	cfg.SessionName = l.sessionName()
	cfg.Duration, cfg.LongestDuration = l.duration()
	cfg.Policy, cfg.PolicyFile = l.policy()
	cfg.PolicyARNs = l.policyARNs()
	cfg.STS = l.sts(cfg.Source == WebIdentity)
	l.checkPartition(cfg.Role, cfg.STS.Region)
	l.checkProxies()
}

// podIdentity reads what a call to the EKS Pod Identity agent needs.
func (l *loader) podIdentity(cfg *Config) {
	cfg.AgentURL = l.agentURL()
	cfg.TokenFile = l.agentTokenFile()
	cfg.STS.Region = l.region(false)
	if cfg.STS.Region == "" && l.value(keyIMDSListen) != "" {
		l.fail(keyRegion, "is required for --imds-listen, whose clients take their region from it")
	}
	cfg.Role = arn.ARN{Partition: partitionOf(cfg.STS.Region), Service: "iam", Resource: "role/" + PodIdentity}
	l.checkUnused()
}

// agentURL returns the URL of the agent. A wrong one may have a secret: no error repeats
// it.
func (l *loader) agentURL() string {
	value := l.value(keyAgentURL)
	if value == "" {
		l.fail(keyAgentURL, "is required")
		l.hint(agentCause)
		return ""
	}
	u, err := url.Parse(value)
	if err != nil {
		u = &url.URL{}
	}
	switch {
	case isLoopback(u.Hostname()):
		l.fail(keyAgentURL, "is at a loopback address, where this sidecar answers: it is for the application's container; here it must be http://%s/v1/credentials, the URL of the EKS Pod Identity agent", agentIPv4)
	case u.Host != agentIPv4 && u.Host != agentIPv6, u.Path == "", value != "http://"+u.Host+u.Path:
		l.fail(keyAgentURL, "must be http://%s/v1/credentials or http://%s/v1/credentials, the URL of the EKS Pod Identity agent, without a port, a query or anything else: the token is sent nowhere else", agentIPv4, agentIPv6)
	}
	return value
}

// isLoopback reports whether a host is this one.
func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// agentCause says why the settings of EKS Pod Identity are usually missing.
const agentCause = "the EKS pod identity webhook sets this if the service account has an EKS Pod Identity association before the pod is created; without the webhook write it in the pod, and mount a token for the audience pods.eks.amazonaws.com"

func (l *loader) agentTokenFile() string {
	if l.value(keyAgentTokenFile) == "" {
		l.fail(keyAgentTokenFile, "is required")
		l.hint(agentCause)
	}
	return l.file(keyAgentTokenFile)
}

// checkUnused checks that no setting is set that only web identity has: whoever sets one
// expects something of it. Variables that are in a pod for every SDK pass.
func (l *loader) checkUnused() {
	forEverySDK := []string{"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_ENDPOINT_URL"}
	for _, k := range []key{keyTokenFile, keyRoleARN, keySessionName, keyDuration, keySessionPolicyFile, keySessionPolicyARNs, keySTSEndpoint, keySTSFallback, keyUseFIPS, keyUseDualStack} {
		set := l.arguments.flags[l.settings[k].flag] != ""
		for variable := range strings.FieldsSeq(l.settings[k].variables) {
			set = set || l.getenv(variable) != "" && !slices.Contains(forEverySDK, variable)
		}
		if set {
			l.fail(k, "has no effect with EKS Pod Identity, where the association says which role: remove it, or set --source %s", WebIdentity)
		}
	}
}
