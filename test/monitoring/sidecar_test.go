package monitoring

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

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
	// Without VCS stamping, which fails in a checkout that another user owns.
	cmd := exec.CommandContext(t.Context(), "go", "build", "-C", root, "-buildvcs=false", "-o", binary, "./cmd/sidecar")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return binary
}

// pod represents a pod with a sidecar. Each has its own STS.
type pod struct {
	namespace, name string
	sts             *standin.STS
	volume          *standin.Volume
	endpoint, admin string // addresses
}

// newPod returns a pod whose sidecar has not started.
func newPod(t *testing.T, namespace, name string) *pod {
	t.Helper()
	p := &pod{
		namespace: namespace, name: name,
		sts:      standin.NewSTS(issuer),
		volume:   standin.NewVolume(t.TempDir()),
		endpoint: freeAddress(t),
		admin:    freeAddress(t),
	}
	p.sts.AddRole(standin.Role{ARN: role})
	return p
}

// freeAddress returns an address that was free a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// publish replaces the pod's token with a new one that is valid for lifetime.
func (p *pod) publish(t *testing.T, lifetime time.Duration) {
	t.Helper()
	if err := p.volume.Publish("token", issuer.Token(standin.Claims{Lifetime: lifetime})); err != nil {
		t.Fatal(err)
	}
}

// start runs the sidecar until the test or ctx ends.
func (p *pod) start(ctx context.Context, t *testing.T, binary string) {
	t.Helper()
	sts := httptest.NewServer(p.sts)
	t.Cleanup(sts.Close)
	run(ctx, t, p.name+".log", []string{
		"AWS_ROLE_ARN=" + role,
		"AWS_WEB_IDENTITY_TOKEN_FILE=" + p.volume.Path("token"),
		"AWS_ENDPOINT_URL_STS=" + sts.URL,
		"AWS_REGION=eu-west-1",
		"SIDECAR_LISTEN=" + p.endpoint,
		"SIDECAR_ADMIN_LISTEN=" + p.admin,
		"SIDECAR_AUTHORIZATION_TOKEN=" + authorization,
	}, binary)
}

// run runs a program until the test or ctx ends. If the test has failed by then, it logs
// the end of the program's output.
func run(ctx context.Context, t *testing.T, log string, env []string, program string, args ...string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), log)
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	ctx, terminate := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, file, file
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		terminate()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		terminate()
		_ = cmd.Wait() // a sidecar without credentials exits with status 1
		if text, err := os.ReadFile(path); err == nil && t.Failed() {
			t.Logf("the end of %s:\n%s", log, text[max(0, len(text)-2000):])
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
		"path":          func(r *http.Request) { r.URL.Path = "/v2/credentials" },
		"method":        func(r *http.Request) { r.Method = http.MethodPut },
		"authorization": func(r *http.Request) { r.Header.Del("Authorization") },
	}
}
