package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"irsa-sidecar/test/standin"
)

// TestNoSecretLeaks plants secrets everywhere and reads all output.
func TestNoSecretLeaks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.publish(t)
	w.sts.Next(standin.EchoToken(), nil)
	environment := w.environment("SIDECAR_LOG_LEVEL=debug", "SIDECAR_PATH=/v1/canary-path", "SIDECAR_AUTHORIZATION_TOKEN=canary-authorization",
		"HTTPS_PROXY=http://user:canary-proxy@127.0.0.1:1")
	p := start(t, environment)
	p.waitForLog(t, "credentials refreshed")
	var output strings.Builder
	for _, url := range []string{"http://" + p.admin + "/metrics", "http://" + p.admin + "/readyz", "http://" + p.endpoint + "/v1/credentials", "http://" + p.endpoint + "/v1/canary-path"} {
		status, body := get(t, url)
		fmt.Fprintln(&output, status, body)
	}
	if status, printed := p.ready(t); status != 0 {
		t.Errorf("sidecar ready: exit status %d, output %q", status, printed)
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	p.terminate(t)
	fmt.Fprintf(&output, "%s\n%s", cmdline, p.log())
	secrets := append(strings.Split(token, "."), "canary-path", "canary-authorization", "canary-proxy")
	for _, c := range w.sts.Credentials() {
		secrets = append(secrets, c.AccessKeyID, c.SecretAccessKey, c.SessionToken)
	}
	if len(secrets) < 9 {
		t.Fatalf("only %d secrets, want at least 9", len(secrets))
	}
	for _, secret := range secrets {
		if strings.Contains(output.String(), secret) {
			t.Errorf("%q leaked:\n%s", secret, output.String())
		}
	}
}
