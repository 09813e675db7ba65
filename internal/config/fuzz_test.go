package config

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// FuzzLoad loads an environment, one variable per line, and files that all have the same
// content. An accepted configuration can be used, and no error contains a secret.
func FuzzLoad(f *testing.F) {
	good := strings.Join([]string{"AWS_ROLE_ARN=arn:aws:iam::111122223333:role/app", "AWS_WEB_IDENTITY_TOKEN_FILE=/token", "AWS_REGION=eu-west-1"}, "\n")
	f.Add(good, "")
	for _, more := range []string{
		"SIDECAR_PATH=/v1/credentials/x~1", "SIDECAR_PATH=/a/../b", "SIDECAR_PATH=/%2e", "SIDECAR_PATH=//evil.example/x", "SIDECAR_PATH=/v1/credentials/$(POD_UID)",
		"SIDECAR_AUTHORIZATION_TOKEN=a b", "SIDECAR_AUTHORIZATION_TOKEN=\u00e4", "SIDECAR_AUTHORIZATION_TOKEN_FILE=x", "HTTPS_PROXY=http://user:x@proxy:3128", "HTTPS_PROXY=http://user:%zz@:bad:",
		"AWS_ENDPOINT_URL_STS=https://user:x@sts.example", "AWS_ENDPOINT_URL_STS=https://sts.example/?x", "AWS_ENDPOINT_URL=HTTPS://STS.example:443/sts",
		"SIDECAR_LISTEN=127.0.0.1:0", "SIDECAR_LISTEN=[::ffff:127.0.0.1]:1", "SIDECAR_LISTEN=0177.0.0.1:1", "SIDECAR_ADMIN_LISTEN=[::]:http", "SIDECAR_ADMIN_LISTEN=localhost:9911",
		"SIDECAR_DURATION=12h0m0.5s", "SIDECAR_DURATION=-1h", "SIDECAR_WAIT=1e9h", "AWS_ROLE_SESSION_NAME=%s%n", "AWS_REGION=eu-west-1/../x", "AWS_ROLE_ARN=arn:aws:iam::111122223333:role/",
		"SIDECAR_SESSION_POLICY_FILE=x", "SIDECAR_SESSION_POLICY_ARNS=arn:aws:iam::aws:policy/A, arn:aws:iam::aws:policy/B", "AWS_CA_BUNDLE=x", "AWS_USE_FIPS_ENDPOINT=true", "SIDECAR_LOG_LEVEL=TRACE",
	} {
		f.Add(good+"\n"+more, "content")
	}
	f.Add(good+"\nSIDECAR_SESSION_POLICY_FILE=x", `{"Version": "2012-10-17"}`)
	f.Add(good+"\nAWS_CA_BUNDLE=x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")

	agent := "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=/token\nAWS_CONTAINER_CREDENTIALS_FULL_URI="
	for _, url := range []string{"http://169.254.170.23/v1/credentials", "http://[fd00:ec2::23]/v1/credentials", "HTTP://169.254.170.23/?x", "http://x@169.254.170.23/v1/credentials", "http://127.0.0.1:9911/v1/credentials"} {
		f.Add(agent+url, "content")
	}

	const canary = "hunter2canary"
	file := filepath.Join(f.TempDir(), "file")
	f.Fuzz(func(t *testing.T, environment, content string) {
		if err := os.WriteFile(file, []byte(content+canary), 0o600); err != nil {
			t.Fatal(err)
		}
		variables := map[string]string{}
		for line := range strings.SplitSeq(environment, "\n") {
			name, value, _ := strings.Cut(line, "=")
			switch {
			case value == "":
			case name == "SIDECAR_PATH", name == "SIDECAR_AUTHORIZATION_TOKEN", name == "AWS_CONTAINER_CREDENTIALS_FULL_URI", strings.HasSuffix(strings.ToUpper(name), "_PROXY"):
				value += canary
			case name == "SIDECAR_SESSION_POLICY_FILE", name == "SIDECAR_AUTHORIZATION_TOKEN_FILE", name == "AWS_CA_BUNDLE":
				value = file
			}
			variables[name] = value
		}
		cfg, err := load(nil, variables)
		if err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("a secret is repeated: %v", err)
		}
		if err == nil {
			checkUsable(t, cfg)
		}
	})
}

// checkUsable checks what the rest of the program relies on.
func checkUsable(t *testing.T, cfg *Config) {
	webIdentity := cfg.Source == WebIdentity && cfg.Role.AccountID != "" && (cfg.STS.Region != "" || cfg.STS.Endpoint != "")
	podIdentity := cfg.Source == PodIdentity && (strings.HasPrefix(cfg.AgentURL, "http://169.254.170.23/") || strings.HasPrefix(cfg.AgentURL, "http://[fd00:ec2::23]/"))
	if cfg.TokenFile == "" || !webIdentity && !podIdentity {
		t.Errorf("something required is missing: %+v", cfg)
	}
	if !strings.HasPrefix(cfg.Listen.Loopback.HostPort, "127.0.0.1:") {
		t.Errorf("listens on %s", cfg.Listen.Loopback.HostPort)
	}
	if webIdentity && (cfg.Duration < 15*time.Minute || cfg.Duration > 12*time.Hour || cfg.Duration%time.Second != 0) {
		t.Errorf("duration is %v", cfg.Duration)
	}
	r, err := http.NewRequest("GET", "http://"+cfg.Listen.Loopback.HostPort+cfg.Path, nil)
	if err != nil || r.URL.Path != cfg.Path || r.URL.EscapedPath() != cfg.Path || len(cfg.Path) < 2 {
		t.Errorf("path %q cannot be requested: %v", cfg.Path, err)
	}
}
