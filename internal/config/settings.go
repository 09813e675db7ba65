// Package config reads and checks the configuration of the sidecar: a command line, the
// environment and the files that they name become plain data, or one error with every
// problem.
//
// It exists so that everything about a setting is in one table: the parser, the usage
// text, the loader and docs/configuration.md are made from it.
package config

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// key is the index of a setting in the table.
type key int

const (
	keySource key = iota
	keyAgentURL
	keyAgentTokenFile
	keyTokenFile
	keyRoleARN
	keySessionName
	keyDuration
	keySessionPolicyFile
	keySessionPolicyARNs
	keyRegion
	keySTSEndpoint
	keySTSFallback
	keyUseFIPS
	keyUseDualStack
	keyCABundle
	keyProxy
	keyNoProxy
	keyListen
	keyECSListen
	keyIMDSListen
	keyIMDSV1
	keyZone
	keyInstanceID
	keyPath
	keyAuthorizationToken
	keyAuthorizationTokenFile
	keyAllowedUIDs
	keyAdminListen
	keyAccessLog
	keyWait
	keyLogLevel
)

// setting is a row of the table.
type setting struct {
	_           [0]func() // not comparable: the binary would have a function of 2 KiB for each length of a list
	key         key
	flag        string // without dashes; "": none
	variables   string // separated by spaces; the first that is not empty counts
	placeholder string // for the value of the flag
	standard    string // the default; "": none
	note        string // in place of standard: "required", or a default in words
	limit       string // as the rule of the setting reads it; "": none
	help        string // one or two sentences
	secret      bool   // whether no error may repeat the value; then it has no flag
	usedBy      commands
}

// commands is a set of commands.
type commands uint8

const (
	byServe commands = 1 << iota
	byReady
	byLinkLocal
)

// section is a part of the table.
type section struct {
	title    string
	settings []setting
}

// sections returns the table. A setting is written here and nowhere else.
func sections() []section {
	return []section{
		{"Source", sourceSettings()},
		{"Role and session, with web identity", sessionSettings()},
		{"STS, with web identity", stsSettings()},
		{"Endpoints", slices.Concat(endpointSettings(), clientSettings())},
		{"Process", processSettings()},
	}
}

// settings returns all rows of the table, in the order of their keys.
func settings() (all []setting) {
	for _, s := range sections() {
		all = append(all, s.settings...)
	}
	return all
}

func sourceSettings() []setting {
	return []setting{{
		key: keySource, flag: "source", variables: "SIDECAR_SOURCE", placeholder: "SOURCE", note: "by what is set", limit: WebIdentity + " or " + PodIdentity,
		help: "Where credentials come from: from STS for a role, or from the EKS Pod Identity agent of the node. " +
			"By default a role means the former, and without one the following two variables mean the latter. The variables of the other source are ignored.",
		usedBy: byServe | byReady,
	}, {
		key: keyAgentURL, variables: "AWS_CONTAINER_CREDENTIALS_FULL_URI", secret: true, note: "required with EKS Pod Identity",
		help:   "The URL of the agent, http://" + agentIPv4 + "/v1/credentials or http://" + agentIPv6 + "/v1/credentials.",
		usedBy: byServe | byReady,
	}, {
		key: keyAgentTokenFile, variables: "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", note: "required with EKS Pod Identity",
		help:   "The projected service account token for the agent, with the audience pods.eks.amazonaws.com.",
		usedBy: byServe | byReady,
	}}
}

func sessionSettings() []setting {
	return []setting{{
		key: keyTokenFile, flag: "token-file", variables: "AWS_WEB_IDENTITY_TOKEN_FILE", placeholder: "FILE", note: "required with web identity",
		help:   "The projected service account token.",
		usedBy: byServe | byReady,
	}, {
		key: keyRoleARN, flag: "role-arn", variables: "AWS_ROLE_ARN", placeholder: "ARN", note: "required with web identity",
		help:   "The IAM role. With --sts-endpoint it may be one of another STS, such as arn:aws:iam:::role/NAME of Ceph or arn:minio:iam:::role/ID of MinIO.",
		usedBy: byServe | byReady,
	}, {
		key: keySessionName, flag: "session-name", variables: "AWS_ROLE_SESSION_NAME", placeholder: "NAME", note: "the host name, which is the pod's",
		help:   "The name of the session in CloudTrail.",
		usedBy: byServe | byReady,
	}, {
		key: keyDuration, flag: "duration", variables: "SIDECAR_DURATION", placeholder: "DURATION", standard: "1h", limit: "15m to 12h",
		help: "The lifetime to request, no more than the role allows, or max: the longest of 12h, 8h, 4h, 2h and 1h that it allows. A longer one does not mean fewer calls to STS, " +
			"but that applications survive a longer outage of STS. Below 45m, SDKs ask more often.",
		usedBy: byServe | byReady,
	}, {
		key: keySessionPolicyFile, flag: "session-policy-file", variables: "SIDECAR_SESSION_POLICY_FILE", placeholder: "FILE", note: "none", limit: "2048 characters",
		help:   "An IAM policy in JSON that restricts the role. A change takes effect at the next refresh.",
		usedBy: byServe | byReady,
	}, {
		key: keySessionPolicyARNs, flag: "session-policy-arns", variables: "SIDECAR_SESSION_POLICY_ARNS", placeholder: "ARNS", note: "none", limit: "10 policies",
		help:   "Managed policies that restrict the role, separated by commas.",
		usedBy: byServe | byReady,
	}}
}

