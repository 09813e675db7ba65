package main

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
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
	w.checkSecrets(t, output.String(), token, "canary-path", "canary-authorization", "canary-proxy")
}

// Neither what net/http writes of a call to STS when it is debugged, nor what a crash
// prints, has a secret.
func TestNoSecretLeaksFromTheRuntime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.srv.Close()
	var http2 atomic.Bool
	w.srv = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		http2.Store(r.ProtoMajor == 2)
		w.sts.ServeHTTP(rw, r)
	}))
	w.srv.EnableHTTP2 = true
	w.srv.StartTLS()
	t.Cleanup(w.srv.Close)
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	token := w.publish(t)
	w.sts.Next(standin.EchoToken(), nil)
	p := start(t, w.environment("SIDECAR_LOG_LEVEL=debug", "AWS_CA_BUNDLE="+bundle, "GODEBUG=http2debug=2", "GOTRACEBACK=all"))
	p.waitForLog(t, "credentials refreshed")
	if !http2.Load() {
		t.Error("STS was not called with HTTP/2")
	}
	if err := p.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	<-p.Exited()
	if !strings.Contains(p.log(), "goroutine ") {
		t.Errorf("no stack was printed:\n%s", p.log())
	}
	w.checkSecrets(t, p.log(), token)
}

// checkSecrets checks that output has neither a part of the token, nor a credential that
// STS granted, nor one of others.
func (w *world) checkSecrets(t *testing.T, output, token string, others ...string) {
	t.Helper()
	secrets := append(strings.Split(token, "."), others...)
	for _, c := range w.sts.Credentials() {
		secrets = append(secrets, c.AccessKeyID, c.SecretAccessKey, c.SessionToken)
	}
	if len(secrets) < 6 {
		t.Fatalf("only %d secrets, want at least 6", len(secrets))
	}
	for _, secret := range secrets {
		if strings.Contains(output, secret) {
			t.Errorf("%q leaked:\n%s", secret, output)
		}
	}
}
