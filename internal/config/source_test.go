package config

import (
	"errors"
	"maps"
	"strings"
	"testing"
)

// association returns the environment that the EKS pod identity webhook sets for an EKS
// Pod Identity association.
func association() map[string]string {
	return map[string]string{
		"AWS_CONTAINER_CREDENTIALS_FULL_URI":     "http://169.254.170.23/v1/credentials",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/eks-pod-identity-token",
	}
}

func TestAssociationEnvironmentIsEnough(t *testing.T) {
	cfg, err := load(nil, association())
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Source != PodIdentity || cfg.AgentURL != "http://169.254.170.23/v1/credentials" || cfg.Role.AccountID != "" || cfg.Role.Resource != "role/pod-identity" ||
		cfg.TokenFile != "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/eks-pod-identity-token" {
		t.Errorf("got %+v", cfg)
	}
}

func TestSource(t *testing.T) {
	both := webhook()
	maps.Copy(both, association())
	tests := []struct {
		name  string
		base  map[string]string
		flags map[string]string
		env   map[string]string
		want  string
	}{
		{name: "a role", base: webhook(), want: WebIdentity},
		{name: "an association", base: association(), want: PodIdentity},
		{name: "both", base: both, want: WebIdentity},
		{name: "both, and the sidecar's own URL", base: both, env: map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9911/v1/credentials"}, want: WebIdentity},
		{name: "both, settled by the variable", base: both, env: map[string]string{"SIDECAR_SOURCE": PodIdentity}, want: PodIdentity},
		{name: "both, settled by the flag", base: both, flags: map[string]string{"source": PodIdentity}, env: map[string]string{"SIDECAR_SOURCE": WebIdentity}, want: PodIdentity},
		{name: "no role", base: both, env: map[string]string{"AWS_ROLE_ARN": ""}, want: PodIdentity},
		{name: "IPv6", base: association(), env: map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://[fd00:ec2::23]/v1/credentials"}, want: PodIdentity},
		{name: "what is there for every SDK", base: association(), env: map[string]string{"AWS_ENDPOINT_URL": "http://localstack", "AWS_ROLE_SESSION_NAME": "a b",
			"HTTP_PROXY": "http://proxy:3128", "AWS_CA_BUNDLE": "/none"}, want: PodIdentity},
		{name: "the metadata endpoint with a region", base: association(), env: map[string]string{"SIDECAR_IMDS_LISTEN": "169.254.169.254:80", "AWS_REGION": "cn-north-1"}, want: PodIdentity},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env := maps.Clone(tt.base)
			maps.Copy(env, tt.env)
			cfg, err := load(tt.flags, env)
			if err != nil || cfg.Source != tt.want || (cfg.AgentURL != "") != (tt.want == PodIdentity) {
				t.Errorf("got %+v, %v", cfg, err)
			}
		})
	}
}

// The partition is that of the region, if there is no role to take it from.
func TestThePartitionIsThatOfTheRegion(t *testing.T) {
	for region, want := range map[string][2]string{"": {}, "dc1": {}, "eu-west-1": {"aws", "amazonaws.com"}, "cn-north-1": {"aws-cn", "amazonaws.com.cn"}} {
		env := association()
		env["AWS_REGION"] = region
		cfg, err := load(nil, env)
		if err != nil || cfg.Role.Partition != want[0] || cfg.Domain() != want[1] || cfg.STS.Region != region {
			t.Errorf("region %q: got %+v, %v", region, cfg, err)
		}
	}
}