func stsSettings() []setting {
	return []setting{{
		key: keyRegion, flag: "region", variables: "AWS_REGION AWS_DEFAULT_REGION", placeholder: "REGION", note: "required with web identity, unless --sts-endpoint is set",
		help:   "The region whose STS is called. It must be in the partition of the role. EKS Pod Identity needs it only for --imds-listen.",
		usedBy: byServe | byReady,
	}, {
		key: keySTSEndpoint, flag: "sts-endpoint", variables: "AWS_ENDPOINT_URL_STS AWS_ENDPOINT_URL", placeholder: "URL", note: "the region's",
		help:   "Another endpoint of STS.",
		usedBy: byServe | byReady,
	}, {
		key: keySTSFallback, flag: "sts-fallback-regions", variables: "SIDECAR_STS_FALLBACK_REGIONS", placeholder: "REGIONS", note: "none",
		help: "Other regions, separated by commas, whose STS is asked while the region's own cannot be reached, does not answer, or fails with HTTP 5xx. " +
			"The token is then sent there, and CloudTrail has the call there. Not together with --sts-endpoint.",
		usedBy: byServe | byReady,
	}, {
		key: keyUseFIPS, variables: "AWS_USE_FIPS_ENDPOINT", standard: "false",
		help:   "Call the FIPS endpoint of STS. Not together with --sts-endpoint.",
		usedBy: byServe | byReady,
	}, {
		key: keyUseDualStack, variables: "AWS_USE_DUALSTACK_ENDPOINT", standard: "false",
		help:   "Call the dual-stack endpoint of STS, which an IPv6-only cluster needs. Not together with --sts-endpoint.",
		usedBy: byServe | byReady,
	}, {
		key: keyCABundle, variables: "AWS_CA_BUNDLE", note: "the image's public root certificates",
		help:   "A file with root certificates in PEM form. It replaces the image's public root certificates. A change takes effect at the next call.",
		usedBy: byServe | byReady,
	}, {
		key: keyProxy, variables: proxyVariables, secret: true, note: "none",
		help:   "The proxy for calls to STS, http://HOST:PORT. HTTPS_PROXY is for https endpoints, HTTP_PROXY for http endpoints.",
		usedBy: byServe | byReady,
	}, {
		key: keyNoProxy, variables: "NO_PROXY no_proxy", note: "none",
		help:   "Hosts that are called without the proxy.",
		usedBy: byServe,
	}}
}

// proxyVariables are the variables from which net/http takes the proxy.
const proxyVariables = "HTTPS_PROXY https_proxy HTTP_PROXY http_proxy"

func endpointSettings() []setting {
	return []setting{{
		key: keyListen, flag: "listen", variables: "SIDECAR_LISTEN", placeholder: "127.0.0.1:PORT", standard: "127.0.0.1:9911",
		help:   "Where credentials are served. Only the port may differ. With IPv6, they are also served on the same port of [::1].",
		usedBy: byServe | byReady,
	}, {
		key: keyECSListen, flag: "ecs-listen", variables: "SIDECAR_ECS_LISTEN", placeholder: ecsAddress + ":PORT", note: "off",
		help:   "Also serve credentials at the ECS address, where SDKs with AWS_CONTAINER_CREDENTIALS_RELATIVE_URI ask, on port 80. Or at 127.0.0.1:PORT.",
		usedBy: byServe | byReady,
	}, {
		key: keyIMDSListen, flag: "imds-listen", variables: "SIDECAR_IMDS_LISTEN", placeholder: imdsAddress + ":PORT", note: "off",
		help: "Also serve credentials, region and zone as the EC2 instance metadata service does, which SDKs ask on port 80. Or at 127.0.0.1:PORT, " +
			"for clients that can be pointed there with AWS_EC2_METADATA_SERVICE_ENDPOINT.",
		usedBy: byServe | byReady,
	}, {
		key: keyIMDSV1, flag: "imds-v1", variables: "SIDECAR_IMDS_V1", placeholder: "BOOL", standard: "true",
		help:   "Whether the instance metadata endpoint also answers requests without a session token (IMDSv1).",
		usedBy: byServe | byReady,
	}, {
		key: keyZone, flag: "zone", variables: "SIDECAR_ZONE", placeholder: "ZONE", note: "none",
		help:   "The availability zone of the node, for the instance metadata endpoint. Never make one up: programs place replicas by it.",
		usedBy: byServe | byReady,
	}, {
		key: keyInstanceID, flag: "instance-id", variables: "SIDECAR_INSTANCE_ID", placeholder: "ID", note: "none", limit: "64 characters",
		help:   "An instance id for the instance metadata endpoint, for programs that ask for one to find out whether they run on EC2. It is made up: there is no instance.",
		usedBy: byServe | byReady,
	}}
}

