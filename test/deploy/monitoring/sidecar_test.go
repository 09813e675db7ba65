package monitoring

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"irsa-sidecar/test/harness"
	"irsa-sidecar/test/standin"
)

const (
	role          = "arn:aws:iam::111122223333:role/app"
	authorization = "monitoring"
)

var issuer = standin.NewIssuer("https://issuer.example")

// buildSidecar builds the real sidecar and returns the path of its binary.
func buildSidecar(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "sidecar")
	if err := harness.Build(t.Context(), binary, "cmd/sidecar"); err != nil {
		t.Fatal(err)
	}
	return binary
}

// pod represents a pod with a sidecar. Each has its own STS.
type pod struct {
	namespace, name string
	sts             *standin.STS
	volume          *standin.Volume
	endpoint, admin string // addresses
	policy          string // a file with a session policy, if there is one
}

// newPod returns a pod whose sidecar has not started.
func newPod(t *testing.T, namespace, name string) *pod {
	t.Helper()
	addresses := freeAddresses(t, 2)
	p := &pod{
		namespace: namespace, name: name,
		sts:      standin.NewSTS(issuer),
		volume:   standin.NewVolume(t.TempDir()),
		endpoint: addresses[0],
		admin:    addresses[1],
	}
	p.sts.AddRole(standin.Role{ARN: role})
	return p
}

// freeAddresses returns n addresses that were free a moment ago.
func freeAddresses(t *testing.T, n int) []string {
	t.Helper()
	addresses, err := harness.FreeAddresses(n)
	if err != nil {
		t.Fatal(err)
	}
	return addresses
}

// publish replaces the pod's token with a new one that is valid for lifetime.
func (p *pod) publish(t *testing.T, lifetime time.Duration) {
	t.Helper()
	if err := p.volume.Publish("token", issuer.Token(standin.Claims{Lifetime: lifetime})); err != nil {
		t.Fatal(err)
	}
}

// start runs the sidecar until the test ends.
func (p *pod) start(t *testing.T, binary string) {
	t.Helper()
	sts := httptest.NewServer(p.sts)
	t.Cleanup(sts.Close)
	cmd := exec.Command(binary)
	cmd.Env = []string{
		"AWS_ROLE_ARN=" + role,
		"AWS_WEB_IDENTITY_TOKEN_FILE=" + p.volume.Path("token"),
		"AWS_ENDPOINT_URL_STS=" + sts.URL,
		"AWS_REGION=eu-west-1",
		"SIDECAR_LISTEN=" + p.endpoint,
		"SIDECAR_ADMIN_LISTEN=" + p.admin,
		"SIDECAR_AUTHORIZATION_TOKEN=" + authorization,
	}
	if p.policy != "" {
		cmd.Env = append(cmd.Env, "SIDECAR_SESSION_POLICY_FILE="+p.policy)
	}
	run(t, p.name, cmd)
}

// run runs a program until the test ends. If the test has failed by then, it logs the end
// of the program's output.
func run(t *testing.T, name string, cmd *exec.Cmd) {
	t.Helper()
	p, err := harness.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := p.Stop(); err != nil {
			t.Errorf("%s %v", name, err)
		}
		if log := p.Log(); t.Failed() {
			t.Logf("the end of the log of %s:\n%s", name, log[max(0, len(log)-2000):])
		}
	})
}

// ask requests credentials and returns the status of the response, or 0 if there is none.
// A non-nil edit changes the request before it is sent.
func (p *pod) ask(ctx context.Context, edit func(*http.Request)) (status int) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.endpoint+"/v1/credentials", nil)
	if err != nil {
		panic(err)
	}
	r.Header.Set("Authorization", authorization)
	if edit != nil {
		edit(r)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second} // no proxy
	resp, err := client.Do(r)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// badRequests returns edits that make the sidecar refuse a request, by reason.
func badRequests() map[string]func(*http.Request) {
	return map[string]func(*http.Request){
		"host":          func(r *http.Request) { r.Host = "rebound.example" },
		"forwarded":     func(r *http.Request) { r.Header.Set("X-Forwarded-For", "192.0.2.1") },
		"browser":       func(r *http.Request) { r.Header.Set("Upgrade-Insecure-Requests", "1") },
		"path":          func(r *http.Request) { r.URL.Path = "/v2/credentials" },
		"method":        func(r *http.Request) { r.Method = http.MethodPut },
		"authorization": func(r *http.Request) { r.Header.Del("Authorization") },
	}
}
