//go:build attacks

package attacks

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"net/http/httptest"

	"irsa-sidecar/test/harness"
	"irsa-sidecar/test/standin"
)

const (
	role  = "arn:aws:iam::111122223333:role/app"
	admin = "127.0.0.1:9912"
)

// endpoint is one of the sidecar's, at the address that it has in a pod.
type endpoint struct{ name, address, path string }

func (e endpoint) url() string { return "http://" + strings.TrimSuffix(e.address, ":80") + e.path }

func (e endpoint) host() string { return strings.TrimSuffix(e.address, ":80") }

var endpoints = []endpoint{
	{"container", "127.0.0.1:9911", "/v1/credentials"},
	{"ecs", "169.254.170.2:80", "/v1/credentials"},
	{"imds", "169.254.169.254:80", "/latest/meta-data/iam/security-credentials/app"},
}

// pod is a pod with a sidecar that has credentials.
type pod struct{ sts *standin.STS }

// startPod starts a sidecar with all endpoints, which runs until the test ends.
func startPod(t *testing.T) *pod {
	t.Helper()
	linkLocal(t)
	issuer := standin.NewIssuer("https://issuer.example")
	p := &pod{sts: standin.NewSTS(issuer)}
	p.sts.AddRole(standin.Role{ARN: role})
	server := httptest.NewServer(p.sts)
	t.Cleanup(server.Close)
	volume := standin.NewVolume(t.TempDir())
	if err := volume.Publish("token", issuer.Token(standin.Claims{})); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Getenv("SIDECAR"))
	cmd.Env = []string{
		"AWS_ROLE_ARN=" + role,
		"AWS_WEB_IDENTITY_TOKEN_FILE=" + volume.Path("token"),
		"AWS_REGION=eu-west-1",
		"AWS_ENDPOINT_URL_STS=" + server.URL,
		"SIDECAR_LISTEN=" + endpoints[0].address,
		"SIDECAR_ECS_LISTEN=" + endpoints[1].address,
		"SIDECAR_IMDS_LISTEN=" + endpoints[2].address,
		"SIDECAR_ADMIN_LISTEN=" + admin,
	}
	sidecar := start(t, cmd)
	if err := harness.Await(t.Context(), 50*time.Millisecond, 10*time.Second, sidecar.Ready); err != nil {
		t.Fatalf("%v\n%s", err, sidecar.Log())
	}
	p.serves(t)
	return p
}

// serves checks that every endpoint answers an honest request: otherwise no refusal would
// prove anything.
func (p *pod) serves(t *testing.T) {
	t.Helper()
	for _, e := range endpoints {
		status, body, err := harness.Get(t.Context(), e.url())
		if err != nil || status != 200 || !p.shown(body) {
			t.Fatalf("%s to an honest request: status %d, %v: %s", e.name, status, err, body)
		}
	}
}

// shown reports whether text, however it is broken into lines, has a part of the
// credentials.
func (p *pod) shown(text string) bool {
	text = strings.Join(strings.Fields(text), "")
	for _, c := range p.sts.Credentials() {
		if strings.Contains(text, c.AccessKeyID) || strings.Contains(text, c.SecretAccessKey) || strings.Contains(text, c.SessionToken) {
			return true
		}
	}
	return false
}

// answers counts the requests that the sidecar has answered.
type answers struct{ all, ok int }

func (p *pod) answers(t *testing.T) (n answers) {
	t.Helper()
	status, metrics, err := harness.Get(t.Context(), "http://"+admin+"/metrics")
	if err != nil || status != 200 {
		t.Fatalf("metrics: status %d, %v", status, err)
	}
	for line := range strings.Lines(metrics) {
		labels, found := strings.CutPrefix(line, "irsa_sidecar_requests_total{code=")
		if !found {
			continue
		}
		code, value, _ := strings.Cut(strings.TrimSpace(labels), "} ")
		count, err := strconv.Atoi(value)
		if err != nil {
			t.Fatal(err)
		}
		n.all += count
		if code == `"200"` {
			n.ok += count
		}
	}
	return n
}

// during returns the number of requests that the sidecar answers while f runs.
func (p *pod) during(t *testing.T, f func()) answers {
	t.Helper()
	before := p.answers(t)
	f()
	after := p.answers(t)
	return answers{after.all - before.all, after.ok - before.ok}
}

// linkLocal adds the link-local addresses to the pod, as its init container does.
func linkLocal(t *testing.T) {
	t.Helper()
	if out, err := exec.Command(os.Getenv("SIDECAR"), "link-local").CombinedOutput(); err != nil {
		t.Fatalf("link-local: %v: %s", err, out)
	}
}

// start starts a program that runs until the test ends.
func start(t *testing.T, cmd *exec.Cmd) *harness.Process {
	t.Helper()
	p, err := harness.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := p.Stop(); err != nil {
			t.Errorf("%s: %v\n%s", cmd.Path, err, p.Log())
		}
	})
	return p
}

// await waits until something listens at every address.
func await(t *testing.T, p *harness.Process, listens func(context.Context) error) {
	t.Helper()
	if err := harness.Await(t.Context(), 50*time.Millisecond, 20*time.Second, listens); err != nil {
		t.Fatalf("%v\n%s", err, p.Log())
	}
}
