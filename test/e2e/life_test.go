//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

const injected = `labels: {app: example, irsa-sidecar/inject: "true"}`

// The kubelet replaces the token, and the sidecar uses the new one. Not parallel: the
// command E2E_ROTATE may restart the kubelet.
func TestRotation(t *testing.T) {
	n := newNamespace(t, "guard")
	n.trust()
	n.sts.SetGrantLifetime(40 * time.Second) // for a refresh every 20 to 26 seconds
	n.applyDeploy(n.overlay("without-webhook", fmt.Sprintf("-every, 1s, %q", n.url))+`
  - target: {kind: Deployment}
    patch: |
      - {op: replace, path: /spec/template/spec/volumes/0/projected/sources/0/serviceAccountToken/expirationSeconds, value: 600}
`, nil)
	p := n.awaitRunning("app=example")
	n.awaitIdentity(p.Metadata.Name)
	first := n.sts.Requests()[0].Claims.ID
	limit := time.Minute
	if len(shared.rotate) == 0 {
		t.Log("E2E_ROTATE is not set: waiting for the kubelet to replace the token, at four fifths of its ten minutes")
		limit = 12 * time.Minute
	} else if out, err := exec.CommandContext(t.Context(), shared.rotate[0], shared.rotate[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", shared.rotate, err, out)
	}
	until(t, limit, func() error {
		for _, r := range n.sts.Requests() {
			if r.Claims.ID != first {
				return nil
			}
		}
		return errors.New("STS has seen only the first token")
	})
	metrics := get(t, "http://"+p.Status.PodIP+":9912/metrics")
	if !strings.Contains(metrics, "irsa_sidecar_token_changes_total 1\n") {
		t.Errorf("want one token change:\n%s", metrics)
	}
	for _, r := range n.sts.Requests() {
		if r.Outcome != "" {
			t.Errorf("STS answered %s", r.Outcome)
		}
	}
	t.Log("proved: the kubelet has replaced the token, the sidecar has noticed, and its next refresh used the new one")
	n.awaitIdentity(p.Metadata.Name)
}

// The application does not start before the sidecar has credentials.
func TestStart(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "inject", "guard")
	n.apply(n.serviceAccount() + n.deployment(injected))
	p := n.awaitPod("app=example", time.Minute, func(p *pod) error {
		if len(n.sts.Requests()) < 3 {
			return errors.New("fewer than three requests to STS")
		}
		return nil
	})
	if app := p.container("app"); app.State.Waiting == nil || app.State.Waiting.Reason != "PodInitializing" {
		t.Errorf("without credentials the application is %+v", app.State)
	}
	t.Logf("proved: while STS denies access (%d requests so far), the application does not start", len(n.sts.Requests()))
	allowed := time.Now()
	n.trust()
	p = n.awaitRunning("app=example")
	if started := p.container("app").State.Running.StartedAt; started.Before(allowed.Truncate(time.Second)) {
		t.Errorf("the application started at %s, before STS allowed access at %s", started, allowed)
	}
	n.awaitIdentity(p.Metadata.Name)
}

// When the pod is deleted, the sidecar keeps serving until the application has exited.
func TestDeletion(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "inject", "guard")
	n.trust()
	n.apply(n.serviceAccount() + n.deployment(injected))
	p := n.awaitRunning("app=example")
	n.awaitIdentity(p.Metadata.Name)

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	follow := exec.CommandContext(ctx, "kubectl", "-n", n.name, "logs", "-f", p.Metadata.Name, "-c", "app")
	logged, err := follow.StdoutPipe()
	if err == nil {
		err = follow.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	n.kubectl("scale", "deployment", "example", "--replicas=0")
	out, err := io.ReadAll(logged) // until the application has exited
	if err := errors.Join(err, follow.Wait()); err != nil {
		t.Fatal(err)
	}
	ids, err := parseIdentities(string(out))
	if err != nil {
		t.Fatal(err)
	}
	sigterm := slices.IndexFunc(ids, func(id identity) bool { return id.Signal != "" })
	if sigterm < 0 || len(ids)-sigterm < 4 {
		t.Fatalf("the application did not keep running after SIGTERM: %+v", ids)
	}
	for _, id := range ids[sigterm+1:] {
		if id.Error != "" {
			t.Errorf("after SIGTERM the application got: %s", id.Error)
		}
	}
	t.Logf("proved: for five seconds after SIGTERM the application asked %d times and got its identity each time", len(ids)-sigterm-1)
	until(t, 30*time.Second, func() error {
		if pods := n.kubectl("get", "pods", "-o", "name"); pods != "" {
			return fmt.Errorf("still there: %s", pods)
		}
		return nil
	})
	t.Logf("proved: the pod was gone %s after the deletion; its grace period is 20 s", time.Since(start).Round(time.Second))
}

// A killed sidecar comes back, and the application is not restarted. The containers share
// the process namespace and the sidecar's user ID: otherwise no container could kill it.
func TestKilled(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "inject") // the guard refuses the sidecar's user for the application
	n.trust()
	n.apply(n.serviceAccount() + strings.NewReplacer(
		"serviceAccountName:", "shareProcessNamespace: true\n      serviceAccountName:",
		"runAsUser: 1000", "runAsUser: 9911").Replace(n.deployment(injected)))
	p := n.awaitRunning("app=example")
	n.awaitIdentity(p.Metadata.Name)
	before := len(n.sts.Requests())
	n.kubectl("exec", p.Metadata.Name, "-c", "app", "--", "/kill", "sidecar")
	p = n.awaitPod("app=example", time.Minute, func(p *pod) error {
		if c := p.container("irsa-sidecar"); c.RestartCount == 0 || !c.Ready {
			return fmt.Errorf("the sidecar: %+v", c)
		}
		return nil
	})
	if last := p.container("irsa-sidecar").LastState.Terminated; last == nil || last.ExitCode != 137 {
		t.Errorf("the sidecar's last state: %+v, want exit status 137", last)
	}
	if c := p.container("app"); c.RestartCount != 0 || c.State.Running == nil {
		t.Errorf("the application: %+v, want it to keep running", c)
	}
	if after := len(n.sts.Requests()); after != before+1 {
		t.Errorf("%d requests to STS after the kill, want 1", after-before)
	}
	out := n.kubectl("exec", p.Metadata.Name, "-c", "app", "--", "/client", "-every", "1s", "-times", "1", n.url)
	if !strings.Contains(out, "assumed-role/"+n.name+"/") {
		t.Errorf("after the kill the program printed %s", out)
	}
	t.Log("proved: the killed sidecar is back with credentials, and the application kept running")
}

func get(t *testing.T, url string) string {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