func TestWrongSources(t *testing.T) {
	const url = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
	tests := []struct {
		name  string
		flags map[string]string
		env   map[string]string
		want  string // the message's prefix
		says  string // a part of the message
	}{
		{"nothing", nil, map[string]string{url: "", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": ""}, "--source (SIDECAR_SOURCE): there is nothing",
			"web identity needs --role-arn (AWS_ROLE_ARN) and --token-file (AWS_WEB_IDENTITY_TOKEN_FILE), EKS Pod Identity needs AWS_CONTAINER_CREDENTIALS_FULL_URI and AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"},
		{"an unknown source", map[string]string{"source": "irsa"}, nil, "--source (SIDECAR_SOURCE): ", `"irsa" is neither web-identity nor pod-identity`},
		{"no URL", nil, map[string]string{url: ""}, url + ": is required", "EKS Pod Identity association"},
		{"no token file", nil, map[string]string{"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": ""}, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: is required", "pods.eks.amazonaws.com"},
		{"a token in place of its file", nil, map[string]string{"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "hunter2"}, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: ", "absolute path"},
		{"the sidecar's own URL", nil, map[string]string{url: "http://127.0.0.1:9911/hunter2"}, url + ": is at a loopback address", "http://169.254.170.23/v1/credentials"},
		{"localhost", nil, map[string]string{url: "http://localhost/v1/credentials"}, url + ": is at a loopback address", ""},
		{"the IPv6 loopback address", nil, map[string]string{url: "http://[::1]:80/v1/credentials"}, url + ": is at a loopback address", ""},
		{"the ECS address", nil, map[string]string{url: "http://169.254.170.2/v1/credentials"}, url + ": must be ", "the token is sent nowhere else"},
		{"a name", nil, map[string]string{url: "http://agent.example/v1/credentials"}, url + ": must be ", ""},
		{"https", nil, map[string]string{url: "https://169.254.170.23/v1/credentials"}, url + ": must be ", ""},
		{"capital letters", nil, map[string]string{url: "HTTP://169.254.170.23/v1/credentials"}, url + ": must be ", ""},
		{"a port", nil, map[string]string{url: "http://169.254.170.23:80/v1/credentials"}, url + ": must be ", "without a port"},
		{"an empty port", nil, map[string]string{url: "http://169.254.170.23:/v1/credentials"}, url + ": must be ", ""},
		{"user info", nil, map[string]string{url: "http://hunter2@169.254.170.23/v1/credentials"}, url + ": must be ", ""},
		{"a host that begins well", nil, map[string]string{url: "http://169.254.170.23.example/v1/credentials"}, url + ": must be ", ""},
		{"the address in IPv6", nil, map[string]string{url: "http://[::ffff:169.254.170.23]/v1/credentials"}, url + ": must be ", ""},
		{"the address as a number", nil, map[string]string{url: "http://2852039191/v1/credentials"}, url + ": must be ", ""},
		{"a query", nil, map[string]string{url: "http://169.254.170.23/v1/credentials?hunter2"}, url + ": must be ", ""},
		{"an empty query", nil, map[string]string{url: "http://169.254.170.23/v1/credentials?"}, url + ": must be ", ""},
		{"a fragment", nil, map[string]string{url: "http://169.254.170.23/v1/credentials#hunter2"}, url + ": must be ", ""},
		{"no path", nil, map[string]string{url: "http://169.254.170.23"}, url + ": must be ", ""},
		{"two lines", nil, map[string]string{url: "http://169.254.170.23/v1/credentials\nhunter2"}, url + ": must be ", ""},
		{"not a URL", nil, map[string]string{url: "hunter2"}, url + ": must be ", ""},
		{"a role, and --source", map[string]string{"source": PodIdentity, "role-arn": "arn:aws:iam::111122223333:role/app"}, nil, "--role-arn", "has no effect with EKS Pod Identity"},
		{"a token file, by flag", map[string]string{"token-file": "/token"}, nil, "--token-file", "has no effect"},
		{"a session name, by flag", map[string]string{"session-name": "app"}, nil, "--session-name", "has no effect"},
		{"a duration", nil, map[string]string{"SIDECAR_DURATION": "1h"}, "--duration (SIDECAR_DURATION): has no effect", "set --source web-identity"},
		{"a session policy", nil, map[string]string{"SIDECAR_SESSION_POLICY_FILE": "/policy"}, "--session-policy-file", "has no effect"},
		{"session policies", nil, map[string]string{"SIDECAR_SESSION_POLICY_ARNS": "x"}, "--session-policy-arns", "has no effect"},
		{"fallback regions", nil, map[string]string{"SIDECAR_STS_FALLBACK_REGIONS": "eu-central-1"}, "--sts-fallback-regions", "has no effect"},
		{"an STS endpoint", nil, map[string]string{"AWS_ENDPOINT_URL_STS": "https://hunter2"}, "--sts-endpoint", "has no effect"},
		{"FIPS", nil, map[string]string{"AWS_USE_FIPS_ENDPOINT": "true"}, "AWS_USE_FIPS_ENDPOINT: ", "has no effect"},
		{"dual-stack", nil, map[string]string{"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "AWS_USE_DUALSTACK_ENDPOINT: ", "has no effect"},
		{"the metadata endpoint without a region", nil, map[string]string{"SIDECAR_IMDS_LISTEN": "169.254.169.254:80"}, "--region", "is required for --imds-listen"},
		{"a zone as the region", nil, map[string]string{"AWS_REGION": "eu-west-1a"}, "--region", "is a zone"},
		{"a role without a token file", nil, map[string]string{"AWS_ROLE_ARN": "arn:aws:iam::111122223333:role/app", "AWS_REGION": "eu-west-1"}, "--token-file", "set --source pod-identity"},
		{"web identity, but an association", map[string]string{"source": WebIdentity}, map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": "/token", "AWS_REGION": "eu-west-1"}, "--role-arn", "set --source pod-identity"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env := association()
			maps.Copy(env, tt.env)
			_, err := load(tt.flags, env)
			wrong, ok := errors.AsType[*Error](err)
			if !ok || len(wrong.Problems) != 1 || !strings.HasPrefix(wrong.Problems[0], tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("got  %v\nwant one problem, %s … %s", err, tt.want, tt.says)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error repeats a secret: %v", err)
			}
		})
	}
}
