package config

import (
	"encoding/pem"
	"errors"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"irsa-sidecar/internal/token"
)

// webhook returns the environment that the EKS pod identity webhook sets.
func webhook() map[string]string {
	return map[string]string{
		"AWS_ROLE_ARN":                "arn:aws:iam::111122223333:role/app",
		"AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/secrets/eks.amazonaws.com/serviceaccount/token",
		"AWS_REGION":                  "eu-west-1",
		"AWS_DEFAULT_REGION":          "eu-west-1",
		"AWS_STS_REGIONAL_ENDPOINTS":  "regional",
	}
}

func load(flags, environment map[string]string) (*Config, error) {
	return Load(Arguments{flags: flags}, func(name string) string { return environment[name] }, token.ReadFile)
}

func TestWebhookEnvironmentIsEnough(t *testing.T) {
	cfg, err := load(nil, webhook())
	if err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case cfg.Role.AccountID != "111122223333",
		cfg.TokenFile != "/var/run/secrets/eks.amazonaws.com/serviceaccount/token",
		!reflect.DeepEqual(cfg.STS, STS{Region: "eu-west-1"}),
		cfg.SessionName != defaultSessionName(host, nil),
		cfg.Duration != time.Hour,
		cfg.Policy != "" || cfg.PolicyARNs != nil,
		cfg.Listen.Loopback.HostPort != "127.0.0.1:9911" || cfg.Listen.Admin.HostPort != ":9912",
		cfg.Listen.ECS.HostPort != "" || cfg.Listen.IMDS.HostPort != "" || !cfg.IMDSV1,
		cfg.Path != "/v1/credentials" || cfg.AuthorizationToken != "" || cfg.AuthorizationTokenFile != "":
		t.Errorf("got %+v", cfg)
	}
}

