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

// The kubelet replaces the token, and the sidecar uses the new one. Not parallel:
// the command that makes the kubelet do so may restart it.
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
		t.Log("E2E_ROTATE is not set: waiting until four fifths of the token's ten minutes are over")
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
		return errors.New("STS has seen the first token only")
	})
	metrics := get(t, "http://"+p.Status.PodIP+":9912/metrics")
	if !strings.Contains(metrics, "irsa_sidecar_token_changes_total 1\n") {
		t.Errorf("the token has not changed once:\n%s", metrics)
	}
	for _, r := range n.sts.Requests() {
		if r.Outcome != "" {
			t.Errorf("STS answered %s", r.Outcome)
		}
	}
	t.Log("proved: the kubelet has replaced the token, the sidecar has noticed, and its next refresh used the new one")
	n.awaitIdentity(p.Metadata.Name)
}

// The application starts when there are credentials, and no earlier.
func TestStart(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "inject", "guard")
	n.apply(n.serviceAccount() + n.deployment(injected))
	p := n.awaitPod("app=example", time.Minute, func(p *pod) error {
		if len(n.sts.Requests()) < 3 {
			return errors.New("STS has not been asked three times")
		}
		return nil
	})
	if app := p.container("app"); app.State.Waiting == nil || app.State.Waiting.Reason != "PodInitializing" {
		t.Errorf("without credentials the application is %+v", app.State)
	}
	t.Logf("proved: while STS denies (%d times so far), the application is not started", len(n.sts.Requests()))
	allowed := time.Now()
	n.trust()
	p = n.awaitRunning("app=example")
	if started := p.container("app").State.Running.StartedAt; started.Before(allowed.Truncate(time.Second)) {
		t.Errorf("the application started at %s, STS allowed at %s", started, allowed)
	}
	n.awaitIdentity(p.Metadata.Name)
}

// When the pod is deleted, the sidecar goes on until the application has ended.
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
	out, err := io.ReadAll(logged) // until the application has ended
	if err := errors.Join(err, follow.Wait()); err != nil {
		t.Fatal(err)
	}
	ids, err := parseIdentities(string(out))
	if err != nil {
		t.Fatal(err)
	}
	told := slices.IndexFunc(ids, func(id identity) bool { return id.Told != "" })
	if told < 0 || len(ids)-told < 4 {
		t.Fatalf("the application has not gone on after it was told to end: %+v", ids)
	}
	for _, id := range ids[told+1:] {
		if id.Error != "" {
			t.Errorf("while it shut down the application got: %s", id.Error)
		}
	}
	t.Logf("proved: told to end, the application asked %d times for five seconds and was answered each time", len(ids)-told-1)
	until(t, 30*time.Second, func() error {
		if left := n.kubectl("get", "pods", "-o", "name"); left != "" {
			return fmt.Errorf("still there: %s", left)
		}
		return nil
	})
	t.Logf("proved: the pod was gone %s after that, of a grace period of 20 s", time.Since(start).Round(time.Second))
}

// The sidecar is killed and comes back; the application is not restarted. They share
// the process namespace, and the killer has the sidecar's user id: else nobody in the
// pod could.
func TestKilled(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "inject", "guard")
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
		t.Errorf("the application: %+v, want it to run on", c)
	}
	if after := len(n.sts.Requests()); after != before+1 {
		t.Errorf("%d requests to STS after the kill, want 1", after-before)
	}
	out := n.kubectl("exec", p.Metadata.Name, "-c", "app", "--", "/client", "-every", "1s", "-times", "1", n.url)
	if !strings.Contains(out, "assumed-role/"+n.name+"/") {
		t.Errorf("after the kill the program is %s", out)
	}
	t.Log("proved: the sidecar was killed and is back with credentials, and the application has run on")
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