// clientSettings says which requests endpoints answer.
func clientSettings() []setting {
	return []setting{{
		key: keyPath, variables: "SIDECAR_PATH", standard: "/v1/credentials", limit: "1024 characters", secret: true,
		help:   "The path of the container credentials endpoint and the ECS endpoint.",
		usedBy: byServe | byReady,
	}, {
		key: keyAuthorizationToken, variables: "SIDECAR_AUTHORIZATION_TOKEN", secret: true, note: "none", limit: "4096 bytes",
		help:   "A token that clients must send: their AWS_CONTAINER_AUTHORIZATION_TOKEN. Not together with --authorization-token-file.",
		usedBy: byServe | byReady,
	}, {
		key: keyAuthorizationTokenFile, flag: "authorization-token-file", variables: "SIDECAR_AUTHORIZATION_TOKEN_FILE", placeholder: "FILE", note: "none",
		help:   "A file with such a token. A change takes effect within two seconds.",
		usedBy: byServe | byReady,
	}, {
		key: keyAllowedUIDs, flag: "allowed-uids", variables: "SIDECAR_ALLOWED_UIDS", placeholder: "UIDS", note: "everybody",
		help:   "The user ids that may have credentials, at every endpoint, separated by commas. The sidecar's own may as well. Needs Linux with inet_diag, which gVisor lacks.",
		usedBy: byServe | byReady,
	}}
}

func processSettings() []setting {
	return []setting{{
		key: keyAdminListen, flag: "admin-listen", variables: "SIDECAR_ADMIN_LISTEN", placeholder: "[HOST]:PORT", standard: ":9912",
		help:   "Where /metrics, /healthz and /readyz are served.",
		usedBy: byServe | byReady,
	}, {
		key: keyAccessLog, flag: "access-log", variables: "SIDECAR_ACCESS_LOG", placeholder: "BOOL", standard: "false",
		help:   "Whether the log says once a minute, at level info, which users asked with which User-Agent, and how often.",
		usedBy: byServe | byReady,
	}, {
		key: keyWait, flag: "wait", variables: "SIDECAR_WAIT", placeholder: "DURATION", standard: "0s", limit: "0s to 1h",
		help:   "How long ready waits for credentials. In a probe, less than its timeoutSeconds.",
		usedBy: byServe | byReady,
	}, {
		key: keyLogLevel, flag: "log-level", variables: "SIDECAR_LOG_LEVEL", placeholder: "LEVEL", standard: "info", limit: "debug, info, warn or error",
		help:   "The lowest level that is logged.",
		usedBy: byServe | byReady | byLinkLocal,
	}}
}

// name returns what an error calls the setting.
func (s setting) name() string {
	variables := strings.Join(strings.Fields(s.variables), ", ")
	if s.flag == "" {
		return variables
	}
	return "--" + s.flag + " (" + variables + ")"
}

// withoutValue says what applies if the setting has no value.
func (s setting) withoutValue() string {
	if strings.HasPrefix(s.note, "required") {
		return s.note
	}
	return "default: " + cmp.Or(s.standard, s.note)
}

// hasFlag reports whether name is the flag of a setting.
func hasFlag(name string) bool {
	return slices.ContainsFunc(settings(), func(s setting) bool { return s.flag != "" && s.flag == name })
}

// durations returns the limits of a setting that is a duration.
func (s setting) durations() (least, most time.Duration) {
	from, to, _ := strings.Cut(s.limit, " to ")
	least, _ = time.ParseDuration(from) // a malformed limit fails the tests
	most, _ = time.ParseDuration(to)
	return least, most
}

// most returns the limit of a setting that is counted.
func (s setting) most() int {
	count, _, _ := strings.Cut(s.limit, " ")
	n, _ := strconv.Atoi(count) // a malformed limit fails the tests
	return n
}
