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

// buildSidecar builds the real one and returns the path of its binary.
func buildSidecar(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "sidecar")
	// Without the version control's stamp, which fails in a checkout of somebody else.
	cmd := exec.CommandContext(t.Context(), "go", "build", "-C", root, "-buildvcs=false", "-o", binary, "./cmd/sidecar")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return binary
}

// pod is a sidecar in what would be a pod of its own, with an STS of its own.
type pod struct {
	namespace, name string
	sts             *standin.STS
	volume          *standin.Volume
	door, admin     string // addresses
}

// newPod returns a pod in which nothing runs yet.
func newPod(t *testing.T, namespace, name string) *pod {
	t.Helper()
	p := &pod{
		namespace: namespace, name: name,
		sts:    standin.NewSTS(issuer),
		volume: standin.NewVolume(t.TempDir()),
		door:   freeAddress(t),
		admin:  freeAddress(t),
	}
	p.sts.AddRole(standin.Role{ARN: role})
	return p
}

// freeAddress returns one that nobody listened on a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// publish gives the pod a new token that is valid for lifetime.
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
		"SIDECAR_LISTEN=" + p.door,
		"SIDECAR_ADMIN_LISTEN=" + p.admin,
		"SIDECAR_AUTHORIZATION_TOKEN=" + authorization,
	}, binary)
}

// run runs a program until the test or ctx ends, and shows the end of what it
// wrote if the test has failed by then.
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
		_ = cmd.Wait() // a sidecar without credentials ends with 1
		if text, err := os.ReadFile(path); err == nil && t.Failed() {
			t.Logf("the end of %s:\n%s", log, text[max(0, len(text)-2000):])
		}
	})
}

// ask makes one request for credentials, which edit makes wrong, and returns the
// status of the answer, 0 if there is none.
func (p *pod) ask(ctx context.Context, edit func(*http.Request)) (status int) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.door+"/v1/credentials", nil)
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

// wrong returns what makes a request one to refuse, by the reason.
func wrong() map[string]func(*http.Request) {
	return map[string]func(*http.Request){
		"host":          func(r *http.Request) { r.Host = "rebound.example" },
		"forwarded":     func(r *http.Request) { r.Header.Set("X-Forwarded-For", "192.0.2.1") },
		"path":          func(r *http.Request) { r.URL.Path = "/v2/credentials" },
		"method":        func(r *http.Request) { r.Method = http.MethodPut },
		"authorization": func(r *http.Request) { r.Header.Del("Authorization") },
	}
}