// write writes a file and returns its name.
func write(t *testing.T, name, content string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestSettings(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string { return write(t, filepath.Join(dir, name), content) }
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	bundle := file("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})))

	tests := []struct {
		name  string
		flags map[string]string
		env   map[string]string
		want  func(cfg *Config) bool
	}{
		{"a flag takes precedence", map[string]string{"region": "us-east-1"}, map[string]string{"AWS_REGION": "eu-west-1"},
			func(c *Config) bool { return c.STS.Region == "us-east-1" }},
		{"an empty variable counts as unset", nil, map[string]string{"AWS_REGION": "", "AWS_DEFAULT_REGION": "sa-east-1"},
			func(c *Config) bool { return c.STS.Region == "sa-east-1" }},
		{"an endpoint instead of a region", nil, map[string]string{"AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_ENDPOINT_URL": "https://vpce-1.sts.eu-west-1.vpce.amazonaws.com"},
			func(c *Config) bool {
				return c.STS.Region == "" && c.STS.Endpoint == "https://vpce-1.sts.eu-west-1.vpce.amazonaws.com"
			}},
		{"the endpoint of STS takes precedence", nil, map[string]string{"AWS_ENDPOINT_URL": "http://a", "AWS_ENDPOINT_URL_STS": "http://b:1/x"},
			func(c *Config) bool { return c.STS.Endpoint == "http://b:1/x" }},
		{"FIPS and dual-stack", nil, map[string]string{"AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "TRUE"},
			func(c *Config) bool { return c.STS.UseFIPS && c.STS.UseDualStack }},
		{"CA bundle", nil, map[string]string{"AWS_CA_BUNDLE": bundle}, func(c *Config) bool { return c.STS.RootCAs != nil }},
		{"session name", nil, map[string]string{"AWS_ROLE_SESSION_NAME": "shop.cart@1"}, func(c *Config) bool { return c.SessionName == "shop.cart@1" }},
		{"duration", nil, map[string]string{"SIDECAR_DURATION": "90m"}, func(c *Config) bool { return c.Duration == 90*time.Minute && !c.LongestDuration }},
		{"the longest duration", nil, map[string]string{"SIDECAR_DURATION": "max"}, func(c *Config) bool { return c.Duration == 12*time.Hour && c.LongestDuration }},
		{"wait", map[string]string{"wait": "10s"}, map[string]string{"SIDECAR_WAIT": "1m"}, func(c *Config) bool { return c.Wait == 10*time.Second }},
		{"session policy", nil, map[string]string{"SIDECAR_SESSION_POLICY_FILE": file("policy", `{"Version":"2012-10-17"}`)},
			func(c *Config) bool { return c.Policy == `{"Version":"2012-10-17"}` }},
		{"session policies", nil, map[string]string{"SIDECAR_SESSION_POLICY_ARNS": "arn:aws:iam::aws:policy/ReadOnlyAccess, arn:aws:iam::111122223333:policy/p"},
			func(c *Config) bool {
				return slices.Equal(c.PolicyARNs, []string{"arn:aws:iam::aws:policy/ReadOnlyAccess", "arn:aws:iam::111122223333:policy/p"})
			}},
		{"ports", nil, map[string]string{"SIDECAR_LISTEN": "127.0.0.1:80", "SIDECAR_ADMIN_LISTEN": "[::1]:81"},
			func(c *Config) bool {
				return c.Listen.Loopback.HostPort == "127.0.0.1:80" && c.Listen.Admin.HostPort == "[::1]:81"
			}},
		{"more endpoints", nil, map[string]string{"SIDECAR_ECS_LISTEN": "169.254.170.2:80", "SIDECAR_IMDS_LISTEN": "169.254.169.254:80", "SIDECAR_IMDS_V1": "False"},
			func(c *Config) bool {
				return c.Listen.ECS.HostPort == "169.254.170.2:80" && c.Listen.IMDS.HostPort == "169.254.169.254:80" && !c.IMDSV1
			}},
		{"more endpoints, for SDKs that can be pointed there", map[string]string{"ecs-listen": "127.0.0.1:1", "imds-listen": "127.0.0.1:2", "imds-v1": "true"}, nil,
			func(c *Config) bool {
				return c.Listen.ECS.HostPort == "127.0.0.1:1" && c.Listen.IMDS.HostPort == "127.0.0.1:2" && c.IMDSV1
			}},
		{"zone and instance id", map[string]string{"instance-id": "i-0123456789abcdef0"}, map[string]string{"SIDECAR_ZONE": "eu-west-1-lon-1a"},
			func(c *Config) bool { return c.Zone == "eu-west-1-lon-1a" && c.InstanceID == "i-0123456789abcdef0" }},
		{"a zone that is not AWS's", nil, map[string]string{"AWS_REGION": "dc1", "SIDECAR_ZONE": "rack-7"}, func(c *Config) bool { return c.Zone == "rack-7" }},
		{"an empty address means no endpoint", nil, map[string]string{"SIDECAR_ECS_LISTEN": "", "SIDECAR_IMDS_LISTEN": ""},
			func(c *Config) bool { return c.Listen.ECS == Address{} && c.Listen.IMDS == Address{} }},
		{"a capability as the path", nil, map[string]string{"SIDECAR_PATH": "/v1/credentials/0f1e-2d~_.x/"},
			func(c *Config) bool { return c.Path == "/v1/credentials/0f1e-2d~_.x" }},
		{"authorization token", nil, map[string]string{"SIDECAR_AUTHORIZATION_TOKEN": " hunter2\n"},
			func(c *Config) bool { return c.AuthorizationToken == "hunter2" }},
		{"authorization token file", nil, map[string]string{"SIDECAR_AUTHORIZATION_TOKEN_FILE": file("token", "hunter2\n")},
			func(c *Config) bool { return c.AuthorizationToken == "hunter2" }},
		{"allowed users", nil, map[string]string{"SIDECAR_ALLOWED_UIDS": "1000,0,4294967294"},
			func(c *Config) bool { return slices.Equal(c.AllowedUIDs, []uint32{1000, 0, 4294967294}) }},
		{"no allowed users means everybody", map[string]string{"allowed-uids": ""}, map[string]string{"SIDECAR_ALLOWED_UIDS": "1000"},
			func(c *Config) bool { return c.AllowedUIDs == nil && !c.AccessLog }},
		{"access log", map[string]string{"access-log": "true"}, nil, func(c *Config) bool { return c.AccessLog }},
		{"variables of clients are ignored", nil, map[string]string{"AWS_CONTAINER_AUTHORIZATION_TOKEN": "x", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://10.0.0.1/x"},
			func(c *Config) bool { return c.AuthorizationToken == "" && c.Path == "/v1/credentials" }},
		{"proxies", nil, map[string]string{"HTTPS_PROXY": "http://user:hunter2@proxy:3128", "http_proxy": "proxy:3128"}, func(*Config) bool { return true }},
		{"role of another partition with a path", nil, map[string]string{"AWS_ROLE_ARN": "arn:aws-us-gov:iam::111122223333:role/a/b/c+=,.@_-", "AWS_REGION": "us-gov-west-1"},
			func(c *Config) bool { return c.Role.Partition == "aws-us-gov" && c.Domain() == "amazonaws.com" }},
		{"a region that is not AWS's", nil, map[string]string{"AWS_REGION": "dc1-1a", "AWS_ROLE_ARN": "arn:aws-cn:iam::111122223333:role/app"},
			func(c *Config) bool { return c.STS.Region == "dc1-1a" }},
		{"a partition that is not AWS's", nil, map[string]string{"AWS_ROLE_ARN": "arn:aws-example:iam::111122223333:role/app"},
			func(c *Config) bool { return c.Role.Partition == "aws-example" && c.Domain() == "" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env := webhook()
			maps.Copy(env, tt.env)
			cfg, err := load(tt.flags, env)
			if err != nil || !tt.want(cfg) {
				t.Errorf("got %+v, %v", cfg, err)
			}
		})
	}
}

func TestWrongSettings(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string { return write(t, filepath.Join(dir, name), content) }
	tests := []struct {
		name string
		env  map[string]string
		want string // the message's prefix
		says string // a part of the message
	}{
		{"no role", map[string]string{"AWS_ROLE_ARN": ""}, "--role-arn (AWS_ROLE_ARN): is required", "eks.amazonaws.com/role-arn"},
		{"no token file", map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": ""}, "--token-file (AWS_WEB_IDENTITY_TOKEN_FILE): is required", "webhook"},
		{"no region", map[string]string{"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}, "--region (AWS_REGION, AWS_DEFAULT_REGION): is required", "write the cluster's region"},
		{"role by name", map[string]string{"AWS_ROLE_ARN": "app"}, "--role-arn (AWS_ROLE_ARN): ", `"app" is not the ARN of a role`},
		{"an assumed role", map[string]string{"AWS_ROLE_ARN": "arn:aws:sts::111122223333:assumed-role/app/x"}, "--role-arn (AWS_ROLE_ARN): ", "is not the ARN of a role"},
		{"a user", map[string]string{"AWS_ROLE_ARN": "arn:aws:iam::111122223333:user/app"}, "--role-arn (AWS_ROLE_ARN): ", "is not the ARN of a role"},
		{"a region with a space", map[string]string{"AWS_REGION": "eu west"}, "--region", `"eu west" is not the name of a region`},
		{"a zone", map[string]string{"AWS_REGION": "eu-west-1a"}, "--region", `"eu-west-1a" is a zone, not a region: set its region, eu-west-1`},
		{"a zone of another partition", map[string]string{"AWS_REGION": "us-gov-east-1b", "AWS_ROLE_ARN": "arn:aws-us-gov:iam::111122223333:role/app"}, "--region", "set its region, us-gov-east-1"},
		{"a local zone", map[string]string{"AWS_REGION": "us-west-2-lax-1a"}, "--region", "set its region, us-west-2"},
		{"a Wavelength zone", map[string]string{"AWS_REGION": "us-east-1-wl1-bos-wlz-1"}, "--region", "set its region, us-east-1"},
		{"a zone of another region", map[string]string{"SIDECAR_ZONE": "eu-central-1a"}, "--zone", `"eu-central-1a" is not a zone of the region eu-west-1, such as eu-west-1a`},
		{"the id of a zone", map[string]string{"SIDECAR_ZONE": "euw1-az1"}, "--zone", "is not a zone of the region eu-west-1"},
		{"a zone that is a region", map[string]string{"SIDECAR_ZONE": "eu-west-1"}, "--zone", "is not a zone of the region eu-west-1"},
		{"two lines as a zone", map[string]string{"SIDECAR_ZONE": "eu-west-1a\neu-west-1b"}, "--zone", "is not the name of a zone"},
		{"two lines as an instance id", map[string]string{"SIDECAR_INSTANCE_ID": "i-1\ni-2"}, "--instance-id", "is not an id such as i-0123456789abcdef0"},
		{"a long instance id", map[string]string{"SIDECAR_INSTANCE_ID": strings.Repeat("i", 65)}, "--instance-id", "at most 64 characters"},
		{"an access log that is neither on nor off", map[string]string{"SIDECAR_ACCESS_LOG": "1"}, "--access-log (SIDECAR_ACCESS_LOG): ", "neither true nor false"},
		{"a region of another partition", map[string]string{"AWS_REGION": "cn-north-1"}, "--role-arn", "partition aws, and the region cn-north-1 in the partition aws-cn"},
		{"a role of another partition", map[string]string{"AWS_ROLE_ARN": "arn:aws-us-gov:iam::111122223333:role/app"}, "--role-arn", "partition aws-us-gov, and the region eu-west-1 in the partition aws"},
		{"another partition with an endpoint", map[string]string{"AWS_REGION": "eusc-de-east-1", "AWS_ENDPOINT_URL_STS": "https://sts.example"}, "--role-arn", "partition aws-eusc"},
		{"a session name with a space", map[string]string{"AWS_ROLE_SESSION_NAME": "a b"}, "--session-name (AWS_ROLE_SESSION_NAME): ", "2 to 64"},
		{"a short session name", map[string]string{"AWS_ROLE_SESSION_NAME": "a"}, "--session-name", "2 to 64"},
		{"a long session name", map[string]string{"AWS_ROLE_SESSION_NAME": strings.Repeat("a", 65)}, "--session-name", "2 to 64"},
		{"a short duration", map[string]string{"SIDECAR_DURATION": "14m59s"}, "--duration (SIDECAR_DURATION): ", "15m to 12h"},
		{"a long duration", map[string]string{"SIDECAR_DURATION": "12h1s"}, "--duration", "15m to 12h"},
		{"a duration without unit", map[string]string{"SIDECAR_DURATION": "3600"}, "--duration", "as in 90s, 15m or 1h"},
		{"a short duration with a fraction", map[string]string{"SIDECAR_DURATION": "14m0.5s"}, "--duration", "15m to 12h"},
		{"a fraction of a second", map[string]string{"SIDECAR_DURATION": "15m0.5s"}, "--duration", "whole seconds"},
		{"no policy file", map[string]string{"SIDECAR_SESSION_POLICY_FILE": dir + "/none"}, "--session-policy-file (SIDECAR_SESSION_POLICY_FILE): ", "no such file"},
		{"a policy that is not JSON", map[string]string{"SIDECAR_SESSION_POLICY_FILE": file("bad", `hunter2`)}, "--session-policy-file", "does not hold JSON"},
		{"a large policy", map[string]string{"SIDECAR_SESSION_POLICY_FILE": file("large", `"`+strings.Repeat("a", 2047)+`"`)}, "--session-policy-file", "has 2049 characters"},
		{"a policy by name", map[string]string{"SIDECAR_SESSION_POLICY_ARNS": "arn:aws:iam::aws:policy/A,hunter2"}, "--session-policy-arns (SIDECAR_SESSION_POLICY_ARNS): ", "entry 2"},
		{"many policies", map[string]string{"SIDECAR_SESSION_POLICY_ARNS": strings.Repeat("arn:aws:iam::aws:policy/A,", 10) + "arn:aws:iam::aws:policy/A"}, "--session-policy-arns", "has 11"},
		{"an endpoint without scheme", map[string]string{"AWS_ENDPOINT_URL_STS": "sts.example"}, "--sts-endpoint (AWS_ENDPOINT_URL_STS, AWS_ENDPOINT_URL): ", "https://HOST"},
		{"an endpoint with a password", map[string]string{"AWS_ENDPOINT_URL_STS": "https://user:hunter2@sts.example"}, "--sts-endpoint", "https://HOST"},
		{"an endpoint with a query", map[string]string{"AWS_ENDPOINT_URL_STS": "https://sts.example/?hunter2"}, "--sts-endpoint", "https://HOST"},
		{"FIPS with an endpoint", map[string]string{"AWS_ENDPOINT_URL_STS": "https://sts.example", "AWS_USE_FIPS_ENDPOINT": "true"}, "--sts-endpoint", "AWS_USE_FIPS_ENDPOINT"},
		{"dual-stack with an endpoint", map[string]string{"AWS_ENDPOINT_URL": "https://sts.example", "AWS_USE_DUALSTACK_ENDPOINT": "true"}, "--sts-endpoint", "AWS_USE_DUALSTACK_ENDPOINT"},
		{"not a boolean", map[string]string{"AWS_USE_FIPS_ENDPOINT": "1"}, "AWS_USE_FIPS_ENDPOINT: ", "neither true nor false"},
		{"no CA bundle", map[string]string{"AWS_CA_BUNDLE": dir + "/none"}, "AWS_CA_BUNDLE: ", "no such file"},
		{"an empty CA bundle", map[string]string{"AWS_CA_BUNDLE": file("ca", "hunter2")}, "AWS_CA_BUNDLE: ", "holds no certificate"},
		{"all addresses", map[string]string{"SIDECAR_LISTEN": "0.0.0.0:9911"}, "--listen (SIDECAR_LISTEN): ", "127.0.0.1:PORT"},
		{"another loopback address", map[string]string{"SIDECAR_LISTEN": "127.0.0.2:9911"}, "--listen", "127.0.0.1:PORT"},
		{"a name", map[string]string{"SIDECAR_LISTEN": "localhost:9911"}, "--listen", "127.0.0.1:PORT"},
		{"a port alone", map[string]string{"SIDECAR_LISTEN": ":9911"}, "--listen", "127.0.0.1:PORT"},
		{"an admin port out of range", map[string]string{"SIDECAR_ADMIN_LISTEN": ":99999"}, "--admin-listen (SIDECAR_ADMIN_LISTEN): ", "[HOST]:PORT"},
		{"an admin host by name", map[string]string{"SIDECAR_ADMIN_LISTEN": "host:9912"}, "--admin-listen", "[HOST]:PORT"},
		{"one port for both", map[string]string{"SIDECAR_ADMIN_LISTEN": ":9911"}, "--admin-listen", "must use another port than --listen, which has port 9911"},
		{"the ECS endpoint on all addresses", map[string]string{"SIDECAR_ECS_LISTEN": "0.0.0.0:80"}, "--ecs-listen (SIDECAR_ECS_LISTEN): ", "must be 169.254.170.2:PORT"},
		{"the ECS endpoint at the metadata address", map[string]string{"SIDECAR_ECS_LISTEN": "169.254.169.254:80"}, "--ecs-listen", "must be 169.254.170.2:PORT"},
		{"the metadata endpoint at another address", map[string]string{"SIDECAR_IMDS_LISTEN": "10.0.0.1:80"}, "--imds-listen (SIDECAR_IMDS_LISTEN): ", "must be 169.254.169.254:PORT"},
		{"the metadata endpoint without a port", map[string]string{"SIDECAR_IMDS_LISTEN": "169.254.169.254"}, "--imds-listen", "must be 169.254.169.254:PORT (SDKs use port 80)"},
		{"the metadata endpoint, not an address", map[string]string{"SIDECAR_IMDS_LISTEN": "true"}, "--imds-listen", "must be 169.254.169.254:PORT (SDKs use port 80)"},
		{"IMDSv1, not a boolean", map[string]string{"SIDECAR_IMDS_V1": "off"}, "--imds-v1 (SIDECAR_IMDS_V1): ", "neither true nor false"},
		{"one address for two endpoints", map[string]string{"SIDECAR_IMDS_LISTEN": "127.0.0.1:9911"}, "--imds-listen", "is already the address of --listen"},
		{"the admin port for an endpoint", map[string]string{"SIDECAR_ECS_LISTEN": "169.254.170.2:9912"}, "--admin-listen", "must use another port than --ecs-listen, which has port 9912"},
		{"a path without a slash", map[string]string{"SIDECAR_PATH": "hunter2"}, "SIDECAR_PATH: ", "start with a slash"},
		{"the root as the path", map[string]string{"SIDECAR_PATH": "/"}, "SIDECAR_PATH: ", ""},
		{"a path with a query", map[string]string{"SIDECAR_PATH": "/hunter2?a=b"}, "SIDECAR_PATH: ", ""},
		{"a path with dots", map[string]string{"SIDECAR_PATH": "/hunter2/../x"}, "SIDECAR_PATH: ", ""},
		{"a path with an escape", map[string]string{"SIDECAR_PATH": "/hunter2%20"}, "SIDECAR_PATH: ", ""},
		{"an unexpanded variable", map[string]string{"SIDECAR_PATH": "/v1/credentials/$(POD_UID)"}, "SIDECAR_PATH: ", "was not replaced"},
		{"a long path", map[string]string{"SIDECAR_PATH": "/hunter2" + strings.Repeat("a", 1024)}, "SIDECAR_PATH: ", ""},
		{"token and token file", map[string]string{"SIDECAR_AUTHORIZATION_TOKEN": "hunter2", "SIDECAR_AUTHORIZATION_TOKEN_FILE": file("t", "hunter2")},
			"--authorization-token-file (SIDECAR_AUTHORIZATION_TOKEN_FILE): ", "SIDECAR_AUTHORIZATION_TOKEN"},
		{"a token with a line break", map[string]string{"SIDECAR_AUTHORIZATION_TOKEN": "hunter2\nx"}, "SIDECAR_AUTHORIZATION_TOKEN: ", "printable ASCII"},
		{"a token of blanks", map[string]string{"SIDECAR_AUTHORIZATION_TOKEN": "  "}, "SIDECAR_AUTHORIZATION_TOKEN: ", "empty"},
		{"no token file at start", map[string]string{"SIDECAR_AUTHORIZATION_TOKEN_FILE": dir + "/none"}, "--authorization-token-file", "no such file"},
		{"an empty token file", map[string]string{"SIDECAR_AUTHORIZATION_TOKEN_FILE": file("empty", "\n")}, "--authorization-token-file", "empty"},
		{"a wait without unit", map[string]string{"SIDECAR_WAIT": "10"}, "--wait (SIDECAR_WAIT): ", "not a duration from 0s to 1h"},
		{"a negative wait", map[string]string{"SIDECAR_WAIT": "-1s"}, "--wait (SIDECAR_WAIT): ", "not a duration from 0s to 1h"},
		{"an unknown log level", map[string]string{"SIDECAR_LOG_LEVEL": "verbose"}, "--log-level (SIDECAR_LOG_LEVEL): ", "debug, info, warn or error"},
		{"a proxy that is not a URL", map[string]string{"HTTPS_PROXY": "http://user:hunter2@:bad:"}, "HTTPS_PROXY: ", "http://HOST:PORT"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env := webhook()
			maps.Copy(env, tt.env)
			_, err := load(nil, env)
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

// All problems are reported at once, each on its own line. A hint for several of them is
// printed once.
func TestProblemsAreReportedTogether(t *testing.T) {
	_, err := Load(ParseArguments([]string{"--source=web-identity", "--duration=1m", "--bogus"}), func(string) string { return "" }, nil)
	const want = `invalid configuration (5 problems):
  argument 3: unknown flag: see sidecar --help (settings that may be secrets have no flag, only a variable)
  --token-file (AWS_WEB_IDENTITY_TOKEN_FILE): is required
  --role-arn (AWS_ROLE_ARN): is required
  --duration (SIDECAR_DURATION): "1m" is not a duration from 15m to 12h with its unit, as in 90s, 15m or 1h
  --region (AWS_REGION, AWS_DEFAULT_REGION): is required unless an STS endpoint is set: the EKS pod identity webhook sets it; without the webhook write the cluster's region in the pod
  hint: the EKS pod identity webhook and deploy/inject set this if the service account has the annotation eks.amazonaws.com/role-arn before the pod is created; without them write it in the pod`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestOneProblem(t *testing.T) {
	env := webhook()
	env["SIDECAR_WAIT"] = "x"
	_, err := load(nil, env)
	const want = `invalid configuration (1 problem):
  --wait (SIDECAR_WAIT): "x" is not a duration from 0s to 1h with its unit, as in 90s, 15m or 1h`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestDefaultSessionName(t *testing.T) {
	tests := []struct {
		name, host string
		err        error
		want       string
	}{
		{name: "a pod's", host: "cart-7d9f-x2x", want: "cart-7d9f-x2x"},
		{name: "with a domain", host: "ip-10-0-0-1.ec2.internal", want: "ip-10-0-0-1.ec2.internal"},
		{name: "other characters", host: "a b/ü", want: "a-b--"},
		{name: "long", host: strings.Repeat("a", 70), want: strings.Repeat("a", 64)},
		{name: "short", host: "a", want: "irsa-sidecar-a"},
		{name: "none", err: errors.New("no name"), want: "irsa-sidecar"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := defaultSessionName(tt.host, tt.err)
			if got != tt.want || !matches(sessionNameRule, got) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
